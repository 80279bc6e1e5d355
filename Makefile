# Two commands: `make demo` and `make test`. Each makes .venv, installs the pinned packages and runs.
PYTHON ?= python3
BIN := .venv/bin
COUNT ?= 20000
SEED ?= 0

.PHONY: demo test check format slow fuzz docs lessons measure browser clean

demo: .venv/installed
	$(BIN)/unpool demo

test: .venv/installed check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: .venv/installed
	$(BIN)/ruff check src tests benchmarks lessons
	$(BIN)/ruff format --check src tests benchmarks lessons
	$(BIN)/mypy

# COUNT faulty files of all kinds through every reader; the exit code is 1 if one of them ends in anything but a typed error
fuzz: .venv/installed
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz $(COUNT) --seed $(SEED)

slow: .venv/installed
	$(BIN)/python -m pytest -m slow

# the site of the documentation, in site/: every page in two languages, nothing from other machines
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open site/index.html, or with the search: $(BIN)/python -m http.server --directory site"

# the computed parts of the lessons again; measure trains again what they have measured, which takes many minutes
lessons: .venv/installed
	$(BIN)/python -m lessons.pages

measure: .venv/installed
	$(BIN)/python -m lessons.measured

# the things to move on the lessons' pages, in the Chromium of this machine
browser: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	$(BIN)/python -m pytest tests/test_widgets.py

format: .venv/installed
	$(BIN)/ruff check --fix src tests benchmarks lessons
	$(BIN)/ruff format src tests benchmarks lessons

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("unpool needs Python 3.11 or later, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch -e '.[dev]'
	touch $@

.venv/docs: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf .venv unpool-demo site

"""The manual: its programs run, its tables are the code's, and its contents name every page."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lessons.pages import parts

import tiny
from conftest import Program
from unpool.checkpoint.models import load_model, save_model
from unpool.checkpoint.probe import probe_logits
from unpool.io.read.images import read_image
from unpool.io.write.images import write_image

DOCS = Path(__file__).parents[1] / "docs"
MANUAL = DOCS / "manual"
ENGLISH_ONLY = ("reference.md", "speed.md")
"""Pages of the manual that have no Chinese page."""


def programs(page: str) -> list[str]:
    """The blocks of Python of a page of the manual."""
    return re.findall(r"^```python\n(.*?)^```", (MANUAL / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def ran(programs: list[str], changes: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Run programs one after the other in one module, each change made in one of them at least; return its names."""
    names: dict[str, Any] = {"__name__": "page", **given}
    text = "\n".join(programs)
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    exec(compile(text, "page", "exec"), names)
    return names


def test_the_programs_of_the_page_on_python_run(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line as it is on the page, but with a small network and one epoch in place of ten minutes."""
    shutil.copytree(cells, tmp_path / "photos")
    shutil.copy(next((cells / "images").iterdir()), tmp_path / "new.png")
    monkeypatch.chdir(tmp_path)
    small = {key: value for key, value in tiny.settings(epochs=1).items() if key != "net"}
    changes = {"minutes=10": "settings=SMALL", '"training": {"minutes": 10}': "**SMALL"}
    changes |= {"memory=2e9": "memory=16e9"}  # a long test process may have 2 GB already
    names = ran(programs("from-python.md"), changes, {"SMALL": small})
    assert names["labels"].shape == names["mask"].shape == names["doubt"].shape == names["cells"].shape
    assert names["probabilities"].shape == (2, *names["labels"].shape)
    assert len(names["predicted"].written) == 8
    assert all(file.is_file() for _, file in names["predicted"].written)
    assert {run.folder.name for run in names["find_runs"]([Path("runs")]).runs} >= {"photos-unet", "mine"}
    assert "no-such-file" in capsys.readouterr().out.splitlines()[-4]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model and a picture of odd sides."""
    save_model(tmp_path / "model.safetensors", tiny.segmenter(), {})
    noise = np.random.default_rng(0).integers(0, 255, (61, 75), dtype=np.uint8)
    write_image(tmp_path / "new.png", noise)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expected(folder: Path) -> torch.Tensor:
    """The probabilities of the model, in float32."""
    return probe_logits(load_model(folder / "model.safetensors").segmenter, read_image(folder / "new.png")).softmax(0)


def test_the_program_of_torch_export_runs(folder: Path, program: Program) -> None:
    done = program("export", folder, "--to", "torch-export", "--out", folder / "model.pt2")
    assert done.code == 0, done.err
    batch = read_image(folder / "new.png").transpose(2, 0, 1)[None]
    names = ran(programs("export.md")[1:], {}, {"batch": batch})
    np.testing.assert_allclose(names["probabilities"][0], expected(folder).numpy(), atol=1e-4)


def test_the_program_of_onnx_runs(folder: Path, program: Program) -> None:
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason="the onnx extra is not installed")
    done = program("export", folder, "--to", "onnx", "--out", folder / "model.onnx")
    assert done.code == 0, done.err
    names = ran(programs("export.md")[:1], {}, {})
    found = expected(folder)
    np.testing.assert_allclose(names["probabilities"][0], found.numpy(), atol=1e-4)
    assert (names["labels"] == found.argmax(dim=0).numpy()).all()
    assert set(np.unique(names["mask"])) <= {0, 255}


@pytest.mark.parametrize("room", ["manual", "symptoms"])
def test_the_contents_link_every_page(room: str) -> None:
    """The contents of the manual also name its pages outside of the folder."""
    assert (DOCS / room / "README.md").is_file()
    for contents in (DOCS / room).glob("README*.md"):
        chinese = contents.name.endswith(".zh.md")
        links = re.findall(r"\]\(([^)#]+\.md)\)", contents.read_text(encoding="utf-8"))
        nav = yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
        (pages,) = (part[room.title()] for part in nav if isinstance(part, dict) and room.title() in part)
        written = [page for page in pages if (DOCS / page).is_file() and not page.endswith("README.md")]
        paths = [(contents.parent / link).resolve() for link in links if "README" not in link]
        named = [path.relative_to(DOCS).as_posix() for path in paths]
        assert sorted(named) == sorted(in_chinese(page) if chinese else page for page in written)


def in_chinese(page: str) -> str:
    """The Chinese page of a page of the site; the page itself, if it is in English only."""
    chinese = page.replace(".md", ".zh.md")
    return chinese if (DOCS / chinese).is_file() else page


@pytest.mark.parametrize("page", [page.name for page in sorted(MANUAL.glob("*.md")) if page.suffixes == [".md"]])
def test_chinese_pages_have_the_same_parts_programs_and_commands(page: str) -> None:
    if page in ENGLISH_ONLY:
        assert in_chinese(f"manual/{page}") == f"manual/{page}", "it is not in English only"
        return
    names = (page, page.replace(".md", ".zh.md"))
    assert (MANUAL / names[1]).is_file(), "it has no Chinese page"
    english, chinese = ((MANUAL / name).read_text(encoding="utf-8") for name in names)
    assert parts(chinese) == parts(english)
    first, second = ([ast.dump(ast.parse(each)) for each in programs(name)] for name in names)
    assert second == first
    assert typed(chinese) == typed(english)
    for line in (r"^#+ ", r"^\|", r"^- "):  # headings, rows of tables, items of lists
        assert len(re.findall(line, chinese, re.MULTILINE)) == len(re.findall(line, english, re.MULTILINE)), line


def typed(text: str) -> list[str]:
    """The commands of a page, without the words beside them."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [line.split("  #")[0].strip() for language, block in blocks if not language for line in block.splitlines()]

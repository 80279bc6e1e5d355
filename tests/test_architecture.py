"""ARCHITECTURE.md is true: its tree is the disk's, its floors are those that the tests hold, its names exist."""

import re
from pathlib import Path

import architecture
from test_floors import FLOORS

PAGE = architecture.PAGE.read_text(encoding="utf-8")


def test_every_file_earns_one_line() -> None:
    assert architecture.with_tree(PAGE) == PAGE, "run: python tests/architecture.py"


def test_every_file_says_what_it_is_for() -> None:
    for line in architecture.lines(architecture.ROOT):
        assert len(line) <= 140, line
        assert len(line[architecture.COLUMN :]) > 10, line


def test_the_picture_of_the_floors_is_the_one_that_is_held() -> None:
    drawn = re.search(r"```\n(11 .*?)```", PAGE, re.DOTALL)
    assert drawn
    found = {}
    for line in drawn[1].splitlines():
        floor, names = re.match(r"(\d+) +([a-z_ |]+?)(?:   .*)?$", line).groups()  # type: ignore[union-attr]
        found |= {name: int(floor) for name in re.findall(r"[a-z_]+", names)}
    assert found == {name: floor for name, floor in FLOORS.items() if "__" not in name}


def test_paths_and_modules_exist() -> None:
    for path in re.findall(r"`((?:tests|docs|benchmarks|lessons)/[\w./-]+)`", PAGE):
        assert (architecture.PAGE.parent / path).exists(), path
    for dotted in re.findall(r"`(unpool(?:\.[a-z_]+)+)`", PAGE):
        place = Path(*dotted.split(".")[1:])
        assert (architecture.ROOT / place).is_dir() or (architecture.ROOT / place).with_suffix(".py").is_file(), dotted
    for path in re.findall(r"`((?!tests|lessons)[a-z_]+(?:/[a-z_]+)*\.py)`", PAGE):
        assert (architecture.ROOT / path).is_file(), path

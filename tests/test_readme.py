"""The commands in README.md can be typed, and the names in it exist."""

import re
import shlex
from pathlib import Path
from pkgutil import resolve_name

import pytest

from unpool.cli.main import load_commands
from unpool.metrics.named import MEASURES
from unpool.nets.named import NAMED_NETS

README = Path(__file__).parents[1] / "README.md"
SCORES = README.parent / "docs" / "scores.md"


PAGES = [README, README.with_suffix(".zh.md"), *sorted((README.parent / "docs" / "manual").glob("*.md"))]
"""The README in both languages, and the manual."""


def text_of_all() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def commands() -> list[str]:
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text_of_all(), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line.startswith("unpool ")))


def test_there_are_commands() -> None:
    assert len(commands()) >= 6


@pytest.mark.parametrize("line", commands())
def test_every_command_can_be_typed(line: str) -> None:
    load_commands().parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)


def test_every_python_name_exists() -> None:
    names = set(re.findall(r"\bunpool(?:\.\w+)+", text_of_all()))
    assert "unpool.io.read.windows.open_picture" in names
    for name in names:
        resolve_name(name)


def test_every_network_is_named() -> None:
    text = text_of_all()
    for name in NAMED_NETS:
        assert f"`{name}`" in text


def test_every_measure_has_its_rules() -> None:
    text = SCORES.read_text(encoding="utf-8")
    for name in MEASURES:
        assert f"`{name}`" in text or f"--measures {name}`" in text


def test_every_section_of_the_scores_is_there() -> None:
    text = SCORES.read_text(encoding="utf-8")
    titles = {
        re.sub(r"[^a-z ]", "", line[3:].lower()).replace(" ", "-") for line in text.splitlines() if line[:3] == "## "
    }
    assert titles >= set(re.findall(r"\(#([a-z-]+)\)", text)) > {"counts"}


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://arxiv.org/abs/") or (page.parent / target).exists(), (page.name, target)

"""Tests of the page of a check: pictures of findings, and what a check may replace."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import Program
from html_pages import EVIL, Page
from unpool.commands.check_pictures import page_path
from unpool.errors import UsageError
from unpool.io.write.images import write_image
from unpool.report.check_page import CHECK_PAGE_END


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder ``cells`` in the current folder: 12 pictures, one of which has a mask of another size."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for k in range(12):
        mask = np.zeros((40, 50), np.uint8)
        mask[10:30, 5 + k : 20 + k] = 255
        picture = random.integers(0, 60, (40, 50), dtype=np.uint8) + mask // 2
        write_image(tmp_path / f"cells/images/{k:02}.png", picture)
        write_image(tmp_path / f"cells/masks/{k:02}.png", mask[: 30 if k == 4 else 40])
    return Path("cells")


def test_the_page_shows_each_finding_with_its_picture_and_repair(cells: Path, program: Program) -> None:
    said = program("check", cells, "--page")
    assert said.code == 3
    assert "cells-check.html" in said.out + said.err
    html = Path("cells-check.html").read_text()
    page = Page(html)
    text = re.sub(r"\s+", " ", " ".join(page.text))
    assert "Not ready: 1 error" in text
    assert "[size-mismatch]" in text
    assert "draw or export the mask again" in text
    assert all(link.startswith("data:image/") for link in page.links)
    finding = html[html.index("size-mismatch") : html.index("<h2>Classes")]
    assert ">04<" in finding
    assert finding.count("<img") >= 2  # the picture and the mask as it is stored
    assert text.count("mask over it") == 11  # every other pair


def test_a_page_is_replaced_and_a_file_of_a_person_is_not(cells: Path, program: Program) -> None:
    assert program("check", cells, "--page").code == 3
    assert page_path(cells).read_text().endswith(CHECK_PAGE_END)
    Path("cells-check.html").write_text("mine")
    with pytest.raises(UsageError, match="did not write it"):
        page_path(cells)
    assert program("check", cells, "--page").code == 2
    assert Path("cells-check.html").read_text() == "mine"


def test_a_name_that_is_html_stays_text(cells: Path, program: Program) -> None:
    name = EVIL.replace("/", "")
    for kind in ("images", "masks"):
        shutil.move(cells / kind / "03.png", cells / kind / name)
    assert program("check", cells, "--page").code == 3
    assert "script" not in Page(Path("cells-check.html").read_text()).tags

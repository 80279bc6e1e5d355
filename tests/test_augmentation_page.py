"""The page of an augmentation: crops and grids of a training, settings in words, and no file of a person."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from conftest import Program
from html_pages import EVIL, Page
from unpool.config.augmentation_words import augmentation_words
from unpool.config.schema import AugmentationSettings
from unpool.data.augmentation import Augmentation, Crop, augmented_crop, crop_field
from unpool.data.samples import Sample
from unpool.io.write.images import write_image
from unpool.normalisation import ChannelConstants, Normalisation
from unpool.report.augmentation_page import AugmentationFigure, DrawnLine, _figure_svg
from unpool.report.check_page import CHECK_PAGE_END

PAGE = Path("cells-augmentation.html")


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder ``cells`` in the current folder: 8 pictures of 40 x 50 with masks 0 and 255."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for k in range(8):
        mask = np.zeros((40, 50), np.uint8)
        mask[10:30, 5 + k : 20 + k] = 255
        write_image(tmp_path / f"cells/images/{k:02}.png", random.integers(0, 60, (40, 50), np.uint8) + mask // 2)
        write_image(tmp_path / f"cells/masks/{k:02}.png", mask)
    return Path("cells")


def section(html: str, title: str) -> str:
    """The text of one section of the page, without tags."""
    body = html[html.index(f"<h2>{title}") :]
    body = body[: body.index("</section>")]
    return unescape(re.sub(r"\s+", " ", re.sub(r"<(svg.*?</svg|[^>]*)>", " ", body)))


def test_the_page_draws_pictures_and_names_every_change(cells: Path, program: Program) -> None:
    before = {path: path.read_bytes() for path in cells.rglob("*.png")}
    done = program("check", cells, "--augmentation")
    assert done.code == 0
    assert PAGE.name in done.out + done.err
    html = PAGE.read_text()
    assert html.endswith(CHECK_PAGE_END)
    page = Page(html)
    assert page.links
    assert all(link.startswith("data:image/") for link in page.links)
    assert "script" not in page.tags
    whole = section(html, "Trainings of 60 minutes and more")
    for name, words in augmentation_words(_free()):
        assert f"{name} {words}" in whole
    short = section(html, "Short trainings")
    assert "rotation by 0, 90, 180 or 270 degrees scale none elastic none" in short
    assert "--set rotation=180 --set scale=0.25 --set elastic=4 --set noise=0.1" in short
    assert section(html, "Each change alone").count("with its mask") == 8  # unchanged, and seven changes
    assert {path: path.read_bytes() for path in cells.rglob("*.png")} == before


def _free() -> AugmentationSettings:
    return AugmentationSettings(orientation="free", flip_rows=True, flip_columns=True, rotation=180.0, elastic=4.0)


def test_settings_are_honoured_and_kept_in_short_trainings(cells: Path, program: Program) -> None:
    given = ["--set", "rotation=15", "--set", "flip_rows=false", "--set", "noise=0"]
    assert program("check", cells, "--augmentation", *given).code == 0
    html = PAGE.read_text()
    for title in ("Trainings of 60 minutes", "Short trainings"):
        text = section(html, title)
        assert "rotation up to 15 degrees" in text
        assert "mirror half of the crops left to right rotation" in text
    alone = section(html, "Each change alone")
    assert "noise" not in alone.replace("--set", "")
    assert "rotation: up to 15 degrees" in alone


def test_a_network_of_a_paper_has_one_size_and_its_margin_is_drawn(cells: Path, program: Program) -> None:
    assert program("check", cells, "--augmentation", "--set", "net=unet-2015", "--set", "width=1").code == 0
    html = PAGE.read_text()
    assert "Short trainings" not in html
    assert "takes 92 more pixels on every side" in section(html, "The training")
    assert "with its margin" in html


def test_a_folder_with_errors_gives_no_page(cells: Path, program: Program) -> None:
    write_image(cells / "masks/03.png", np.zeros((20, 20), np.uint8))
    done = program("check", cells, "--augmentation")
    assert done.code == 3
    assert "no page of the augmentation" in done.out + done.err
    assert not PAGE.exists()


def test_a_file_of_a_person_stays(cells: Path, program: Program) -> None:
    PAGE.write_text("mine")
    assert program("check", cells, "--augmentation").code == 2
    assert PAGE.read_text() == "mine"


def test_a_name_that_is_html_stays_text(cells: Path, program: Program) -> None:
    name = EVIL.replace("/", "")
    for kind in ("images", "masks"):
        (cells / kind / "00.png").rename(cells / kind / name)
    assert program("check", cells, "--augmentation", "--set", "val_share=0.2").code == 0
    assert "script" not in Page(PAGE.read_text()).tags


@pytest.mark.parametrize(
    "change", [{}, {"quarter_turns": True}, {"rotation": 40.0}, {"elastic": 3.0, "elastic_points": 3}, {"scale": 0.5}]
)
def test_a_crop_is_read_where_its_drawn_grid_lies(change: dict[str, float]) -> None:
    ramp = np.indices((90, 80)).astype(np.float32)
    labels = np.zeros((90, 80), np.uint8)
    sample = Sample("ramp", np.moveaxis(ramp, 0, -1), labels, None)
    plain = Normalisation(2, {"float32": ChannelConstants((0.0, 0.0), (1.0, 1.0))})
    limits = Augmentation(**{**vars(Augmentation().none()), "flip_columns": True, **change})
    for seed in range(4):
        fields = crop_field(labels, Crop(24, 32), limits, np.random.default_rng(seed), (44.0, 40.0))
        made = augmented_crop(sample, Crop(24, 32), limits, plain, np.random.default_rng(seed), (44.0, 40.0))
        np.testing.assert_allclose(made.image.numpy(), np.stack(fields), atol=2e-3)
        assert fields[0].shape == (24, 32)
        assert abs(fields[0].mean() - 44) < 8 if change.get("elastic") else abs(fields[0].mean() - 44) < 1e-3


def test_words_for_what_is_off_and_for_the_papers_field() -> None:
    off = AugmentationSettings(
        flip_rows=False, flip_columns=False, rotation=0, scale=0, elastic=0, contrast=0, brightness=0, noise=0, rare=0
    )
    words = dict(augmentation_words(off))
    assert dict(augmentation_words(off.model_copy(update={"quarter_turns": True})))["rotation"] != "none"
    assert {key for key, text in words.items() if text == "none"} == set(words) - {"shift"}
    paper = dict(augmentation_words(AugmentationSettings(elastic=10, elastic_points=3)))
    assert paper["elastic"].startswith("3 x 3 points move by 10 pixels")


def test_lines_beyond_the_picture_are_inside_the_drawing() -> None:
    line = DrawnLine(np.array([[-5.0, -10.0], [30.0, 40.0]], np.float32), "#000", 1.0)
    svg = _figure_svg(AugmentationFigure("<b>", np.zeros((20, 20, 3), np.uint8), (3, 4), (line,)))
    assert 'viewBox="-10.0 -5.0 50.0 35.0"' in svg
    assert "&lt;b&gt;" in svg

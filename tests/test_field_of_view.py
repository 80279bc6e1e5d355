"""Fields of view beside the truth: recognised, and ignored outside, in the survey and in samples alike."""

from pathlib import Path

import numpy as np
import pytest

from made_pairs import COLUMNS, ROWS, box, disc, made_files, picture, saved
from unpool.class_table import IGNORE_ID
from unpool.data.samples import read_sample
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.survey import survey
from unpool.errors import DataError

INSIDE = int((disc() > 0).sum())


def retina(root: Path, image: str, truth: str, view: str, count: int = 4) -> Path:
    for k in range(count):
        picture(root / image.format(k))
        if truth:
            saved(root / truth.format(k), box(10, 14))
        saved(root / view.format(k), disc())
    return root


@pytest.mark.parametrize(
    ("image", "truth", "view"),
    [
        ("images/{}_dr.jpg", "manual1/{}_dr.tif", "mask/{}_dr_mask.tif"),
        ("images/{}_training.tif", "1st_manual/{}_manual1.gif", "mask/{}_training_mask.gif"),
        ("image/S{}.jpg", "GT/S{}.tif", "mask/S{}_Mask.tif"),
        ("images/{}.png", "vessel-segmentations/{}.png", "masks/{}.png"),
        ("images/{}.png", "gold/{}.png", "mask/{}.png"),
        ("{}.png", "{}_manual1.png", "{}_mask.png"),
    ],
)
def test_the_view_is_not_the_truth(tmp_path: Path, image: str, truth: str, view: str) -> None:
    surveyed = survey(retina(tmp_path, image, truth, view))
    for k, pair in enumerate(surveyed.folder.pairs):
        assert (pair.mask, pair.field_of_view) == (tmp_path / truth.format(k), tmp_path / view.format(k))
    note = {finding.code: finding for finding in surveyed.findings}["field-of-view"]
    assert "what lies outside of it is ignored in 4 pictures" in note.found
    for pair, fact in zip(surveyed.folder.pairs, surveyed.pictures.values(), strict=True):
        assert fact.ignored_pixels == ROWS * COLUMNS - INSIDE
        assert fact.class_pixels == (INSIDE - 30, 30)
        labels = read_sample(pair, surveyed.table).labels
        assert np.array_equal(labels == IGNORE_ID, disc() == 0)
        assert [int((labels == k).sum()) for k in (0, 1)] == list(fact.class_pixels)


def test_a_rule_for_each_split_and_a_second_observer(tmp_path: Path) -> None:
    for split in ("training", "test"):
        names = (f"{{}}_{split}.tif", "{}_manual1.gif", f"{{}}_{split}_mask.gif")
        folders = (f"{split}/images", f"{split}/1st_manual", f"{split}/mask")
        retina(tmp_path, *(f"{folder}/{name}" for folder, name in zip(folders, names, strict=True)))
    made_files(tmp_path, [], ["test/2nd_manual/{}_manual2.gif"])
    folder = find_pairs(tmp_path)
    assert [pair.split for pair in folder.pairs] == ["test"] * 4 + ["train"] * 4
    assert {pair.mask.parent.name for pair in folder.pairs} == {"1st_manual"}
    assert {pair.field_of_view.parent.name for pair in folder.pairs if pair.field_of_view} == {"mask"}
    assert "'x_test' with 'x_manual1' in test, 'x_training' with 'x_manual1' in train" in folder.layout
    assert "not used: 4 picture files in other folders" in folder.layout


def test_the_view_is_no_truth_for_pictures_without_one(tmp_path: Path) -> None:
    retina(tmp_path, "training/images/{}_training.tif", "training/1st_manual/{}_manual1.gif", "training/mask/{}_m.gif")
    retina(tmp_path, "test/images/{}_test.tif", "", "test/mask/{}_test_mask.gif", count=9)
    folder = find_pairs(tmp_path)
    assert len(folder.pairs) == 4
    assert len(folder.unpaired_images) == 9


def test_masks_that_are_no_view_are_refused(tmp_path: Path) -> None:
    made_files(tmp_path, ["images/{}.png"], ["labels/{}.png", "mask/{}.png"])
    with pytest.raises(DataError, match=r"images/ with labels/ or images/ with mask/") as error:
        find_pairs(tmp_path)
    assert "rename it to 'unused'" in error.value.repair
    (tmp_path / "mask").rename(tmp_path / "unused")
    assert {pair.mask.parent.name for pair in find_pairs(tmp_path).pairs} == {"labels"}


def test_a_view_alone_is_said(tmp_path: Path) -> None:
    for k in range(4):
        dark = np.where(disc()[..., np.newaxis] > 0, np.uint8(90 + k), np.uint8(2)).repeat(3, axis=2)
        saved(tmp_path / f"images/{k}.png", dark)
        saved(tmp_path / f"mask/{k}.png", disc())
    assert "fields-of-view-alone" in {finding.code for finding in find_pairs(tmp_path).findings}


def test_a_view_of_another_size_is_an_error(tmp_path: Path) -> None:
    retina(tmp_path, "images/{}.png", "manual1/{}.png", "mask/{}.png")
    saved(tmp_path / "mask/2.png", disc()[:20])
    errors = survey(tmp_path).errors
    assert [error.code for error in errors] == ["broken-field-of-view"]
    assert "a field of view of 20 x 32 for a picture of 24 x 32" in errors[0].found


def test_instances_inside_a_view(tmp_path: Path) -> None:
    surveyed = survey(retina(tmp_path, "images/{}.png", "manual1/{}.png", "mask/{}.png"))
    values = survey(tmp_path, MaskOptions(kind="instances"))
    sample = read_sample(values.folder.pairs[0], values.table)
    assert sample.instances is not None
    assert set(np.unique(sample.instances)) == {0, 255}
    assert surveyed.table.kind == "values"

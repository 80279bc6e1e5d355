"""Pairs where no word is known: names that differ in one part, and masks that are known by their few values."""

from pathlib import Path

import numpy as np
import pytest

from made_pairs import box, made_files, picture, saved
from test_data_folder import paired, touch
from unpool.dataset.pairing.few_values import has_few_values
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.survey import survey
from unpool.errors import DataError


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("ISIC2018_Task1-2_Training_Input/I_{}.jpg", "ISIC2018_Task1_Training_GroundTruth/I_{}_segmentation.png"),
        ("Train/Rural/images_png/{}.png", "Train/Rural/masks_png/{}.png"),
        ("2_Ortho_RGB/top_2_{}_RGB.tif", "5_Labels_all/top_2_{}_label.tif"),
        ("JPEGImages/{}.jpg", "SegmentationClassPNG/{}.png"),
        ("train_img/{}.jpg", "train_lab/{}.png"),
        ("a [x={}0,y=0].jpg", "a [x={}0,y=0]-labelled.png"),
        ("00{}.png", "00{}_Simple Segmentation.png"),
        ("00{}.png", "00{}_cp_masks.png"),
        ("00{}_rgb.png", "00{}_gold.png"),
        ("img00{}.png", "drawn00{}.png"),
        ("00{}.bmp", "00{}.png"),
        ("set {}/01.bmp", "set {}/01.png"),
        ("photo/{}.jpg", "drawn/{}.png"),
        ("p{}/photo/1.png", "p{}/drawn/1.png"),
        ("images/{}.jpg", "annotations/trimaps/{}.png"),
        ("bdd/images/10k/train/{}.jpg", "bdd/labels/sem_seg/masks/train/{}.png"),
        ("train2017/00{}.jpg", "annotations/panoptic_train2017/00{}.png"),
        ("l_trainvaltest/leftImg8bit/train/x/{}_leftImg8bit.png", "g/gtFine/train/x/{}_gtFine_labelIds.png"),
        ("Original/{}.tif", "Ground Truth/{}.tif"),
        ("a{}_json/img.png", "a{}_json/label.png"),
        ("p{}/photo.png", "p{}/drawn.png"),
        ("segmentation/images/{}.png", "segmentation/masks/{}.png"),
        ("d/photos/{}.png", "d/annots/v2/{}.png"),
    ],
)
def test_names_and_values_show_the_masks(tmp_path: Path, image: str, mask: str) -> None:
    made_files(tmp_path, [image], [mask])
    found = {(image, mask) for image, mask, _ in paired(tmp_path).values()}
    assert found == {(image.format(k), mask.format(k)) for k in range(4)}
    if "labelIds" in mask:  # Cityscapes' ids are known by their names: the made values 0 and 1 are ignored there
        assert [finding.code for finding in survey(tmp_path).errors] == ["train-ignored", "val-ignored"]
    else:
        assert survey(tmp_path).errors == ()


def test_pictures_with_the_names_of_their_masks_go_before_others(tmp_path: Path) -> None:
    made_files(tmp_path, ["top/mosaic_{}.tif", "dsm/height_{}.tif"], ["ground_truth/mosaic_{}.tif"])
    found = paired(tmp_path)
    assert {image for image, _, _ in found.values()} == {f"top/mosaic_{k}.tif" for k in range(4)}
    made_files(tmp_path, ["nir/mosaic_{}.tif"], [])
    with pytest.raises(DataError, match="more than one way"):
        find_pairs(tmp_path)


NUMBERS = [(group, k) for group in (1, 2) for k in range(3)]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("Slide_{:02}/{:02}_{}.png", "GT_{:02}/{:02}_{}.png"),
        ("set/IMD{0}{2}/IMD{0}{2}_Dermoscopic/IMD{0}{2}.png", "set/IMD{0}{2}/IMD{0}{2}_lesion/IMD{0}{2}_lesion.png"),
        ("{:02}/t{:02}{}.png", "{:02}_GT/SEG/man_seg{:02}{}.png"),
        ("HAM_images_part_{}/ISIC_{}{}.png", "HAM_segmentations/ISIC_{1}{2}_segmentation.png"),
    ],
)
def test_folders_that_hold_numbers_or_the_names_of_their_files(tmp_path: Path, image: str, mask: str) -> None:
    for group in (1, 2):
        for k in range(3):
            picture(tmp_path / image.format(group, group, k))
            saved(tmp_path / mask.format(group, group, k), box(2 + k, 3))
    found = find_pairs(tmp_path)
    assert len(found.pairs) == 6
    assert all(pair.mask == tmp_path / mask.format(g, g, k) for pair, (g, k) in zip(found.pairs, NUMBERS, strict=True))
    assert (found.unpaired_images, found.unpaired_masks) == ((), ())


def test_each_sub_folder_and_split_has_its_own_pairs(tmp_path: Path) -> None:
    for part in ("train2017", "val2017"):
        for place in ("Rural", "Urban"):
            made_files(tmp_path, [f"{part}/{place}/photo/{{}}.png"], [f"{part}/{place}/drawn/{{}}.png"])
    found = paired(tmp_path)
    assert len(found) == 16
    assert all(image.replace("photo", "drawn") == mask for image, mask, _ in found.values())
    assert {split for _, _, split in found.values()} == {"train", "val"}


@pytest.mark.parametrize(
    ("pictures", "masks"),
    [
        (["day/{}.jpg", "night/{}.jpg"], []),
        (["{}.jpg", "{}_heat.png"], []),
        (["a_{}.png", "b_{}.png"], []),
        (["f_000{}.png"], []),
        (["photo/{}.png"], ["drawn/q{}{}.png"]),
    ],
)
def test_pictures_alone_are_no_pairs(tmp_path: Path, pictures: list[str], masks: list[str]) -> None:
    with pytest.raises(DataError, match="and no masks among them"):
        find_pairs(made_files(tmp_path, pictures, [mask.format("{0}", "{0}7") for mask in masks]))


@pytest.mark.parametrize(
    ("pictures", "masks", "kept"),
    [
        (["photo/{}.png", "overlay/{}.png"], ["drawn/{}.png"], "photo/x with drawn/x"),
        (["{}.png", "{}_enhanced.png"], ["{}_drawn.png"], "x with x_drawn"),
        (["{}.jpg", "{}_overlay.png"], ["{}.png"], "x.jpg with x.png"),
        (["{}.png"], ["{}_cp_masks.png", "{}_cp_outlines.png"], "x with x_cp_masks"),
        (["ds/img/{}.png"], ["ds/masks_machine/{}.png", "ds/masks_human/{}.png"], "img/x with masks_machine/x"),
        (["a{}_json/img.png", "a{}_json/label_viz.png"], ["a{}_json/label.png"], "img with label"),
    ],
)
def test_drawings_and_changed_pictures_are_left_alone(
    tmp_path: Path, pictures: list[str], masks: list[str], kept: str
) -> None:
    folder = find_pairs(made_files(tmp_path, pictures, masks))
    assert f"paired by alike names, {kept}" in folder.layout
    assert len(folder.pairs) == 4


def test_two_readings_are_refused_and_the_repair_helps(tmp_path: Path) -> None:
    made_files(tmp_path, ["photo/{}.png"], ["one/{}.png", "two/{}.png"])
    with pytest.raises(DataError, match="photo/x with one/x or photo/x with two/x") as error:
        find_pairs(tmp_path)
    assert "into a folder unused/" in error.value.repair
    (tmp_path / "unused").mkdir()
    (tmp_path / "two").rename(tmp_path / "unused" / "two")
    folder = find_pairs(tmp_path)
    assert {pair.mask.parent.name for pair in folder.pairs} == {"one"}
    assert "4 picture files in folders named unused" in {f.code: f for f in folder.findings}["unused-folder"].found


def test_two_sides_with_few_values_are_refused_and_the_repair_helps(tmp_path: Path) -> None:
    made_files(tmp_path, [], ["lines/{}.png", "drawn/{}.png"])
    with pytest.raises(DataError, match="both hold few values, so that their pixels do not show") as error:
        find_pairs(tmp_path)
    assert error.value.repair == "move the pictures into a folder images/, and the masks into a folder masks/ beside it"
    (tmp_path / "lines").rename(tmp_path / "images")
    (tmp_path / "drawn").rename(tmp_path / "masks")
    assert len(find_pairs(tmp_path).pairs) == 4


def test_words_against_values_are_no_pairs(tmp_path: Path) -> None:
    made_files(tmp_path, ["one/mask/{}_a.png"], ["two/photo/{}_b.png"])
    with pytest.raises(DataError):
        find_pairs(tmp_path)


def test_heat_maps_are_no_masks(tmp_path: Path) -> None:
    made_files(tmp_path, ["images/{}.png", "masks/sub/{}.png"], [])
    with pytest.raises(DataError, match=r"masks/sub/0\.png may be the mask of images/0\.png, but has many values"):
        find_pairs(tmp_path)


def test_masks_of_a_few_pictures_are_found(tmp_path: Path) -> None:
    made_files(tmp_path, ["day/{}.jpg", "night/{}.jpg"], [], count=10)
    made_files(tmp_path, [], ["drawn/{}.png"], count=3)
    for k in range(3):
        (tmp_path / "night" / f"{k}.jpg").unlink()
    folder = find_pairs(tmp_path)
    assert [pair.image.parent.name for pair in folder.pairs] == ["day"] * 3
    assert len(folder.unpaired_images) == 7


def test_masks_beside_the_pairs_are_named(tmp_path: Path) -> None:
    made_files(tmp_path, ["images/{}.png"], ["masks/{}.png", "edges/{}.png"])
    finding = {f.code: f for f in find_pairs(tmp_path).findings}["unused-masks"]
    assert finding.severity == "warning"
    assert "4 files edges/x" in finding.found


def test_unreadable_files_of_two_names_are_no_pairs(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{folder}/{k}.png" for folder in ("photo", "drawn") for k in range(3)))
    with pytest.raises(DataError, match="some cannot be read"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_few_values(tmp_path: Path, suffix: str) -> None:
    assert has_few_values(picture(tmp_path / f"noise{suffix}")) is False
    big = np.kron(box(4, 4, 9, 9), np.ones((8, 8), np.uint8))
    assert has_few_values(saved(tmp_path / f"mask{suffix}", big)) is True
    ramp = np.add.outer(np.arange(192), np.arange(256)).astype(np.uint8)
    assert has_few_values(saved(tmp_path / f"ramp{suffix}", ramp)) is False


def test_few_values_of_objects(tmp_path: Path) -> None:
    objects = np.kron(np.arange(1, 97).reshape(8, 12), np.ones((6, 6), int)).astype(np.uint8)
    assert has_few_values(saved(tmp_path / "objects.png", objects)) is True
    assert has_few_values(tmp_path / "none.png") is None
    (tmp_path / "broken.png").write_bytes(b"x")
    assert has_few_values(tmp_path / "broken.png") is None


def test_lists_with_numbers_after_the_names(tmp_path: Path) -> None:
    made_files(tmp_path, ["images/beagle_{}.jpg"], ["annotations/trimaps/beagle_{}.png"])
    (tmp_path / "annotations" / "test.txt").write_text("beagle_3 1 2 1\n")
    assert {name: split for name, (_, _, split) in paired(tmp_path).items() if split} == {"beagle_3": "test"}


def test_lists_of_the_folder_that_fits_are_used(tmp_path: Path) -> None:
    made_files(tmp_path, ["set/photo/{}.jpg"], ["set/drawn/{}.png"])
    for place, lines in (("notes", "other\nwords\n"), ("set/splits", "0\n1\n")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "train.txt").write_text(lines)
    (tmp_path / "set/splits/val.txt").write_text("2\n")
    assert [split for _, _, split in paired(tmp_path).values()] == ["train", "train", "val", None]


def test_small_copies_of_pictures_are_left_alone(tmp_path: Path) -> None:
    made_files(tmp_path, ["original/{}.png"], ["drawn/{}.png"])
    for k in range(4):
        noise = np.random.default_rng(k).integers(0, 256, (6, 8, 3), np.uint8)
        saved(tmp_path / f"small/{k}.png", noise)
    assert "original/x with drawn/x" in find_pairs(tmp_path).layout

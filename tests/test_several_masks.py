"""Several mask files for one picture: joined to object numbers, to classes, or to one mask."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from made_pairs import COLUMNS, ROWS, box, disc, picture, saved
from unpool.commands.predict.targets import find_targets
from unpool.data.samples import read_sample
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.survey import survey
from unpool.errors import DataError
from unpool.io.read.masks import read_mask


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def several(root: Path, image: str, masks: list[str], count: int = 3) -> Path:
    """Save pictures with masks of one box each, side by side; each name has the number of its picture."""
    for k in range(count):
        picture(root / image.format(k))
        for place, name in enumerate(masks):
            saved(root / name.format(k), box(2, 1 + 7 * place))
    return root


def drawn(numbers: list[int]) -> np.ndarray:
    pixels = np.zeros((ROWS, COLUMNS), int)
    for place, number in enumerate(numbers):
        pixels[box(2, 1 + 7 * place) > 0] = number
    return pixels


@pytest.mark.parametrize(
    ("image", "masks"),
    [
        (
            "stage1_train/i{0}/images/i{0}.png",
            ["stage1_train/i{0}/masks/a{0}f.png", "stage1_train/i{0}/masks/b{0}e.png"],
        ),
        ("images/{}.png", ["masks/{0}/0{0}a1.png", "masks/{0}/0{0}b7.png"]),
        ("images/{}.png", ["masks/{}/0.png", "masks/{}/1.png"]),
        ("images/i{}.png", ["masks/i{}_0.png", "masks/i{}_1.png"]),
        ("i{}.png", ["i{}_1.png", "i{}_2.png"]),
        ("images/i{}.png", ["masks/i{}_cell_1.png", "masks/i{}_cell_2.png"]),
    ],
)
def test_a_file_for_each_object_gives_object_numbers(tmp_path: Path, image: str, masks: list[str]) -> None:
    surveyed = survey(several(tmp_path / "set", image, masks))
    assert (surveyed.table.kind, surveyed.errors) == ("instances", ())
    assert "joined-objects" in {finding.code for finding in surveyed.findings}
    for pair in surveyed.folder.pairs:
        assert np.array_equal(read_mask(pair.mask), drawn([1, 2]))
        sample = read_sample(pair, surveyed.table)
        assert sample.instances is not None
        assert np.array_equal(sample.instances, drawn([1, 2]))
    regions = survey(tmp_path / "set", MaskOptions(kind="values"))
    assert np.array_equal(read_mask(regions.folder.pairs[0].mask), drawn([255, 255]))
    assert (regions.table.kind, regions.errors) == ("values", ())


@pytest.mark.parametrize(
    ("image", "masks"),
    [
        ("images/{}.png", ["masks/{}_cell.png", "masks/{}_nucleus.png"]),
        ("images/{}.png", ["masks/cell/{}.png", "masks/nucleus/{}.png"]),
        ("i{}.png", ["i{}_cell.png", "i{}_nucleus.png"]),
        ("i{}_img.png", ["i{}_cell.png", "i{}_nucleus.png"]),
        ("images/{}.png", ["masks/cell_{}.png", "masks/nucleus_{}.png"]),
        ("images/{}.png", ["masks/{}/cell.png", "masks/{}/nucleus.png"]),
        ("images/{}.png", ["masks/{}-tag-cell-0.png", "masks/{}-tag-nucleus-0.png"]),
    ],
)
def test_a_file_for_each_class_gives_classes(tmp_path: Path, image: str, masks: list[str]) -> None:
    surveyed = survey(several(tmp_path / "set", image, masks))
    assert surveyed.table.describe_values() == "0 background, 1 cell, 2 nucleus"
    assert surveyed.errors == ()
    assert all(np.array_equal(read_mask(pair.mask), drawn([1, 2])) for pair in surveyed.folder.pairs)
    assert survey(tmp_path / "set", MaskOptions(kind="instances")).table.kind == "instances"


def test_a_class_that_some_pictures_lack_keeps_its_number(tmp_path: Path) -> None:
    root = several(tmp_path / "set", "images/{}.png", ["masks/{}_cell.png", "masks/{}_nucleus.png"], count=8)
    for name in ("3_cell", "0_nucleus", "1_nucleus", "4_nucleus", "5_nucleus"):
        (root / "masks" / f"{name}.png").unlink()
    pairs = {pair.name: pair for pair in find_pairs(root).pairs}
    assert len(pairs) == 8
    assert np.array_equal(read_mask(pairs["3"].mask), drawn([0, 2]))
    assert np.array_equal(read_mask(pairs["4"].mask), drawn([1, 0]))


def test_a_test_folder_without_a_class_is_read_by_the_names(tmp_path: Path) -> None:
    both = ["masks/{}_cell.png", "masks/{}_debris.png", "masks/{}_nucleus.png"]
    table = survey(several(tmp_path / "train", "images/{}.png", both)).table
    root = several(tmp_path / "test", "images/{}.png", [both[0], both[2]])
    tested = survey(root, table=table)
    counted = tested.class_pixels(tested.pictures)
    assert [counted[tested.table.names.index(name)] for name in ("cell", "debris", "nucleus")] == [90, 0, 90]


def test_the_smallest_mask_is_on_top_and_overlaps_are_counted(tmp_path: Path) -> None:
    root = several(tmp_path / "set", "images/{}.png", ["masks/{}_cell.png"])
    for k in range(3):
        saved(root / f"masks/{k}_cell.png", box(1, 1, 20, 20))
        saved(root / f"masks/{k}_nucleus.png", box(5, 5, 4, 4))
    for _ in range(2):  # the second time from the cache
        folder = find_pairs(root)
        note = {finding.code: finding for finding in folder.findings}["overlapping-masks"]
        assert "overlap in 48 pixels of 3 pictures" in note.found
    values, counts = np.unique(read_mask(folder.pairs[0].mask), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {0: ROWS * COLUMNS - 400, 1: 384, 2: 16}
    for path in (tmp_path / "cache").rglob("overlap.json"):
        path.unlink()
    assert find_pairs(root).findings == folder.findings


def test_parts_of_one_mask_are_joined(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for k in range(4):
        picture(root / f"benign ({k}).png")
        saved(root / f"benign ({k})_mask.png", box(2, 1))
    saved(root / "benign (2)_mask_1.png", box(2, 8))
    saved(root / "benign (2)_mask_2.png", box(4, 8))
    folder = find_pairs(root)
    codes = {finding.code: finding for finding in folder.findings}
    assert "1 picture with a mask in several files" in codes["joined-parts"].found
    assert "overlap in 18 pixels of 1 picture: benign (2)" in codes["overlapping-masks"].found
    assert folder.unpaired_images == ()
    masks = {pair.name: read_mask(pair.mask) for pair in folder.pairs}
    expected = np.maximum(np.maximum(box(2, 1), box(2, 8)), box(4, 8))
    assert np.array_equal(masks["benign (2)"], expected)
    assert survey(root).table.describe_values() == "0 background, 255 foreground"
    numbered = {pair.name: pair for pair in find_pairs(root, instances=True).pairs}["benign (2)"]
    assert set(np.unique(read_mask(numbered.mask))) == {0, 1, 2, 3}


def _second_size(root: Path) -> None:
    saved(root / "masks/1/b.png", box(2, 8)[:20])


def _third_value(root: Path) -> None:
    saved(root / "masks/7/b.png", np.maximum(box(2, 8), box(9, 9, value=7)))


def _broken(root: Path) -> None:
    (root / "masks/7/b.png").write_bytes(b"x")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_second_size, "b.png is 20 x 32 and "),
        (_third_value, "with the values 0, 7, 255"),
        (_broken, "cannot be read as a picture"),
    ],
)
def test_a_part_that_does_not_fit_is_an_error(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    root = several(tmp_path / "set", "images/{}.png", ["masks/{}/a.png", "masks/{}/b.png", "masks/{}/3.png"], count=8)
    spoil(root)
    folder = find_pairs(root)
    (error,) = [finding for finding in folder.findings if finding.code == "broken-part"]
    assert (error.severity, len(folder.pairs)) == ("error", 7)
    assert message in error.found


def test_several_drawings_of_one_thing_are_refused_and_the_repair_helps(tmp_path: Path) -> None:
    root = several(tmp_path / "set", "images/{}.png", ["masks/{}_tom.png"])
    for k in range(3):
        saved(root / f"masks/{k}_eva.png", box(2, 2))
    with pytest.raises(DataError, match=r"6 masks for 3 pictures, 2 for each picture") as error:
        find_pairs(root)
    assert "nearly the same regions" in error.value.repair
    (root / "unused").mkdir()
    for path in root.glob("masks/*_eva.png"):
        path.rename(root / "unused" / path.name)
    assert len(find_pairs(root).pairs) == 3


def test_masks_of_many_values_are_not_joined(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for k in range(3):
        picture(root / f"images/{k}.png")
        for word, step in (("a", 60), ("b", 40)):
            saved(root / f"masks/{k}_{word}.png", (disc() // 255 + box(2, 1) // 255 * 2) * np.uint8(step))
    with pytest.raises(DataError, match="more than one way"):
        find_pairs(root)


def test_the_folder_stays_as_it_is_and_parts_are_not_predicted(tmp_path: Path) -> None:
    root = several(tmp_path / "set", "i{}.png", ["i{}_1.png", "i{}_2.png"])
    before = sorted(path.name for path in root.rglob("*"))
    find_pairs(root)
    assert sorted(path.name for path in root.rglob("*")) == before
    assert [t.name.as_posix() for t in find_targets([str(root)], tmp_path / "out").targets] == ["i0", "i1", "i2"]


def test_films_are_not_called_masks(tmp_path: Path) -> None:
    for name in ("a_0000", "a_0001", "a_0002", "b_0000", "b_0001", "b_0002"):
        picture(tmp_path / f"{name}.png")
    with pytest.raises(DataError, match="and no masks among them"):
        find_pairs(tmp_path)


def test_folders_of_classes_with_numbers_are_no_folders_of_pictures(tmp_path: Path) -> None:
    surveyed = survey(several(tmp_path / "set", "images/{}.png", ["masks/0/{}.png", "masks/1/{}.png"], count=6))
    assert [np.unique(read_mask(pair.mask)).tolist() for pair in surveyed.folder.pairs] == [[0, 1, 2]] * 6
    assert {pair.name for pair in surveyed.folder.pairs} == {*"012345"}


def test_label_studios_masks_belong_to_the_pictures_of_its_tasks(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for k in range(3):
        picture(root / f"images/scan {k}.png")
        for place, word in enumerate(("car-0", "car-1", "road-0")):
            saved(root / f"masks/task-1{k}-annotation-4{k}-by-1-tag-{word}.png", box(2, 1 + 7 * place))
    with pytest.raises(DataError, match="9 masks of Label Studio") as error:
        find_pairs(root)
    assert "export the tasks as JSON too" in error.value.repair
    tasks = [{"id": 10 + k, "data": {"image": f"/data/upload/1/0a1b2c3d-scan%20{k}.png"}} for k in range(3)]
    (root / "project-1.json").write_text(json.dumps(tasks))
    surveyed = survey(root)
    assert surveyed.table.describe_values() == "0 background, 1 car, 2 road"
    assert [pair.image.name for pair in surveyed.folder.pairs] == ["scan 0.png", "scan 1.png", "scan 2.png"]
    assert np.array_equal(read_mask(surveyed.folder.pairs[2].mask), drawn([1, 1, 2]))
    saved(root / "masks/task-11-annotation-99-by-2-tag-car-0.png", box(2, 2))
    with pytest.raises(DataError, match="task 11 of Label Studio has 2 annotations"):
        find_pairs(root)


def test_a_background_mask_is_no_class_of_its_own(tmp_path: Path) -> None:
    root = several(tmp_path / "set", "images/{}.png", ["masks/{}_cell.png", "masks/{}_nucleus.png"])
    for k in range(3):
        saved(root / f"masks/{k}_background.png", np.where(drawn([1, 2]) > 0, np.uint8(0), np.uint8(255)))
    surveyed = survey(root)
    assert surveyed.table.describe_values() == "0 background, 1 cell, 2 nucleus"
    assert all(np.array_equal(read_mask(pair.mask), drawn([1, 2])) for pair in surveyed.folder.pairs)

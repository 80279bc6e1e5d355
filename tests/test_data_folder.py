import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unpool.dataset.checks.one_pair import inspect_pair
from unpool.dataset.pairing.layouts import find_pairs
from unpool.errors import DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def paired(root: Path, instances: bool = False) -> dict[str, tuple[str, str, str | None]]:
    def place(path: Path) -> str:
        return path.relative_to(root).as_posix()

    found = find_pairs(root, instances).pairs
    return {pair.name: (place(pair.image), place(pair.mask), pair.split) for pair in found}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a.png", "masks/a.png"),
        ("imgs/a.jpg", "masks/a.gif"),
        ("images/a.jpg", "labels/a.png"),
        ("img_dir/a.png", "ann_dir/a.png"),
        ("raw/a.tif", "label/a.tif"),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png"),
        ("images/a.PNG", "GT/a_gt.png"),
        ("images/a_0000.png", "labels/a.png"),
        ("images/img_a.png", "masks/mask_a.png"),
        ("images/a.png", "masks/a_L.png"),
        ("a.png", "masks/a.png"),
        ("a.jpg", "a_mask.png"),
        ("a_img.png", "a_masks.png"),
        ("set/a.png", "set/a_P.png"),
    ],
)
def test_layouts_without_parts(tmp_path: Path, image: str, mask: str) -> None:
    touch(tmp_path, image, mask, image.replace("a.", "b.").replace("a_", "b_").replace("_a", "_b"))
    touch(tmp_path, mask.replace("a.", "b.").replace("a_", "b_").replace("_a", "_b") if "a" in mask else mask)
    found = paired(tmp_path)
    assert (image, mask, None) in found.values()


@pytest.mark.parametrize(
    ("image", "mask", "split"),
    [
        ("train/images/a.png", "train/masks/a.png", "train"),
        ("images/valid/a.png", "masks/valid/a.png", "val"),
        ("test/a.png", "testannot/a.png", "test"),
        ("train/a.png", "train_labels/a.png", "train"),
        ("imagesTr/a_0000.png", "labelsTr/a.png", "train"),
        ("validation/a.png", "validation/a_mask.png", "val"),
        ("training_images/a.png", "training-masks/a.png", "train"),
    ],
)
def test_layouts_with_parts(tmp_path: Path, image: str, mask: str, split: str) -> None:
    found = paired(touch(tmp_path, image, mask))
    assert list(found.values()) == [(image, mask, split)]
    assert next(iter(found)).startswith(split + "/a")


def test_sub_folders_are_mirrored(tmp_path: Path) -> None:
    touch(tmp_path, "images/p1/a.png", "masks/p1/a.png", "images/p2/a.png", "masks/p2/a.png")
    assert list(paired(tmp_path)) == ["p1/a", "p2/a"]


@pytest.mark.parametrize(
    ("image", "mask"), [("train_images/{}.jpg", "masks/{}.png"), ("images/{}.jpg", "train_masks/{}_mask.png")]
)
def test_one_side_alone_may_name_a_split(tmp_path: Path, image: str, mask: str) -> None:
    touch(tmp_path, *(each.format(name) for each in (image, mask) for name in "ab"))
    found = find_pairs(tmp_path)
    assert [(pair.name, pair.split) for pair in found.pairs] == [("train/a", "train"), ("train/b", "train")]
    touch(tmp_path, "test_images/c.jpg")
    found = find_pairs(tmp_path)
    assert len(found.pairs) == 2
    assert [path.name for path in found.unpaired_images] == ["c.jpg"]


def test_pairing_does_not_depend_on_order(tmp_path: Path) -> None:
    touch(tmp_path, *[f"images/{k}.png" for k in (10, 9, 1, 2)], *[f"masks/{k}.png" for k in (2, 1, 9, 10)])
    assert all(Path(image).stem == Path(mask).stem for image, mask, _ in paired(tmp_path).values())


def test_files_without_a_partner_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/c.png")
    folder = find_pairs(tmp_path)
    assert [path.name for path in folder.unpaired_images] == ["b.png"]
    assert [path.name for path in folder.unpaired_masks] == ["c.png"]


def test_junk_is_left_alone(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png", "images/._a.png", "images/.DS_Store", "masks/Thumbs.db", ".x/b.png")
    folder = find_pairs(tmp_path)
    assert len(folder.pairs) == 1
    assert not folder.unpaired_images


def test_two_mask_folders_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png", "labels/a.png")
    with pytest.raises(DataError, match=r"images/ with labels/ or images/ with masks/"):
        find_pairs(tmp_path)


def test_instances_are_preferred_on_request(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png", "instances/a.png")
    assert paired(tmp_path, instances=True)["a"][1] == "instances/a.png"


@pytest.mark.parametrize("twice", ["images/a.jpg", "masks/a.tif"])
def test_two_files_of_one_name_are_refused(tmp_path: Path, twice: str) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png", twice)
    with pytest.raises(DataError, match=r"two (pictures|masks) have the same name: .*a\.\w+ and .*a\.\w+"):
        find_pairs(tmp_path)


def test_two_rules_that_fit_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png", "masks/a_mask.png")
    with pytest.raises(DataError, match="paired in 2 ways"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "it is empty"),
        (("images/a.png",), "no masks among them"),
        (("notes.txt",), r"no picture files .*notes\.txt"),
        (("masks/a.png",), "1 mask and no pictures"),
        (("images/a.png", "masks/b.png"), "no picture and mask have the same name"),
        (("a.png", "a.jpg"), "two pictures have the same name"),
    ],
)
def test_folders_without_pairs(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_pairs(touch(tmp_path, *names))


def test_a_missing_folder_and_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        find_pairs(tmp_path / "none")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="this is a file"):
        find_pairs(tmp_path / "a.png")


@pytest.mark.parametrize("line", ["{0} {1}", "{0}\t{1}", "{0},{1}", "/SegNet/Cam/{0} /SegNet/Cam/{1}"])
def test_list_files(tmp_path: Path, line: str) -> None:
    touch(tmp_path, "pics/a.png", "ids/a.png", "pics/b.png", "ids/b.png")
    (tmp_path / "train.txt").write_text(line.format("pics/a.png", "ids/a.png") + "\n\n")
    (tmp_path / "val.txt").write_text(line.format("pics/b.png", "ids/b.png"))
    assert paired(tmp_path) == {
        "train/pics/a": ("pics/a.png", "ids/a.png", "train"),
        "val/pics/b": ("pics/b.png", "ids/b.png", "val"),
    }


def test_list_files_may_name_paths_below_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "traincrop/traincrop/a.jpg", "traincrop/traincrop/a.png")
    (tmp_path / "train.txt").write_text("traincrop/a.jpg traincrop/a.png\n")
    assert list(paired(tmp_path).values()) == [
        ("traincrop/traincrop/a.jpg", "traincrop/traincrop/a.png", "train"),
    ]
    touch(tmp_path, "other/traincrop/a.jpg", "other/traincrop/a.png")
    with pytest.raises(DataError, match="the first line names"):
        find_pairs(tmp_path)


def test_list_files_must_be_right(tmp_path: Path) -> None:
    touch(tmp_path, "p/a.png", "m/a.png")
    (tmp_path / "train.txt").write_text("p/a.png m/a.png\np/b.png m/b.png\n")
    with pytest.raises(DataError, match=r"names p/b\.png, which does not exist"):
        find_pairs(tmp_path)
    (tmp_path / "train.txt").write_text("p/a.png m/a.png\np/a.png\n")
    with pytest.raises(DataError, match=r"line 2 is 'p/a\.png'"):
        find_pairs(tmp_path)
    (tmp_path / "train.txt").write_text("p/a.png m/a.png\np/a.png m/a.png\n")
    with pytest.raises(DataError, match="more than once"):
        find_pairs(tmp_path)


def test_names_in_lists_stay_apart(tmp_path: Path) -> None:
    files = [("images/p0.png", "masks/p0.png"), ("photos/p0.png", "labels/p0.png"), ("images/p1.png", "masks/p1.png")]
    touch(tmp_path, *(name for pair in files for name in pair))
    (tmp_path / "train.txt").write_text("\n".join(map(" ".join, files)))
    assert set(paired(tmp_path)) == {"train/images/p0.png", "train/photos/p0.png", "train/p1"}


def test_only_regular_files_are_read_and_others_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "train.txt").mkdir()
    os.mkfifo(tmp_path / "images" / "p.png")
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found.pairs] == ["a"]
    assert [path.name for path in found.unpaired_images] == ["p.png"]
    os.mkfifo(tmp_path / "masks" / "p.png")
    pair = next(pair for pair in find_pairs(tmp_path).pairs if pair.name == "p")
    found = [finding.found for finding in inspect_pair(pair, None).findings]
    assert found == [f"{path}: a directory or a device" for path in (pair.image, pair.mask)]


def test_names_must_be_letters(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png", os.fsdecode(b"images/caf\xe9.png"))
    with pytest.raises(DataError, match=r"no UTF-8 letters: images/caf\\udce9\.png"):
        find_pairs(tmp_path)


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "images" / "again").symlink_to(tmp_path)
    assert list(paired(tmp_path)) == ["a"]


@pytest.mark.parametrize("lists", ["", "ImageSets/Segmentation/"])
@pytest.mark.parametrize("line", ["{}", "{}.png", "images/{}.png"])
def test_lists_of_names_divide_the_pairs(tmp_path: Path, lists: str, line: str) -> None:
    touch(tmp_path, *(f"{folder}/{name}.png" for name in "abc" for folder in ("images", "masks")))
    for split, names in (("train", "ac"), ("val", "b")):
        path = tmp_path / f"{lists}{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(map(line.format, names)) + "\n")
    found = find_pairs(tmp_path)
    assert {pair.name: pair.split for pair in found.pairs} == {"a": "train", "b": "val", "c": "train"}
    assert f"split by {lists}train.txt, {lists}val.txt" in found.layout


@pytest.mark.parametrize(
    ("train", "message"),
    [("a\nzebra", "line 2, 'zebra', names no picture of the folder"), ("a\nb", "names a pair of another")],
)
def test_lists_of_names_must_be_right(tmp_path: Path, train: str, message: str) -> None:
    touch(tmp_path, *(f"{folder}/{name}.png" for name in "ab" for folder in ("images", "masks")))
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "val.txt").write_text("b")
    with pytest.raises(DataError, match=message):
        find_pairs(tmp_path)

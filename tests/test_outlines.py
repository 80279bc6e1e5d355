"""Folders whose pictures have outlines in files of annotation tools: read, drawn, named, or refused in one sentence."""

from __future__ import annotations

import base64
import csv
import io
import json
import shlex
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conftest import Program
from unpool.data.samples import read_sample
from unpool.dataset.mask_values.options import BY_THE_MASKS, MaskOptions, RequestedKind
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.pairing.pictures import pictures_of_folder
from unpool.dataset.survey import survey
from unpool.errors import DataError, UsageError
from unpool.io.coco_runs import coco_text, runs_of_mask
from unpool.io.read.masks import read_mask
from unpool.io.xml_documents import xml_element

ROWS, COLUMNS = 20, 24
SQUARE = [[2, 3], [9, 3], [9, 12], [2, 12]]
SMALL = [[5, 5], [7, 5], [7, 7], [5, 7]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def picture(path: Path, size: tuple[int, int] = (ROWS, COLUMNS)) -> Path:
    """A picture of noise, other for every name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([*path.as_posix().encode()])
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return path


def wrote(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def masks(root: Path, *, objects: bool = False) -> dict[str, NDArray[Any]]:
    """The drawn masks by the name of their pair."""
    return {pair.name: read_mask(pair.mask) for pair in find_pairs(root, objects).pairs}


def block(top: int, left: int, bottom: int, right: int, value: int = 1) -> NDArray[np.uint8]:
    """A mask with a rectangle, its last row and column included."""
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    mask[top : bottom + 1, left : right + 1] = value
    return mask


def png_text(mask: NDArray[Any], *, compressed: bool = False, **options: Any) -> str:
    """A mask as the base64 of a PNG, compressed as Supervisely has it."""
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG", **options)
    content = zlib.compress(file.getvalue()) if compressed else file.getvalue()
    return base64.b64encode(content).decode()


def flat(points: list[list[float]]) -> list[float]:
    return [each for point in points for each in point]


def codes(root: Path, options: MaskOptions = BY_THE_MASKS) -> dict[str, str]:
    return {finding.code: finding.found for finding in survey(root, options).findings}


# labelme


def labelme(path: Path, *shapes: dict[str, Any], **facts: Any) -> Path:
    data = {"version": "5.2.1", "flags": {}, "shapes": list(shapes), "imagePath": f"{path.stem}.jpg", "imageData": None,
            "imageHeight": ROWS, "imageWidth": COLUMNS, **facts}  # fmt: skip
    return wrote(path, data)


def shape(label: str, points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, **more}


def test_labelme_draws_later_shapes_on_top_and_numbers_classes_by_the_alphabet(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.jpg")
        labelme(tmp_path / f"{name}.json", shape("wall", SQUARE), shape("door", SMALL, "rectangle"))
    found = survey(tmp_path)
    expected = block(3, 2, 12, 9, 2)
    expected[5:8, 5:8] = 1
    assert np.array_equal(masks(tmp_path)["a"], expected)
    assert found.table.names == ("background", "door", "wall")
    assert found.errors == ()
    assert {"outlines-drawn", "outlines-overlap", "class-names"} <= {each.code for each in found.findings}
    assert "18 pixels in 2 pictures" in codes(tmp_path)["outlines-overlap"]
    assert all(path.suffix in (".jpg", ".json") for path in tmp_path.rglob("*"))  # nothing is written there


def test_labelme_objects_are_joined_by_their_group(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    far = [[15, 15], [18, 15], [18, 18], [15, 18]]
    labelme(tmp_path / "a.json", shape("cell", SQUARE, group_id=3), shape("cell", far, group_id=3),
            shape("cell", SMALL, group_id=None), shape("_background_", [[2, 3], [2, 4]], "rectangle"))  # fmt: skip
    mask = masks(tmp_path, objects=True)["a"]
    assert (mask[12, 9], mask[16, 16], mask[6, 6], mask[3, 2]) == (1, 1, 2, 0)
    found = survey(tmp_path, MaskOptions("instances"))
    assert found.table.names == ("_background_", "cell")
    assert found.pictures["a"].objects == 2


def test_labelme_masks_lines_and_points_are_drawn(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    inside = np.array([[1, 0, 1], [1, 1, 1]], np.uint8)
    labelme(tmp_path / "a.json", shape("c", [[4, 2], [6, 3]], "mask", mask=png_text(inside)))
    expected = block(2, 4, 3, 6)
    expected[2, 5] = 0
    assert np.array_equal(masks(tmp_path)["a"], expected)
    labelme(tmp_path / "a.json", shape("c", [[10, 10]], "point"), shape("c", [[1, 1], [1, 18]], "line"))
    assert masks(tmp_path)["a"][10, 15] == 1
    assert "lines are 10 pixels wide" in codes(tmp_path)["outlines-drawn"]


def test_a_label_that_means_ignored_counts_nowhere(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape("cell", SQUARE), shape("__ignore__", SMALL))
    assert survey(tmp_path).table.ignore == (255,)
    assert survey(tmp_path).pictures["a"].ignored_pixels == 9
    objects = survey(tmp_path, MaskOptions("instances")).pictures["a"]
    assert (objects.ignored_pixels, objects.objects) == (9, 1)


def test_labelmes_own_list_gives_the_order(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape("door", SQUARE), shape("wall", SMALL))
    wrote(tmp_path / "labels.txt", "__ignore__\n_background_\nwall\ndoor\ngate\n")
    table = survey(tmp_path).table
    assert (table.names, table.ignore) == (("_background_", "wall", "door", "gate"), (255,))


def test_pictures_without_annotation_and_annotations_without_shapes_are_named(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.jpg")
    labelme(tmp_path / "a.json", shape("cell", SQUARE))
    labelme(tmp_path / "b.json")
    labelme(tmp_path / "gone.json", shape("cell", SQUARE))
    found = codes(tmp_path)
    assert "c.jpg" in found["unlabelled-pictures"]
    assert "b.jpg" in found["no-outlines"]
    assert "gone.jpg" in found["orphan-outlines"]
    assert not masks(tmp_path)["b"].any()


@pytest.mark.parametrize(
    ("shapes", "facts", "words"),
    [
        ([shape("c", [[1, 1], [2, 2]])], {}, "2 points; a shape has 3"),
        ([shape("c", [[1, 1], [2, "x"], [3, 3]])], {}, "'x' is no number"),
        ([shape("c", [[1, 1], [2, 1e9], [3, 3]])], {}, "far outside the picture"),
        ([shape("c", SQUARE, "spiral")], {}, "shape_type is 'spiral'"),
        ([shape("c", [[1, 1], [90, 90]], "mask", mask=png_text(np.ones((90, 90), np.uint8)))], {}, "90 x 90 pixels"),
        ([shape("c", [[1, 1], [2, 2]], "mask", mask="AAAA")], {}, "no PNG"),
        ([shape("", SQUARE)], {}, "the name of a class"),
        ([shape("c", SQUARE)], {"imageHeight": 99}, "a picture of 99 x 24, and the picture has 20 x 24"),
    ],
)
def test_a_wrong_shape_is_an_error_of_its_file_alone(
    shapes: list[dict[str, Any]], facts: dict[str, Any], words: str, tmp_path: Path
) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.jpg")
    labelme(tmp_path / "a.json", shape("c", SQUARE))
    labelme(tmp_path / "b.json", *shapes, **facts)
    found = survey(tmp_path)
    (error,) = [each for each in found.errors if each.code == "broken-outlines"]
    assert words in error.found
    assert "b.json" in error.found
    assert list(found.pictures) == ["a"]


def test_a_broken_json_file_is_an_error_of_its_picture(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.jpg")
    labelme(tmp_path / "a.json", shape("c", SQUARE))
    wrote(tmp_path / "b.json", '{"shapes": [')
    assert "b.json" in codes(tmp_path)["broken-outlines"]


def test_a_broken_picture_keeps_its_own_repair(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.jpg")
        labelme(tmp_path / f"{name}.json", shape("c", SQUARE))
    (tmp_path / "b.jpg").write_bytes(b"")
    (error,) = survey(tmp_path).errors
    assert error.code == "broken-image"
    assert "unlabelled-pictures" not in codes(tmp_path)


def test_outlines_that_others_hide_are_counted(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape("door", SMALL), shape("wall", SQUARE), shape("wall", SMALL))
    assert "1 outline without a pixel left" in codes(tmp_path)["outlines-hidden"]
    assert codes(tmp_path)["outlines-hidden"] == codes(tmp_path)["outlines-hidden"]  # also from the cache folder


def test_labelme_in_folders_of_its_own_and_with_a_path_of_another_computer(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "s1" / "a.jpg")
    picture(tmp_path / "images" / "s2" / "a.jpg")
    for k, place in enumerate(("s1", "s2"), 1):
        labelme(tmp_path / "labels" / place / "a.json", shape("c", SQUARE[: 2 + k]),
                imagePath=rf"C:\data\images\{place}\a.jpg")  # fmt: skip
    found = masks(tmp_path)
    assert found["s1/a"].sum() < found["s2/a"].sum()


def test_masks_win_and_the_outlines_are_mentioned(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    Image.fromarray(block(0, 0, 3, 3, 255)).save(tmp_path / "a_mask.png")
    labelme(tmp_path / "a.json", shape("c", SQUARE))
    assert read_mask(find_pairs(tmp_path).pairs[0].mask).sum() == 16 * 255
    assert "a.json" in codes(tmp_path)["outlines-unused"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Annotations/a.xml", "<annotation><object><bndbox><xmin>1</xmin></bndbox></object></annotation>"),
        ("project.json", '[{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}]'),
        ("panoptic.json", '{"annotations": [{"segments_info": []}]}'),
    ],
)
def test_annotations_that_are_not_drawn_lie_beside_masks(name: str, text: str, tmp_path: Path) -> None:
    for stem in "ab":
        picture(tmp_path / "images" / f"{stem}.jpg")
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(block(0, 0, 3, 3, 255)).save(tmp_path / "masks" / f"{stem}.png")
    wrote(tmp_path / name, text)
    assert "outlines-unused" not in codes(tmp_path)


def test_a_mask_is_drawn_again_when_its_annotation_changes_and_not_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unpool.dataset.outlines import drawn_folder

    picture(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape("c", SQUARE))
    first = masks(tmp_path)["a"]
    with monkeypatch.context() as patch:
        patch.delattr(drawn_folder, "paint")
        assert np.array_equal(masks(tmp_path)["a"], first)
    labelme(tmp_path / "a.json", shape("c", SMALL))
    assert masks(tmp_path)["a"].sum() == 9


def test_an_exif_orientation_is_followed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rng.integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    labelme(tmp_path / "a.json", shape("c", [[0, 0], [3, 0], [3, 5], [0, 5]]))  # drawn on the stored picture
    mask = masks(tmp_path)["a"]
    assert mask.shape == (COLUMNS, ROWS)
    assert mask[:4, -6:].all()
    labelme(tmp_path / "a.json", shape("c", SMALL), imageHeight=COLUMNS, imageWidth=ROWS)  # on the shown one
    assert masks(tmp_path)["a"][5:8, 5:8].all()


def test_names_given_by_hand_choose_the_order_and_have_to_fit(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape("wall", SQUARE), shape("door", SMALL))
    table = survey(tmp_path, MaskOptions(classes=("background", "wall", "door"))).table
    assert (table.names, table.values) == (("background", "wall", "door"), ((0,), (2,), (1,)))
    assert survey(tmp_path, MaskOptions(classes=("0=b", "1=x", "2=y"))).table.names == ("b", "x", "y")
    for names, words in ((("background", "wall", "gate"), "gate"), (("background", "wall"), "without door")):
        with pytest.raises(UsageError, match=words):
            survey(tmp_path, MaskOptions(classes=names))


# COCO


def coco(path: Path, names: list[str], annotations: list[dict[str, Any]], **more: Any) -> Path:
    images = [{"id": k, "file_name": name, "height": ROWS, "width": COLUMNS} for k, name in enumerate(names)]
    given = [{"id": k, "image_id": 0, "category_id": 3, "iscrowd": 0, **each} for k, each in enumerate(annotations)]
    categories = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]
    return wrote(path, {"images": images, "annotations": given, "categories": categories, **more})


def test_coco_keeps_its_category_ids_and_its_order(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / "images" / f"{name}.jpg")
    coco(tmp_path / "annotations" / "instances.json", ["a.jpg", "b.jpg"],
         [{"segmentation": [flat(SQUARE)]}, {"segmentation": [flat(SMALL)], "category_id": 7}])  # fmt: skip
    found = survey(tmp_path)
    assert (found.table.names, found.table.values) == (("background", "cat", "dog"), ((0,), (3,), (7,)))
    mask = masks(tmp_path)["a"]
    assert set(np.unique(mask)) == {0, 3, 7}
    assert (mask == 7).sum() == 4
    assert "b.jpg" in codes(tmp_path)["no-outlines"]


@pytest.mark.parametrize("form", ["text", "numbers"])
def test_coco_runs_and_crowds(form: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    mask = block(3, 2, 12, 9) > 0
    runs = runs_of_mask(mask)
    counts = coco_text(runs) if form == "text" else runs
    crowd = {"segmentation": {"size": [ROWS, COLUMNS], "counts": counts}, "iscrowd": 1}
    coco(tmp_path / "x.json", ["a.jpg"], [{"segmentation": [flat(SMALL)]}, crowd])
    assert np.array_equal(masks(tmp_path)["a"] == 3, mask)
    numbers = masks(tmp_path, objects=True)["a"]
    assert set(np.unique(numbers)) == {0, 1, 65535}
    facts = survey(tmp_path, MaskOptions("instances")).pictures["a"]
    assert (facts.objects, facts.ignored_pixels) == (1, 76)
    assert "count nowhere" in codes(tmp_path, MaskOptions("instances"))["outlines-drawn"]


def test_coco_parts_of_an_object_are_one_object(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    other = [[15, 2], [19, 2], [19, 8], [15, 8]]
    coco(tmp_path / "x.json", ["a.jpg"], [{"segmentation": [flat(SQUARE), flat(other)]}, {"segmentation": []}])
    assert set(np.unique(masks(tmp_path, objects=True)["a"])) == {0, 1}
    assert "boxes without an outline (1)" in codes(tmp_path)["outlines-not-drawn"]


def test_coco_of_two_splits_with_the_same_names(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        picture(tmp_path / part / "a.jpg")
        points = SQUARE if part == "train" else SMALL
        coco(tmp_path / part / "_annotations.coco.json", ["a.jpg"], [{"segmentation": [flat(points)]}])
    found = {pair.name: pair for pair in find_pairs(tmp_path).pairs}
    assert {name: pair.split for name, pair in found.items()} == {"train/a": "train", "val/a": "val"}
    assert read_mask(found["val/a"].mask).sum() == 4 * 3


def test_coco_files_for_other_tasks_are_left(tmp_path: Path) -> None:
    picture(tmp_path / "train2017" / "a.jpg")
    coco(tmp_path / "annotations" / "instances_train2017.json", ["a.jpg"], [{"segmentation": [flat(SQUARE)]}])
    coco(tmp_path / "annotations" / "person_keypoints_train2017.json", ["a.jpg"], [{"segmentation": [flat(SMALL)]}])
    wrote(tmp_path / "annotations" / "captions_train2017.json", {"images": [], "annotations": [{"caption": "a"}]})
    (pair,) = find_pairs(tmp_path).pairs
    assert pair.split == "train"
    assert read_mask(pair.mask).sum() == 63 * 3


def test_a_zero_category_without_objects_is_no_class(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    coco(tmp_path / "x.json", ["a.jpg"], [{"segmentation": [flat(SQUARE)], "category_id": 1}],
         categories=[{"id": 0, "name": "animals", "supercategory": "none"}, {"id": 1, "name": "cat"}])  # fmt: skip
    assert survey(tmp_path).table.names == ("background", "cat")


def test_a_class_with_the_id_of_the_background_is_numbered_again(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    coco(tmp_path / "x.json", ["a.jpg"], [{"segmentation": [flat(SQUARE)], "category_id": 0}],
         categories=[{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}])  # fmt: skip
    found = survey(tmp_path)
    assert (found.table.names, found.table.values) == (("background", "cat", "dog"), ((0,), (1,), (2,)))


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({"size": [ROWS, COLUMNS], "counts": [1, 2]}, "runs of 3 pixels"),
        ({"size": [4, 4], "counts": [16]}, "runs of 4 x 4 pixels"),
        ({"counts": [480]}, "without a size"),
        ([[1, 2, 3, 4, 5, 6, 7]], "no list of x, y"),
        ([["a", 2, 3, 4, 5, 6]], "'a' is no number"),
    ],
)
def test_wrong_segmentations_are_errors_of_their_picture(segmentation: Any, words: str, tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.jpg")
    coco(tmp_path / "x.json", ["a.jpg", "b.jpg"],
         [{"segmentation": segmentation}, {"segmentation": [flat(SQUARE)], "image_id": 1}])  # fmt: skip
    error = codes(tmp_path)["broken-outlines"]
    assert words in error
    assert "a.jpg" in error


# YOLO


def yolo(root: Path, lines: str, names: str = "names:\n  0: cell\n  1: dust\n") -> Path:
    picture(root / "images" / "train" / "a.jpg")
    picture(root / "images" / "train" / "b.jpg")
    wrote(root / "labels" / "train" / "a.txt", lines)
    wrote(root / "labels" / "train" / "b.txt", "")
    return wrote(root / "data.yaml", names)


def test_yolo_draws_smaller_shapes_on_top(tmp_path: Path) -> None:
    small = " ".join(f"{x / COLUMNS:.6f} {y / ROWS:.6f}" for x, y in np.array(SMALL) + 0.5)
    large = " ".join(f"{x / COLUMNS:.6f} {y / ROWS:.6f}" for x, y in np.array(SQUARE) + 0.5)
    yolo(tmp_path, f"1 {small}\n0 {large}\n")
    mask = masks(tmp_path)["train/a"]
    assert ((mask == 1).sum(), (mask == 2).sum()) == (71, 9)
    assert survey(tmp_path).table.names == ("background", "cell", "dust")
    assert "b.jpg" in codes(tmp_path)["no-outlines"]
    assert find_pairs(tmp_path).pairs[0].split == "train"


def test_yolo_reads_the_classes_beside_its_files(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    wrote(tmp_path / "a.txt", "0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    wrote(tmp_path / "classes.txt", "cell\n")
    assert survey(tmp_path).table.names == ("background", "cell")
    assert "class-file-unread" not in codes(tmp_path)


def test_yolo_boxes_are_no_outlines(tmp_path: Path) -> None:
    yolo(tmp_path, "0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(DataError, match="a box does not show which pixels belong to an object"):
        survey(tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [("5 0.1 0.1 0.2 0.1 0.2 0.2", "class 5, which has no name"), ("0 10 10 20 10 20 20", "no shares of the sides")],
)
def test_wrong_lines_of_yolo(line: str, words: str, tmp_path: Path) -> None:
    yolo(tmp_path, line)
    assert words in codes_or_error(tmp_path)


def codes_or_error(root: Path) -> str:
    try:
        return " ".join(codes(root).values())
    except DataError as error:
        return str(error)


def test_yolo_without_names(tmp_path: Path) -> None:
    yolo(tmp_path, "1 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.6 0.6 0.9 0.6 0.9 0.9", "nc: 2\n")
    assert set(survey(tmp_path).table.names) == {"background", "class 0", "class 1"}


# CVAT


def cvat(path: Path, shapes: str, name: str = "a.jpg") -> Path:
    label = "<label><name>{}</name><color>{}</color></label>"
    labels = label.format("wall", "#ff0000") + label.format("door", "#00ff00")
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    image = f'<image id="0" name="{name}" width="{COLUMNS}" height="{ROWS}">{shapes}</image>'
    return wrote(path, f'<?xml version="1.0"?><annotations><version>1.1</version>{meta}{image}</annotations>')


def test_cvat_draws_by_depth_with_the_colours_of_its_labels(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    cvat(tmp_path / "annotations.xml",
         '<polygon label="door" points="5,5;8,5;8,8;5,8" z_order="2"/>'
         '<box label="wall" xtl="2" ytl="3" xbr="10" ybr="13" z_order="0"/>'
         '<mask label="door" rle="1, 2, 1" left="20" top="1" width="2" height="2" z_order="0"/>'
         '<polyline label="door" points="1,1;2,2" z_order="0"/>')  # fmt: skip
    mask = masks(tmp_path)["a"]
    expected = block(3, 2, 12, 9)
    expected[5:8, 5:8] = 2
    expected[1, 21] = expected[2, 20] = 2
    assert np.array_equal(mask, expected)
    table = survey(tmp_path).table
    assert (table.names, table.colours) == (("background", "wall", "door"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)))
    assert "polyline shapes (1)" in codes(tmp_path)["outlines-not-drawn"]


def test_cvat_rotated_boxes_ellipses_and_groups(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    cvat(tmp_path / "annotations.xml",
         '<box label="wall" xtl="4" ytl="8" xbr="16" ybr="12" rotation="90" group_id="1"/>'
         '<ellipse label="wall" cx="20" cy="4" rx="3" ry="2" group_id="1"/>')  # fmt: skip
    mask = masks(tmp_path, objects=True)["a"]
    assert np.array_equal(mask[4:16, 8:12], np.ones((12, 4)))
    assert mask[4, 20] == 1
    assert mask.max() == 1


# Supervisely, VIA, QuPath


def test_supervisely_polygons_with_holes_and_bitmaps(tmp_path: Path) -> None:
    picture(tmp_path / "ds" / "img" / "a.jpg")
    wrote(tmp_path / "meta.json", {"classes": [{"title": "wall", "color": "#112233"}, {"title": "door"}]})
    inside = np.array([[0, 255], [255, 255]], np.uint8)
    text = png_text(inside, compressed=True, transparency=0)
    hole = {"geometryType": "polygon", "classTitle": "door", "points": {"exterior": SQUARE, "interior": [SMALL]}}
    bitmap = {"geometryType": "bitmap", "classTitle": "wall", "bitmap": {"data": text, "origin": [18, 2]}}
    line = {"geometryType": "line", "classTitle": "wall", "points": {"exterior": SQUARE, "interior": []}}
    wrote(tmp_path / "ds" / "ann" / "a.jpg.json",
          {"size": {"height": ROWS, "width": COLUMNS}, "objects": [hole, bitmap, line]})  # fmt: skip
    expected = block(3, 2, 12, 9, 2)
    expected[5:8, 5:8] = 0
    expected[2, 19] = expected[3, 18] = expected[3, 19] = 1
    assert np.array_equal(masks(tmp_path)["ds/a"], expected)
    assert survey(tmp_path).table.names == ("background", "wall", "door")


def test_via_regions_of_both_versions(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "b.jpg")
    square = {"name": "polygon", "all_points_x": [x for x, _ in SQUARE], "all_points_y": [y for _, y in SQUARE]}
    circle = {"name": "circle", "cx": 10, "cy": 10, "r": 3}
    wall, door = {"type": "wall", "note": "old"}, {"type": "door", "note": ""}
    listed = [{"shape_attributes": square, "region_attributes": wall}]
    table = {"0": {"shape_attributes": circle, "region_attributes": door}}
    data = {"a.jpg1": {"filename": "a.jpg", "size": 1, "regions": listed, "file_attributes": {}},
            "b.jpg1": {"filename": "b.jpg", "size": 1, "regions": table, "file_attributes": {}}}  # fmt: skip
    for content in (data, {"_via_settings": {}, "_via_img_metadata": data}):
        wrote(tmp_path / "via_region_data.json", content)
        found = masks(tmp_path)
        assert np.array_equal(found["a"], block(3, 2, 12, 9, 2))
        assert found["b"].sum() == 25
        assert survey(tmp_path).table.names == ("background", "door", "wall")


def via_csv(*rows: tuple[str, Any, Any]) -> str:
    file = io.StringIO()
    heading = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    writer = csv.writer(file)
    writer.writerow(heading.split(","))
    writer.writerows([name, 9, "{}", 1, 0, json.dumps(shape), json.dumps(names)] for name, shape, names in rows)
    return file.getvalue()


def test_via_regions_in_a_csv_file(tmp_path: Path) -> None:
    square = {"name": "polygon", "all_points_x": [x for x, _ in SQUARE], "all_points_y": [y for _, y in SQUARE]}
    circle = {"name": "circle", "cx": 10, "cy": 10, "r": 3}
    rows = [("a.jpg", square, {"type": "wall"}), ("a.jpg", circle, {"type": "door"}), ("b.jpg", {}, {})]
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / name)
    wrote(tmp_path / "via_region_data.csv", via_csv(*rows))
    found = masks(tmp_path)
    assert (found["a"] == 2).sum() > 0 < (found["a"] == 1).sum()
    assert not found["b"].any()
    assert "1 file" in survey(tmp_path).folder.layout
    wrote(tmp_path / "via_region_data.csv", via_csv(("a.jpg", square, {"type": "wall"})).replace("{", "{{"))
    with pytest.raises(DataError, match=r"via_region_data\.csv: row 1: "):
        find_pairs(tmp_path)


def test_imagescope_regions_are_drawn_by_layers(tmp_path: Path) -> None:
    def region(points: list[list[int]], **attributes: str) -> str:
        corners = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in points)
        given = "".join(f' {key}="{value}"' for key, value in attributes.items())
        return f"<Region{given}><Vertices>{corners}</Vertices></Region>"

    small = [[15, 15], [18, 15], [18, 18], [15, 18]]
    layers = (
        ("<Attributes/>", region(SQUARE, Type="0")),
        ('<Attributes><Attribute Name="Nucleus"/></Attributes>', region(small) + region(SMALL, NegativeROA="1")),
    )
    text = "".join(f'<Annotation Name="">{names}<Regions>{drawn}</Regions></Annotation>' for names, drawn in layers)
    picture(tmp_path / "Tissue Images" / "T-1.tif")
    wrote(tmp_path / "Annotations" / "T-1.xml", f'<Annotations MicronsPerPixel="0.25">{text}</Annotations>')
    expected = block(3, 2, 12, 9, 2)
    expected[15:19, 15:19] = 1
    (mask,) = masks(tmp_path).values()
    assert np.array_equal(mask, expected)
    assert survey(tmp_path).table.names == ("background", "Nucleus", "object")
    assert "holes" in codes(tmp_path)["outlines-not-drawn"]
    wrote(tmp_path / "Annotations" / "T-1.xml", f"<Annotations>{text}</Annotations>".replace('X="2"', 'X="x"'))
    with pytest.raises(DataError, match="'x' is no number"):
        find_pairs(tmp_path)


def test_run_length_codes_in_a_csv_file_are_named_with_the_line_that_draws_them(tmp_path: Path) -> None:
    wrote(tmp_path / "train.csv", "ImageId,ClassId,EncodedPixels\na.jpg,2,1 3 21 2\na.jpg,1,41 1\nb.jpg,,\n")
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / "train_images" / name)
    with pytest.raises(DataError, match="run-length codes") as stop:
        find_pairs(tmp_path)
    line = stop.value.repair.split("most of Kaggle's do: ")[1].split("; where they count")[0]
    subprocess.run(shlex.split(line.replace("python", sys.executable, 1)), check=True)
    mask = masks(tmp_path)["train/a"]
    assert [*zip(*np.nonzero(mask == 2), strict=True)] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert mask[0, 2] == 1


def test_coco_files_give_the_split_where_a_folder_holds_two_parts(tmp_path: Path) -> None:
    for part, place in (("train", "train_val_images"), ("val", "train_val_images"), ("test", "test_images")):
        picture(tmp_path / "images" / place / f"{part}.jpg")
        outline = {"id": 1, "image_id": 0, "category_id": 3, "segmentation": [flat(SQUARE)]}
        coco(tmp_path / "annotations" / f"set_coco_{part}.json", [f"{part}.jpg"], [outline])
    found = find_pairs(tmp_path)
    assert {pair.split: pair.image.stem for pair in found.pairs} == {part: part for part in ("train", "val", "test")}
    assert not any(each.code == "lists-unused" for each in found.findings)


def test_qupath_polygons_have_holes_and_places_on_the_earth_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    ring, hole = [[2, 3], [10, 3], [10, 13], [2, 13], [2, 3]], [[5, 5], [8, 5], [8, 8], [5, 8], [5, 5]]
    feature: dict[str, Any] = {
        "type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring, hole]},
        "properties": {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}},
    }  # fmt: skip
    wrote(tmp_path / "a.geojson", {"type": "FeatureCollection", "features": [feature]})
    expected = block(3, 2, 12, 9)
    expected[5:8, 5:8] = 0
    assert np.array_equal(masks(tmp_path)["a"], expected)
    assert survey(tmp_path).table.colours == ((0, 0, 0), (200, 0, 0))
    feature["properties"]["value"] = 9
    wrote(tmp_path / "a.geojson", feature)
    assert survey(tmp_path).table.values == ((0,), (9,))
    feature["properties"] = {"name": "field"}
    wrote(tmp_path / "a.geojson", {"type": "FeatureCollection", "features": [feature]})
    with pytest.raises(DataError, match="places on the earth"):
        find_pairs(tmp_path)


# What is not drawn


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xml", "<annotation><object><name>c</name><bndbox><xmin>1</xmin></bndbox></object></annotation>",
         "boxes, not outlines"),
        ("annotations.xml", '<annotations><track id="0"/></annotations>', "for video"),
        ("export.json", [{"data": {"image": "a.jpg"}, "annotations": []}], "Label Studio"),
        ("min.json", [{"image": "a.jpg", "label": [{"polygonlabels": ["c"], "original_width": 9}]}], "Label Studio"),
        ("a.jpg-asset.json", {"asset": {"name": "a.jpg"}, "regions": []}, "VoTT"),
        ("bdd.json", [{"name": "a.jpg", "labels": []}], "Scalabel"),
        ("panoptic.json", {"images": [], "annotations": [{"segments_info": []}]}, "panoptic"),
        ("via_region_data.json", {}, "VIA, with no shape in them"),
        ("a.json", '{"shapes": [', "a.json"),
    ],
)  # fmt: skip
def test_other_annotations_are_refused_in_a_sentence(name: str, content: Any, words: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    wrote(tmp_path / name, content)
    with pytest.raises(DataError, match=words) as stop:
        find_pairs(tmp_path)
    assert stop.value.found.startswith(str(tmp_path))


def test_annotations_of_several_tools_and_twice_for_a_picture_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape("c", SQUARE))
    coco(tmp_path / "x.json", ["a.jpg"], [{"segmentation": [flat(SQUARE)]}])
    with pytest.raises(DataError, match="outlines of several tools: labelme for 1 picture and COCO for 1 picture"):
        find_pairs(tmp_path)
    (tmp_path / "a.json").unlink()
    coco(tmp_path / "y.json", ["a.jpg"], [{"segmentation": [flat(SQUARE)]}])
    with pytest.raises(DataError, match=r"both have outlines of a\.jpg"):
        find_pairs(tmp_path)


def test_annotations_of_pictures_that_are_not_here(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    coco(tmp_path / "x.json", ["../../secret.jpg"], [{"segmentation": [flat(SQUARE)]}])
    picture(tmp_path.parent / "secret.jpg")
    with pytest.raises(DataError, match="none of which is here"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        (b"<a>" * 90, "levels"),
        (b"<a><b></a>", "mismatched tag"),
        (b"", "no element"),
    ],
)
def test_odd_xml_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        xml_element(content)


def test_unrelated_documents_change_nothing(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    wrote(tmp_path / "settings.json", {"shapes": 3})
    wrote(tmp_path / "notes.txt", "1 2 3")
    with pytest.raises(DataError, match="no masks among them"):
        find_pairs(tmp_path)


def test_predicted_pictures_need_no_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape("c", SQUARE))
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert [path.name for path in pictures_of_folder(tmp_path).files] == ["a.jpg"]


CASES = Path(__file__).parents[2] / "shared" / "cases" / "doors" / "annotations-are-json" / "data"


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [("labelme", 0, "Ready"), ("coco", 0, "Ready"), ("yolo", 0, "Ready"), ("cvat", 3, "without an annotation"),
     ("supervisely", 3, "no shape in them"), ("via", 3, "no shape in them")],
)  # fmt: skip
def test_the_cases(name: str, code: int, words: str, program: Program) -> None:
    said = program("check", CASES / name)
    assert said.code == code, said
    assert words in said.out + said.err


@pytest.mark.parametrize("kind", ["auto", "instances"])
def test_samples_are_read_from_drawn_masks(kind: RequestedKind, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape("cell", SQUARE), shape("cell", SMALL))
    found = survey(tmp_path, MaskOptions(kind))
    sample = read_sample(found.folder.pairs[0], found.table)
    assert np.array_equal(sample.labels, block(3, 2, 12, 9))
    assert sample.instances is None or sample.instances.max() == 2


ODD = (None, True, -1, 1e300, 2**62, "", "x", [], [[]], {}, [1], {"a": 1}, [[1, 2], [3, 4], [5]])


def changed(data: Any, rng: np.random.Generator) -> Any:
    """A copy of a document in which one value, chosen at random, is an odd one."""
    data = json.loads(json.dumps(data))
    places: list[tuple[Any, Any]] = []
    stack = [data]
    while stack:
        each = stack.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each))
        places += [(each, key) for key in keys]
        stack += [each[key] for key in keys if isinstance(each[key], dict | list)]
    holder, key = places[rng.integers(len(places))]
    holder[key] = ODD[rng.integers(len(ODD))]
    return data


SQUARE_SHAPE = {"name": "rect", "x": 1, "y": 2, "width": 5, "height": 6}
DOCUMENTS: dict[str, Any] = {
    "a.json": {"imagePath": "a.jpg", "imageHeight": ROWS, "imageWidth": COLUMNS,
               "shapes": [shape("c", SQUARE, group_id=1), shape("c", [[4, 2], [6, 3]], "mask", mask=png_text(
                   np.ones((2, 3), np.uint8)))]},
    "instances.json": {"images": [{"id": 1, "file_name": "a.jpg", "height": ROWS, "width": COLUMNS}],
                       "categories": [{"id": 1, "name": "c"}],
                       "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [flat(SQUARE)]},
                                       {"id": 2, "image_id": 1, "category_id": 1, "iscrowd": 1,
                                        "segmentation": {"size": [ROWS, COLUMNS], "counts": [ROWS * COLUMNS]}}]},
    "a.jpg.json": {"size": {"height": ROWS, "width": COLUMNS}, "objects": [
        {"classTitle": "c", "geometryType": "polygon", "points": {"exterior": SQUARE, "interior": [SMALL]}},
        {"classTitle": "c", "geometryType": "bitmap", "bitmap": {
            "data": png_text(np.ones((2, 3), np.uint8), compressed=True), "origin": [1, 1]}}]},
    "via.json": {"a.jpg1": {"filename": "a.jpg", "size": 1, "file_attributes": {}, "regions": [
        {"shape_attributes": SQUARE_SHAPE, "region_attributes": {"class": "c"}},
        {"shape_attributes": {"name": "circle", "cx": 5, "cy": 5, "r": 3}, "region_attributes": {"class": "d"}}]}},
    "a.geojson": {"type": "FeatureCollection", "features": [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [SQUARE, SMALL]},
         "properties": {"classification": {"name": "c"}}}]},
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_odd_documents_raise_nothing_else(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    rng = np.random.default_rng(11)
    wrote(tmp_path / name, DOCUMENTS[name])
    assert len(find_pairs(tmp_path).pairs) == 1
    for _ in range(60):
        wrote(tmp_path / name, changed(DOCUMENTS[name], rng))
        try:
            find_pairs(tmp_path)
        except DataError as error:
            assert error.repair

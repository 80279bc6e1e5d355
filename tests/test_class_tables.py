"""Class tables that lie beside the masks of published sets and of tools, and masks that number objects."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from test_mask_readings import pasted
from test_survey import codes, made, squares
from test_survey_values import finding
from test_survey_ways import blobs, objects
from unpool.dataset.mask_values.class_names import names_in_folder
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.survey import survey
from unpool.errors import DataError, UsageError

CASES = Path(__file__).parents[2] / "shared" / "cases" / "doors"


def ids(root: Path, values: Sequence[int], count: int = 4) -> Path:
    rng = np.random.default_rng(0)
    return made(root, [np.array(values, np.uint8)[blobs(rng, len(values) - 1)] for _ in range(count)])


@pytest.mark.parametrize("coloured", [False, True])
def test_as_many_regions_in_every_mask_may_be_classes_or_objects(tmp_path: Path, coloured: bool) -> None:
    numbers = np.array([(97 * k % 256, 97 * k // 256, 0) for k in range(7)] if coloured else range(7), np.uint8)
    rng = np.random.default_rng(0)
    masks = []
    for _ in range(4):
        mask = np.zeros((40, 42), np.uint8)
        for number, place in enumerate(rng.permutation(6), 1):
            mask[6 * place + 1 : 6 * place + 5, 4:30] = number
        masks.append(mask)
    found = survey(made(tmp_path, [numbers[mask] for mask in masks]))
    repair = finding(found, "may-number-objects").repair
    assert finding(found, "may-number-objects").severity == "warning"
    assert survey(tmp_path, pasted(repair)).table.kind == "instances"
    assert "may-number-objects" not in codes(survey(tmp_path, pasted(repair.split("classes, ")[1])))
    masks[0][1:3, 35:] = masks[1][1:3, 35:] = 5
    masks[0][9:12, 35:] = masks[1][9:12, 35:] = 6
    assert "may-number-objects" not in codes(survey(made(tmp_path / "two", [numbers[mask] for mask in masks])))


def test_labelmes_classes_of_each_picture_agree_or_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(4):
        mask = blobs(rng, 1 + k % 2).astype(np.uint8)
        folder = tmp_path / f"{k}_json"
        folder.mkdir()
        Image.fromarray(rng.integers(0, 256, (*mask.shape, 3), np.uint8)).save(folder / "img.png")
        Image.fromarray(mask).save(folder / "label.png")
        (folder / "label_names.txt").write_text("_background_\ncat\n" + "dog\n" * (k % 2))
    found = survey(tmp_path)
    assert found.table.names == ("_background_", "cat", "dog")
    assert "class-file-unread" not in codes(found)
    (tmp_path / "2_json" / "label_names.txt").write_text("_background_\ndog\n")
    with pytest.raises(
        DataError, match=r"mask value 1 means dog by 2_json/label_names\.txt, and cat by 1_json"
    ) as stop:
        survey(tmp_path)
    assert "labelme2voc" in stop.value.repair


def test_a_class_file_that_counts_on_where_the_masks_hold_255_is_refused(tmp_path: Path) -> None:
    ids(tmp_path, [0, 255])
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "cell": 1}}))
    with pytest.raises(DataError, match=r"dataset\.json gives cell the value 1, and the masks hold 255 and 0") as stop:
        survey(tmp_path)
    found = survey(tmp_path, pasted(stop.value.repair))
    assert (found.table.names, found.table.values, found.errors) == (("background", "cell"), ((0,), (255,)), ())


def test_nnunet_regions_and_ignore(tmp_path: Path) -> None:
    ids(tmp_path, [0, 1, 2, 3, 4])
    labels = {"background": 0, "whole tumor": [1, 2, 3], "core": [2, 3], "enhancing": [3], "ignore": 4}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels, "regions_class_order": [1, 2, 3]}))
    found = survey(tmp_path)
    assert found.table.names == ("background", "whole tumor", "core", "enhancing")
    assert found.table.ignore == (4,)
    assert "the smallest region around it" in finding(found, "class-names-read").found
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "cell": [1, 3], "dirt": [2, 4]}}))
    found = survey(tmp_path)
    assert found.table.values == ((0,), (1, 3), (2, 4))
    assert "class-names-read" not in codes(found)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "a": [1, 2, 4], "b": [2, 3]}}))
    assert survey(tmp_path).table.names == ("background", "a", "b and a", "b")


def test_supervisely_meta(tmp_path: Path) -> None:
    classes = [{"title": "cat", "color": "#FF0000", "shape": "bitmap", "id": 77}, {"title": "dog", "color": "#00ff00"}]
    colours = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)
    rng = np.random.default_rng(0)
    drawn = [blobs(rng, 2) for _ in range(4)]
    for name, masks in (("colours", [colours[m] for m in drawn]), ("numbers", [m.astype(np.uint8) for m in drawn])):
        root = made(tmp_path / name, masks)
        (root / "meta.json").write_text(json.dumps({"classes": classes, "tags": []}))
        found = survey(root)
        assert found.table.names == ("background", "cat", "dog")
        assert found.errors == ()
        assert "named background" in finding(found, "class-names-read").found
    (root / "obj_class_to_machine_color.json").write_text(json.dumps({"cat": [1, 1, 1], "dog": [2, 2, 2]}))
    found = survey(root)
    assert dict(zip(found.table.names, found.table.values, strict=True)) == {
        "background": (0,),
        "cat": (1,),
        "dog": (2,),
    }
    for text in ("{", '{"version": 1}', '{"classes": [1]}', "[]"):
        (tmp_path / "plain").mkdir(exist_ok=True)
        (tmp_path / "plain" / "meta.json").write_text(text)
        assert names_in_folder(tmp_path / "plain", [tmp_path / "plain" / "meta.json"], "") is None


def test_ade20k_has_150_classes_and_0_for_all_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [
        np.kron(rng.permutation(151)[:120].reshape(10, 12), np.ones((4, 4), int)).astype(np.uint8) for _ in range(4)
    ]
    made(tmp_path, masks)
    with pytest.raises(DataError, match="different values in all masks"):
        survey(tmp_path, MaskOptions(kind="values"))
    rows = [f"{k}\t0.0{k}\t9\t9\t1\tthing {k}, object {k}\t" for k in range(1, 151)]
    (tmp_path / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tStuff\tName\n" + "\n".join(rows) + "\n")
    found = survey(tmp_path)
    assert found.table.names == tuple(f"thing {k}" for k in range(1, 151))
    assert found.table.values[0] == (1,)
    assert found.table.ignore == (0,)
    assert "all other things" in finding(found, "class-names-read").found
    assert found.errors == ()


def test_ade20k_is_known_by_its_names(tmp_path: Path) -> None:
    ids(tmp_path, [0, 3, 149])
    for folder in ("images", "masks"):
        for k in range(4):
            (tmp_path / folder / f"{k:02}.png").rename(tmp_path / folder / f"ADE_train_{k:08}.png")
    found = survey(tmp_path)
    assert (len(found.table), found.table.ignore) == (150, (0,))
    assert "objectInfo150.txt" in finding(found, "class-names-read").found


def test_a_list_of_names_may_have_more_than_64(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [np.kron(rng.permutation(100).reshape(10, 10), np.ones((4, 4), int)).astype(np.uint8) for _ in range(4)]
    masks[0][:2] = 255
    made(tmp_path, masks)
    (tmp_path / "classes.txt").write_text("\n".join(f"kind {k}" for k in range(100)))
    found = survey(tmp_path, MaskOptions(kind="values"))
    assert (len(found.table), found.table.ignore) == (100, (255,))
    assert "every other value has a name" in finding(found, "ignore-value").found


def coco_stuff() -> str:
    names = {0: "unlabeled", 1: "person", 2: "bicycle", 182: "wood"}
    return "\n".join(f"{k}: {names.get(k, f'thing {k}')}" for k in range(183))


def test_coco_stuff_counts_its_names_from_1_and_its_masks_from_0(tmp_path: Path) -> None:
    (ids(tmp_path / "maps", [0, 1, 181, 255]) / "labels.txt").write_text(coco_stuff())
    found = survey(tmp_path / "maps")
    named = dict(zip(found.table.names, found.table.values, strict=True))
    assert (named["person"], named["bicycle"], named["wood"], found.table.ignore) == ((0,), (1,), (181,), (255,))
    assert "each value is one less (0 person and 1 bicycle)" in finding(found, "class-names-read").found
    (ids(tmp_path / "ids", [0, 1, 2, 182]) / "labels.txt").write_text(coco_stuff())
    found = survey(tmp_path / "ids")
    assert dict(zip(found.table.names, found.table.values, strict=True))["person"] == (1,)
    assert found.table.ignore == (0,)
    (ids(tmp_path / "unclear", [0, 1, 2]) / "labels.txt").write_text(coco_stuff())
    assert "compare one mask with its picture" in finding(survey(tmp_path / "unclear"), "class-names-read").found


def test_the_masks_of_isprs_without_boundaries_are_known(tmp_path: Path) -> None:
    colours = np.array([(255, 255, 255), (0, 0, 255), (0, 255, 0), (0, 0, 0)], np.uint8)
    made(tmp_path, [colours[blobs(np.random.default_rng(k), 3)] for k in range(4)])
    for folder, word in (("images", "RGB"), ("masks", "label_noBoundary")):
        for k in range(4):
            (tmp_path / folder / f"{k:02}.png").rename(tmp_path / folder / f"top_2_{k}_{word}.png")
    found = survey(tmp_path)
    assert found.table.names == ("impervious surfaces", "building", "low vegetation", "tree", "car", "clutter")
    assert (found.table.ignore, found.errors) == (((0, 0, 0),), ())
    assert "black, where boundaries were, is ignored" in finding(found, "class-names-read").found
    (ids(tmp_path / "ids", [0, 1, 2]) / "masks").rename(tmp_path / "grey")
    for k in range(4):
        (tmp_path / "grey" / f"{k:02}.png").replace(tmp_path / "masks" / f"top_2_{k}_label_noBoundary.png")
    (tmp_path / "grey").rmdir()
    (tmp_path / "ids").rename(tmp_path / "unused")
    assert survey(tmp_path).table.values == ((0,), (1,), (2,))


def cityscapes(root: Path, word: str, values: Sequence[int], dummy: Sequence[int]) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 5), ("val", 3), ("test", 2)):
        pictures, masks = root / "leftImg8bit" / part / "town", root / "gtFine" / part / "town"
        pictures.mkdir(parents=True)
        masks.mkdir(parents=True)
        for k in range(count):
            drawn = np.array(dummy if part == "test" else values, np.uint8)
            mask = drawn[blobs(rng, len(drawn) - 1)] if len(drawn) > 1 else np.full((48, 56), drawn[0], np.uint8)
            noise = rng.integers(0, 256, (48, 56, 3), np.uint8)
            Image.fromarray(noise).save(pictures / f"town_{part}_{k}_leftImg8bit.png")
            Image.fromarray(mask).save(masks / f"town_{part}_{k}_gtFine_{word}.png")
    return root


@pytest.mark.parametrize(
    ("word", "values", "dummy", "road"),
    [("labelIds", [1, 7, 26, 33, 4], [0, 1, 3], 7), ("labelTrainIds", [0, 13, 18, 255], [255], 0)],
)
def test_both_ids_of_cityscapes_are_known_and_its_dummies_left_out(
    tmp_path: Path, word: str, values: Sequence[int], dummy: Sequence[int], road: int
) -> None:
    found = survey(cityscapes(tmp_path, word, values, dummy))
    named = dict(zip(found.table.names, found.table.values, strict=True))
    assert (len(named), named["road"], named["car"]) == (19, (road,), (26 if road else 13,))
    assert found.errors == ()
    assert len(finding(found, "dummy-masks").files) == 2
    assert (len(found.split.train), len(found.split.val), found.split.test) == (5, 3, ())
    assert "Cityscapes' " in finding(found, "class-names").found
    tested = survey(tmp_path, table=found.table)
    assert (tested.errors, len(tested.split.val), tested.split.test) == ((), 3, ())
    own = survey(tmp_path, MaskOptions(ignore=[255])) if word == "labelTrainIds" else found
    assert own.errors == ()


def test_files_of_one_tool_that_agree_are_one(tmp_path: Path) -> None:
    ids(tmp_path, [0, 1, 2])
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncat\ndog\n")
    (tmp_path / "class_names.txt").write_text("_background_\ncat\ndog")
    assert survey(tmp_path).table.names == ("_background_", "cat", "dog")
    (tmp_path / "class_names.txt").write_text("_background_\ndog\ncat")
    with pytest.raises(DataError, match="several files with class names"):
        survey(tmp_path)
    (tmp_path / "labels.txt").unlink()
    (tmp_path / "labelmap.txt").write_text("_background_:0,0,0::\ndog:9,9,9::\ncat:200,1,1::\n")
    assert survey(tmp_path).table.names == ("_background_", "dog", "cat")


def test_the_class_files_of_a_split(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        ids(tmp_path / part, [0, 1, 2])
        (tmp_path / part / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")
    assert survey(tmp_path).table.names == ("background", "cat", "dog")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "0: background\n1: cat\n2: dog\n"),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n2, dog\n"),
        ("dataset.json", '{"labels": {"background": 0, "cat": 1, "dog": 2}}'),
    ],
)
def test_a_table_that_does_not_fit_is_named_with_both_values(tmp_path: Path, file: str, text: str) -> None:
    ids(tmp_path, [0, 100, 200])
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError) as refusal:
        survey(tmp_path)
    assert f"{file} does not fit the masks: it names 0 background, 1 cat, 2 dog" in refusal.value.found
    assert "4 of 4 masks hold 100, 200" in refusal.value.found
    found = survey(tmp_path, pasted(refusal.value.repair.split("use ")[1]))
    assert found.table.names == ("background", "cat", "dog", "class100", "class200")
    assert found.errors == ()


def test_colours_that_do_not_fit_have_a_repair_that_works(tmp_path: Path) -> None:
    made(tmp_path, [np.array([(0, 0, 0), (9, 200, 9)], np.uint8)[blobs(np.random.default_rng(0), 1)]] * 4)
    (tmp_path / "classes.txt").write_text("background\ncat\n")
    with pytest.raises(DataError, match="gives no colour for background, cat") as refusal:
        survey(tmp_path)
    assert survey(tmp_path, pasted(refusal.value.repair)).table.names == ("background", "cat")
    ids(tmp_path / "ids", [0, 15])
    (tmp_path / "ids" / "labelmap.txt").write_text("background:0,0,0::\ncat:250,50,83::\ndog:9,9,9::\n")
    with pytest.raises(DataError) as refusal:
        survey(tmp_path / "ids")
    assert survey(tmp_path / "ids", pasted(refusal.value.repair)).errors == ()


def test_every_repair_for_names_by_order_works(tmp_path: Path) -> None:
    ids(tmp_path, [0, 40, 90, 200])
    with pytest.raises(DataError, match="2 class names") as refusal:
        survey(tmp_path, MaskOptions(classes=["sea", "land"]))
    named, left = refusal.value.repair.split("; or ")
    assert survey(tmp_path, pasted(named)).errors == ()
    assert survey(tmp_path, MaskOptions(classes=["sea", "land"], ignore=pasted(left).ignore)).errors == ()


def test_masks_that_cellpose_names_are_object_numbers_however_few(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for k in range(4):
        Image.fromarray(rng.integers(0, 256, (24, 24), np.uint8)).save(tmp_path / f"{k}.png")
        mask = np.zeros((24, 24), np.uint8)
        mask[3:9, 3:9], mask[12:20, 12:20] = 1, 2
        Image.fromarray(mask).save(tmp_path / f"{k}_cp_masks.png")
    with pytest.raises(DataError, match="named as Cellpose names them, and has values up to 2") as refusal:
        survey(tmp_path)
    assert "--masks instances" in refusal.value.repair
    assert survey(tmp_path, MaskOptions("instances")).table.names == ("background", "foreground")


def panoptic(rng: np.random.Generator, connected: bool) -> np.ndarray:
    """A colour of its own for each segment, of which many have two parts."""
    colours = rng.integers(1, 256, (12, 3)).astype(np.uint8)
    numbers = objects(rng)
    if not connected:
        numbers[numbers > 1] //= 2
    return colours[numbers]


@pytest.mark.parametrize("connected", [True, False])
def test_a_colour_of_its_own_in_each_mask_is_no_class(tmp_path: Path, connected: bool) -> None:
    rng = np.random.default_rng(6)
    made(tmp_path, [panoptic(rng, connected) for _ in range(6)])
    with pytest.raises(DataError, match="seem to number objects") as refusal:
        survey(tmp_path)
    assert survey(tmp_path, pasted(refusal.value.repair.split(" (")[0])).table.kind == "instances"


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("numbers", [[0, 1, 2, 4, 9], [0, 3, 7, 21], [0, 1, 2]])
def test_numbers_in_one_channel_are_refused(tmp_path: Path, numbers: Sequence[int], alpha: bool) -> None:
    rng = np.random.default_rng(0)
    values = np.zeros((len(numbers), 4 if alpha else 3), np.uint8)
    values[:, 0] = numbers
    values[:, 3:] = 255
    made(tmp_path, [values[blobs(rng, len(numbers) - 1)] for _ in range(4)])
    with pytest.raises(DataError, match=f"the numbers 0 to {numbers[-1]} in the red channel"):
        survey(tmp_path)
    assert survey(tmp_path, MaskOptions(kind="instances")).table.kind == "instances"
    assert len(survey(tmp_path, MaskOptions(kind="colours")).table) == len(numbers)


def test_colours_of_one_channel_that_were_drawn_are_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.array([(0, 0, 0), (64, 0, 0), (128, 0, 0), (192, 0, 0)], np.uint8)
    assert survey(made(tmp_path, [values[blobs(rng, 3)] for _ in range(4)])).errors == ()


def test_object_numbers_that_are_used_again_are_noticed(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    made(tmp_path, [((objects(rng) + 1) // 2 % 4).astype(np.uint16) for _ in range(5)])
    warning = finding(survey(tmp_path, MaskOptions(kind="instances")), "object-regions")
    assert warning.severity == "warning"
    made(tmp_path / "own", [objects(rng).astype(np.uint16) for _ in range(5)])
    assert "object-regions" not in codes(survey(tmp_path / "own", MaskOptions(kind="instances")))


def test_values_that_are_named_are_no_object_numbers(tmp_path: Path) -> None:
    made(tmp_path, [squares(range(n), np.uint16) for n in (5, 9, 12, 7)], channels=1)
    names = [f"{k}=kind {k}" for k in range(12)]
    assert survey(tmp_path, MaskOptions(classes=names)).table.names[11] == "kind 11"


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
def test_cases() -> None:
    names = {part: survey(CASES / "class-names-lie-there" / "data" / part).table.names for part in ("cvat", "nnunet")}
    assert names == {"cvat": ("background", "tool", "bolt"), "nnunet": ("background", "road", "car")}
    folder = CASES / "jpeg-masks" / "data"
    with pytest.raises(DataError, match=r"--classes 0-127=background 128-255=object") as refusal:
        survey(folder)
    assert survey(folder, pasted(refusal.value.repair)).errors == ()


def test_the_digest_of_a_class_file_is_that_of_earlier_versions(tmp_path: Path) -> None:
    """Models keep it, so that a person who named the classes in another way need not do so in a test."""
    one = "((NamedClass(name='cell', value=1, colour=(1, 2, 3)),), None)"
    two = "((NamedClass(name='a', value=None, colour=None), NamedClass(name='b', value=None, colour=None)), None)"
    for text, known in (("1 cell 1 2 3\n", one), ("a\nb\n", two)):
        (tmp_path / "classes.txt").write_text(text)
        names = names_in_folder(tmp_path, [tmp_path / "classes.txt"], "")
        assert names is not None
        assert names.digest == hashlib.sha256(known.encode()).hexdigest()


def test_one_name_of_the_objects_is_enough_for_object_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    made(tmp_path, [objects(rng).astype(np.uint16) for _ in range(5)])
    (tmp_path / "classes.txt").write_text("cell\n")
    assert survey(tmp_path, MaskOptions(kind="instances")).table.names == ("background", "cell")
    (tmp_path / "classes.txt").write_text("cell\ndirt\nrest\n")
    with pytest.raises(UsageError, match=r"3 class names \(classes\.txt\)") as refusal:
        survey(tmp_path, MaskOptions(kind="instances"))
    names = pasted(refusal.value.repair).classes
    assert survey(tmp_path, MaskOptions(kind="instances", classes=names)).table.names == ("background", "object")

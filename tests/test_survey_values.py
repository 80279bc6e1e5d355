"""What mask values mean, and the sets for which that would be a guess."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from test_survey import codes, made, squares
from unpool.class_table import ClassTable, distinct_colours
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.survey import survey
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError, UsageError

BLACK, RED, GREEN = (0, 0, 0), (255, 0, 0), (0, 255, 0)
RGB = np.array([BLACK, RED, GREEN], np.uint8)


def painted(root: Path, palettes: Sequence[Sequence[tuple[int, int, int]]], indices: Sequence[int] = (0, 1, 2)) -> Path:
    made(root, [squares(indices)] * len(palettes))
    for path, palette in zip(sorted((root / "masks").iterdir()), palettes, strict=True):
        with Image.open(path) as picture:
            picture.load()
        picture.putpalette([part for colour in palette for part in colour])
        picture.save(path)
    return root


def finding(found: Survey, code: str) -> Finding:
    (one,) = [item for item in found.findings if item.code == code]
    return one


def test_colours_of_classes_are_found_in_greys_and_palettes(tmp_path: Path) -> None:
    made(tmp_path / "grey", [squares([0, 255])] * 4)
    assert survey(tmp_path / "grey", MaskOptions(classes=["#ffffff=cell", "#000000=bg"])).table.values == ((255,), (0,))
    with pytest.raises(DataError, match=r"#ff0000 of class cell is not the colour .*\n.*0 in #000000, 255 in #ffffff"):
        survey(tmp_path / "grey", MaskOptions(classes=["#ff0000=cell", "#000000=bg"]))
    painted(tmp_path / "pal", [(BLACK, RED, GREEN)] * 4)
    by_hand = survey(tmp_path / "pal", MaskOptions(classes=["#000000=bg", "#00ff00=green", "#ff0000=red"]))
    assert by_hand.table.values == ((0,), (2,), (1,))
    (tmp_path / "pal" / "class_dict.csv").write_text("name,r,g,b\nbg,0,0,0\ngreen,0,255,0\nred,255,0,0\n")
    assert survey(tmp_path / "pal").table.values == ((0,), (2,), (1,))
    with pytest.raises(UsageError, match="some have none: road"):
        survey(tmp_path / "grey", MaskOptions(classes=["road", "#ff0000=car"]))


def test_colours_in_a_file_over_plain_ids_are_for_display(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1, 2])] * 4)
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nbg,0,0,0\nred,255,0,0\ngreen,0,255,0\n")
    found = survey(tmp_path)
    assert found.table.values == ((0,), (1,), (2,))
    assert "by order" in finding(found, "class-names").found
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nred,255,0,0\nbg,0,0,0\ngreen,0,255,0\n")
    with pytest.raises(DataError, match="class red is not the colour of one mask value"):
        survey(tmp_path)


def test_palettes_in_another_order_are_read_as_colours(tmp_path: Path) -> None:
    found = survey(painted(tmp_path, [(BLACK, RED), (RED, BLACK)] * 3, (0, 1)))
    assert found.table.kind == "colours"
    assert found.table.values == ((BLACK,), (RED,))


def test_palettes_with_other_colours_are_refused(tmp_path: Path) -> None:
    painted(tmp_path, [(BLACK, RED), (BLACK, GREEN)] * 3, (0, 1))
    error = finding(survey(tmp_path), "palettes-differ")
    assert (error.severity, error.files) == ("error", ("00", "01"))
    assert "palette index 1 is #ff0000 in 00 and #00ff00 in 01" in error.found
    assert "palettes-differ" not in codes(survey(tmp_path, MaskOptions(kind="values")))


def test_a_given_table_warns_of_exchanged_colours(tmp_path: Path) -> None:
    painted(tmp_path, [(RED, BLACK)] * 3, (0, 1))
    table = ClassTable("values", ("bg", "cell"), ((0,), (1,)), (), (BLACK, RED))
    warning = finding(survey(tmp_path, table=table), "palettes-differ")
    assert warning.severity == "warning"
    assert "shows mask value 0 (bg) in the colour of cell" in warning.found


def test_two_conventions_are_refused(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 3 + [squares([0, 255]) > 0] * 3)
    error = finding(survey(tmp_path), "two-ways")
    assert (error.severity, error.files) == ("error", ("03", "04", "05"))
    assert "1 in 3 masks (03, 04, 05) never share a mask with 255 in 3 masks (00, 01, 02)" in error.found
    assert survey(tmp_path, MaskOptions(ignore=[255])).table.ignore == (255,)
    assert survey(tmp_path, MaskOptions(classes=["0=bg", "1=cell", "255=cell"])).table.values == ((0,), (1, 255))
    made(tmp_path / "deep", [squares([0, 255])] * 3 + [squares([0, 65535], np.uint16)])
    assert finding(survey(tmp_path / "deep"), "two-ways").files == ("03",)


def test_jpegs_of_object_numbers_are_refused(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 4, suffix="jpg")
    assert codes(survey(tmp_path, MaskOptions(kind="instances")))["smeared-mask"] == "error"
    table = ClassTable("instances", ("a", "b"), ((0,), (1,)), (), distinct_colours(2))
    assert codes(survey(tmp_path, table=table))["smeared-mask"] == "error"


def test_blended_colours_are_refused(tmp_path: Path) -> None:
    sharp = np.array([BLACK, (255, 127, 0)], np.uint8)[np.pad(np.ones((14, 16), np.uint8), 13)]
    boxes = [(0.13 * k, 0.29 * k, 40 + 0.11 * k, 38 + 0.17 * k) for k in range(1, 6)]
    smooth = [np.asarray(Image.fromarray(sharp).resize((41, 39), Image.Resampling.BILINEAR, box)) for box in boxes]
    with pytest.raises(DataError, match=r"00: mask values that nobody seems to have drawn: #\w{6} \(\d+ pixels\)"):
        survey(made(tmp_path, smooth))


def test_specks_are_refused_and_rare_regions_are_not(tmp_path: Path) -> None:
    masks = [squares([0, 255]) for _ in range(8)]
    masks[2][30, 30:33] = 254
    made(tmp_path / "specks", masks)
    found = survey(tmp_path / "specks")
    assert finding(found, "smeared-mask").files == ("02",)
    assert "254 (3 pixels)" in finding(found, "smeared-mask").found
    assert found.table.values == ((0,), (255,))
    assert survey(tmp_path / "specks", MaskOptions(classes=["0=a", "255=b", "254=c"])).errors == ()
    made(tmp_path / "rare", [squares([0, 1])] * 9 + [squares([0, 1, 2])])
    rare = survey(tmp_path / "rare")
    assert rare.errors == ()
    assert finding(rare, "tiny-class").severity == "warning"
    assert finding(survey(tmp_path / "rare", MaskOptions(classes=["a", "b", "c"])), "tiny-class").severity == "note"


def test_many_palette_colours_on_one_line_are_classes(tmp_path: Path) -> None:
    colours = np.array([(k, 0, 0) for k in (0, 64, 128, 192)] + [(k, 128, 0) for k in (0, 64, 128, 192)], np.uint8)
    assert survey(made(tmp_path, [colours[squares(range(8))]] * 3)).errors == ()


def test_parts_without_counted_pixels_are_errors(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1, 2])] * 10)
    for name in survey(tmp_path).split.val:
        Image.fromarray(squares([255])).save(tmp_path / "masks" / f"{name}.png")
    assert codes(survey(tmp_path))["two-ways"] == "error"
    assert codes(survey(tmp_path, MaskOptions(ignore=[255])))["val-ignored"] == "error"
    for k in range(10):
        Image.fromarray(squares([255])).save(tmp_path / "masks" / f"{k:02}.png")
    table = ClassTable("values", ("a", "b"), ((0,), (1,)), (255,), distinct_colours(2))
    assert codes(survey(tmp_path, table=table))["test-ignored"] == "error"


def test_ignored_values_fit_the_kind(tmp_path: Path) -> None:
    mask = RGB[squares([0, 1, 2])]
    made(tmp_path / "colour", [mask] * 3)
    with pytest.raises(UsageError, match=r"--ignore 255 for masks of colours\n.*\n.*'#0000ff'"):
        survey(tmp_path / "colour", MaskOptions(ignore=[255]))
    assert survey(tmp_path / "colour", MaskOptions(ignore=["#ff0000"])).table.ignore == (RED,)
    painted(tmp_path / "palette", [(BLACK, RED, GREEN)] * 3)
    assert survey(tmp_path / "palette", MaskOptions(ignore=["#ff0000"])).table.ignore == (1,)
    assert survey(tmp_path / "palette", MaskOptions(ignore=["2"])).table.ignore == (2,)
    for wrong in ("#0000ff", "blue"):
        with pytest.raises(UsageError, match=f"--ignore {wrong}"):
            survey(tmp_path / "palette", MaskOptions(ignore=[wrong]))


@pytest.mark.parametrize(
    ("value", "others", "ignored", "severity"),
    [(9, [0, 1, 2], (9,), None), (0, [1, 2, 3], (), "warning"), (0, [1], (), "note"), (255, [0, 1], (255,), None)],
)
def test_missing_data_that_mask_files_declare(
    tmp_path: Path, value: int, others: list[int], ignored: tuple[int, ...], severity: str | None
) -> None:
    made(tmp_path, [squares([*others, value])] * 4)
    for k in range(4):
        (tmp_path / "masks" / f"{k:02}.png").unlink()
        tag = [(42113, "s", 0, str(value), True)]
        tifffile.imwrite(tmp_path / "masks" / f"{k:02}.tif", squares([*others, value]), extratags=tag)
    found = survey(tmp_path)
    assert found.table.ignore == ignored
    assert codes(found).get("missing-is-class") == severity
    assert survey(tmp_path, MaskOptions(ignore=[])).table.ignore == ()
    if ignored:
        assert f"mask value {value} is ignored" in finding(found, "ignore-value").found
    if severity == "warning":
        assert "add --ignore 0;" in finding(found, "missing-is-class").repair
        assert survey(tmp_path, MaskOptions(ignore=["0"])).table.ignore == (0,)
        named = shlex.split(finding(found, "missing-is-class").repair.partition("--classes ")[2])
        assert "missing-is-class" not in codes(survey(tmp_path, MaskOptions(classes=named)))


def test_masks_that_all_show_0_white_are_named_with_care(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 4)
    for k in range(4):
        (tmp_path / "masks" / f"{k:02}.png").unlink()
        Image.fromarray(squares([0, 255])).convert("1").save(tmp_path / "masks" / f"{k:02}.pbm")
    warning = finding(survey(tmp_path), "white-is-background")
    assert (warning.severity, "0 as white and 1 as black" in warning.found) == ("warning", True)
    named = survey(tmp_path, MaskOptions(classes=["0=object", "1=background"]))
    assert "use --classes 0=object 1=background;" in warning.repair
    assert "white-is-background" not in codes(named)


def test_a_mask_that_shows_0_white_keeps_its_values(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 4)
    (tmp_path / "masks" / "01.png").unlink()
    tifffile.imwrite(tmp_path / "masks" / "01.tif", squares([0, 255]), photometric="miniswhite")
    found = survey(tmp_path)
    assert found.pictures["01"].class_pixels == found.pictures["00"].class_pixels
    assert finding(found, "white-is-zero").files == ("01",)


def test_deep_greys_are_no_colours(tmp_path: Path) -> None:
    made(tmp_path, [RGB[squares([0, 1])]] * 4 + [squares([0, 256], np.uint16)])
    error = finding(survey(tmp_path), "mask-form")
    assert error.found == "04: mask value 256 among colour masks"


def test_class_files_without_sense_are_refused(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1, 2])] * 4)
    (tmp_path / "classes.txt").write_text("cat\ndog\ncat\n")
    with pytest.raises(DataError, match="it names 'cat' twice"):
        survey(tmp_path)
    with pytest.raises(UsageError, match="names 'cat' twice"):
        survey(tmp_path, MaskOptions(classes=["cat", "dog", "cat"]))
    assert survey(tmp_path, MaskOptions(classes=["0=cat", "1=dog", "2=cat"])).table.values == ((0, 2), (1,))
    (tmp_path / "classes.txt").unlink()
    for text in ("bg,0,0,0\nfg,255,255,2x5\n", "bg,0,0,x\nfg,1,1,1\n", "bg\nfg,1,1,1\n"):
        (tmp_path / "classes.csv").write_text(text)
        with pytest.raises(DataError, match=r"classes\.csv cannot be read as class names: line 1 is .* and line 2 is"):
            survey(tmp_path)


def test_pixel_types_that_training_lacks(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 255])] * 10)
    (name, *_) = survey(tmp_path).split.val
    Image.fromarray(np.full((40, 40), 40000, np.uint16)).save(tmp_path / "images" / f"{name}.png")
    found = survey(tmp_path)
    assert finding(found, "type-not-in-train").files == (name,)
    assert "of type uint16" in finding(found, "type-not-in-train").found
    assert "type-not-in-train" not in codes(survey(tmp_path, table=found.table))


def test_a_test_set_may_lack_classes(tmp_path: Path) -> None:
    table = ClassTable("values", ("a", "b"), ((0,), (255,)), (), distinct_colours(2))
    found = survey(made(tmp_path, [squares([0])] * 4), table=table)
    assert codes(found)["one-class"] == "warning"
    assert found.errors == ()


def test_val_and_test_may_not_be_alike(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        made(tmp_path / part, [squares([0, 255])] * 2)
    rng = np.random.default_rng(9)
    for path in (tmp_path / "train" / "images").iterdir():
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    for path in (tmp_path / "test" / "images").iterdir():
        with Image.open(path) as picture:
            changed = np.asarray(picture) // 2 + 60
        Image.fromarray(changed).save(path)
    found = finding(survey(tmp_path), "near-copies-across-split")
    assert {name.split("/")[0] for name in found.files} == {"val", "test"}


def test_broken_files_are_named_with_the_error_of_a_set_without_a_table(tmp_path: Path) -> None:
    made(tmp_path, [squares([0])] * 4)
    (tmp_path / "images" / "02.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"only one value in all masks: 0\n  also, 1 pair cannot be used: .*02\.png"):
        survey(tmp_path)

"""Class files beside the pictures: what each form of a line means, and what a test makes of other names."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from test_survey import codes, made, squares
from unpool.class_table import ClassTable, distinct_colours
from unpool.dataset.mask_values.class_lines import LONGEST_LINE, lines_of, named_classes
from unpool.dataset.mask_values.options import MaskOptions
from unpool.dataset.survey import survey
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError

THREE = ClassTable("values", ("background", "disc", "square"), ((0,), (1,), (2,)), (), distinct_colours(3))


def read(text: str) -> list[tuple[str, int | None, tuple[int, int, int] | None]]:
    return [(each.name, each.value, each.colour) for each in named_classes(lines_of(text))]


@pytest.mark.parametrize(
    "text",
    [
        "255 cell\n0 background",
        "255: cell\n0: background",
        "255,cell\r\n0,background\r\n",
        "255\tcell\n0\tbackground",
        "255;cell\n0;background",
        "255 - cell\n0 - background",
        "# id name\n255. cell\n\n0. background",
        "id name\n255 cell\n0 background",
        "cell: 255\nbackground: 0",
        "cell,255\nbackground,0",
        "name\tvalue\ncell\t255\nbackground\t0",
        "255=cell\n0=background",
        "cell 255\nbackground 0",
        "name id\ncell 255\nbackground 0",
    ],
)
def test_a_number_beside_a_name_is_its_value(text: str) -> None:
    assert read(text) == [("cell", 255, None), ("background", 0, None)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("# label:color_rgb:parts:actions\nbolt:51,221,255::\nnut:0,0,1:a,b:c", None),  # CVAT
        ("51 221 255\tbolt\n0 0 1\tnut", None),  # CamVid's label_colors.txt
        ("bolt,51,221,255\nnut,0,0,1", None),
        ("name,r,g,b\nbolt,51,221,255\nnut,0,0,1", None),
        ("#33ddff bolt\n#000001 nut", None),
        ("bolt #33ddff\nnut #000001", None),
        ("7 bolt 51 221 255\n0 nut 0 0 1", 7),
        ("7,51,221,255,bolt\n0,0,0,1,nut", 7),
        ("bolt,7,51,221,255\nnut,0,0,0,1", 7),
    ],
)
def test_colours_beside_names(text: str, value: int | None) -> None:
    assert read(text) == [("bolt", value, (51, 221, 255)), ("nut", None if value is None else 0, (0, 0, 1))]


@pytest.mark.parametrize(
    "names",
    [
        ["layer 4", "layer 1"],
        ["background", "cell 1"],
        ["grade 2", "stage 2"],
        ["4wd", "car"],
        ["car", "3D model"],
        ["0", "1"],
        ["18-55 mm", "wide"],
    ],
)
def test_names_may_hold_numbers(names: list[str]) -> None:
    assert read("\n".join(names)) == [(name, None, None) for name in names]


def test_labelme_counts_from_its_second_line() -> None:
    names = [("__ignore__", 255, None), ("_background_", 0, None), ("cell", 1, None)]
    assert read("__ignore__\n_background_\ncell\n") == names
    assert read("-1: __ignore__\n0: _background_\n1: cell") == names
    assert named_classes(lines_of("__ignore__\na\nb"))[0].ignored


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("car\n4 wheel drive\ntruck", "line 1 is 'car' and line 2 is '4 wheel drive', which differ in form"),
        ("0 car\n1 road\nsky", "line 1 is '0 car' and line 3 is 'sky'"),
        ("0 car\n0 road", "lines 1 and 2 both name the value 0"),
        ("1 euro\n2 euro", "line 1 is '1 euro' and line 2 is '2 euro', whose numbers may be"),
        ("1.road\n2.car", "line 1 is '1.road', whose number may be a mask value"),
        ("255\n0", "line 1 is '255', a number without a name"),
        ("names\nroad\ncar", "line 1 is 'names', which may be a heading or a class"),
        ("-1 road\n0 car", "line 1 is '-1 road', and no mask value is below 0"),
        ("road 1 2 256\ncar 1 2 3", "a colour ends at 255"),
        ("x" * (LONGEST_LINE + 1), "line 1 has 301 letters"),
    ],
)
def test_lines_that_can_be_read_in_two_ways_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(text)


def test_the_repair_of_a_refused_line_works() -> None:
    assert [name for name, *_ in read("0: car\n1: 4 wheel drive\n2: truck")] == ["car", "4 wheel drive", "truck"]
    assert [name for name, *_ in read("1: 1 euro\n2: 2 euro")] == ["1 euro", "2 euro"]


def test_many_long_lines_are_read_in_no_time() -> None:
    line = "1 " * 140 + "x"
    with pytest.raises(ValueError, match="differ in form"):
        read("\n".join([f"{line}\t{k}" for k in range(2000)] + ["a"] * 2))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.txt", "0 background\n255 cell"),
        ("labels.txt", "0 background\n255 cell"),
        ("class_names.txt", "background\ncell"),
        ("sub/_classes.csv", "Pixel Value, Class\n0, background\n255, cell"),
        ("classes.csv", "id;name;remark\n0;background;none\n255;cell;all"),
        ("dataset.json", json.dumps({"labels": {"background": 0, "cell": 255}})),
        ("dataset.json", json.dumps({"labels": {"0": "background", "255": "cell"}})),
        ("classes.json", json.dumps(["background", "cell"])),
        ("Classes.txt", "background\ncell"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_class_files(tmp_path: Path, name: str, content: str, encoding: str) -> None:
    made(tmp_path, [squares([0, 255])] * 3)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content.encode(encoding))
    found = survey(tmp_path)
    assert dict(zip(found.table.names, found.table.values, strict=True)) == {"background": (0,), "cell": (255,)}
    assert any(f"class names are from {name}" in finding.found for finding in found.findings)


def test_class_files_that_differ_are_refused_and_unread_ones_are_named(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1])] * 3)
    for part, text in (("a", "x\ny"), ("b", "x\ny")):
        (tmp_path / part).mkdir()
        (tmp_path / part / "classes.txt").write_text(text)
    assert survey(tmp_path).table.names == ("x", "y")
    (tmp_path / "b" / "classes.txt").write_text("y\nx")
    with pytest.raises(DataError, match=r"several files with class names: a/classes\.txt, b/classes\.txt") as stop:
        survey(tmp_path)
    assert "if each holds for the masks of its own folder, give a class the same value" in stop.value.repair
    (tmp_path / "classes.txt").write_text("u\nv")
    (tmp_path / "label_map.pbtxt").write_text("item {}")
    (tmp_path / "labels.txt").write_text("images/00.png 3\nimages/01.png 4\n")
    found = survey(tmp_path)
    assert found.table.names == ("u", "v")
    note = next(finding for finding in found.findings if finding.code == "class-file-unread")
    assert "label_map.pbtxt" in note.found


def test_bytes_that_are_no_letters_are_named(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1])] * 3)
    (tmp_path / "classes.txt").write_bytes("Straße\nWälder".encode("latin-1"))
    with pytest.raises(DataError, match=r"classes\.txt.*line 1 has bytes that are no UTF-8 letters"):
        survey(tmp_path)


def read_for_a_model(
    root: Path, lines: str, values: list[int], table: ClassTable = THREE, settled: str | None = None
) -> Survey:
    if not root.exists():
        made(root, [squares(values)] * 3)
    (root / "classes.txt").write_text(lines)
    return survey(root, table=table, settled=settled)


@pytest.mark.parametrize("lines", ["background\nsquare\ndisc", "2: Disc\n1: square\n0: background"])
def test_a_test_matches_classes_by_name(tmp_path: Path, lines: str) -> None:
    found = read_for_a_model(tmp_path / "set", lines, [0, 1, 2])
    assert found.table.names == THREE.names
    assert found.table.values == ((0,), (2,), (1,))
    assert codes(found)["classes-by-name"] == "warning"
    assert found.errors == ()


def test_a_test_matches_other_values_by_name(tmp_path: Path) -> None:
    table = ClassTable("values", ("background", "cell"), ((0,), (255,)), (), distinct_colours(2))
    assert read_for_a_model(tmp_path / "set", "background\ncell", [0, 1], table).table.values == ((0,), (1,))


@pytest.mark.parametrize("lines", ["background\ndisc\nsquare", "0 background\n2 SQUARE", "disc: 1\ntree: 9", ""])
def test_names_that_agree_change_nothing(tmp_path: Path, lines: str) -> None:
    found = read_for_a_model(tmp_path / "set", lines, [0, 1, 2])
    assert found.table == THREE
    assert "classes-by-name" not in codes(found)


def test_classes_that_a_model_named_by_their_values_fit_every_name(tmp_path: Path) -> None:
    table = ClassTable("values", ("background", "foreground"), ((0,), (255,)), (), distinct_colours(2))
    assert read_for_a_model(tmp_path / "set", "0 bg\n255 cell", [0, 255], table).table == table
    with pytest.raises(DataError, match="names classes that the model does not have: 'cell'"):
        read_for_a_model(tmp_path / "set", "0 cell\n255 background", [0, 255], table)


def test_names_that_the_model_lacks_are_refused_and_the_repairs_work(tmp_path: Path) -> None:
    root = tmp_path / "set"
    with pytest.raises(DataError) as refusal:
        read_for_a_model(root, "background\ncircle\nsquare", [0, 1, 2])
    assert "classes.txt names classes that the model does not have: 'circle' (1)" in refusal.value.found
    assert "--" not in refusal.value.repair
    assert "as '1: disc'; or remove it" in refusal.value.repair
    assert read_for_a_model(root, "0: background\n1: disc\n2: ignore", [0, 1, 2]).table.ignore == (2,)
    (root / "classes.txt").unlink()
    assert survey(root, table=THREE).table == THREE


def test_the_class_file_of_the_training_is_not_compared_again(tmp_path: Path) -> None:
    root = tmp_path / "set"
    made(root, [squares([0, 1, 2])] * 3)
    (root / "classes.txt").write_text("a\nb\nc")
    trained = survey(root, MaskOptions(classes=["0=background", "1=disc", "2=square"]))
    assert trained.class_file is not None
    assert survey(root, table=trained.table, settled=trained.class_file).table == trained.table
    with pytest.raises(DataError, match="does not have"):
        survey(root, table=trained.table)


def test_object_numbers_keep_their_order(tmp_path: Path) -> None:
    table = ClassTable("instances", ("background", "cell"), ((0,), (1,)), (), distinct_colours(2))
    made(tmp_path / "set", [squares([0, 1, 2], np.uint16)] * 3)
    assert read_for_a_model(tmp_path / "set", "background\ncell", [], table).table == table
    with pytest.raises(DataError, match="does not have: 'cell'"):
        read_for_a_model(tmp_path / "set", "cell\nbackground", [], table)


def test_unknown_values_of_a_test_have_a_repair_that_works(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1, 255])] * 3)
    (error,) = survey(tmp_path, table=THREE).errors
    assert error.code == "unknown-value"
    assert "--" not in error.repair
    assert "'0: background', and '255: ignore'" in error.repair
    (tmp_path / "classes.txt").write_text("0: background\n255: ignore\n")
    found = survey(tmp_path, table=THREE)
    assert found.errors == ()
    assert found.table.ignore == (255,)


def test_the_repair_for_a_name_too_few_works(tmp_path: Path) -> None:
    made(tmp_path, [squares([0, 1, 255])] * 3)
    (tmp_path / "classes.txt").write_text("red cell\nnucleus")
    with pytest.raises(DataError, match=r"2 class names .* for the mask values 0, 1, 255") as refusal:
        survey(tmp_path, MaskOptions(ignore=()))
    command = refusal.value.repair.split("; or")[0]
    assert command == "name every value: --classes 0=background '1=red cell' 255=nucleus"
    named = survey(tmp_path, MaskOptions(classes=shlex.split(command)[4:]))
    assert named.table.names == ("background", "red cell", "nucleus")

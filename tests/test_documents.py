import json
import time
from pathlib import Path
from typing import Any

import pytest

from unpool.dataset.mask_values.class_names import names_in_folder
from unpool.dataset.mask_values.model_names import WITHOUT_FILE
from unpool.errors import DataError
from unpool.io.documents import (
    MOST_DEPTH,
    json_value,
    read_json,
    read_json_lines,
    read_toml,
    read_yaml,
    toml_table,
    yaml_value,
)

LAUGHS = "a0: &a0 [x,x]\n" + "".join(f"a{k}: &a{k} [{','.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 10))


def nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' twice"),
        ("[1,\n 2,,]", "line 2, column 4"),
        ("[NaN]", "not finite"),
        ("[-Infinity]", "not finite"),
        ("[1e999]", "not finite"),
        ("9" * 5000, "does not fit into 64 bits"),
        (str(1 << 63), "does not fit into 64 bits"),
        ('"\\ud800"', "half of a character"),
        ('{"\\udfff": 1}', "half of a character"),
        (nested(MOST_DEPTH + 1), "more than 64 levels"),
        ("[" * 100_000, "more than 64 levels"),
        ('{"a":' * 100_000, "more than 64 levels"),
        (b'{"a":\n"\xff"}', "line 2: the byte 0xff is not UTF-8"),
        ("", "line 1, column 1"),
    ],
)
def test_odd_json_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        json_value(text)


def test_json_that_would_fill_the_memory_is_refused_unread() -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"take 2\.\d GB of memory"):
        json_value(b"[" + b"[]," * 15_000_000 + b"1]")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\ufeff[1]", [1]),
        (nested(MOST_DEPTH), None),
        ('"\\ud83d\\ude00"', "😀"),
        (f"[{(1 << 63) - 1}, {-(1 << 63)}, 0.1]", [(1 << 63) - 1, -(1 << 63), 0.1]),
    ],
)
def test_json_within_the_bounds(text: str, value: Any) -> None:
    found = json_value(text)
    assert value is None or found == value


def test_json_with_numbers_that_are_not_finite_is_read_on_request() -> None:
    assert json_value("[Infinity]", finite=False) == [float("inf")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = " + "[" * 3000, "more than 64 levels"),
        ("x = " + nested(MOST_DEPTH + 1), "more than 64 levels"),
        ("x = " + "{a = " * 2000, "more than 64 levels"),
        (".".join("a" * 3000) + " = 1", "more than 64 levels"),
        ("x = 1e999", "not finite"),
        ("x = nan", "not finite"),
        ("x = " + "9" * 5000, "thousands of digits"),
        ("x = 99999999999999999999", "does not fit into 64 bits"),
        ("x = 0x" + "f" * 5000, "does not fit into 64 bits"),
        ("a = 1\nb =", "at end of document"),
        ("a = 1\na = 2", "overwrite"),
        (b"a = '\xe9'", "line 1: the byte 0xe9 is not UTF-8"),
    ],
)
def test_odd_toml_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        toml_table(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, "more than 20,000 values, with those that aliases repeat"),
        ("&a [*a]", "an alias inside itself"),
        ("[" * 3000, "line 1: more than 64 levels"),
        ("- " * 3000, "more than 64 levels"),
        ("- x\n" * 30_000, "more than 20,000 values"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' twice"),
        ("a: " + "9" * 5000, "is no whole number of 64 bits"),
        ("a: !!binary aGk=", "tag '!!binary' is not read"),
        ("a: !!python/object/apply:os.system [ls]", "is not read"),
        ("[a]: 1", "a list or a table as a key"),
        ('"\\ud800"', "half of a character"),
        ('"\\UFFFFFFFF"', "."),
        ("%YAML 1." + "9" * 5000 + "\n---\na", "."),
        ("a: b: c", "line 1: mapping values"),
        ("a\n---\nb", "another document"),
        ("a: *b", "undefined alias"),
        ("\x00", "unacceptable character"),
    ],
)
def test_odd_yaml_is_refused(text: str, why: str) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match=why):
        yaml_value(text)
    assert time.monotonic() - started < 10


def test_yaml_keeps_names_as_they_are_written() -> None:
    names = "no, off, 12:30, 1.10, 010, 0x1f, 1e3, 1_000, 2024-01-01, yes, True, .inf, '7'"
    assert yaml_value(f"[{names}]") == [name.strip().strip("'") for name in names.split(",")]
    assert yaml_value("{0: a, -3: b, 255: c}") == {0: "a", -3: "b", 255: "c"}
    assert yaml_value("a:\nb: ~\nc: null") == dict.fromkeys("abc")
    assert yaml_value("x: &n [a, b]\nnames: *n") == {"x": ["a", "b"], "names": ["a", "b"]}
    assert yaml_value("x: &n {a: 1, b: 2}\ny: {<<: *n, b: 3}")["y"] == {"a": 1, "b": 3}
    assert yaml_value("a: !!str 12") == {"a": "12"}
    assert yaml_value("") is None


def test_a_message_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_text("a: [b\nc: d")
    for read in (read_json, read_toml, read_yaml):
        with pytest.raises(DataError, match=r"odd: no valid (JSON|TOML|YAML) \(.+\)"):
            read(path)
        with pytest.raises(DataError, match=r"gone: No such file"):
            read(tmp_path / "gone")
        with pytest.raises(DataError, match=r"Is a directory"):
            read(tmp_path)
    with pytest.raises(DataError, match=r"larger than 0\.0 kB"):
        read_json(path, 5)


def test_an_odd_line_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    def whole(value: Any) -> int:
        if type(value) is not int:
            raise ValueError("no number")
        return value

    path = tmp_path / "a.jsonl"
    path.write_bytes(b'1\n\n"x"\n{\n\xff\n2\nNaN\n' + b"[" * 5000 + b"\n3\n[4")
    lines = read_json_lines(path, whole)
    assert lines.entries == [1, 2, 3]
    assert [line.split(":")[0] for line in lines.odd] == ["line 3", "line 4", "line 5", "line 7", "line 8"]
    path.write_text(json.dumps("x"))  # a line without an end that is JSON, but not the right value
    assert read_json_lines(path, whole) == ([], [])


def test_class_names_in_yaml_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text("names: [no, 12:30, 1.10, 010, off]\n")
    found = names_in_folder(tmp_path, (path,), WITHOUT_FILE)
    assert found is not None
    assert [each.name for each in found.classes] == ["no", "12:30", "1.10", "010", "off"]


@pytest.mark.parametrize(
    "content",
    [
        "names: {.inf: background, 1: cell}",
        "a0: &a0 [x,x]\n" + "".join(f"a{k}: &a{k} [{','.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 10)),
        "names: " + "[" * 5000,
        "names: [a, null]",
        "names: [[a, b], c]",
        "names: {1: a, 1: b}",
        "names: {true: a, 2: b}",
        "names: {" + "9" * 5000 + ": a}",
        "names: !!python/name:os.system x",
    ],
)
def test_an_odd_class_file_is_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text(content)
    with pytest.raises(DataError, match=r"classes\.yaml cannot be read as class names: .+"):
        names_in_folder(tmp_path, (tmp_path / "classes.yaml",), WITHOUT_FILE)

"""The class table: both directions, and every refusal."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unpool.class_table import (
    IGNORE_ID,
    MAX_CLASSES,
    ClassTable,
    MaskKind,
    MaskValue,
    distinct_colours,
    flatten_value,
    unflatten_value,
    value_from_text,
    value_text,
)
from unpool.errors import DataError, UsageError

integers = st.integers(0, 65535)
colours = st.tuples(*[st.integers(0, 255)] * 3)


@st.composite
def tables(draw: st.DrawFn) -> ClassTable:
    kind: MaskKind = draw(st.sampled_from(["values", "colours"]))
    pool: st.SearchStrategy[MaskValue] = integers if kind == "values" else colours
    distinct = draw(st.lists(pool, min_size=3, max_size=12, unique=True))
    count = draw(st.integers(2, len(distinct) - 1))
    groups = [distinct[k : k + 1] for k in range(count)]
    ignore = distinct[count:]
    if len(ignore) > 1:
        groups[-1].append(ignore.pop())
    names = tuple(f"class {k}" for k in range(count))
    return ClassTable(kind, names, tuple(map(tuple, groups)), tuple(ignore), distinct_colours(count))


def table(**changes: object) -> ClassTable:
    given = {
        "kind": "values",
        "names": ("background", "cell"),
        "values": ((0,), (255,)),
        "ignore": (7,),
        "colours": ((0, 0, 0), (9, 9, 9)),
    }
    return ClassTable(**{**given, **changes})  # type: ignore[arg-type]


@settings(deadline=None)
@given(tables(), st.integers(1, 9), st.integers(1, 9), st.integers(0, 9))
def test_decoding_then_encoding_gives_the_labels_back(classes: ClassTable, rows: int, columns: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, len(classes), (rows, columns)).astype(np.uint8)
    mask = classes.decode(labels)
    assert mask.shape == ((rows, columns, 3) if classes.kind == "colours" else (rows, columns))
    found = classes.encode(mask, "m.png")
    assert found.dtype == np.uint8
    assert (found == labels).all()


@settings(deadline=None)
@given(tables())
def test_every_value_is_encoded_to_its_class_and_ignored_ones_to_none(classes: ClassTable) -> None:
    for number, values in [*enumerate(classes.values), (IGNORE_ID, classes.ignore)]:
        for value in values:
            assert classes.encode(
                np.full((1, 2, 3) if classes.kind == "colours" else (1, 2), value), "m"
            ) == pytest.approx(number)


@settings(deadline=None)
@given(tables())
def test_the_card_is_json_and_reads_back(classes: ClassTable) -> None:
    assert ClassTable.from_card(json.loads(json.dumps(classes.to_card()))) == classes


@pytest.mark.parametrize(
    ("largest", "kind"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.uint32)]
)
def test_decoded_masks_are_as_narrow_as_their_values_allow(largest: int, kind: type) -> None:
    assert table(values=((0,), (largest,))).decode(np.array([[0, 1]], np.uint8)).dtype == kind


def test_instances_are_one_class() -> None:
    things = table(kind="instances", names=("ground", "thing"), values=((0,), (1,)), ignore=(65535,))
    mask = np.array([[0, 1, 2, 40000, 65535]], np.uint16)
    assert things.encode(mask, "m").tolist() == [[0, 1, 1, 1, IGNORE_ID]]
    assert things.decode(np.array([[0, 1]], np.uint8)).tolist() == [[0, 1]]
    assert things.describe_values() == "0 ground, 1 and above thing, 65535 ignored"


def test_unknown_values_are_named_with_what_would_be_right() -> None:
    with pytest.raises(DataError) as refusal:
        table().encode(np.array([[0, 1, 2, 3, 4, 5, 6, 255]], np.uint8), "dir/m.png")
    assert refusal.value.found == "dir/m.png: mask values 1, 2, 3, 4, 5 and 1 more are in no class"
    assert refusal.value.expected == "one of 0 background, 255 cell, 7 ignored"
    assert "--classes" in refusal.value.repair


def test_unknown_colours_are_named_in_hex() -> None:
    red = table(kind="colours", values=(((0, 0, 0),), ((255, 0, 0),)), ignore=())
    with pytest.raises(DataError, match=r"m: mask value #01ff00 is in no class\n  expected: one of #000000 background"):
        red.encode(np.array([[[1, 255, 0]]], np.uint8), "m")


def test_masks_of_the_other_form_are_refused() -> None:
    with pytest.raises(DataError, match="m: an RGB colour mask"):
        table().encode(np.zeros((2, 2, 3), np.uint8), "m")
    with pytest.raises(DataError, match="m: a mask of single values"):
        table(kind="colours", values=(((0, 0, 0),), ((1, 1, 1),)), ignore=()).encode(np.zeros((2, 2), np.uint8), "m")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("only",), "values": ((0,),), "colours": ((0, 0, 0),)}, r"1 classes \(only\)"),
        ({"names": (), "values": (), "colours": ()}, r"0 classes \(none\)"),
        ({"names": ("cell", "cell")}, "class name used twice: cell"),
        ({"values": ((0,), (0,))}, "mask value 0 is given to both 'background' and 'cell'"),
        ({"ignore": (255,)}, "mask value 255 is given to both 'cell' and 'ignore'"),
    ],
)
def test_impossible_tables_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table(**changes)


def test_the_largest_table_keeps_the_ignore_id_apart() -> None:
    def of(count: int) -> ClassTable:
        names, values = tuple(map(str, range(count))), tuple((k,) for k in range(count))
        return ClassTable("values", names, values, (), distinct_colours(count))

    labels = of(MAX_CLASSES).encode(np.arange(MAX_CLASSES)[None], "m")
    assert IGNORE_ID not in labels
    with pytest.raises(UsageError, match="2 to 254 classes"):
        of(MAX_CLASSES + 1)


def test_foreign_cards_are_refused() -> None:
    card = table().to_card()
    with pytest.raises(ValueError, match="unknown kind of masks: greys"):
        ClassTable.from_card({**card, "kind": "greys"})
    for values in ([], [-1], [[0, 0, 0]], ["0"]):
        with pytest.raises(ValueError, match="mask value"):
            ClassTable.from_card({**card, "classes": [{**card["classes"][0], "values": values}, card["classes"][1]]})
    with pytest.raises(ValueError, match="colour 0, 0, 256"):
        ClassTable.from_card({**card, "classes": [{**card["classes"][0], "colour": [0, 0, 256]}, card["classes"][1]]})
    with pytest.raises(KeyError):
        ClassTable.from_card({"kind": "values"})


@settings(deadline=None)
@given(st.one_of(integers, colours))
def test_values_have_a_text_and_a_number(value: MaskValue) -> None:
    assert value_from_text(value_text(value)) == value
    assert unflatten_value(flatten_value(value), "values" if isinstance(value, int) else "colours") == value


@pytest.mark.parametrize("text", ["", "-1", "#12345", "1.0", "#gggggg", "9" * 10])
def test_other_texts_are_no_values(text: str) -> None:
    with pytest.raises(ValueError, match="neither a number nor #rrggbb"):
        value_from_text(text)


def test_display_colours_differ() -> None:
    assert distinct_colours(1) == ((0, 0, 0),)
    assert len(set(distinct_colours(60))) == 60

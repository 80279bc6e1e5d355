"""The class names of a folder compared with those of the model that is tested on it: matched by name, or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from unpool.class_table import IGNORE_ID, ClassTable, flatten_value, unflatten_value, value_text
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.class_names import ClassNames
from unpool.dataset.mask_values.given_values import value_of_colour
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.mask_values.tally import MaskTally
from unpool.errors import DataError
from unpool.wording import all_of, first_of

WITHOUT_FILE = "remove it, and the masks are read by the values of the model's classes"
"""What a person can do about a class file beside the pictures of a test."""

_GIVEN_BY_UNPOOL = re.compile(r"(?:class|value) \d+|colour #[0-9a-f]{6}|background|foreground")


class _Named(NamedTuple):
    """A class of the folder's file with its flat mask value."""

    named: NamedClass
    value: int


def table_by_names(
    table: ClassTable, names: ClassNames, tallies: Sequence[MaskTally]
) -> tuple[ClassTable, tuple[Finding, ...]]:
    """Return the table by which a folder's masks are read for a model, and a warning where it is not the model's.

    Where the folder's file gives the model's classes other values, the classes are matched by name. A class that the
    model has named by its value (``class 3``) fits every name. Values that the file ignores are ignored.

    Parameters
    ----------
    table: the model's.
    tallies: of the folder's masks.

    Raises
    ------
    DataError: a class in the masks has a name that the model lacks, or the names do not fit the values.
    """
    own = [_plain(name) for name in table.names]
    present = _present(table, tallies)
    lookup = table.ids_of({*present, *_numbers(names), *table.named_values()})
    bare = all(each.value is None and each.colour is None for each in names.classes)
    if bare and present <= lookup.keys() and [_plain(each.name) for each in names.classes if not each.ignored] == own:
        return table, ()
    known = [
        each
        for each in _with_values(table, names, tallies, present)
        if each.value in present or each.named.ignored or _plain(each.named.name) in own
    ]
    ignored = {each.value for each in known if each.named.ignored} | {*(names.ignore or ())}
    classes = [each for each in known if each.value not in ignored]
    _refuse_hidden(table, names, ignored, tallies)
    if not any(lookup.get(value, IGNORE_ID) != IGNORE_ID for value in ignored & present) and all(
        _agrees(table, lookup, each) for each in classes
    ):
        return _ignoring(table, ignored - lookup.keys()), ()
    foreign = [each for each in classes if _plain(each.named.name) not in own]
    if foreign or table.kind == "instances":
        foreign = foreign or classes
        raise _other_names(table, names, foreign)
    return _matched(table, names, classes, ignored)


def unknown_value_repair(table: ClassTable, values: Sequence[int], source: str | None) -> str:
    """Return what a person can do about mask values that are in no class of the model.

    Parameters
    ----------
    values: flat mask values.
    source: the folder's class file; None without one.
    """
    ignored = first_of([f"'{_text(table, value)}: ignore'" for value in values], 3)
    if source:
        return f"correct the masks; or, if such pixels count nowhere, add {ignored} to {source}"
    first = f"'{_text(table, flatten_value(table.values[0][0]))}: {table.names[0]}'"
    return (
        "correct the masks; or, if such pixels count nowhere, say so in a file classes.txt in the folder, "
        f"with a line for every class, as {first}, and {ignored}"
    )


def _present(table: ClassTable, tallies: Sequence[MaskTally]) -> set[int]:
    """Return the flat values in masks that the table can read; of object numbers 0 and 1."""
    if table.kind == "instances":
        return {0, 1}
    readable = [each for tally in tallies if (each := tally.as_kind(table.kind))]
    return {value for tally in readable for value in tally.counts}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.casefold()).strip()


def _numbers(names: ClassNames) -> set[int]:
    """Return the flat values that the names may stand for, of values and of colours."""
    colours = {flatten_value(each.colour) for each in names.classes if each.colour}
    return {*(each.value for each in names.classes if each.value is not None), *colours, *(names.ignore or ())}


def _refuse_hidden(table: ClassTable, names: ClassNames, ignored: set[int], tallies: Sequence[MaskTally]) -> None:
    """Refuse values that the folder ignores where the model's ranges, or its nearest values, make them classes."""
    stored = {value for tally in tallies for value in tally.stored}
    ids = table.ids_of(ignored & stored) if table.approximate else {}
    if hidden := sorted(value for value, k in ids.items() if k != IGNORE_ID):
        raise DataError(
            f"{names.source} ignores the mask value {_text(table, hidden[0])}, which the model reads as "
            f"{table.names[ids[hidden[0]]]}",
            f"the model's values: {table.describe_values()}",
            f"give these pixels a value that the model ignores; or {WITHOUT_FILE}",
        )


def _agrees(table: ClassTable, lookup: Mapping[int, int], each: _Named) -> bool:
    """Return whether the model has this class at this value, or a class there that it named by the value."""
    k = lookup.get(each.value, IGNORE_ID)
    if k == IGNORE_ID:
        return False
    names, name = [_plain(other) for other in table.names], _plain(each.named.name)
    return names[k] == name or (name not in names and _GIVEN_BY_UNPOOL.fullmatch(table.names[k]) is not None)


def _ignoring(table: ClassTable, values: set[int]) -> ClassTable:
    more = tuple(unflatten_value(value, table.kind) for value in sorted(values))
    return replace(table, ignore=(*table.ignore, *more)) if more else table


def _matched(
    table: ClassTable, names: ClassNames, classes: Sequence[_Named], ignored: set[int]
) -> tuple[ClassTable, tuple[Finding, ...]]:
    """Return the table with the folder's values, and the warning that says so."""
    claimed = {each.value for each in classes} | ignored
    values = []
    for name, given in zip(table.names, table.values, strict=True):
        stated = [each.value for each in classes if _plain(each.named.name) == _plain(name)]
        left = [value for value in map(flatten_value, given) if value not in claimed]
        values.append(tuple(unflatten_value(value, table.kind) for value in stated or left))
    kept = tuple(value for value in table.ignore if flatten_value(value) not in claimed)
    matched = _ignoring(replace(table, values=tuple(values), ignore=kept, ranges=()), ignored)
    stated_text = all_of([f"{_text(table, each.value)} {each.named.name}" for each in classes])
    warning = Finding(
        "warning",
        "classes-by-name",
        f"{names.source} gives the classes other mask values than the model has: the masks are read by its names, "
        f"{stated_text}",
        f"the model's: {table.describe_values()}",
        f"if {names.source} is wrong, correct it; or {WITHOUT_FILE}",
    )
    return matched, (warning,)


def _other_names(table: ClassTable, names: ClassNames, foreign: Sequence[_Named]) -> DataError:
    texts = first_of([f"'{each.named.name}' ({_text(table, each.value)})" for each in foreign], 5)
    value = foreign[0].value
    own = table.ids_of([value]).get(value, IGNORE_ID)
    name = "ignore' if such pixels count nowhere" if own == IGNORE_ID else f"{table.names[own]}'"
    return DataError(
        f"{names.source} names classes that the model does not have: {texts}",
        f"the model's classes: {table.describe_values()}",
        f"write the model's names in {names.source}, each with its mask value, as '{_text(table, value)}: {name}; or "
        f"{WITHOUT_FILE}",
    )


def _text(table: ClassTable, value: int) -> str:
    return value_text(unflatten_value(value, table.kind))


def _with_values(table: ClassTable, names: ClassNames, tallies: Sequence[MaskTally], present: set[int]) -> list[_Named]:
    """Return the folder's classes with their flat mask values; without those whose value is not in the masks."""
    if table.kind == "colours":
        return [_Named(each, flatten_value(each.colour)) for each in names.classes if each.colour]
    values = [
        value_of_colour(each.colour, tallies) if each.value is None and each.colour else each.value
        for each in names.classes
    ]
    if all(value is None for value in values):
        values = list(_in_order(table, names, present))
    return [_Named(each, value) for each, value in zip(names.classes, values, strict=True) if value is not None]


def _in_order(table: ClassTable, names: ClassNames, present: set[int]) -> Sequence[int]:
    """Return the values that the names mean by their order: the model's, those from 0, or those in the masks."""
    count = len(names.classes)
    own = sorted(table.named_values())
    if table.kind == "instances":
        return (0, 1) if count == 2 else _unclear(names, present)
    if len(own) == count and present <= {*own}:
        return own
    if all(value < count for value in present):
        return range(count)
    return sorted(present) if len(present) == count else _unclear(names, present)


def _unclear(names: ClassNames, present: set[int]) -> Sequence[int]:
    raise DataError(
        f"{names.source} has {len(names.classes)} class names for the mask values "
        f"{first_of(list(map(str, sorted(present))), 12)}",
        "a mask value for every name, as '0: background' on a line",
        f"write the values in {names.source}; or {WITHOUT_FILE}",
    )

"""A new class table, made from the values of all masks; an uncertain meaning becomes a finding or an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from unpool.class_table import (
    IGNORE_ID,
    ClassTable,
    Colour,
    MaskKind,
    MaskValue,
    ValueRange,
    distinct_colours,
    flatten_value,
    unflatten_value,
    value_text,
)
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.class_names import ClassNames
from unpool.dataset.mask_values.commands import MOST_PASTED, classes_option, ignore_option, named_option
from unpool.dataset.mask_values.given_values import ignored_ranges, ignored_values, value_of_colour
from unpool.dataset.mask_values.options import Ignored, RequestedKind
from unpool.dataset.mask_values.tally import MaskTally
from unpool.dataset.mask_values.usual_values import FULL_16, MAX_VALUES, declared_missing, unclear_void, usual_ignore
from unpool.errors import DataError, UsageError
from unpool.wording import count_text, first_of

CAMVID = (
    ("Sky", (128, 128, 128)),
    ("Building", (128, 0, 0)),
    ("Pole", (192, 192, 128)),
    ("Road", (128, 64, 128)),
    ("Pavement", (60, 40, 222)),
    ("Tree", (128, 128, 0)),
    ("SignSymbol", (192, 128, 128)),
    ("Fence", (64, 64, 128)),
    ("Car", (64, 0, 128)),
    ("Pedestrian", (64, 64, 0)),
    ("Bicyclist", (0, 128, 192)),
)
"""The eleven classes of the SegNet paper's CamVid, in the order of the ids in its published masks; 11 is void."""


class NewTable(NamedTuple):
    """A class table and the findings made with it.

    Attributes
    ----------
    by_order: whether the names were given to the mask values by their order.
    known: whether the table is that of a published set.
    """

    table: ClassTable
    findings: tuple[Finding, ...]
    by_order: bool = False
    known: bool = False


def choose_kind(tallies: Sequence[MaskTally], requested: RequestedKind) -> MaskKind:
    """Return what a mask pixel is in this set: as requested, or for ``auto`` as in most masks."""
    if requested != "auto":
        return requested
    coloured = sum(not tally.grey for tally in tallies)
    return "colours" if 2 * coloured > len(tallies) else "values"


def instance_table(names: ClassNames | None, ignore: Ignored | None) -> NewTable:
    """Make the table of masks with object numbers, from two names, or from that of the objects alone.

    Raises
    ------
    UsageError: there are more names.
    """
    given = [named.name for named in names.classes if not named.ignored] if names else ["foreground"]
    if len(given) == 1 and given != ["background"]:
        given = ["background", *given]
    if len(given) != 2:
        raise UsageError(
            f"{len(given)} class names ({names.source if names else '--classes'}) for masks of object numbers: "
            f"{first_of(given)}",
            "two names: of the background and of the objects",
            "give both: --classes background object",
        )
    table = ClassTable(
        "instances", (given[0], given[1]), ((0,), (1,)), ignored_values(ignore, "instances", ()), distinct_colours(2)
    )
    return NewTable(table, ())


def make_table(
    tallies: Sequence[MaskTally], kind: MaskKind, names: ClassNames | None, ignore: Ignored | None, camvid: bool
) -> NewTable:
    """Make the class table of a set of masks.

    Parameters
    ----------
    tallies: of every usable mask, in the form of ``kind``.
    ignore: mask values to ignore; None decides by the values.
    camvid: the folder has the layout of the published CamVid set.

    Raises
    ------
    DataError: there are too many values or only one class, or the names do not fit the values.
    UsageError: ``ignore`` does not fit the kind of the masks.
    """
    present = sum((Counter(tally.counts) for tally in tallies), Counter[int]())
    most = max(MAX_VALUES, len(names.classes) + 1 if names else 0)  # one more for 255, which lists leave out
    if ignore is None and names is not None:
        ignore = names.ignore
    skipped = None if ignore is None else ignored_values(ignore, kind, tallies)
    if len(present.keys() - {*(skipped or ())}) > most and not (names and names.stated):
        raise _too_many(present, kind)
    if names is None and skipped is None and camvid and kind == "values" and set(present) == set(range(12)):
        return _camvid()
    if names is not None:
        made = _named(tallies, sorted(present), kind, names, skipped)
    else:
        made = _unnamed(tallies, sorted(present), kind, skipped)
    table = _with_ranges(made.table, ignored_ranges(ignore))
    if kind == "values" and names is None and ignore is None and 0 in declared_missing(tallies):
        made = made._replace(findings=(*made.findings, *_missing_zero(table)))
    return made._replace(table=with_display_colours(table, tallies, names))


def _with_ranges(table: ClassTable, ranges: Sequence[ValueRange]) -> ClassTable:
    """Return the table with ranges of ignored values in place of their single values."""
    if not ranges:
        return table
    first = {each.low for each in ranges}
    kept = [value for value in table.ignore if value in first or not any(value in each for each in ranges)]
    return replace(table, ignore=tuple(kept), ranges=(*table.ranges, *ranges))


def _unnamed(
    tallies: Sequence[MaskTally], present: list[int], kind: MaskKind, ignore: tuple[int, ...] | None
) -> NewTable:
    usual = usual_ignore(present, tallies, kind) if ignore is None else {}
    skipped = {*usual, *(ignore or ())}
    kept = [value for value in present if value not in skipped]
    if len(kept) < 2:
        raise DataError(
            f"only one value in all masks{' that is not ignored' if skipped and kept else ''}: "
            f"{value_text(unflatten_value(kept[0], kind)) if kept else 'ignored ones'}",
            "at least two classes; the background counts as one",
            "check that these files are the masks, and add masks that show other classes",
        )
    table = ClassTable(
        kind=kind,
        names=_default_names(kept, kind),
        values=tuple((unflatten_value(value, kind),) for value in kept),
        ignore=tuple(unflatten_value(value, kind) for value in sorted(skipped)),
        colours=distinct_colours(len(kept)),
    )
    findings = _ignore_notes(usual, table)
    findings += [*_id_notes(table), *_void_question(table)] if kind == "values" and ignore is None else []
    return NewTable(table, tuple(findings))


def _default_names(kept: list[int], kind: MaskKind) -> tuple[str, ...]:
    if kind == "colours":
        return tuple(f"colour {value_text(unflatten_value(value, kind))}" for value in kept)
    if len(kept) == 2 and kept[0] == 0:
        return "background", "foreground"
    return tuple(f"class {value}" if kept[-1] < MAX_VALUES else f"value {value}" for value in kept)


def _named(
    tallies: Sequence[MaskTally], present: list[int], kind: MaskKind, names: ClassNames, ignore: tuple[int, ...] | None
) -> NewTable:
    values, by_order = _class_values(tallies, present, kind, names, ignore)
    given = list(zip(names.classes, values, strict=True))
    skipped = {value for named, value in given if named.ignored} | set(ignore or ())
    kept = [(named, value) for named, value in given if value not in skipped]
    usual: dict[int, str] = {}
    if ignore is None:
        _refuse_full_scale(present, values, names)
        usual = usual_ignore(sorted({*values, *present}), tallies, kind, set() if names.by_hand else set(values))
        usual = {value: reason for value, reason in usual.items() if value not in values}
        skipped.update(usual)
    by_name: dict[str, list[MaskValue]] = {}
    for named, value in kept:
        by_name.setdefault(named.name, []).append(unflatten_value(value, kind))
    table = ClassTable(
        kind=kind,
        names=tuple(by_name),
        values=tuple(tuple(values) for values in by_name.values()),
        ignore=tuple(unflatten_value(value, kind) for value in sorted(skipped)),
        colours=distinct_colours(len(by_name)),
    )
    _refuse_other_masks(table, names, tallies)
    return NewTable(table, (*_ignore_notes(usual, table), *names_notes(names, by_order)), by_order)


def _refuse_full_scale(present: Sequence[int], values: Sequence[int], names: ClassNames) -> None:
    """Refuse masks of 0 and 255 whose class file gives another value to the second of two classes.

    Raises
    ------
    DataError: names both values.
    """
    if names.by_hand or list(present) != [0, IGNORE_ID] or len(values) != 2 or 0 not in values or IGNORE_ID in values:
        return
    texts = [(IGNORE_ID if value else 0, named.name) for named, value in zip(names.classes, values, strict=True)]
    other = next((value, named.name) for named, value in zip(names.classes, values, strict=True) if value)
    classes = classes_option([(str(value), name) for value, name in texts])
    raise DataError(
        f"{names.source} gives {other[1]} the value {other[0]}, and the masks hold {IGNORE_ID} and 0 alone",
        "the values that the masks hold",
        f"if {IGNORE_ID} is {other[1]}, use {classes}",
    )


def _refuse_other_masks(table: ClassTable, names: ClassNames, tallies: Sequence[MaskTally]) -> None:
    """Refuse class names where at least half of the masks hold values that have none.

    Raises
    ------
    DataError: names the values that have a name, and those in the masks.
    """
    present = {value for tally in tallies for value in tally.counts}
    unknown = present - table.ids_of(present).keys()
    odd = [tally.name for tally in tallies if not unknown.isdisjoint(tally.counts)]
    if unknown and 2 * len(odd) >= len(tallies):
        values = [unflatten_value(value, table.kind) for value in sorted(unknown)]
        raise DataError(
            f"{names.source} does not fit the masks: it names {table.describe_values()}, and {len(odd)} of "
            f"{len(tallies)} masks hold {first_of(list(map(value_text, values)), 8)} ({first_of(odd, 3)})",
            "a name for every mask value, or --ignore",
            unnamed_value_repair(table, values),
        )


def unnamed_value_repair(table: ClassTable, values: Sequence[MaskValue]) -> str:
    """Return what a person can do about mask values that have no name, as options to paste."""
    if len(values) > MOST_PASTED or len(table) > MOST_PASTED:
        return "name every value with --classes, or ignore the values of no class with --ignore"
    named = named_option(table, [(value, f"class{value_text(value).removeprefix('#')}") for value in values])
    return f"if they count nowhere, add {ignore_option([*table.ignore, *values])}; if they are classes, use {named}"


def names_notes(names: ClassNames, by_order: bool) -> list[Finding]:
    """Return the notes on where the class names are from, and how they were read."""
    order = ", given to the mask values by order" if by_order else ""
    notes = [Finding("note", "class-names", f"class names are from {names.source}{order}")]
    return [*notes, *([Finding("note", "class-names-read", names.remark)] if names.remark else [])]


def _class_values(
    tallies: Sequence[MaskTally], present: list[int], kind: MaskKind, names: ClassNames, ignore: tuple[int, ...] | None
) -> tuple[list[int], bool]:
    """Return the flat mask value of every named class, and whether the values were given by order."""
    if kind == "colours":
        return _class_colours(present, names), False
    by_hand = names.by_hand
    bare = [named.name for named in names.classes if named.bare]
    some_stated = any(named.value is not None or (by_hand and named.colour) for named in names.classes)
    if bare and some_stated:
        raise UsageError(
            f"some classes of {names.source} have a value, and some have none: {first_of(bare)}",
            "a value for every class, or for none",
            "write value=name for every class",
        )
    if bare:
        return _values_in_order(present, names, ignore), True
    values = [
        value_of_colour(named.colour, tallies) if named.value is None and named.colour else named.value
        for named in names.classes
    ]
    known = [value for value in values if value is not None]
    if len(known) == len(values) and (by_hand or some_stated or len(set(known) & set(present)) > 1):
        return known, False
    in_order = [] if by_hand else _values_in_order(present, names, ignore)
    if by_hand or any(value in present and value != other for value, other in zip(values, in_order, strict=True)):
        raise _unseen_colour(names, values, tallies)
    return in_order, True


def _class_colours(present: list[int], names: ClassNames) -> list[int]:
    plain = [named.name for named in names.classes if named.colour is None]
    if plain:
        raise DataError(
            f"{names.source} gives no colour for {first_of(plain)}, and the masks are colour masks",
            "a colour for every class; the masks hold "
            + first_of([value_text(unflatten_value(v, "colours")) for v in present], 8),
            f"give every class its colour: {_each_named(present, 'colours', names)}",
        )
    return [flatten_value(named.colour) for named in names.classes if named.colour is not None]


def _unseen_colour(names: ClassNames, values: Sequence[int | None], tallies: Sequence[MaskTally]) -> DataError:
    shown = {value: tally.colour_of(value) for tally in tallies for value in tally.counts}
    pairs = zip(names.classes, values, strict=True)
    named = next((named for named, value in pairs if value not in shown), names.classes[0])
    texts = [f"{v} in {value_text(unflatten_value(c, 'colours'))}" for v, c in sorted(shown.items()) if c is not None]
    return DataError(
        f"{names.source}: {value_text(named.colour or 0)} of class {named.name} is not the colour of one mask value",
        f"colours that the masks show: {first_of(texts, 8)}",
        f"give every class its mask value: {_each_named(sorted(shown), 'values', names)}",
    )


def _values_in_order(present: list[int], names: ClassNames, ignore: tuple[int, ...] | None) -> list[int]:
    count = len(names.classes)
    kept = [value for value in present if value not in (ignore or ())]
    if all(value < count or (value == 255 and ignore is None) for value in kept) and kept != [0, 255]:
        return list(range(count))
    if len(kept) == count:
        return kept
    left = ignore_option([*(ignore or ()), *kept[count:]])
    raise DataError(
        f"{count_text(count, 'class name')} ({names.source}) for the mask values {first_of(list(map(str, kept)), 12)}",
        "a name for each value, in their order; the background is a class too",
        f"name every value: {_each_named(kept, 'values', names)}"
        + (f"; or leave values out, as with {left}" if len(kept) > count > 1 else ""),
    )


def _each_named(values: Sequence[int], kind: MaskKind, names: ClassNames) -> str:
    """Return ``--classes`` with a class for each value; the name that is missing may be the background's."""
    given = [named.name for named in names.classes]
    if values[0] == 0 and len(given) == len(values) - 1 and "background" not in given:
        given = ["background", *given]
    if len(values) > MOST_PASTED:
        return "--classes with value=name for each"
    texts = [value_text(unflatten_value(value, kind)) for value in values]
    chosen = given if len(given) == len(values) else [f"name{k}" for k in range(len(values))]
    return classes_option(zip(texts, chosen, strict=True))


def with_display_colours(table: ClassTable, tallies: Sequence[MaskTally], names: ClassNames | None) -> ClassTable:
    """Return the table with the colours of the person's masks or names for display, where it has any."""
    palettes = {tally.palette for tally in tallies}
    if table.kind == "colours":
        colours = tuple(values[0] for values in table.values if isinstance(values[0], tuple))
    elif names and all(named.colour for named in names.classes):
        by_name = {named.name: named.colour for named in names.classes if named.colour}
        colours = tuple(by_name[name] for name in table.names)
    elif len(palettes) == 1 and (palette := palettes.pop()) is not None:
        own: Mapping[MaskValue, Colour] = dict(enumerate(palette))
        colours = tuple(own.get(values[0], (0, 0, 0)) for values in table.values)
    else:
        return table
    if len(set(colours)) < len(table):
        return table
    return replace(table, colours=colours)


def _camvid() -> NewTable:
    table = ClassTable(
        kind="values",
        names=tuple(name for name, _ in CAMVID),
        values=tuple((k,) for k in range(len(CAMVID))),
        ignore=(11,),
        colours=tuple(colour for _, colour in CAMVID),
    )
    note = Finding(
        "note",
        "recognised-camvid",
        "this is the SegNet paper's CamVid, by its folders (…annot) and its ids 0 to 11: "
        "the classes have its names, and 11 (void) is ignored",
        "",
        "use --classes or --ignore if this is another set",
    )
    return NewTable(table, (note,), known=True)


def _ignore_notes(values: Mapping[int, str], table: ClassTable) -> list[Finding]:
    return [
        Finding(
            "note",
            "ignore-value",
            f"mask value {value_text(value)} is ignored, because {reason}",
            "",
            f"if it is a class, name every class: {_with_class(table, value)}",
        )
        for value, reason in ((unflatten_value(flat, table.kind), reason) for flat, reason in values.items())
    ]


def _with_class(table: ClassTable, value: MaskValue) -> str:
    """Return the option that names the classes of a table, and a value that it ignores as one more."""
    kept = replace(table, ignore=tuple(each for each in table.ignore if each != value))
    if len(table) > MOST_PASTED:
        return f"--classes with value=name for each, {value_text(value)} among them"
    return named_option(kept, [(value, f"class{value_text(value).removeprefix('#')}")])


def _missing_zero(table: ClassTable) -> list[Finding]:
    """Return the finding that files declare 0 as missing data, where it is a class: often it means background there."""
    name = next((name for name, values in zip(table.names, table.values, strict=True) if 0 in values), None)
    if name is None:
        return []
    found = f"the mask files declare 0 as missing data (GDAL's nodata), and it is read as class {name}"
    if len(table) == 2:
        return [Finding("note", "missing-is-class", f"{found}, because there is only one other")]
    expected = "the meaning of 0: background, or pixels that count nowhere"
    repair = f"if it counts nowhere, add {ignore_option([*table.ignore, 0])}; if it is a class, name the classes: "
    return [Finding("warning", "missing-is-class", found, expected, repair + named_option(table))]


def _id_notes(table: ClassTable) -> list[Finding]:
    """Return the note about ids with gaps."""
    kept = [values[0] for values in table.values]
    ids = [value for value in kept if isinstance(value, int) and value not in (IGNORE_ID, FULL_16)]
    missing = sorted(set(range(ids[0], ids[-1])) - set(ids)) if ids else []
    if len(kept) < 3 or ids[-1] >= MAX_VALUES or not missing:
        return []
    shown, absent = (first_of(list(map(str, values)), 12) for values in (ids, missing))
    all_ids = [(str(k), f"class{k}") for k in range(ids[0], ids[-1] + 1)]
    command = classes_option(all_ids) if len(all_ids) <= MOST_PASTED else "--classes with value=name for each"
    repair = f"if other ids are classes too, name all of them: {command}"
    return [Finding("note", "ids-with-gaps", f"the masks hold the ids {shown}, and none of {absent}", "", repair)]


def _void_question(table: ClassTable) -> list[Finding]:
    """Return the error of 255 beside ids, where it may be a class and may mean void."""
    values = [value for given in table.values for value in given if isinstance(value, int)]
    unclear = unclear_void(values)
    if unclear is None:
        return []
    ids = first_of(list(map(str, values[:-1])), 12)
    named = [name.replace(" ", "") for name in table.names]
    named[0] = "background" if values[0] == 0 else named[0]
    classes = classes_option(zip(map(str, values), named, strict=True))
    return [
        Finding(
            "error",
            "void-or-class",
            f"mask value {unclear} beside the ids {ids}: it may be a class, or mean that such pixels count nowhere, as "
            "void does in Pascal VOC",
            f"the meaning of {unclear}",
            f"if it counts nowhere, add --ignore {unclear}; if it is a class, add {classes}",
        )
    ]


def _too_many(present: Mapping[int, int], kind: MaskKind) -> DataError:
    texts = first_of([value_text(unflatten_value(value, kind)) for value in sorted(present)], 6)
    if kind == "colours":
        repair = (
            "if each colour is one object, use --masks instances; if they come from JPEG or smoothing, name the drawn "
            "ones: --snap --classes '#000000=background' '#ff0000=object'; or name every colour with --classes"
        )
    else:
        repair = (
            "if they are object numbers, use --masks instances; if they are classes, put a file with their names, "
            "such as classes.txt with '0: background' on a line, into the folder, or name every value with --classes"
        )
    return DataError(
        f"{len(present)} different {'colours' if kind == 'colours' else 'values'} in all masks ({texts})",
        f"at most {MAX_VALUES}, one for each class, where no class file names more",
        repair,
    )

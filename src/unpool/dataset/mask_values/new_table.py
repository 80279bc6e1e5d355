"""A new class table, made from the values of all masks; an uncertain meaning becomes a finding or an error."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from unpool.class_table import (
    IGNORE_ID,
    ClassTable,
    Colour,
    MaskKind,
    MaskValue,
    distinct_colours,
    flatten_value,
    unflatten_value,
    value_text,
)
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.class_names import BY_HAND, ClassNames
from unpool.dataset.mask_values.given_values import ignored_values, value_of_colour
from unpool.dataset.mask_values.options import Ignored, RequestedKind
from unpool.dataset.mask_values.tally import MaskTally
from unpool.dataset.mask_values.usual_values import MAX_VALUES, usual_ignore
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
    """A class table and the findings made with it."""

    table: ClassTable
    findings: tuple[Finding, ...]


def choose_kind(tallies: Sequence[MaskTally], requested: RequestedKind) -> MaskKind:
    """Return what a mask pixel is in this set: as requested, or for ``auto`` as in most masks."""
    if requested != "auto":
        return requested
    coloured = sum(not tally.grey for tally in tallies)
    return "colours" if 2 * coloured > len(tallies) else "values"


def instance_table(names: ClassNames | None, ignore: Ignored | None) -> NewTable:
    """Make the table of masks with object numbers. Raises UsageError unless two names or none are given."""
    given = [named.name for named in names.classes] if names else ["background", "foreground"]
    if len(given) != 2:
        raise UsageError(
            f"{len(given)} class names for masks of object numbers",
            "two names: of the background and of the objects",
            "give two names, or none",
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
    stated = names is not None and all(n.value is not None or n.colour for n in names.classes)
    if len(present) > MAX_VALUES and not stated:
        raise _too_many(present, kind)
    if ignore is None and names is not None:
        ignore = names.ignore
    skipped = None if ignore is None else ignored_values(ignore, kind, tallies)
    if names is None and skipped is None and camvid and kind == "values" and set(present) == set(range(12)):
        return _camvid()
    if names is not None:
        made = _named(tallies, sorted(present), kind, names, skipped)
    else:
        made = _unnamed(tallies, sorted(present), kind, skipped)
    return NewTable(_coloured(made.table, tallies, names), made.findings)


def _unnamed(
    tallies: Sequence[MaskTally], present: list[int], kind: MaskKind, ignore: tuple[int, ...] | None
) -> NewTable:
    usual = usual_ignore(present, tallies, kind) if ignore is None else {}
    skipped = {*usual, *(ignore or ())}
    kept = [value for value in present if value not in skipped]
    if len(kept) < 2:
        raise DataError(
            f"only one value in all masks: {value_text(unflatten_value(kept[0], kind)) if kept else 'ignored ones'}",
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
    return NewTable(table, (*_ignore_notes(usual, kind), *(_id_notes(kept) if kind == "values" else ())))


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
    findings: list[Finding] = []
    if ignore is None:
        usual = usual_ignore(sorted({*values, *present}), tallies, kind)
        usual = {value: reason for value, reason in usual.items() if value not in values}
        skipped.update(usual)
        findings += _ignore_notes(usual, kind)
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
    order = ", given to the mask values by order" if by_order else ""
    findings.append(Finding("note", "class-names", f"class names are from {names.source}{order}"))
    return NewTable(table, tuple(findings))


def _class_values(
    tallies: Sequence[MaskTally], present: list[int], kind: MaskKind, names: ClassNames, ignore: tuple[int, ...] | None
) -> tuple[list[int], bool]:
    """Return the flat mask value of every named class, and whether the values were given by order."""
    if kind == "colours":
        return _class_colours(present, names), False
    by_hand = names.source == BY_HAND
    bare = [named.name for named in names.classes if named.value is None and named.colour is None]
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
            "give --classes '#rrggbb=name' for every class, or a class_dict.csv with name,r,g,b on every line",
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
        "give every class its mask value: --classes 0=name 1=name",
    )


def _values_in_order(present: list[int], names: ClassNames, ignore: tuple[int, ...] | None) -> list[int]:
    count = len(names.classes)
    kept = [value for value in present if value not in (ignore or ())]
    if all(value < count or (value == 255 and ignore is None) for value in kept) and kept != [0, 255]:
        return list(range(count))
    if len(kept) == count:
        return kept
    raise DataError(
        f"{count_text(count, 'class name')} ({names.source}) for the mask values {first_of(list(map(str, kept)), 12)}",
        "a name for each value, in their order; the background is a class too",
        f"name every value: --classes {' '.join(_one_each(kept, names))}; or leave values out with --ignore",
    )


def _one_each(values: Sequence[int], names: ClassNames) -> list[str]:
    """Return words for ``--classes``, a class for each value; the name that is missing may be the background's."""
    given = [named.name for named in names.classes]
    if values[0] == 0 and len(given) == len(values) - 1 and "background" not in given:
        return [shlex.quote(f"{v}={name}") for v, name in zip(values, ["background", *given], strict=True)]
    return [f"{value}=name{k}" for k, value in enumerate(values)]


def _coloured(table: ClassTable, tallies: Sequence[MaskTally], names: ClassNames | None) -> ClassTable:
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
    return ClassTable(table.kind, table.names, table.values, table.ignore, colours)


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
    return NewTable(table, (note,))


def _ignore_notes(values: Mapping[int, str], kind: MaskKind) -> list[Finding]:
    return [
        Finding(
            "note",
            "ignore-value",
            f"mask value {(text := value_text(unflatten_value(value, kind)))} is ignored, because {reason}",
            "",
            f"if it is a class, name every class with --classes, {text} among them",
        )
        for value, reason in values.items()
    ]


def _id_notes(kept: Sequence[int]) -> Iterator[Finding]:
    """Yield notes about ids with gaps, and about 255 as a class beside them."""
    ids = [value for value in kept if value != IGNORE_ID]
    missing = sorted(set(range(ids[0], ids[-1])) - set(ids))
    if len(kept) < 3 or ids[-1] >= MAX_VALUES or not missing:
        return
    shown, absent = (first_of(list(map(str, values)), 12) for values in (ids, missing))
    repair = "if other ids are classes too, name all of them with --classes value=name"
    yield Finding("note", "ids-with-gaps", f"the masks hold the ids {shown}, and none of {absent}", "", repair)
    if IGNORE_ID in kept:
        found = "mask value 255 is a class here; beside ids it often means ignored"
        yield Finding("note", "ignore-value", found, "", "use --ignore 255 if it counts nowhere")


def _too_many(present: Mapping[int, int], kind: MaskKind) -> DataError:
    texts = first_of([value_text(unflatten_value(value, kind)) for value in sorted(present)], 6)
    if kind == "colours":
        repair = "export the masks again without smoothing, or name every colour with --classes '#rrggbb=name'"
    else:
        repair = "if they are object numbers, use --masks instances; or name every value with --classes value=name"
    return DataError(
        f"{len(present)} different {'colours' if kind == 'colours' else 'values'} in all masks ({texts})",
        f"at most {MAX_VALUES}, one for each class",
        repair,
    )

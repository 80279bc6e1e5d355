"""From the values of all masks to one class table: what each value means, said and never guessed silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from unpool.classes import ClassTable, Colour, MaskKind, MaskValue, distinct_colours, unflatten_colour
from unpool.data.class_names import ClassNames, NamedClass
from unpool.data.findings import Finding
from unpool.data.tally import MaskTally
from unpool.errors import DataError, UsageError

MAX_VALUES = 64
"""Distinct values a set of masks may hold before they are no classes."""

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
"""The eleven classes of the SegNet paper's CamVid in the order of its published masks; 11 is void."""


class Scan(NamedTuple):
    """The table with what was noteworthy in making it."""

    table: ClassTable
    findings: tuple[Finding, ...]


def choose_kind(tallies: Sequence[MaskTally], wanted: str) -> MaskKind:
    """What a mask pixel is in this set: as wanted, or by what most masks are."""
    if wanted in ("values", "colours", "instances"):
        return wanted  # type: ignore[return-value]
    coloured = sum(not tally.grey for tally in tallies)
    return "colours" if 2 * coloured > len(tallies) else "values"


def instance_table(names: ClassNames | None, ignore: Sequence[int] | None) -> Scan:
    """The table of masks with object numbers. Raises UsageError unless two names or none are given."""
    given = [named.name for named in names.classes] if names else ["background", "foreground"]
    if len(given) != 2:
        raise UsageError(
            f"{len(given)} class names for masks of object numbers",
            "two: the background and the objects",
            "give two names, or none",
        )
    table = ClassTable("instances", (given[0], given[1]), ((0,), (1,)), tuple(ignore or ()), distinct_colours(2))
    return Scan(table, ())


def make_table(
    tallies: Sequence[MaskTally], kind: MaskKind, names: ClassNames | None, ignore: Sequence[int] | None, camvid: bool
) -> Scan:
    """Find the class table of a set of masks.

    Parameters
    ----------
    tallies: of every sound mask, in the form of ``kind``.
    ignore: mask values to ignore; None lets the values decide.
    camvid: the folder is laid out as the published CamVid set.

    Raises
    ------
    DataError: too many values, only one class, or names that do not fit the values.
    """
    present = sum((Counter(tally.counts) for tally in tallies), Counter[int]())
    stated = names is not None and all(n.value is not None or n.colour for n in names.classes)
    if len(present) > MAX_VALUES and not stated:
        raise _too_many(present, kind)
    if ignore is None and names is not None:
        ignore = names.ignore
    if names is None and ignore is None and camvid and kind == "values" and set(present) == set(range(12)):
        return _camvid()
    if names is not None:
        scan = _named(sorted(present), kind, names, ignore)
    else:
        scan = _unnamed(sorted(present), kind, ignore)
    return Scan(_coloured(scan.table, tallies, names), scan.findings)


def _unnamed(present: list[int], kind: MaskKind, ignore: Sequence[int] | None) -> Scan:
    skipped = set(_usual_ignore(present) if ignore is None and kind == "values" else ignore or ())
    kept = [value for value in present if value not in skipped]
    if len(kept) < 2:
        raise DataError(
            f"only one value in all masks: {_text(kept[0], kind) if kept else 'ignored ones'}",
            "at least two classes, the background counts as one",
            "check that these are masks; name the classes with --classes value=name if one is missing here",
        )
    table = ClassTable(
        kind=kind,
        names=_default_names(kept, kind),
        values=tuple((_value(value, kind),) for value in kept),
        ignore=tuple(_value(value, kind) for value in sorted(skipped)),
        colours=distinct_colours(len(kept)),
    )
    return Scan(table, _ignore_note(skipped) if ignore is None else ())


def _usual_ignore(present: list[int]) -> list[int]:
    """255 counts nowhere where the other values are small ids that follow each other; 0 and 255 alone are classes."""
    others = [value for value in present if value != 255]
    ids = len(others) >= 2 and others[-1] < MAX_VALUES and 2 * len(others) > others[-1]
    return [255] if 255 in present and ids else []


def _default_names(kept: list[int], kind: MaskKind) -> tuple[str, ...]:
    if kind == "colours":
        return tuple(f"colour {_text(value, kind)}" for value in kept)
    if len(kept) == 2 and kept[0] == 0:
        return "background", "foreground"
    return tuple(f"class {value}" if kept[-1] < MAX_VALUES else f"value {value}" for value in kept)


def _named(present: list[int], kind: MaskKind, names: ClassNames, ignore: Sequence[int] | None) -> Scan:
    given = _with_values(present, kind, names, ignore)
    skipped = {value for named, value in given if named.ignored} | set(ignore or ())
    kept = [(named, value) for named, value in given if value not in skipped]
    findings: list[Finding] = []
    undecided = ignore is None and kind == "values" and 255 in present
    if undecided and 255 not in {v for _, v in given} and _usual_ignore([*(v for _, v in given), 255]):
        skipped.add(255)
        findings += _ignore_note({255})
    by_name: dict[str, list[MaskValue]] = {}
    for named, value in kept:
        by_name.setdefault(named.name, []).append(_value(value, kind))
    table = ClassTable(
        kind=kind,
        names=tuple(by_name),
        values=tuple(tuple(values) for values in by_name.values()),
        ignore=tuple(_value(value, kind) for value in sorted(skipped)),
        colours=distinct_colours(len(by_name)),
    )
    findings.append(Finding("note", "class-names", f"class names are from {names.source}"))
    return Scan(table, tuple(findings))


def _with_values(
    present: list[int], kind: MaskKind, names: ClassNames, ignore: Sequence[int] | None
) -> list[tuple[NamedClass, int]]:
    """Every named class with its mask value; names without one take the values in order."""
    if kind == "colours":
        plain = [named.name for named in names.classes if named.colour is None]
        if plain:
            raise DataError(
                f"colour masks, and no colour for class {', '.join(plain[:4])} ({names.source})",
                "a colour for every class; the masks hold " + ", ".join(_text(v, kind) for v in present[:8]),
                "give --classes '#rrggbb=name', or a class_dict.csv with name,r,g,b",
            )
        return [(named, _flat(named.colour)) for named in names.classes if named.colour is not None]
    stated = [named.value for named in names.classes if named.value is not None]
    if len(stated) == len(names.classes):
        return list(zip(names.classes, stated, strict=True))
    if stated:
        raise UsageError(
            f"some classes of {names.source} have a value and some have none",
            "a value for every class or for none",
            "write value=name for all",
        )
    return list(zip(names.classes, _values_in_order(present, names, ignore), strict=True))


def _values_in_order(present: list[int], names: ClassNames, ignore: Sequence[int] | None) -> list[int]:
    count = len(names.classes)
    kept = [value for value in present if value not in (ignore or ())]
    if all(value < count or (value == 255 and ignore is None) for value in kept) and kept != [0, 255]:
        return list(range(count))
    if len(kept) == count:
        return kept
    raise DataError(
        f"{count} class names ({names.source}) and the mask values {', '.join(map(str, kept[:12]))}",
        f"values 0 to {count - 1}, or exactly {count} values",
        "give every class its value: --classes 0=name 255=name, and --ignore for the rest",
    )


def _coloured(table: ClassTable, tallies: Sequence[MaskTally], names: ClassNames | None) -> ClassTable:
    """The table with the person's own display colours where there are any."""
    own: Mapping[MaskValue, Colour] = {}
    palettes = {tally.palette for tally in tallies}
    if table.kind == "colours":
        colours = tuple(values[0] for values in table.values if isinstance(values[0], tuple))
    elif names and all(named.colour for named in names.classes):
        by_name = {named.name: named.colour for named in names.classes if named.colour}
        colours = tuple(by_name[name] for name in table.names)
    elif len(palettes) == 1 and (palette := palettes.pop()) is not None:
        own = dict(enumerate(palette))
        colours = tuple(own.get(values[0], (0, 0, 0)) for values in table.values)
    else:
        return table
    if len(set(colours)) < len(table):
        return table
    return ClassTable(table.kind, table.names, table.values, table.ignore, colours)


def _camvid() -> Scan:
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
        "recognised as the SegNet paper's CamVid by its folders (…annot) and its ids 0 to 11: "
        "class names are filled in and 11 (void) is ignored",
        "",
        "override with --classes or --ignore if this is another set",
    )
    return Scan(table, (note,))


def _ignore_note(values: set[int]) -> tuple[Finding, ...]:
    if not values:
        return ()
    shown = ", ".join(map(str, sorted(values)))
    found = f"mask value {shown} counts nowhere, because the other values are small ids"
    return (Finding("note", "ignore-value", found, "", "give --ignore with other values, if that is wrong"),)


def _too_many(present: Mapping[int, int], kind: MaskKind) -> DataError:
    shown = ", ".join(_text(value, kind) for value in sorted(present)[:6])
    return DataError(
        f"{len(present)} different {'colours' if kind == 'colours' else 'values'} in all masks ({shown}, …)",
        f"at most {MAX_VALUES}, one a class",
        "if they are object numbers, use --masks instances; otherwise name the values with --classes value=name",
    )


def _value(flat: int, kind: MaskKind) -> MaskValue:
    return unflatten_colour(flat) if kind == "colours" else flat


def _flat(colour: Colour | None) -> int:
    assert colour is not None
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _text(flat: int, kind: MaskKind) -> str:
    return f"#{flat:06x}" if kind == "colours" else str(flat)

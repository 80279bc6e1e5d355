"""Masks that are read by ranges or by the nearest named value: their table before any is read, and its changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from unpool.class_table import (
    IGNORE_ID,
    ClassTable,
    MaskKind,
    MaskValue,
    ValueRange,
    distinct_colours,
    flatten_value,
    range_from_text,
    unflatten_value,
    value_distance,
    value_from_text,
    value_text,
)
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.class_names import ClassNames
from unpool.dataset.mask_values.commands import classes_option, ignore_option, named_option, placeholders
from unpool.dataset.mask_values.given_values import ignored_ranges, no_ignored_value
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.mask_values.options import Ignored, MaskOptions
from unpool.dataset.mask_values.peaks import WIDTH, peaks
from unpool.dataset.mask_values.tally import MaskTally
from unpool.errors import DataError, UsageError
from unpool.wording import first_of

SNAP = "--snap"
DRAWN_UNNAMED = 0.02
"""Share of a mask's pixels from which a value that has no name seems to be drawn."""
APART = 48
"""Smallest distance of two classes whose masks can be read by the nearest value, however they were smeared."""
MOST_FAR, DRAWN_FAR = 0.2, 0.01
"""Most pixels, and most of one value, that are far from all named values in masks that were smeared."""
MOVED_FAR = 0.25
"""Share of the smallest distance of two named values from which a value is far from the nearest."""


def stated_table(names: ClassNames | None, options: MaskOptions, coloured: bool) -> ClassTable | None:
    """Return the table of ranges or of nearest values that a person states; None where every value stands for itself.

    It is made before any mask is read, so the masks can be counted by it. A class with a range is written with the
    first value of the range, until ``settled_table`` knows the values in the masks.

    Parameters
    ----------
    coloured: whether the masks are colour masks, for classes that have both a value and a colour.

    Raises
    ------
    UsageError: the classes have no values, or the options exclude each other.
    """
    left_out = ignored_ranges(options.ignore)
    ranged = names is not None and any(named.top is not None for named in names.classes)
    ranged |= bool(left_out) and names is not None and all(named.value is not None for named in names.classes)
    if not ranged and not options.snap:
        return None
    if options.kind == "instances":
        raise UsageError(
            f"{SNAP if options.snap else 'a range of values'} with --masks instances",
            "object numbers as they are, or classes",
            f"leave out {SNAP if options.snap else 'the range'}, or leave out --masks instances",
        )
    if names is None or not names.stated:
        return None  # refused when the masks are known, so that their values can be named
    kind = _kind(names, options, ranged, coloured)
    skipped = _values(names.ignore if options.ignore is None else options.ignore, kind)
    owned = [(named, _value(named, kind)) for named in names.classes]
    single = {*skipped} - {each.low for each in left_out}
    kept = [(named, value) for named, value in owned if not named.ignored and (named.top or value not in single)]
    ids = {name: k for k, name in enumerate(dict.fromkeys(named.name for named, _ in kept))}
    values: dict[int, dict[MaskValue, None]] = {k: {} for k in (*range(len(ids)), IGNORE_ID)}
    values[IGNORE_ID] |= dict.fromkeys(skipped)
    ranges = [*left_out]
    for named, value in owned:
        k = ids[named.name] if (named, value) in kept else IGNORE_ID
        values[k][value] = None
        if named.top is not None and isinstance(value, int):
            ranges.append(ValueRange(value, named.top, k))
    return ClassTable(
        kind=kind,
        names=tuple(ids),
        values=tuple(tuple(values[k]) for k in range(len(ids))),
        ignore=tuple(values[IGNORE_ID]),
        colours=distinct_colours(len(ids)),
        ranges=tuple(ranges),
        snap=options.snap,
    )


def _kind(names: ClassNames, options: MaskOptions, ranged: bool, coloured: bool) -> MaskKind:
    """Return the kind of the named values. Raises UsageError where some are numbers and some are colours."""
    numbers, colours = (
        all(getattr(named, what) is not None for named in names.classes) for what in ("value", "colour")
    )
    if numbers and (not colours or ranged or options.kind == "values" or (options.kind == "auto" and not coloured)):
        kind: MaskKind = "values"
    elif colours:
        kind = "colours"
    else:
        raise UsageError(
            f"some classes of {names.source} have a number, and some a colour",
            f"numbers for all classes, or colours for all, with {SNAP} and with ranges",
            "write every class in one way: 0-127=background 128-255=object, or '#000000=background' '#ff0000=object'",
        )
    if options.kind not in ("auto", kind):
        raise UsageError(
            f"--masks {options.kind}, and classes that are named by {'number' if kind == 'values' else 'colour'}",
            f"--masks {kind}, or no --masks",
            "leave out --masks",
        )
    return kind


def _value(named: NamedClass, kind: MaskKind) -> MaskValue:
    value = named.value if kind == "values" else named.colour
    assert value is not None
    return value


def _values(ignored: Ignored | None, kind: MaskKind) -> list[MaskValue]:
    """Return the values to ignore, of a range the first. Raises UsageError where one is none, or of another kind."""
    values: list[MaskValue] = []
    for item in ignored or ():
        span = range_from_text(item) if isinstance(item, str) else None
        try:
            value = span.low if span else value_from_text(item) if isinstance(item, str) else item
        except ValueError as error:
            raise no_ignored_value(str(item)) from error
        if isinstance(value, int) != (kind == "values"):
            raise UsageError(
                f"--ignore {item} beside classes that are named by {'number' if kind == 'values' else 'colour'}",
                "all values in one way",
                "write it as the classes are, for example " + ignore_option([255 if kind == "values" else (0, 0, 255)]),
            )
        values.append(value)
    return values


def unnamed_values(tallies: Sequence[MaskTally], names: ClassNames | None) -> DataError:
    """Return the error of nearest values without values that are named, with the values that the masks show."""
    command, shown = snapping_option(tallies, names), "classes without mask values" if names else "no class is named"
    return DataError(
        f"{SNAP}, and {shown}",
        "a mask value for every class, to which the others are moved",
        f"name the values: {command or f'{SNAP} --classes 0=background 255=object'}",
    )


def snapping_option(tallies: Sequence[MaskTally], names: ClassNames | None) -> str:
    """Return ``--snap`` with the classes by which smeared masks can be read; empty where their values show none."""
    coloured = 2 * sum(not tally.grey for tally in tallies) > len(tallies)
    kind: MaskKind = "colours" if coloured else "values"
    converted = [each for tally in tallies if (each := tally.as_kind(kind))]
    if names is not None and names.stated and around_values(converted, names, kind):
        stated = [(value_text(_value(named, kind)), named.name) for named in names.classes]
        return f"{SNAP} {classes_option(stated)}" if names.by_hand else SNAP
    found = peaks(converted, kind) if converted else ()
    if not found:
        return ""
    given = names.in_order if names and kind == "values" else ()
    texts = [value_text(unflatten_value(value, kind)) for value in found]
    chosen = given if len(given) == len(found) else placeholders(found, kind)
    return f"{SNAP} {classes_option(zip(texts, chosen, strict=True))}"


def around_values(tallies: Sequence[MaskTally], names: ClassNames, kind: MaskKind) -> bool:
    """Return whether smeared values lie around the values or colours that the names have, and each is far from others.

    Parameters
    ----------
    tallies: of masks in the form of ``kind``.
    """
    stated = [named.value if kind == "values" else named.colour for named in names.classes]
    values = {flatten_value(value) for value in stated if value is not None}
    gaps = [value_distance(one, other, kind) for one, other in combinations(values, 2)]
    if None in stated or min(gaps, default=0) < APART:
        return False
    totals = sum((Counter(tally.counts) for tally in tallies), Counter[int]())
    targets = tuple((unflatten_value(value, kind),) for value in sorted(values))
    texts = tuple(map(str, range(len(targets))))
    table = ClassTable(kind, texts, targets, (), distinct_colours(len(targets)), snap=True)
    distances = table.nearest(np.array([*totals], dtype=np.int64)).distances.tolist()
    far = [pixels for pixels, distance in zip(totals.values(), distances, strict=True) if distance > WIDTH[kind]]
    return sum(far) <= MOST_FAR * totals.total() and max(far, default=0) <= DRAWN_FAR * totals.total()


def greys_as_colours(table: ClassTable) -> str:
    """Return ``--snap`` with the greys that the classes are written with, as colours."""
    greys = [min(value, 255) if isinstance(value := given[0], int) else 0 for given in table.values]
    classes = [(value_text((grey, grey, grey)), name) for grey, name in zip(greys, table.names, strict=True)]
    return f"{SNAP} {classes_option(classes)}"


def settled_table(table: ClassTable, tallies: Sequence[MaskTally]) -> ClassTable:
    """Return the table in which a class that begins with a range is written with its most frequent value there."""
    stored = sum((Counter(tally.stored) for tally in tallies), Counter[int]())
    values = []
    for k, given in enumerate(table.values):
        own = next((each for each in table.ranges if each.class_id == k and given[0] in each), None)
        inside = [value for value in stored if own and value in own]
        best = max(inside, key=lambda value: (stored[value], -value), default=given[0])
        rest = tuple(value for value in given[1:] if value != best)
        values.append((best, *rest))
    return replace(table, values=tuple(values))


def reading_findings(table: ClassTable, tallies: Sequence[MaskTally]) -> list[Finding]:
    """Return how the masks were read by ranges or by nearest values, and moved values that seem to be drawn."""
    if not table.approximate:
        return []
    return [*_written(table), *(_moved(tallies) if table.snap else []), *_drawn(table, tallies)]


def _written(table: ClassTable) -> list[Finding]:
    ranged = {each.class_id for each in table.ranges} - {IGNORE_ID}
    if not ranged:
        return []
    texts = [
        f"{'/'.join(table.value_texts(k))} are {table.names[k]}, and predicted as {value_text(table.values[k][0])}"
        for k in sorted(ranged)
    ]
    found = f"mask values are read by ranges: {first_of(texts, 6, '; ')} (the value of most of its pixels)"
    return [Finding("note", "value-ranges", found)]


def _moved(tallies: Sequence[MaskTally]) -> list[Finding]:
    moved = sum((Counter(tally.moved) for tally in tallies), Counter[int]())
    everything = sum(sum(tally.counts.values()) for tally in tallies)
    if not moved:
        return [Finding("note", "snapped-values", f"{SNAP} moved no pixel: every mask value is named")]
    half, passed = 0, 0
    for distance in sorted(moved):
        passed += moved[distance]
        half = half or (distance if 2 * passed >= moved.total() else 0)
    farthest = max(moved)
    worst = max(tallies, key=lambda tally: max(tally.moved, default=0))
    found = (
        f"each pixel is read as the nearest named value: {moved.total() / everything:.2%} of the pixels were moved, "
        f"half of them by at most {half}, and by {farthest} at most ({worst.name})"
    )
    return [Finding("note", "snapped-values", found)]


def _drawn(table: ClassTable, tallies: Sequence[MaskTally]) -> list[Finding]:
    """Return the warning of values that were moved far and seem to be drawn: a class that has no name."""
    if not table.snap:
        return []
    gap = min(value_distance(a, b, table.kind) for a, b in combinations(table.named_values(), 2))
    drawn: dict[int, MaskTally] = {}
    for tally in tallies:
        pixels = sum(tally.counts.values())
        often = [value for value, count in tally.stored.items() if count >= DRAWN_UNNAMED * pixels]
        for value, distance in zip(often, table.nearest(np.array(often, dtype=np.int64)).distances, strict=True):
            if distance >= MOVED_FAR * gap:
                drawn.setdefault(value, tally)
    if not drawn:
        return []
    value, tally = next(iter(drawn.items()))
    share = tally.stored[value] / sum(tally.counts.values())
    texts = [value_text(unflatten_value(each, table.kind)) for each in drawn]
    names = [f"class{text.removeprefix('#')}" for text in texts]
    more = [(unflatten_value(each, table.kind), name) for each, name in zip(drawn, names, strict=True)]
    return [
        Finding(
            "warning",
            "snapped-class",
            f"{SNAP} moved mask value {texts[0]}, which covers {share:.1%} of {tally.name}"
            + (f", and {first_of(texts[1:], 5)} in the same way" if texts[1:] else ""),
            "only values that nobody drew",
            f"if it is a class, name it too: {SNAP} {named_option(table, more[:8])}",
            tuple(dict.fromkeys(each.name for each in drawn.values())),
        )
    ]

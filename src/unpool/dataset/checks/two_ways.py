"""Masks in two ways of writing: groups of masks whose values never meet, and mean the same classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from unpool.class_table import MaskKind, unflatten_value, value_text
from unpool.dataset.checks.inverted_masks import inverted_masks
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.tally import MaskTally
from unpool.dataset.mask_values.usual_values import MAX_VALUES
from unpool.dataset.mask_values.ways_of_writing import Way, shifted, ways_between
from unpool.wording import all_of, count_text, first_of

_MOST_VALUES = 2 * MAX_VALUES
"""Most values among which two ways are looked for; two ways of 64 classes have no more."""
_SHOWN = 8
"""Most values for which the message gives a command."""
_LIKE = 0.5
"""How much nearer the shares of the classes must be when they are read in the other way."""
_UNLIKE = 0.4
"""Distance of the shares of two groups, 0 to 2, below which they tell nothing."""


class _Groups(NamedTuple):
    """Two groups of masks, as the bits of two numbers, and all values that each group holds."""

    one: int
    other: int
    values: frozenset[int]
    other_values: frozenset[int]


def two_ways_findings(tallies: Sequence[MaskTally], kind: MaskKind, stated: Set[int]) -> list[Finding]:
    """Return the findings of masks that write the classes in another way than the rest; they name the odd masks.

    Parameters
    ----------
    tallies: of every usable mask, in the form of ``kind``.
    stated: flat values that a person named; they mean what the person states.
    """
    findings: list[Finding] = []
    rest = list(tallies)
    while rest:
        found = next(_two_ways(rest, kind, stated), None)
        findings += [found] if found else []
        if found is None or found.severity != "error":
            break
        rest = [tally for tally in rest if tally.name not in found.files]
    return findings or inverted_masks(rest, kind, stated)


def _two_ways(tallies: Sequence[MaskTally], kind: MaskKind, stated: Set[int]) -> Iterator[Finding]:
    """Yield the findings of all two groups, proven ones first."""
    masks_with: dict[int, int] = {}
    for k, tally in enumerate(tallies):
        for value in tally.counts.keys() - stated:
            masks_with[value] = masks_with.get(value, 0) | 1 << k
    if len(masks_with) > _MOST_VALUES:
        return
    unproven: list[Finding] = []
    for groups in _groups(masks_with):
        way = ways_between(groups.values, groups.other_values, kind)
        if way is None and kind == "values":
            way = shifted(groups.values, groups.other_values)
            way = way if way and _shares_agree(tallies, groups, way) else None
        if way and way.proven:
            yield _finding(tallies, groups, way, kind)
        elif way and not (kind == "colours" and _apart_anyway(masks_with, groups, way)):
            unproven.append(_finding(tallies, groups, way, kind))
    yield from unproven


def _apart_anyway(masks_with: Mapping[int, int], groups: _Groups, way: Way) -> bool:
    """Return whether classes of this set often share no mask, so that two more such colours tell nothing."""
    return len(masks_with.keys() - groups.values - groups.other_values) > len(way.meaning)


def _groups(masks_with: Mapping[int, int]) -> Iterator[_Groups]:
    """Yield every two groups of masks that begin with two values that never meet, and are closed."""
    seen: set[tuple[int, int]] = set()
    values = sorted(masks_with)
    for k, value in enumerate(values):
        for other in values[k + 1 :]:
            if not masks_with[value] & masks_with[other]:
                groups = _closed(masks_with, masks_with[value], masks_with[other])
                if groups and (groups.one, groups.other) not in seen:
                    seen.add((groups.one, groups.other))
                    yield groups


def _closed(masks_with: Mapping[int, int], one: int, other: int) -> _Groups | None:
    """Return the groups with all masks that hold a value of only one of them; None where a mask would be in both."""
    while not one & other:
        values = frozenset(value for value, masks in masks_with.items() if masks & one)
        others = frozenset(value for value, masks in masks_with.items() if masks & other)
        grown, other_grown = one, other
        for value in values ^ others:
            if value in values:
                grown |= masks_with[value]
            else:
                other_grown |= masks_with[value]
        if (grown, other_grown) == (one, other):
            return _Groups(one, other, values, others)
        one, other = grown, other_grown
    return None


def _shares_agree(tallies: Sequence[MaskTally], groups: _Groups, way: Way) -> bool:
    """Return whether the shares of the classes agree only when one group is read in the way of the other."""
    one, other = (_shares(tallies, masks) for masks in (groups.one, groups.other))
    new = dict(way.meaning)
    read = Counter({new.get(value, value): share for value, share in one.items()})
    plain, moved = (sum(abs(shares[v] - other[v]) for v in shares | other) for shares in (one, read))
    return plain >= _UNLIKE and moved <= _LIKE * plain


def _shares(tallies: Sequence[MaskTally], masks: int) -> Counter[int]:
    """Return the share of each value in the pixels of some masks."""
    pixels = sum((Counter(tally.counts) for k, tally in enumerate(tallies) if masks >> k & 1), Counter[int]())
    return Counter({value: count / pixels.total() for value, count in pixels.items()})


def _finding(tallies: Sequence[MaskTally], groups: _Groups, way: Way, kind: MaskKind) -> Finding:
    names = tuple([t.name for k, t in enumerate(tallies) if masks >> k & 1] for masks in (groups.one, groups.other))
    alone = (groups.values - groups.other_values, groups.other_values - groups.values)
    meaning = way.meaning
    if len(names[1]) < len(names[0]):
        names, alone, meaning = names[::-1], alone[::-1], tuple((b, a) for a, b in meaning)
    odd, usual = (_in_masks(*group, kind) for group in zip(alone, names, strict=True))
    changes = all_of([f"{_text(value, kind)} as {_text(new, kind)}" for value, new in meaning])
    return Finding(
        "error" if way.proven else "warning",
        "two-ways",
        f"mask values {odd} never share a mask with {usual}: "
        f"one set of classes seems to be written in two ways, {way.name}",
        "one way in all masks",
        f"save these masks again with {changes}{_by_names(dict(meaning), groups, kind)}; "
        "if they are different classes, give each a name of its own with --classes",
        tuple(names[0]),
    )


def _by_names(meaning: Mapping[int, int], groups: _Groups, kind: MaskKind) -> str:
    """Return the repair that reads both ways as they are; empty where a value has two meanings, or for many values."""
    values = sorted(groups.values | groups.other_values)
    if meaning.keys() & set(meaning.values()) or len(values) > _SHOWN:
        return ""
    letters = dict(zip([value for value in values if value not in meaning], "abcdefgh", strict=False))
    quote = "'" if kind == "colours" else ""
    classes = [f"{quote}{_text(v, kind)}={letters[meaning.get(v, v)]}{quote}" for v in values]
    ignored = (
        ", or --ignore 255 if it counts nowhere" if kind == "values" and 255 in {*meaning, *meaning.values()} else ""
    )
    return f", or give them the same names as the others: --classes {' '.join(classes)}{ignored}"


def _in_masks(values: Set[int], names: Sequence[str], kind: MaskKind) -> str:
    texts = first_of([_text(value, kind) for value in sorted(values)], 6)
    return f"{texts} in {count_text(len(names), 'mask')} ({first_of(names)})"


def _text(value: int, kind: MaskKind) -> str:
    return value_text(unflatten_value(value, kind))

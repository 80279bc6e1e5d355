"""Two ways in which programs write one set of classes: as ids or greys, as RGB or BGR, plain or inverted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import NamedTuple

from unpool.class_table import MaskKind, unflatten_value
from unpool.dataset.mask_values.usual_values import FULL_SCALES, MAX_VALUES

_NEAR, _RATHER_NEAR = 3, 12
"""Largest distance, in steps of a channel, of two colours that nobody chooses for two classes, and that few choose."""
LEAST_FACTOR = 4
"""Smallest factor between ids and greys; ids 1 and 2, or 1 and 3, are often classes that never share a picture."""
LEAST_GREY = 32
"""Smallest value that may be a grey and not an id, where two of them differ by one."""
_FITTING = 0.75
"""Share of the values of one group that a way must turn into values of the other; a few masks lack some classes."""
_OFF_GRID = 0.05
"""Largest distance of a grey from its step, in steps: 127 and 128 are both half of 255."""


class Way(NamedTuple):
    """Two ways of writing one set of classes.

    Attributes
    ----------
    name: both ways, as in ``as RGB and as BGR``.
    meaning: pairs of values that mean one class, each in one group of masks only.
    proven: whether the values alone prove it; otherwise they may be classes that never share a picture.
    """

    name: str
    meaning: tuple[tuple[int, int], ...]
    proven: bool


class _Rule(NamedTuple):
    """A way from one group to the other: what a value becomes, and how many pairs of values prove it."""

    name: str
    new: Callable[[int], int | None]
    proof: int


def ways_between(one: Set[int], other: Set[int], kind: MaskKind) -> Way | None:
    """Return the two ways in which two groups of masks are written; None where their values do not show any.

    Parameters
    ----------
    one, other: all flat values of each group; no mask holds a value of only one group with a value of only the other.
    """
    for first, second, exchanged in ((one, other, False), (other, one, True)):
        for rule in (_colour_rules if kind == "colours" else _value_rules)(first, second):
            pairs = [(value, new) for value in sorted(first - second) if (new := rule.new(value)) in second]
            fitting = sum(rule.new(value) in second for value in first)
            if pairs and fitting >= _FITTING * len(first):
                meaning = tuple((new, value) if exchanged else (value, new) for value, new in pairs if new is not None)
                return Way(rule.name, meaning, len(pairs) >= rule.proof)
    return None


def shifted(one: Set[int], other: Set[int]) -> Way | None:
    """Return the ways of two groups of ids of which one is counted from 1 and the other from 0; None for others."""
    low, high = sorted((one, other), key=min)
    if min(low) in high or high - low != {max(high)} or not {v - 1 for v in high} <= low:
        return None
    meaning = [(value, value - 1) for value in sorted(high)]
    name = f"counted from {min(low)} and counted from {min(low) + 1}"
    return Way(name, tuple(meaning if high is one else [(b, a) for a, b in meaning]), False)


def _colour_rules(group: Set[int], others: Set[int]) -> Iterator[_Rule]:
    yield _Rule("as RGB and as BGR", lambda value: (value & 255) << 16 | value & 0xFF00 | value >> 16, 2)
    for most, proof in ((_NEAR, 1), (_RATHER_NEAR, 2)):
        yield _Rule(
            "in nearly equal colours",
            lambda value, most=most: value if value in others else _nearest(value, others, most),  # type: ignore[misc]
            proof,
        )
    if max(channel for value in group for channel in _channels(value)) == 1:
        yield _Rule("in steps of 1 and in steps of 255", lambda value: value * 255, 1)
    yield _Rule("plain and inverted", lambda value: 0xFFFFFF - value, 2)


def _value_rules(group: Set[int], others: Set[int]) -> Iterator[_Rule]:
    full = next((scale for scale in sorted(FULL_SCALES - {1}) if scale >= max(group | others)), 0)
    yield _Rule("plain and inverted", lambda value: full - value, 1)
    yield _Rule("in nearly equal greys", lambda value: value if value in others else _rounded(value, others), 1)
    top = max(others)
    if min(group - others, default=0) <= top or top == 0:
        return
    factors = [("with 8 bits and with 16 bits", 257.0, 1), ("with their bytes in two orders", 256.0, 1)]
    if top < MAX_VALUES:
        greys = [(f"as ids and as greys up to {scale}", scale / top, 1) for scale in (full, full - 1)]
        single = len(group - others) == 1 and max(group) < MAX_VALUES  # 1 and 10 may be two ids
        factors = [*greys, *([] if single else [("as ids and as greys", max(group) / top, 2)]), *factors]
    for name, factor, proof in factors:
        if factor >= LEAST_FACTOR:
            yield _Rule(name, lambda value, factor=factor: _step(value, factor), proof)  # type: ignore[misc]


def _step(grey: int, factor: float) -> int | None:
    """Return the id of a grey; None for a grey between two steps."""
    step = round(grey / factor)
    return step if abs(grey / factor - step) <= _OFF_GRID and (step > 0) == (grey > 0) else None


def _rounded(value: int, others: Set[int]) -> int | None:
    """Return the other grey next to this one, where both are a usual part of 255, rounded up and down."""
    parts = {k * 255 / steps for steps in (1, 2, 3, 4, 5, 6, 8) for k in range(1, steps + 1)}
    for other in others & {value - 1, value + 1}:
        if min(value, other) >= LEAST_GREY and any(abs((value + other) / 2 - part) <= 1 for part in parts):
            return other
    return None


def _nearest(value: int, others: Set[int], most: int) -> int | None:
    near = [other for other in others if _distance(value, other) <= most]
    return min(near, key=lambda other: _distance(value, other), default=None)


def _distance(one: int, other: int) -> int:
    return max(abs(a - b) for a, b in zip(_channels(one), _channels(other), strict=True))


def _channels(value: int) -> tuple[int, int, int]:
    colour = unflatten_value(value, "colours")
    assert isinstance(colour, tuple)
    return colour

"""How far scores would move on other pictures: bootstrap intervals over a set's pictures, or groups of them.

A resample draws as many units (pictures or groups) as there are, with replacement; their pixels are added up and
every score is computed anew from the sums, by the rules of ``unpool.metrics.scores``. The interval lies between the
2.5 % and 97.5 % quantiles of the resamples (Efron, Ann. Statist. 7, 1979: the percentile method). A resample in which
a score is None, because the class is not in it, is left out of that score's quantiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.metrics.arithmetic import known_mean, ratio
from unpool.metrics.scores import Scores

LEVEL = 0.95
RESAMPLES = 2000
SEED = 0
FEWEST_GROUPS = 5
"""Fewer groups than these cannot be resampled with any sense; their pictures are."""

HEADLINE = ("mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "frequency_weighted_iou")
"""The scores of a whole set, by their names in ``Scores``."""

Unit = Literal["picture", "group"]
Values = dict[str, NDArray[np.float64]]
"""The headline scores, shape (...), and ``iou`` and ``dice`` of each class, (..., K); NaN where a score is None."""

_BLOCK = 4_000_000  # numbers drawn at a time, so that memory does not grow with the set


class Interval(NamedTuple):
    """Where a value lies with 95 % confidence, in the value's own unit."""

    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """Intervals of a set's scores; None for a score that is None.

    Attributes
    ----------
    unit, units: what was resampled, and how many of them there are.
    groups: how many groups the pictures are in; as many as pictures where none share one.
    iou, dice: of each class, in the order of the classes.
    """

    unit: Unit
    units: int
    groups: int
    seed: int
    mean_iou: Interval | None
    mean_dice: Interval | None
    global_accuracy: Interval | None
    class_accuracy: Interval | None
    frequency_weighted_iou: Interval | None
    iou: tuple[Interval | None, ...]
    dice: tuple[Interval | None, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"level": LEVEL, "resamples": RESAMPLES, **asdict(self)}


@dataclass(frozen=True)
class Units:
    """What is drawn as a whole.

    Attributes
    ----------
    tallies: hit, true and predicted pixels of each class, int64 (units, 3, K).
    """

    unit: Unit
    tallies: NDArray[np.int64]


def bootstrap(images: Sequence[tuple[str, Scores]], groups: Mapping[str, str], seed: int = SEED) -> Intervals | None:
    """95 % intervals of the scores of a set, or None where there are not two units to resample.

    Parameters
    ----------
    images: name and scores of each picture.
    groups: the group of each picture, by name. Groups are resampled as wholes where pictures share them and there
        are at least ``FEWEST_GROUPS``; else pictures are.
    """
    if len(images) < 2:
        return None
    units = units_of([tally(found) for _, found in images], [groups[name] for name, _ in images])
    drawn = resampled(units.tallies, seed)
    classes = range(units.tallies.shape[-1])
    return Intervals(
        unit=units.unit,
        units=len(units.tallies),
        groups=len({groups[name] for name, _ in images}),
        seed=seed,
        **{name: interval_of(drawn[name]) for name in HEADLINE},
        iou=tuple(interval_of(drawn["iou"][:, k]) for k in classes),
        dice=tuple(interval_of(drawn["dice"][:, k]) for k in classes),
    )


def tally(found: Scores) -> NDArray[np.int64]:
    """Hit, true and predicted pixels of each class: int64 (3, K), all that the scores are made of."""
    rows = [(c.hit_pixels, c.truth_pixels, c.predicted_pixels) for c in found.classes]
    return np.array(rows, dtype=np.int64).reshape(-1, 3).T


def members_of(groups: Sequence[str]) -> list[NDArray[np.int64]]:
    """The pictures of each unit: of each group where there are groups enough, else one picture each.

    Parameters
    ----------
    groups: the group of each picture, at least one.
    """
    names, members = np.unique(np.array(groups), return_inverse=True)
    if not FEWEST_GROUPS <= len(names) < len(groups):
        return list(np.arange(len(groups))[:, None])
    return [np.flatnonzero(members == k) for k in range(len(names))]


def units_of(tallies: Sequence[NDArray[np.int64]], groups: Sequence[str]) -> Units:
    """Groups of pictures added up, where there are groups enough, else the pictures themselves.

    Parameters
    ----------
    tallies: of each picture, at least one, as ``tally`` gives them.
    groups: the group of each picture.
    """
    pictures, members = np.stack(tallies), members_of(groups)
    if len(members) == len(pictures):
        return Units("picture", pictures)
    return Units("group", np.stack([pictures[each].sum(0) for each in members]))


def values_of(tallies: NDArray[Any]) -> Values:
    """All scores of sums of pixels (..., 3, K), integers in any number type."""
    hit, truth, predicted = np.moveaxis(tallies, -2, 0)
    iou, pixels = ratio(hit, truth + predicted - hit), truth.sum(-1)
    dice = ratio(2 * hit, truth + predicted)
    return {
        "mean_iou": known_mean(iou, -1),
        "mean_dice": known_mean(dice, -1),
        "global_accuracy": ratio(hit.sum(-1), pixels),
        "class_accuracy": known_mean(ratio(hit, truth), -1),
        "frequency_weighted_iou": ratio(np.where(truth > 0, truth * np.nan_to_num(iou), 0.0).sum(-1), pixels),
        "iou": iou,
        "dice": dice,
    }


def resampled(tallies: NDArray[np.int64], seed: int = SEED, resamples: int = RESAMPLES) -> Values:
    """Scores of seeded resamples of units (N, 3, K): arrays whose first axis are the resamples.

    The same seed draws the same units, whatever their pixels, so two models on the same pictures are paired.
    """
    return values_of(weighed(tallies, _drawings(len(tallies), seed, resamples)))


def weighed(tallies: NDArray[np.int64], weights: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Sums of units (N, 3, K), one for each row of the blocks of whole weights (rows, N): float64 (all rows, 3, K).

    Sums of whole numbers are exact in float64 up to 2^53, so the matrix product loses nothing.
    """
    flat = tallies.reshape(len(tallies), -1).astype(np.float64)
    return np.concatenate([block @ flat for block in weights]).reshape(-1, *tallies.shape[1:])


def interval_of(drawn: NDArray[np.float64]) -> Interval | None:
    """The 95 % interval of drawn values, leaving out NaN; None where nothing else was drawn."""
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def row_blocks(rows: int, columns: int) -> Iterator[int]:
    """Numbers of rows that together are ``rows``, each block small enough for memory."""
    size = max(_BLOCK // columns, 1)
    for start in range(0, rows, size):
        yield min(size, rows - start)


def drawn_units(units: int, seed: int = SEED, resamples: int = RESAMPLES) -> Iterator[NDArray[np.int64]]:
    """The units (units,) in each of the resamples that ``resampled`` draws with this seed, some of them repeated."""
    for block in _drawings(units, seed, resamples):
        for times in block.astype(np.int64):
            yield np.repeat(np.arange(units), times)


def _drawings(units: int, seed: int, resamples: int) -> Iterator[NDArray[np.float64]]:
    """How often each unit is in each resample, in blocks (rows, units)."""
    random = np.random.default_rng(seed)
    for rows in row_blocks(resamples, units):
        yield random.multinomial(units, np.full(units, 1 / units), size=rows).astype(np.float64)

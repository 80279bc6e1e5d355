"""How far scores would move on other pictures: bootstrap intervals over the pictures of a set, or their groups.

A resample draws as many units (pictures or groups) as there are, with replacement. Their pixels are added up, and every
score is computed again from the sums, by the rules of ``unpool.metrics.scores``. The interval lies between the 2.5 %
and 97.5 % quantiles of the resamples (the percentile method of Efron, Ann. Statist. 7, 1979). A score that is None in
a resample, because the class is not in it, is left out of that score's quantiles.
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
"""Number of groups below which pictures are resampled instead: so few groups give no useful interval."""

HEADLINE = ("mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "frequency_weighted_iou")
"""Scores of the set as a whole, by their names in ``Scores``."""

Unit = Literal["picture", "group"]
PixelCounts = NDArray[np.int64]
"""Hit, true and predicted pixels of each class: (..., 3, K)."""

ScoreArrays = dict[str, NDArray[np.float64]]
"""Headline scores (...), and ``iou`` and ``dice`` of each class (..., K); NaN where a score is None."""

_BLOCK = 4_000_000  # numbers drawn at a time, so that memory does not grow with the set


class Interval(NamedTuple):
    """The range that holds a value with 95 % confidence, in the value's own unit."""

    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """The intervals of a set's scores; None for a score that is None.

    Attributes
    ----------
    unit, units: kind of the resampled units, and their number.
    groups: number of groups of the pictures; equal to the number of pictures where each is its own group.
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
        """Return the intervals as JSON data."""
        return {"level": LEVEL, "resamples": RESAMPLES, **asdict(self)}


@dataclass(frozen=True)
class Units:
    """The units of a resample, and the pixel counts (units, 3, K) of each."""

    unit: Unit
    counts: PixelCounts


def bootstrap(images: Sequence[tuple[str, Scores]], groups: Mapping[str, str], seed: int = SEED) -> Intervals | None:
    """Return 95 % intervals of the scores of a set, or None where there are fewer than two units.

    Parameters
    ----------
    images: name and scores of each picture.
    groups: group of each picture, by its name. The units are groups where pictures share them and there are at least
        ``FEWEST_GROUPS``; else the units are pictures.
    """
    if len(images) < 2:
        return None
    units = units_of([pixel_counts(picture) for _, picture in images], [groups[name] for name, _ in images])
    resamples = resampled_scores(units.counts, seed)
    classes = range(units.counts.shape[-1])
    return Intervals(
        unit=units.unit,
        units=len(units.counts),
        groups=len({groups[name] for name, _ in images}),
        seed=seed,
        **{name: interval_of(resamples[name]) for name in HEADLINE},
        iou=tuple(interval_of(resamples["iou"][:, k]) for k in classes),
        dice=tuple(interval_of(resamples["dice"][:, k]) for k in classes),
    )


def pixel_counts(scores: Scores) -> PixelCounts:
    """Return hit, true and predicted pixels of each class, int64 (3, K): all scores follow from them."""
    rows = [(c.hit_pixels, c.truth_pixels, c.predicted_pixels) for c in scores.classes]
    return np.array(rows, dtype=np.int64).reshape(-1, 3).T


def members_of(groups: Sequence[str]) -> list[NDArray[np.int64]]:
    """Return the indices of the pictures in each unit. A unit is a group where there are enough groups, else a picture.

    Parameters
    ----------
    groups: group of each picture, at least one.
    """
    names, members = np.unique(np.array(groups), return_inverse=True)
    if not FEWEST_GROUPS <= len(names) < len(groups):
        return list(np.arange(len(groups))[:, None])
    return [np.flatnonzero(members == k) for k in range(len(names))]


def units_of(counts: Sequence[PixelCounts], groups: Sequence[str]) -> Units:
    """Return the summed-up counts of each group where there are enough groups, else the counts of each picture.

    Parameters
    ----------
    counts: counts (3, K) of each picture, at least one.
    groups: group of each picture.
    """
    pictures, members = np.stack(counts), members_of(groups)
    if len(members) == len(pictures):
        return Units("picture", pictures)
    return Units("group", np.stack([pictures[each].sum(0) for each in members]))


def scores_of_counts(counts: NDArray[Any]) -> ScoreArrays:
    """Return all scores of pixel counts (..., 3, K), whole numbers in any number type."""
    hit, truth, predicted = np.moveaxis(counts, -2, 0)
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


def resampled_scores(counts: PixelCounts, seed: int = SEED, resamples: int = RESAMPLES) -> ScoreArrays:
    """Return the scores of seeded resamples of units (N, 3, K): arrays whose first axis is the resample.

    The same seed draws the same units, whatever their counts, so two models on the same pictures are paired.
    """
    return scores_of_counts(weighted_sums(counts, _draws(len(counts), seed, resamples)))


def weighted_sums(counts: PixelCounts, weights: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return one weighted sum of the units' counts (N, 3, K) for each row of weights: float64 (all rows, 3, K).

    The weights are whole numbers in blocks (rows, N). Sums of whole numbers are exact in float64 up to 2^53, so the
    matrix product loses nothing.
    """
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    return np.concatenate([block @ flat for block in weights]).reshape(-1, *counts.shape[1:])


def interval_of(resamples: NDArray[np.float64]) -> Interval | None:
    """Return the 95 % interval of a score's resamples without those that are NaN; None where all are NaN."""
    known = resamples[~np.isnan(resamples)]
    if not known.size:
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def row_blocks(rows: int, columns: int) -> Iterator[int]:
    """Yield numbers of rows that add up to ``rows``, each block small enough for memory."""
    size = max(_BLOCK // columns, 1)
    for start in range(0, rows, size):
        yield min(size, rows - start)


def resampled_units(units: int, seed: int = SEED, resamples: int = RESAMPLES) -> Iterator[NDArray[np.int64]]:
    """Yield the indices (units,) of each resample's units, some of them repeated.

    The resamples are those that ``resampled_scores`` draws with the same seed.
    """
    for block in _draws(units, seed, resamples):
        for times in block.astype(np.int64):
            yield np.repeat(np.arange(units), times)


def _draws(units: int, seed: int, resamples: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each resample holds each unit, in blocks (rows, units)."""
    random = np.random.default_rng(seed)
    for rows in row_blocks(resamples, units):
        yield random.multinomial(units, np.full(units, 1 / units), size=rows).astype(np.float64)

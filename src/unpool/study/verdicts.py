"""The verdict on a variant: how far it is above or below the baseline, and whether that is sure.

Verdicts are made on test pictures, once. Before, on the validation pictures, the same numbers tell only whether more
seeds are worth their time: their p-value has to be below 0.001 to end the adding of seeds, so that looking before the
end does not make false verdicts more frequent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unpool.errors import DataError
from unpool.metrics.intervals import PixelCounts
from unpool.metrics.seeds import (
    MoreToDecide,
    SeedDifference,
    SeedScore,
    clear_already,
    difference_of,
    more_to_decide,
    score_with_interval,
)
from unpool.study.records import Results, StudyTask, TaskResult
from unpool.wording import count_text, estimate_rounded_up

Judging = Literal["train", "test"]
"""The kind of tasks whose pictures judge: ``train`` has counts of validation pictures, ``test`` those of test ones."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a variant against the baseline.

    Attributes
    ----------
    difference: mean IoU of the variant minus that of the baseline.
    more: what would decide, where the difference is not sure.
    """

    difference: SeedDifference
    more: MoreToDecide

    @property
    def sentence(self) -> str:
        """Direction and size first, then whether it is sure, and what would decide."""
        difference = self.difference
        points = 100 * difference.value
        size = f"{abs(points):.1f} points {'above' if points > 0 else 'below'} the baseline"
        if not points:
            size = "0.0 points from the baseline"
        if difference.interval is not None:
            size += f" [{100 * difference.interval.low:+.1f}, {100 * difference.interval.high:+.1f}]"
        return f"{size}: {self._certainty()}"

    def _certainty(self) -> str:
        difference = self.difference
        on = f"on {count_text(difference.units, difference.unit)} with {count_text(len(difference.per_seed), 'seed')}"
        if difference.shown:
            return f"{'better' if difference.value > 0 else 'worse'}, sure {on} (p = {_p_text(difference.p)})"
        if difference.p is None:
            unknown = "seed" if difference.error_of_seeds is None else difference.unit
            return f"no verdict from one {unknown}, since another one could change it by as much; add {unknown}s"
        more = [
            f"{count_text(estimate_rounded_up(number), f'more {what}')}"
            for what, number in ((difference.unit, self.more.units), ("seed", self.more.seeds))
            if number is not None
        ]
        outlook = (
            f"about {' or '.join(more)} would decide" if more else "too small against its error to be decided soon"
        )
        return f"no difference shown {on} (p = {_p_text(difference.p)}); {outlook}"


def verdict_on(results: Results, variant: int, seeds: Sequence[int], judging: Judging, tried: int) -> Verdict | None:
    """Return the verdict on a variant, or None where variant and baseline share no seed whose pictures were scored.

    Parameters
    ----------
    seeds: those of the variant; seeds without a result of both are left out.
    tried: number of all variants that were tried against this baseline, for which the verdict is corrected.
    """
    both = [
        seed for seed in seeds if all(_scored(results, number, seed, judging) is not None for number in (0, variant))
    ]
    if not both:
        return None
    counts, groups = zip(*(counts_of(results, number, both, judging) for number in (variant, 0)), strict=True)
    difference = difference_of(counts[0], counts[1], groups[1], comparisons=max(tried, 1))
    return Verdict(difference, more_to_decide(difference))


def score_of(results: Results, variant: int, seeds: Sequence[int], judging: Judging) -> SeedScore | None:
    """Return the mean IoU of a variant over its seeds, with its interval; None without a result."""
    scored = [seed for seed in seeds if _scored(results, variant, seed, judging) is not None]
    if not scored:
        return None
    return score_with_interval(*counts_of(results, variant, scored, judging))


def counts_of(
    results: Results, variant: int, seeds: Sequence[int], judging: Judging
) -> tuple[PixelCounts, tuple[str, ...]]:
    """Return pixel counts (seeds, pictures, 3, classes) of a variant, and the group of each picture.

    Raises
    ------
    DataError: two results are of different pictures.
    """
    found = [result for seed in seeds if (result := _scored(results, variant, seed, judging)) is not None]
    if any(result.pictures != found[0].pictures for result in found):
        raise DataError(
            f"{found[0].key} and another result have different pictures",
            "the same pictures for every variant and seed",
            "put the data back as it was, or start a new study",
        )
    return np.array([result.counts for result in found], dtype=np.int64), found[0].groups


def wants_seed(results: Results, variant: int, seeds: Sequence[int], tried: int) -> bool:
    """Return whether one more seed is worth its time, judged on the validation pictures."""
    verdict = verdict_on(results, variant, seeds, "train", tried)
    if verdict is None or clear_already(verdict.difference):
        return False
    return verdict.difference.shown or verdict.difference.p is None or verdict.more.seeds is not None


def _scored(results: Results, variant: int, seed: int, judging: Judging) -> TaskResult | None:
    result = results.get(StudyTask(kind=judging, variant=variant, seed=seed).key)
    return result if result is not None and result.counts else None


def _p_text(p: float | None) -> str:
    return "unknown" if p is None else f"{p:.3f}" if p >= 0.001 else "below 0.001"

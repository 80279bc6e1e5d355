"""The scores of a confusion matrix, each with its rule.

Let n_tp be the number of pixels of true class t that were predicted as class p. Then for a class c:

* truth_c = sum_p n_cp, predicted_c = sum_t n_tc, hit_c = n_cc
* IoU = hit / (truth + predicted - hit); Dice = 2 hit / (truth + predicted)
* precision = hit / predicted; recall = hit / truth
* global accuracy = sum_c hit_c / sum n; class accuracy = mean recall
* frequency-weighted IoU = sum_c truth_c IoU_c / sum_c truth_c, so a class without a true pixel has no weight
  (Badrinarayanan et al., arXiv 1511.00561 v3, sec. 3.3; Long et al., CVPR 2015, sec. 5)

The rule for absent classes: a value whose denominator is 0 is None, and every mean leaves it out. So a class that is
in neither the ground truth nor the prediction counts nowhere. A class that is predicted but not in the ground truth has
IoU 0 and counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unpool.metrics.confusion import ConfusionMatrix

ABSENT_RULE = (
    "A class that is in neither the ground truth nor the prediction is left out of every mean; "
    "a class that is predicted but not in the ground truth has IoU 0 and counts."
)


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class: ratios 0..1, or None where the denominator is 0."""

    name: str
    iou: float | None
    dice: float | None
    precision: float | None
    recall: float | None
    hit_pixels: int
    truth_pixels: int
    predicted_pixels: int


@dataclass(frozen=True)
class Scores:
    """The scores of a set or of one picture: ratios 0..1, or None where no pixel counts."""

    classes: tuple[ClassScore, ...]
    mean_iou: float | None
    mean_dice: float | None
    global_accuracy: float | None
    class_accuracy: float | None
    frequency_weighted_iou: float | None
    pixels: int

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON data."""
        return asdict(self)


def scores(matrix: ConfusionMatrix) -> Scores:
    """Return all scores of a confusion matrix, by the rules of ``unpool.metrics.scores``."""
    classes = []
    for k, name in enumerate(matrix.names):
        hit = int(matrix.counts[k, k])
        truth = int(matrix.counts[k].sum())
        predicted = int(matrix.counts[:, k].sum())
        classes.append(
            ClassScore(
                name=name,
                iou=_ratio(hit, truth + predicted - hit),
                dice=_ratio(2 * hit, truth + predicted),
                precision=_ratio(hit, predicted),
                recall=_ratio(hit, truth),
                hit_pixels=hit,
                truth_pixels=truth,
                predicted_pixels=predicted,
            )
        )
    return Scores(
        classes=tuple(classes),
        mean_iou=_mean(c.iou for c in classes),
        mean_dice=_mean(c.dice for c in classes),
        global_accuracy=_ratio(int(matrix.counts.trace()), matrix.pixels),
        class_accuracy=_mean(c.recall for c in classes),
        frequency_weighted_iou=_frequency_weighted_iou(classes, matrix.pixels),
        pixels=matrix.pixels,
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _frequency_weighted_iou(classes: Sequence[ClassScore], pixels: int) -> float | None:
    total = sum(c.truth_pixels * c.iou for c in classes if c.iou is not None)
    return total / pixels if pixels else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

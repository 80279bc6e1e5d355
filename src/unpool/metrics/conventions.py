"""One result by the rules of other implementations, so that a published score is compared with its own kind.

Implementations of mean IoU and mean Dice differ in the value of a class that is not in the ground truth, in whether
pixels are added up over the set before the scores are computed or scores are averaged over pictures, and in whether
the first class counts. All of these scores follow from the hit, true and predicted pixels of each picture.

Where an implementation averages over batches, a batch is taken to be one picture. Terms of 1e-6 and less, which keep
denominators from being 0, are replaced by their effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.metrics.arithmetic import known_mean
from unpool.metrics.intervals import PixelCounts

CONVENTIONS_RULE = (
    "This result by the rules of other implementations; only scores by one rule can be compared. Averaged: the "
    "classes of the summed-up set, the pictures' means over their classes, or the classes' means over the pictures; "
    "foreground is every class but the first. Absent: the value of a class that is in neither the ground truth nor the "
    "prediction (in brackets: the value of one that is in no picture). Invented: the value of a class that is "
    "predicted but not in the ground truth. The first line is Unpool's rule."
)


@dataclass(frozen=True)
class Convention:
    """The rule for a mean over classes.

    Attributes
    ----------
    users: implementations with this rule.
    over: mean over the classes of the summed-up ``set``; over ``pictures``, of each picture's mean over its classes; or
        over ``classes``, of each class's mean over the pictures.
    absent: value of a class that is neither true nor predicted; NaN leaves it out.
    invented: value of a class that is predicted but not true; NaN leaves it out.
    unknown: value, in the mean over classes, of a class that was left out everywhere; None leaves it out there too.
    first: whether the first class counts.
    pooled: whether the classes are added up too, so that there is no mean over them.
    """

    users: tuple[str, ...]
    over: Literal["set", "pictures", "classes"] = "set"
    absent: float = nan
    invented: float = 0.0
    unknown: float | None = None
    first: bool = True
    pooled: bool = False

    @property
    def averaged(self) -> str:
        """What is averaged, in words."""
        return self.over + (", all pixels" if self.pooled else "") + ("" if self.first else ", foreground")

    @property
    def class_values(self) -> tuple[str, str]:
        """The values of an absent and of an invented class, in words."""
        if self.pooled:
            return "pixels", "pixels"
        absent = _value_text(self.absent)
        if self.unknown is not None:
            unknown = _value_text(self.unknown, "NaN")
            absent = unknown if self.over == "set" else f"{absent} ({unknown})"
        return absent, _value_text(self.invented)


CONVENTIONS = (
    Convention(("Unpool", "mmsegmentation", "pytorch-semseg")),
    Convention(("torchvision references",), unknown=nan),
    Convention(("PaddleSeg 2024", "SMP macro"), absent=1.0),
    Convention(("keras_segmentation", "old PaddleSeg"), absent=0.0),
    Convention(("SMP micro",), pooled=True),
    Convention(("Unpool, means over pictures",), over="pictures"),
    Convention(("SMP macro-imagewise",), over="pictures", absent=1.0),
    Convention(("torchmetrics 1.5",), over="pictures", absent=0.0),
    Convention(("MONAI, ignore_empty",), over="pictures", invented=nan),
    Convention(("milesial Pytorch-UNet",), over="pictures", absent=1.0, first=False),
    Convention(("nnU-Net",), over="classes", unknown=nan, first=False),
    Convention(("luxonis-train, per_class",), over="classes", unknown=-1.0),
)
"""Unpool's rule first; the others ordered by what is averaged."""


class ConventionScores(NamedTuple):
    """The scores by one rule: ratios, or None where the rule gives no number."""

    convention: Convention
    mean_iou: float | None
    mean_dice: float | None

    @property
    def ours(self) -> bool:
        """Whether this is the rule of Unpool's own scores of a set."""
        return self.convention is CONVENTIONS[0]

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON data."""
        absent, invented = self.convention.class_values
        return {
            "users": list(self.convention.users),
            "averaged": self.convention.averaged,
            "absent": absent,
            "invented": invented,
            "mean_iou": self.mean_iou,
            "mean_dice": self.mean_dice,
            "ours": self.ours,
        }


def by_conventions(counts: Sequence[PixelCounts]) -> tuple[ConventionScores, ...]:
    """Return the scores of a set by each rule of ``CONVENTIONS``.

    Parameters
    ----------
    counts: counts (3, K) of each picture, at least one, as ``unpool.metrics.intervals.pixel_counts`` returns them.
    """
    pictures = np.stack(counts)
    return tuple(ConventionScores(each, *_scores(pictures, each)) for each in CONVENTIONS)


def _scores(counts: PixelCounts, convention: Convention) -> tuple[float | None, float | None]:
    """Return mean IoU and mean Dice of counts (pictures, 3, K) by one rule."""
    counted = counts if convention.first else counts[..., 1:]
    if convention.pooled:
        counted = counted.sum(-1, keepdims=True)
    if convention.over == "set":
        counted = counted.sum(0, keepdims=True)
    hit, truth, predicted = np.moveaxis(counted, 1, 0)
    invented = (truth == 0) & (predicted > 0)
    means = []
    for part, whole in ((hit, truth + predicted - hit), (2 * hit, truth + predicted)):
        values = np.full(whole.shape, convention.absent)
        np.divide(part, whole, out=values, where=whole > 0)
        means.append(_mean(np.where(invented, convention.invented, values), convention))
    return means[0], means[1]


def _mean(values: NDArray[np.float64], convention: Convention) -> float | None:
    """Return the one mean of values (pictures, classes)."""
    if convention.over == "classes":
        mean = _over_classes(known_mean(values)[None], convention)[0]
    else:
        mean = known_mean(_over_classes(values, convention))
    return None if np.isnan(mean) else float(mean)


def _over_classes(values: NDArray[np.float64], convention: Convention) -> NDArray[np.float64]:
    if convention.unknown is None:
        return known_mean(values, axis=1)
    mean: NDArray[np.float64] = np.where(np.isnan(values), convention.unknown, values).mean(axis=1)
    return mean


def _value_text(value: float, missing: str = "left out") -> str:
    return missing if isnan(value) else f"{value:g}"

"""One result under the rules of other implementations, so that a published score is compared with its own kind.

Mean IoU and mean Dice differ between implementations in what a class is worth that is not in the truth, in whether
pixels are added up over the set before the scores are made or scores are averaged over pictures, and in whether the
first class counts. Everything follows from the hit, true and predicted pixels of each picture.

Where an implementation averages over batches, a batch is taken to be one picture. Terms of 1e-6 and less that keep
denominators from being 0 are taken for what they amount to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.metrics.arithmetic import known_mean

CONVENTIONS_RULE = (
    "This result by the rules of other implementations; only scores by one rule can be compared. Averaged are the "
    "classes of the summed-up set, the pictures' means over their classes, or the classes' means over the pictures; "
    "foreground is every class but the first. Absent is a class that is neither in the truth nor predicted (in "
    "brackets: what one counts that is in no picture), invented one that is predicted but not in the truth. The first "
    "line is Unpool's rule."
)

PixelCounts = NDArray[np.int64]
"""Hit, true and predicted pixels of each picture's classes: (pictures, 3, K)."""


@dataclass(frozen=True)
class Convention:
    """The rule of a mean over classes.

    Attributes
    ----------
    users: the implementations that have it.
    over: what is averaged: classes of the summed-up ``set``; in ``pictures`` the classes of each, then these means; in
        ``classes`` the pictures of each class, then these means.
    absent: the value of a class that is neither true nor predicted; NaN leaves it out.
    invented: that of a class that is predicted but not true; NaN leaves it out.
    unknown: what a class that was left out everywhere counts in the mean over classes; None leaves it out there too.
    first: whether the first class counts.
    pooled: whether the classes are added up as well, so that there is no mean over them.
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
    def worth(self) -> tuple[str, str]:
        """What an absent and an invented class are worth, in words."""
        if self.pooled:
            return "pixels", "pixels"
        absent = _word(self.absent)
        if self.unknown is not None:
            unknown = _word(self.unknown, "NaN")
            absent = unknown if self.over == "set" else f"{absent} ({unknown})"
        return absent, _word(self.invented)


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
"""Ours first; then by what is averaged."""


class Conventional(NamedTuple):
    """A result by one rule: ratios, or None where the rule gives no number."""

    convention: Convention
    mean_iou: float | None
    mean_dice: float | None

    @property
    def ours(self) -> bool:
        """Whether it is the rule of Unpool's own scores of a set."""
        return self.convention is CONVENTIONS[0]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        absent, invented = self.convention.worth
        return {
            "users": list(self.convention.users),
            "averaged": self.convention.averaged,
            "absent": absent,
            "invented": invented,
            "mean_iou": self.mean_iou,
            "mean_dice": self.mean_dice,
            "ours": self.ours,
        }


def by_conventions(tallies: Sequence[NDArray[np.int64]]) -> tuple[Conventional, ...]:
    """The scores of a set by each of ``CONVENTIONS``.

    Parameters
    ----------
    tallies: of each picture, at least one, as ``unpool.metrics.intervals.tally`` gives them.
    """
    pixels = np.stack(tallies)
    return tuple(Conventional(each, *_scores(pixels, each)) for each in CONVENTIONS)


def _scores(pixels: PixelCounts, convention: Convention) -> tuple[float | None, float | None]:
    """Mean IoU and mean Dice by one rule."""
    counted = pixels if convention.first else pixels[..., 1:]
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
    """One number of values (pictures, classes)."""
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


def _word(value: float, missing: str = "left out") -> str:
    return missing if isnan(value) else f"{value:g}"

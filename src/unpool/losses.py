"""Losses over logits and labels, always in float32, blind to ignored pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from unpool.classes import IGNORE_ID

DICE_SMOOTHING = 1e-3
"""Share of the counted pixels added above and below in the Dice ratio, so that an absent class has a finite slope."""


class LossValue(NamedTuple):
    """A loss, and its terms by name, each a float32 scalar."""

    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class Loss:
    """Weighted cross-entropy plus soft Dice."""

    weights: tuple[float, ...] | None = None
    division: Literal["weights", "pixels", "sum"] = "weights"
    cross_entropy: float = 1.0
    focal: float = 0.0
    dice: float = 1.0
    lovasz: float = 0.0

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        emphasis: Tensor | None = None,
        total: Callable[[Tensor], Tensor] = lambda values: values,
    ) -> LossValue:
        """Shim."""
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            weights = None if self.weights is None else logits.new_tensor(self.weights)
            terms = {"cross_entropy": cross_entropy(logits, labels, weights)}
            value = self.cross_entropy * terms["cross_entropy"]
            if self.dice:
                terms["dice"] = dice_loss(logits, labels)
                value = value + self.dice * terms["dice"]
            return LossValue(value, terms)


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over counted pixels of ``w[y] * -log softmax(logits)[y]``, divided by the sum of their weights.

    0, with a gradient of 0, where every pixel is ignored.
    """
    total = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE_ID, reduction="sum")
    counted = labels != IGNORE_ID
    if weights is None:
        return total / counted.sum().clamp(min=1)
    mass = weights[torch.where(counted, labels, 0)].mul(counted).sum()
    return total / mass.clamp(min=torch.finfo(torch.float32).tiny)


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus the mean soft Dice of all classes, over the counted pixels of the whole batch.

    For a class with probability p and truth g at each counted pixel: ``(2 sum pg + s) / (sum p + sum g + s)``, with
    s = ``DICE_SMOOTHING`` times the counted pixels. An absent class takes part, so that predicting it costs.
    0, with a gradient of 0, where every pixel is ignored.
    """
    classes = logits.shape[1]
    counted = labels != IGNORE_ID
    probabilities = logits.softmax(dim=1) * counted.unsqueeze(1)
    truth = F.one_hot(torch.where(counted, labels, 0), classes).movedim(-1, 1) * counted.unsqueeze(1)
    axes = (0, 2, 3)
    both = (probabilities * truth).sum(axes)
    either = probabilities.sum(axes) + truth.sum(axes)
    smoothing = DICE_SMOOTHING * counted.sum().clamp(min=1)
    return 1 - ((2 * both + smoothing) / (either + smoothing)).mean()


def balanced_weights(shares: Sequence[float], cap: float) -> tuple[float, ...]:
    """Class weights from the classes' shares of the training pixels.

    ``sqrt(median share / share)``, held within 1/cap..cap; the median is over classes that occur. The square root
    of median-frequency balancing (Eigen and Fergus, ICCV 2015) lifts rare classes without drowning common ones.
    A class that never occurs gets weight 1: it has no pixel to weigh.
    """
    present = sorted(share for share in shares if share > 0)
    if not present:
        return (1.0,) * len(shares)
    middle = len(present) // 2
    median = present[middle] if len(present) % 2 else (present[middle - 1] + present[middle]) / 2
    return tuple(min(max((median / share) ** 0.5, 1 / cap), cap) if share > 0 else 1.0 for share in shares)


def median_frequency_weights(pixels: Sequence[int], present: Sequence[int]) -> tuple[float, ...]:
    """Shim."""
    return (1.0,) * len(pixels)

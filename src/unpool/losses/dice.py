"""The soft Dice loss: one minus the mean overlap of the classes."""

from __future__ import annotations

import torch
from torch import Tensor

from unpool.losses.terms import BatchPixels

DICE_SMOOTHING = 1e-3
"""Share of the counted pixels added above and below in the Dice ratio, so that an absent class has a finite slope."""


class Dice:
    """One minus the mean soft Dice of all classes.

    For a class with probability p and truth g at each counted pixel: ``(2 sum pg + s) / (sum p + sum g + s)``, with
    s = ``DICE_SMOOTHING`` times the counted pixels. An absent class takes part, so that predicting it costs.
    """

    title = "soft Dice"
    citation = "Milletari, Navab, Ahmadi: V-Net. 3DV 2016, arXiv 1606.04797"

    def sums(self, pixels: BatchPixels) -> Tensor:
        """Return, of each class over counted pixels: sum of pg, sum of p, sum of g; float32 (3 K,)."""
        mask = pixels.counted.float()
        probabilities = pixels.probabilities

        def by_class(values: Tensor) -> Tensor:
            # Row by row: one sum over all pixels would lose digits, and a GPU would queue to add to it.
            images, rows, _ = values.shape
            by_row = values.new_zeros(images, rows, probabilities.shape[1])
            return by_row.scatter_add(2, pixels.target, values).sum((0, 1))

        predicted = torch.einsum("nkp,np->nk", probabilities.flatten(2), mask.flatten(1)).sum(0)
        return torch.cat((by_class(pixels.log_truth.exp() * mask), predicted, by_class(mask)))

    def value(self, sums: Tensor) -> Tensor:
        """Return one minus the mean ratio of the classes."""
        both, predicted, true = sums.chunk(3)
        smoothing = DICE_SMOOTHING * true.sum().clamp(min=1)
        return 1 - ((2 * both + smoothing) / (predicted + true + smoothing)).mean()

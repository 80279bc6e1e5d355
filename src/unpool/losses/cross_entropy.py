"""The cross-entropy: weighted by class and by pixel, focal on request."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from unpool.losses.terms import TINY, BatchPixels, quotient

Division: TypeAlias = Literal["weights", "pixels", "sum"]
"""Divisor of the weighted cross-entropy.

``weights``: the sum of the pixels' weights, as in torch; ``pixels``: the number of counted pixels, as in SegNet's
Caffe; ``sum``: none, as in FCN's heavy learning.
"""


class CrossEntropy:
    """The weighted cross-entropy.

    Parameters
    ----------
    weights: K class weights; None for equal ones.
    focal: exponent g of the factor (1 - p)^g, which lowers the weight of pixels whose class already has a high
        probability p (Lin et al., ICCV 2017, without their class weight, which is ``weights``). 0 is the plain
        cross-entropy. It does not enter the divisor.
    """

    title = "cross-entropy"
    citation = ""

    def __init__(self, weights: tuple[float, ...] | None, division: Division, focal: float) -> None:
        self.weights = weights
        self.division = division
        self.focal = focal

    def sums(self, pixels: BatchPixels) -> Tensor:
        """Return the weighted sum of the pixels' costs, and the divisor where there is one."""
        weights = self._pixel_weights(pixels)
        cost = -pixels.log_truth
        if self.focal:
            # Where p is 1, the slope of (1 - p)^g can be infinite; the cost is 0 there.
            cost = cost * (-torch.expm1(pixels.log_truth)).clamp(min=TINY) ** self.focal
        sums = [(weights * cost).sum()]
        if self.division != "sum":
            sums.append((weights if self.division == "weights" else pixels.counted.float()).sum())
        return torch.stack(sums)

    def value(self, sums: Tensor) -> Tensor:
        """Return the sum of the costs over the divisor."""
        return quotient(sums)

    def _pixel_weights(self, pixels: BatchPixels) -> Tensor:
        weights = pixels.counted.float()
        if self.weights is not None:
            weights = weights * weights.new_tensor(self.weights)[pixels.target]
        return weights if pixels.emphasis is None else weights + pixels.emphasis * pixels.counted

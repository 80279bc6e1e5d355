"""Parts that every term of a loss is made of: the pixels it reads, its sums, and their quotient.

A term is a few sums over pixels or pictures, and a value computed from the sums. Several processes that share a batch
therefore exchange one short vector: added up over the parts of the batch, it gives the loss of the whole batch.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from unpool.class_table import IGNORE_ID

TINY = torch.finfo(torch.float32).tiny
"""Smallest normal float32 number; keeps a divisor above 0."""


class BatchPixels:
    """The pixels of a batch: what the network answers and the ground truth; N pictures of H x W pixels, K classes.

    Attributes
    ----------
    labels: int64 (N, H, W): class ids, or ``IGNORE_ID`` for ignored pixels.
    counted: bool (N, H, W): whether a pixel is not ignored.
    target: the labels with 0 in place of ``IGNORE_ID``.
    emphasis: float32 (N, H, W) to add to each pixel's class weight in the cross-entropy; None adds nothing.
    log_probabilities: float32 (N, K, H, W).
    log_truth: float32 (N, H, W): log-probability of the target's class.
    """

    def __init__(self, logits: Tensor, labels: Tensor, emphasis: Tensor | None) -> None:
        self.labels = labels
        self.counted = labels != IGNORE_ID
        self.target = labels.where(self.counted, 0)
        self.emphasis = emphasis
        self.log_probabilities = logits.log_softmax(dim=1)
        self.log_truth = self.log_probabilities.gather(1, self.target[:, None])[:, 0]
        self._probabilities: Tensor | None = None

    @property
    def probabilities(self) -> Tensor:
        """Probabilities of all classes, float32 (N, K, H, W); computed once, for the first term that reads them."""
        if self._probabilities is None:  # not a cached_property, which torch.compile refuses
            self._probabilities = self.log_probabilities.exp()
        return self._probabilities


class Term(Protocol):
    """A term of a loss: its sums over a part of a batch, and its value from the sums over the whole batch.

    Attributes
    ----------
    title: what it is called: "the <title> loss".
    citation: its source, for the methods text; empty for none.
    """

    title: str
    citation: str

    def sums(self, pixels: BatchPixels) -> Tensor:
        """Return the sums, a float32 vector whose length depends on the number of classes alone."""

    def value(self, sums: Tensor) -> Tensor:
        """Return the value, a float32 scalar, from the sums over all parts of the batch."""


def quotient(sums: Tensor) -> Tensor:
    """Return numerator / divisor, with 0 / 0 = 0; the numerator where there is no divisor."""
    return sums[0] / sums[1].clamp(min=TINY) if len(sums) == 2 else sums[0]

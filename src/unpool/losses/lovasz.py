"""The Lovász-softmax loss (Berman et al., CVPR 2018): a convex extension of one minus the Jaccard index."""

from __future__ import annotations

import torch
from torch import Tensor

from unpool.class_table import IGNORE_ID
from unpool.losses.terms import BatchPixels, quotient


class Lovasz:
    """The mean over pictures of the mean over the classes that a picture shows.

    By picture, as Berman et al. do for scores by picture: then no process needs the pixels of another.
    """

    title = "Lovász-softmax"
    citation = "Berman, Triki, Blaschko: The Lovász-Softmax loss. CVPR 2018"

    def sums(self, pixels: BatchPixels) -> Tensor:
        """Return the sum of the pictures' losses, and the number of pictures with a counted pixel."""
        probabilities, labels = pixels.probabilities.flatten(2), pixels.labels.flatten(1)[:, None]
        truth = labels == torch.arange(probabilities.shape[1], device=labels.device)[:, None]
        errors = torch.where(truth, 1 - probabilities, probabilities)
        # Ignored pixels are sorted behind all counted ones, where no pixel of a class is left, and add nothing.
        errors, order = errors.masked_fill(labels == IGNORE_ID, -1).sort(dim=2, descending=True, stable=True)
        classes = (errors * _jaccard_steps(truth.gather(2, order))).sum(2)
        present = truth.any(2)
        pictures = (classes * present).sum(1) / present.sum(1).clamp(min=1)
        return torch.stack((pictures.sum(), present.any(1).sum().float()))

    def value(self, sums: Tensor) -> Tensor:
        """Return the mean over the pictures."""
        return quotient(sums)


def _jaccard_steps(truth: Tensor) -> Tensor:
    """Return what each pixel adds to the Jaccard loss of its class when it is wrong and all before it are.

    These are the differences of Berman et al., algorithm 1, without subtracting neighbours, which are nearly equal: a
    pixel of the class takes 1 from the intersection I, any other pixel adds 1 to the union U.

    Parameters
    ----------
    truth: bool (N, K, P): whether a pixel is of the class; the most wrong pixel first.
    """
    passed = truth.cumsum(2, dtype=torch.int32)
    of_class = passed[..., -1:]
    seen = torch.arange(1, truth.shape[2] + 1, dtype=torch.int32, device=truth.device)
    union = of_class + seen - passed
    return torch.where(truth, 1.0, (of_class - passed) / (union - 1).clamp(min=1)) / union

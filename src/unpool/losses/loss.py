"""The loss of a training: a sum of terms, each with a factor; float32, without the ignored pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from unpool.errors import UsageError
from unpool.losses.cross_entropy import CrossEntropy, Division
from unpool.losses.dice import Dice
from unpool.losses.lovasz import Lovasz
from unpool.losses.terms import BatchPixels, Term
from unpool.meaning import LITTLE, Meaning

Factor = Annotated[float, Field(ge=0, le=1e6)]


@dataclass(frozen=True, kw_only=True)
class LossFactors:
    """Factors of a loss's terms; these fields are also settings (``unpool.config.schema.LossSettings``).

    A factor of 0 leaves its term out.
    """

    cross_entropy: Annotated[
        Factor,
        Meaning("factor of the cross-entropy, weighted by class and pixel; 0 leaves it out", LITTLE),
    ] = 1.0
    focal: Annotated[
        float,
        Field(ge=0, le=10),
        Meaning(
            "exponent of the focal loss, with which pixels of a high probability count less in the cross-entropy; 0 is "
            "the plain cross-entropy",
            LITTLE,
        ),
    ] = 0.0
    dice: Annotated[
        Factor,
        Meaning(
            "factor of one minus the mean overlap of the classes, which helps rare classes; 0 leaves it out",
            LITTLE,
        ),
    ] = 1.0
    lovasz: Annotated[
        Factor,
        Meaning(
            "factor of the Lovász-softmax loss, which approximates one minus the mean IoU; 0 leaves it out",
            "sorts the pixels of each crop for each class, so its time and memory grow with the number of classes",
        ),
    ] = 0.0


@dataclass(frozen=True)
class Loss(LossFactors):
    """A sum of terms, each with a factor; a term with factor 0 is not computed.

    Attributes
    ----------
    weights: K class weights of the cross-entropy; None for equal ones.
    division: divisor of the cross-entropy, see ``unpool.losses.cross_entropy.Division``.

    Raises
    ------
    UsageError: a factor or ``focal`` is below 0, or no factor is above 0.
    """

    weights: tuple[float, ...] | None = None
    division: Division = "weights"

    def __post_init__(self) -> None:
        factors = {name: getattr(self, name) for name in TERMS}
        if min(*factors.values(), self.focal) < 0 or not any(factors.values()):
            raise UsageError(
                "a loss of " + ", ".join(f"{name}={factor:g}" for name, factor in factors.items())
                + f", focal={self.focal:g}",
                "no number below 0, and a term above 0",
                "set one of the factors to 1",
            )  # fmt: skip

    def terms(self) -> dict[str, Term]:
        """Return the terms whose factor is not 0, by the name of the factor."""
        return {name: make(self) for name, make in TERMS.items() if getattr(self, name)}

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        emphasis: Tensor | None = None,
        total: Callable[[Tensor], Tensor] = lambda sums: sums,
    ) -> LossValue:
        """Compute the loss; 0, with a gradient of 0, where every pixel is ignored.

        Parameters
        ----------
        logits: (N, K, H, W) of any float type.
        labels: int64 (N, H, W): class ids, or ``IGNORE_ID`` for ignored pixels.
        emphasis: float32 (N, H, W), added to each pixel's class weight in the cross-entropy (Ronneberger et al. 2015,
            eq. 2); it counts in the divisor ``weights``.
        total: adds a float32 vector up over all processes that share the batch; differentiable, called once. Every
            process then has the loss of the whole batch.
        """
        with torch.autocast(logits.device.type, enabled=False):
            pixels = BatchPixels(logits.float(), labels, emphasis)
            terms = self.terms()
            sums = [term.sums(pixels) for term in terms.values()]
            totals = total(torch.cat(sums)).split_with_sizes([len(part) for part in sums])
            values = {name: term.value(part) for (name, term), part in zip(terms.items(), totals, strict=True)}
            scaled = [getattr(self, name) * value for name, value in values.items()]
            return LossValue(torch.stack(scaled).sum(), values)


class LossValue(NamedTuple):
    """A loss and its terms.

    Attributes
    ----------
    total: float32 scalar.
    terms: float32 scalars by name, before their factors; only terms whose factor is not 0.
    """

    total: Tensor
    terms: dict[str, Tensor]


TERMS: dict[str, Callable[[Loss], Term]] = {
    "cross_entropy": lambda loss: CrossEntropy(loss.weights, loss.division, loss.focal),
    "dice": lambda loss: Dice(),
    "lovasz": lambda loss: Lovasz(),
}
"""All terms: the name of the factor in ``LossFactors``, and a function that makes the term for a loss."""

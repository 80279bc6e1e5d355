"""Losses over logits and labels, always in float32, blind to ignored pixels.

Each term is a few sums over pixels or pictures, and a value made of them. All that several processes have to tell each
other is therefore one short vector: summed over the parts of a batch, it gives the loss of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from unpool.class_table import IGNORE_ID
from unpool.errors import UsageError

Division: TypeAlias = Literal["weights", "pixels", "sum"]

DICE_SMOOTHING = 1e-3
"""Share of the counted pixels added above and below in the Dice ratio, so that an absent class has a finite slope."""

_TINY = torch.finfo(torch.float32).tiny


class LossValue(NamedTuple):
    """A loss and what it is the sum of.

    Attributes
    ----------
    total: float32 scalar.
    terms: float32 scalars, before their factors: those of ``cross_entropy``, ``dice`` and ``lovasz`` that take part.
    """

    total: Tensor
    terms: dict[str, Tensor]


def _alone(sums: Tensor) -> Tensor:
    return sums


@dataclass(frozen=True)
class Loss:
    """A sum of terms, each with a factor; a term with factor 0 is not computed.

    Attributes
    ----------
    weights: K class weights of the cross-entropy, or None for equal ones.
    division: what the weighted cross-entropy is divided by. ``weights``: the sum of the pixels' weights, as torch does;
        ``pixels``: the count of counted pixels, as SegNet's Caffe does; ``sum``: nothing, as FCN's heavy learning does.
    cross_entropy: factor of the cross-entropy.
    focal: exponent g of (1 - p)^g, which takes weight from pixels whose class already has a high probability p (Lin et
        al., ICCV 2017, without their class weight, which is ``weights``); 0 is plain cross-entropy. It does not enter
        the divisor.
    dice: factor of the soft Dice loss.
    lovasz: factor of the Lovász-softmax loss (Berman et al., CVPR 2018).

    Raises
    ------
    UsageError: a factor or ``focal`` is below 0, or no factor is above 0.
    """

    weights: tuple[float, ...] | None = None
    division: Division = "weights"
    cross_entropy: float = 1.0
    focal: float = 0.0
    dice: float = 1.0
    lovasz: float = 0.0

    def __post_init__(self) -> None:
        factors = (self.cross_entropy, self.dice, self.lovasz)
        if min(*factors, self.focal) < 0 or not any(factors):
            raise UsageError(
                f"a loss of {self.cross_entropy:g} cross-entropy (focal {self.focal:g}), {self.dice:g} Dice and "
                f"{self.lovasz:g} Lovász",
                "no number below 0, and a term above 0",
                "set one of the factors to 1",
            )

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        emphasis: Tensor | None = None,
        total: Callable[[Tensor], Tensor] = _alone,
    ) -> LossValue:
        """Compute the loss; 0, with a gradient of 0, where every pixel is ignored.

        Parameters
        ----------
        logits: (N, K, H, W) of any float type.
        labels: int64 (N, H, W): class ids, or ``IGNORE_ID`` where a pixel counts nowhere.
        emphasis: float32 (N, H, W) added to each pixel's class weight in the cross-entropy (Ronneberger et al. 2015,
            eq. 2); it counts in the divisor ``weights``.
        total: adds a float32 vector up over all processes that hold a part of the batch; called once, differentiable.
            The loss is then the whole batch's in each of them.
        """
        with torch.autocast(logits.device.type, enabled=False):
            sums = self._sums(logits.float(), labels, emphasis)
            whole = total(torch.cat(list(sums.values()))).split_with_sizes([len(part) for part in sums.values()])
            terms = {name: _VALUES[name](part) for name, part in zip(sums, whole, strict=True)}
            scaled = [getattr(self, name) * term for name, term in terms.items()]
            return LossValue(torch.stack(scaled).sum(), terms)

    def _sums(self, logits: Tensor, labels: Tensor, emphasis: Tensor | None) -> dict[str, Tensor]:
        counted = labels != IGNORE_ID
        target = labels.where(counted, 0)
        log_probabilities = logits.log_softmax(dim=1)
        log_truth = log_probabilities.gather(1, target[:, None])[:, 0]
        sums = {}
        if self.cross_entropy:
            weights = self._pixel_weights(target, counted, emphasis)
            sums["cross_entropy"] = self._cross_entropy_sums(log_truth, weights, counted)
        if self.dice or self.lovasz:
            probabilities = log_probabilities.exp()
            if self.dice:
                sums["dice"] = _dice_sums(probabilities, log_truth.exp(), target, counted)
            if self.lovasz:
                sums["lovasz"] = _lovasz_sums(probabilities, labels)
        return sums

    def _pixel_weights(self, target: Tensor, counted: Tensor, emphasis: Tensor | None) -> Tensor:
        weights = counted.float()
        if self.weights is not None:
            weights = weights * weights.new_tensor(self.weights)[target]
        return weights if emphasis is None else weights + emphasis * counted

    def _cross_entropy_sums(self, log_truth: Tensor, weights: Tensor, counted: Tensor) -> Tensor:
        cost = -log_truth
        if self.focal:
            # Where p is 1 the slope of (1 - p)^g can be infinite, and the cost beside it is 0.
            cost = cost * (-torch.expm1(log_truth)).clamp(min=_TINY) ** self.focal
        sums = [(weights * cost).sum()]
        if self.division != "sum":
            sums.append((weights if self.division == "weights" else counted.float()).sum())
        return torch.stack(sums)


def _quotient(sums: Tensor) -> Tensor:
    """Numerator over divisor, where there is one; 0 / 0 is 0."""
    return sums[0] / sums[1].clamp(min=_TINY) if len(sums) == 2 else sums[0]


def _dice_sums(probabilities: Tensor, truth: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """For each class, over counted pixels: its probability where it is true, its probability, its pixels."""
    mask = counted.float()

    def by_class(values: Tensor) -> Tensor:
        # Row by row: a single sum over all pixels would lose digits, and a GPU would queue to add to it.
        images, rows, _ = values.shape
        return values.new_zeros(images, rows, probabilities.shape[1]).scatter_add(2, target, values).sum((0, 1))

    likely = torch.einsum("nkp,np->nk", probabilities.flatten(2), mask.flatten(1)).sum(0)
    return torch.cat((by_class(truth * mask), likely, by_class(mask)))


def _dice(sums: Tensor) -> Tensor:
    """One minus the mean soft Dice of all classes.

    For a class with probability p and truth g at each counted pixel: ``(2 sum pg + s) / (sum p + sum g + s)``, with
    s = ``DICE_SMOOTHING`` times the counted pixels. An absent class takes part, so that predicting it costs.
    """
    both, likely, true = sums.chunk(3)
    smoothing = DICE_SMOOTHING * true.sum().clamp(min=1)
    return 1 - ((2 * both + smoothing) / (likely + true + smoothing)).mean()


def _lovasz_sums(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Losses of the pictures, each a mean over its classes, added up; and how many have a counted pixel.

    By picture, as Berman et al. do for scores by picture: then no process needs another's pixels.
    """
    likely, labels = probabilities.flatten(2), labels.flatten(1)[:, None]
    truth = labels == torch.arange(likely.shape[1], device=labels.device)[:, None]
    errors = torch.where(truth, 1 - likely, likely)
    # Behind all counted pixels nothing is left to find, and an ignored one adds nothing.
    errors, order = errors.masked_fill(labels == IGNORE_ID, -1).sort(dim=2, descending=True, stable=True)
    classes = (errors * _jaccard_steps(truth.gather(2, order))).sum(2)
    present = truth.any(2)
    pictures = (classes * present).sum(1) / present.sum(1).clamp(min=1)
    return torch.stack((pictures.sum(), present.any(1).sum().float()))


def _jaccard_steps(truth: Tensor) -> Tensor:
    """What each pixel adds to the Jaccard loss of its class when it is wrong like all before it.

    The differences of Berman et al., algorithm 1, without subtracting neighbours, which are nearly equal: a pixel of
    the class takes 1 from the intersection I, another adds 1 to the union U.

    Parameters
    ----------
    truth: bool (N, K, P): whether a pixel is of the class; the most wrong pixel first.
    """
    found = truth.cumsum(2, dtype=torch.int32)
    whole = found[..., -1:]
    seen = torch.arange(1, truth.shape[2] + 1, dtype=torch.int32, device=truth.device)
    union = whole + seen - found
    return torch.where(truth, 1.0, (whole - found) / (union - 1).clamp(min=1)) / union


_VALUES: dict[str, Callable[[Tensor], Tensor]] = {"cross_entropy": _quotient, "dice": _dice, "lovasz": _quotient}


def balanced_weights(shares: Sequence[float], cap: float) -> tuple[float, ...]:
    """Class weights from the classes' shares of the training pixels.

    ``sqrt(median share / share)``, held within 1/cap..cap; the median is over classes that occur. The square root
    of median-frequency balancing lifts rare classes without drowning common ones.
    A class that never occurs gets weight 1: it has no pixel to weigh.
    """
    middle = median([share for share in shares if share > 0] or [1])
    return tuple(min(max((middle / share) ** 0.5, 1 / cap), cap) if share > 0 else 1.0 for share in shares)


def median_frequency_weights(pixels: Sequence[int], present: Sequence[int]) -> tuple[float, ...]:
    """Class weights by median-frequency balancing (Eigen and Fergus, ICCV 2015), as SegNet's are.

    ``median frequency / frequency``, where a class's frequency is its share of the pixels of the pictures in which it
    occurs; the median is over classes that occur. A class that never occurs gets weight 1.

    Parameters
    ----------
    pixels: pixels of each class over the training set.
    present: all pixels, ignored ones too, of the training pictures in which the class occurs.
    """
    frequencies = [own / every if own else 0.0 for own, every in zip(pixels, present, strict=True)]
    middle = median([frequency for frequency in frequencies if frequency] or [1])
    return tuple(middle / frequency if frequency else 1.0 for frequency in frequencies)

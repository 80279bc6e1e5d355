"""Class weights of the cross-entropy, from the pixels of the training pictures."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def balanced_weights(shares: Sequence[float], cap: float) -> tuple[float, ...]:
    """Return class weights from the classes' shares of the training pixels.

    A weight is ``sqrt(median share / share)``, kept within 1/cap..cap; the median is over the classes that occur. The
    square root of median-frequency balancing lifts rare classes without drowning common ones; where Dice is in the loss
    too, the full ratio costs too much global accuracy. A class that never occurs has weight 1.
    """
    middle = median([share for share in shares if share > 0] or [1])
    return tuple(min(max((middle / share) ** 0.5, 1 / cap), cap) if share > 0 else 1.0 for share in shares)


def median_frequency_weights(pixels: Sequence[int], present: Sequence[int]) -> tuple[float, ...]:
    """Return class weights by median-frequency balancing (Eigen and Fergus, ICCV 2015), as SegNet uses them.

    A weight is ``median frequency / frequency``. The frequency of a class is its share of the pixels of the pictures in
    which it occurs; the median is over the classes that occur. A class that never occurs has weight 1.

    Parameters
    ----------
    pixels: pixels of each class in the training set.
    present: all pixels, ignored ones too, of the training pictures in which the class occurs.
    """
    frequencies = [own / every if own else 0.0 for own, every in zip(pixels, present, strict=True)]
    middle = median([frequency for frequency in frequencies if frequency] or [1])
    return tuple(middle / frequency if frequency else 1.0 for frequency in frequencies)

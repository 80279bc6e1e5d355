"""Class contrast: how much of the pictures' values the classes explain, in either way to normalise them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.data.samples import Sample
from unpool.normalisation import Normalisation, NormalisedBy

CLEARER = 0.1
"""How much more of the values the classes have to explain for pictures to be normalised each by its own constants.

Measured: 0.18 to 0.23 more on parts of the nuclei of DSB 2018, which are of several microscopes; 0.05 on CamVid's road
scenes, 0.02 on membranes and 0.00 on synthetic cells, which are pictures of one kind each.
"""

_PICTURES = 400
"""Most pictures that are looked at, evenly spread over the set."""

_SIDE = 128
"""Rows and columns of a picture that are looked at, evenly spread."""


class ClassContrast(NamedTuple):
    """Share 0..1 of the variance of the pictures' values that lies between the classes.

    Attributes
    ----------
    by_set: of pictures that are normalised by the constants of all training pictures.
    by_picture: of pictures that are normalised each by its own.
    """

    by_set: float
    by_picture: float

    @property
    def clearer(self) -> NormalisedBy:
        """What pictures are best normalised by."""
        return "picture" if self.by_picture > self.by_set + CLEARER else "set"


def class_contrast(samples: Sequence[Sample], normalisation: Normalisation) -> ClassContrast:
    """Return the class contrast of training pictures, the mean over their channels; ignored pixels do not count.

    Up to 128 x 128 pixels of up to 400 pictures are looked at, at even distances.

    Parameters
    ----------
    normalisation: by the constants of all training pictures.

    Raises
    ------
    DataError: a picture's channels do not fit.
    """
    by_set, by_picture = _Variance(normalisation.channels), _Variance(normalisation.channels)
    for number in range(0, len(samples), -(-len(samples) // _PICTURES) or 1):
        sample = samples[number]
        every = tuple(slice(None, None, -(-side // _SIDE)) for side in sample.labels.shape)
        image, labels = sample.image[every], sample.labels[every]
        counted = labels != IGNORE_ID
        by_set.add(normalisation.apply(image, sample.name)[counted], labels[counted])
        own = replace(normalisation, by="picture").of_picture(image, sample.name)
        by_picture.add(own.apply(image, sample.name)[counted], labels[counted])
    return ClassContrast(by_set.explained(), by_picture.explained())


@dataclass
class _Variance:
    """Sums over pixels from which the variance between classes follows."""

    channels: int

    def __post_init__(self) -> None:
        self._counts = np.zeros(256)
        self._sums = np.zeros((256, self.channels))
        self._squares = np.zeros(self.channels)

    def add(self, values: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        """Add pixels (n, channels) of classes (n,)."""
        self._counts += np.bincount(labels, minlength=256)
        for channel, own in enumerate(values.T):
            self._sums[:, channel] += np.bincount(labels, weights=own, minlength=256)
        self._squares += (values.astype(np.float64) ** 2).sum(axis=0)

    def explained(self) -> float:
        """Return the share of the variance that lies between the classes, the mean over the channels."""
        total = self._counts.sum()
        if not total:
            return 0.0
        mean = self._sums.sum(axis=0) / total
        present = self._counts > 0
        means = self._sums[present] / self._counts[present, None]
        between = (self._counts[present, None] * (means - mean) ** 2).sum(axis=0)
        variance = np.maximum(self._squares - total * mean**2, 1e-12)
        return float(np.clip(between / variance, 0, 1).mean())

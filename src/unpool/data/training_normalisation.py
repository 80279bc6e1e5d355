"""Normalisation constants of the training pictures."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from unpool.data.samples import Sample
from unpool.errors import DataError
from unpool.normalisation import ChannelMoments, Normalisation, smallest_deviation


def training_normalisation(samples: Iterable[Sample], channels: int) -> Normalisation:
    """Return mean and standard deviation of every channel, one set for each pixel type.

    They are computed in float64 over all pixels of all pictures. Grey pictures are repeated for a network of three
    channels.

    Parameters
    ----------
    channels: image channels of the network.

    Raises
    ------
    DataError: there are no samples, or a picture's channels do not fit.
    """
    blank = Normalisation(channels, {})
    moments: dict[str, ChannelMoments] = {}
    for sample in samples:
        pixels = blank.match_channels(sample.image, sample.name)
        kind, own = str(pixels.dtype), ChannelMoments.of(pixels)
        moments[kind] = moments[kind] + own if kind in moments else own
    if not moments:
        raise DataError("no training pictures", "one training picture or more", "check the split")
    return Normalisation(channels, {kind: moments[kind].constants(kind) for kind in sorted(moments)})


def nearly_constant(normalisation: Normalisation) -> bool:
    """Return whether every channel of every pixel type has the smallest standard deviation."""
    return all(
        std <= floor
        for kind, constants in normalisation.constants.items()
        for std, floor in zip(constants.std, smallest_deviation(kind, np.asarray(constants.mean)), strict=True)
    )

"""Normalisation constants of the training pictures."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from unpool.data.samples import Sample
from unpool.errors import DataError
from unpool.normalisation import ChannelConstants, Normalisation

_FLOORS = {"uint8": 1.0, "uint16": 1.0}
"""The smallest standard deviation: one step of the pixel type, so that a constant picture stays finite."""


def training_normalisation(samples: Iterable[Sample], channels: int) -> Normalisation:
    """Mean and standard deviation of every channel, one set for each pixel type.

    Sums are in float64 over all pixels, each pixel of each picture with the same weight. Greys are repeated where
    the network takes three channels.

    Parameters
    ----------
    channels: image channels the network takes.

    Raises
    ------
    DataError: no samples, or a picture with channels that do not fit.
    """
    blank = Normalisation(channels, {})
    counts: dict[str, int] = {}
    means: dict[str, NDArray[np.float64]] = {}
    squares: dict[str, NDArray[np.float64]] = {}
    for sample in samples:
        pixels = blank.match_channels(sample.image, sample.name).reshape(-1, channels)
        kind, count = str(pixels.dtype), len(pixels)
        mean = pixels.mean(axis=0, dtype=np.float64)
        square = pixels.var(axis=0, dtype=np.float64) * count
        before = counts.get(kind, 0)
        shift = mean - means.get(kind, mean)
        counts[kind] = before + count
        # Chan, Golub and LeVeque: joining two means and sums of squares without cancellation
        squares[kind] = squares.get(kind, 0.0) + square + shift**2 * before * count / counts[kind]
        means[kind] = means.get(kind, mean) + shift * count / counts[kind]
    if not counts:
        raise DataError("no training pictures", "at least one", "check the split")
    return Normalisation(
        channels, {kind: _constants(kind, means[kind], squares[kind] / counts[kind]) for kind in sorted(counts)}
    )


def nearly_constant(normalisation: Normalisation) -> bool:
    """Whether no channel of any pixel type deviates by more than the smallest standard deviation there is."""
    return all(
        std <= floor
        for kind, constants in normalisation.constants.items()
        for std, floor in zip(constants.std, _floors(kind, np.asarray(constants.mean)), strict=True)
    )


def _constants(kind: str, mean: NDArray[np.float64], variance: NDArray[np.float64]) -> ChannelConstants:
    std = np.maximum(np.sqrt(variance), _floors(kind, mean))
    return ChannelConstants(tuple(map(float, mean)), tuple(map(float, std)))


def _floors(kind: str, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full_like(mean, _FLOORS[kind]) if kind in _FLOORS else np.maximum(np.abs(mean) * 1e-6, 1e-12)

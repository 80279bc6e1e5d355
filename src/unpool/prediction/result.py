"""The result of predicting a picture: tile by tile as logits, and put together as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.class_table import Labels
from unpool.shapes import Size


class Kept(NamedTuple):
    """The maps that a prediction keeps in addition to the class ids.

    Attributes
    ----------
    confidence: the predicted class's probability.
    probabilities: the probability of every class.
    variance: the variance of every class's probability; kept only where dropout is sampled.
    inside: how sure it is that a pixel lies inside an object.
    """

    confidence: bool = False
    probabilities: bool = False
    variance: bool = False
    inside: bool = False


CLASS_IDS = Kept()
INSIDE = Kept(inside=True)
PROBABILITIES = Kept(probabilities=True)
UNCERTAINTY = Kept(confidence=True, variance=True)
"""The maps that ``Prediction.uncertainty`` is computed from."""


@dataclass(frozen=True)
class TileLogits:
    """The network's logits for one tile, or for some rows of it.

    Attributes
    ----------
    rows, columns: the tile's place in the picture.
    logits: float32 (K, rows, columns), on the CPU. Where orientations, samples or tiles are averaged, the logarithm of
        the mean probability: its softmax, argmax and cross-entropy are those of the mean.
    variance: float32 (K, rows, columns), the variance of the samples' probabilities; None where dropout is not sampled.
    border: float32 (rows, columns), the probability of the border of an object; None where the network learned none.
    """

    rows: slice
    columns: slice
    logits: Tensor
    variance: Tensor | None = None
    border: Tensor | None = None


@dataclass(frozen=True)
class Prediction:
    """The prediction for a picture or for a band of it, filled tile by tile.

    Attributes
    ----------
    prediction: uint8 class ids (rows, columns).
    confidence: float32 (rows, columns), the predicted class's probability; None where it is not kept.
    probabilities: float32 (K, rows, columns), summing to 1; None where they are not kept.
    variance: float32 (K, rows, columns), the variance of each class's probability over the orientations and samples
        that are averaged; None where it is not kept.
    inside: uint8 (rows, columns), round(255 p) of the probability p that a pixel belongs to the predicted class and not
        to a border; None where it is not kept.
    top: the number of its first row in the picture.
    """

    prediction: Labels
    confidence: NDArray[np.float32] | None
    probabilities: NDArray[np.float32] | None
    variance: NDArray[np.float32] | None = None
    inside: NDArray[np.uint8] | None = None
    top: int = 0

    @classmethod
    def empty(cls, classes: int, size: Size, keep: Kept = CLASS_IDS, top: int = 0) -> Prediction:
        """Return a prediction to be filled, of (rows, columns) from row ``top`` on."""
        return cls(
            np.empty(size, dtype=np.uint8),
            np.empty(size, dtype=np.float32) if keep.confidence else None,
            np.empty((classes, *size), dtype=np.float32) if keep.probabilities else None,
            np.empty((classes, *size), dtype=np.float32) if keep.variance else None,
            np.empty(size, dtype=np.uint8) if keep.inside else None,
            top,
        )

    def arrays(self) -> list[NDArray[Any]]:
        """Return the arrays themselves, always in the same order."""
        arrays = (self.prediction, self.confidence, self.probabilities, self.variance, self.inside)
        return [array for array in arrays if array is not None]

    def fill(self, tile: TileLogits) -> None:
        """Write a tile into the arrays."""
        rows, columns = slice(tile.rows.start - self.top, tile.rows.stop - self.top), tile.columns
        self.prediction[rows, columns] = most_probable(tile)
        if self.variance is not None and tile.variance is not None:
            self.variance[:, rows, columns] = tile.variance.numpy()
        if self.confidence is None and self.probabilities is None and self.inside is None:
            return
        probabilities = tile.logits.softmax(dim=0)
        if self.inside is not None:
            inside = probabilities.amax(dim=0)
            if tile.border is not None:
                inside = (inside - tile.border).clamp_min(0)
            self.inside[rows, columns] = (255 * inside).round().to(torch.uint8).numpy()
        if self.confidence is not None:
            self.confidence[rows, columns] = probabilities.amax(dim=0).numpy()
        if self.probabilities is not None:
            self.probabilities[:, rows, columns] = probabilities.numpy()

    @property
    def uncertainty(self) -> NDArray[np.float32]:
        """float32 (maps, rows, columns): the variance of each class, or without it one map, 1 - confidence."""
        if self.variance is not None:
            return self.variance
        assert self.confidence is not None
        return 1 - self.confidence[None]


def most_probable(tile: TileLogits) -> Labels:
    """Return the class ids of a tile, uint8 (rows, columns); the lower id where two classes tie."""
    labels: Labels = tile.logits.max(dim=0).indices.to(torch.uint8).numpy()  # five times as fast as argmax
    return labels

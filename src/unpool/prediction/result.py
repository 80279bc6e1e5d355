"""What a network says of a picture: by pieces, and put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.class_table import Labels
from unpool.shapes import Size


@dataclass(frozen=True)
class TileLogits:
    """The network's answer for one part of a picture.

    Attributes
    ----------
    rows, columns: where the part lies in the picture.
    logits: float32 (K, rows, columns), on the CPU; where answers or tiles were averaged, the logarithm of the mean
        probability, whose softmax, argmax and cross-entropy are those of the mean.
    variance: float32 (K, rows, columns) of the answers' probabilities; None where dropout was not sampled.
    """

    rows: slice
    columns: slice
    logits: Tensor
    variance: Tensor | None = None


@dataclass(frozen=True)
class Prediction:
    """What the network says of a picture or of some of its rows, put together from its pieces.

    Attributes
    ----------
    top: the first of its rows in the picture.
    prediction: uint8 class ids (rows, columns).
    confidence: float32 (rows, columns), the predicted class's probability; None where it is not wanted.
    probabilities: float32 (K, rows, columns), summing to 1; None where they are not wanted.
    variance: float32 (K, rows, columns), of each class's probability over the answers that were averaged; None where it
        is not wanted.
    """

    prediction: Labels
    confidence: NDArray[np.float32] | None
    probabilities: NDArray[np.float32] | None
    variance: NDArray[np.float32] | None = None
    top: int = 0

    @classmethod
    def empty(
        cls, classes: int, size: Size, *, confidence: bool = False, whole: bool = False, variance: bool = False,
        top: int = 0,
    ) -> Prediction:  # fmt: skip
        """An answer to be filled, of (rows, columns) from row ``top`` on; ``whole`` keeps the probabilities."""
        return cls(
            np.empty(size, dtype=np.uint8),
            np.empty(size, dtype=np.float32) if confidence else None,
            np.empty((classes, *size), dtype=np.float32) if whole else None,
            np.empty((classes, *size), dtype=np.float32) if variance else None,
            top,
        )

    def arrays(self) -> list[NDArray[Any]]:
        """What it holds, in one order; the arrays themselves."""
        found = (self.prediction, self.confidence, self.probabilities, self.variance)
        return [each for each in found if each is not None]

    def take(self, piece: TileLogits) -> None:
        """Fill in what a piece says."""
        rows, columns = slice(piece.rows.start - self.top, piece.rows.stop - self.top), piece.columns
        self.prediction[rows, columns] = most_probable(piece)
        if self.variance is not None and piece.variance is not None:
            self.variance[:, rows, columns] = piece.variance.numpy()
        if self.confidence is None and self.probabilities is None:
            return
        likely = piece.logits.softmax(dim=0)
        if self.confidence is not None:
            self.confidence[rows, columns] = likely.amax(dim=0).numpy()
        if self.probabilities is not None:
            self.probabilities[:, rows, columns] = likely.numpy()

    @property
    def uncertainty(self) -> NDArray[np.float32]:
        """float32 (maps, rows, columns): the variance of each class, or without it 1 - confidence, one map."""
        if self.variance is not None:
            return self.variance
        assert self.confidence is not None
        return 1 - self.confidence[None]


def most_probable(piece: TileLogits) -> Labels:
    """Class ids of a piece, uint8 (rows, columns); the lower id where two classes tie."""
    labels: Labels = piece.logits.max(dim=0).indices.to(torch.uint8).numpy()  # five times as fast as argmax
    return labels

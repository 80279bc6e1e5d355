"""One confusion matrix over a set, counted in int64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID, Labels


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of pixels: ``counts[t, p]`` pixels of true class t were predicted as class p.

    Attributes
    ----------
    names: K class names.
    counts: int64 (K, K). Ignored pixels are in no cell.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, names: Sequence[str]) -> ConfusionMatrix:
        """Return a matrix of zeros."""
        return cls(tuple(names), np.zeros((len(names), len(names)), dtype=np.int64))

    @classmethod
    def of(cls, names: Sequence[str], labels: Labels, prediction: Labels) -> ConfusionMatrix:
        """Count the pixels of one picture.

        Parameters
        ----------
        labels: class ids of any shape; ``IGNORE_ID`` for ignored pixels.
        prediction: class ids 0..K-1 of the same shape.
        """
        if labels.shape != prediction.shape:
            raise ValueError(f"labels of shape {labels.shape}, prediction of shape {prediction.shape}")
        classes = len(names)
        counted = labels != IGNORE_ID
        true = labels[counted].astype(np.int64)
        predicted = prediction[counted].astype(np.int64)
        if true.size and (int(true.max()) >= classes or int(predicted.max()) >= classes):
            raise ValueError(f"a class id is not below {classes}")
        counts = np.bincount(true * classes + predicted, minlength=classes * classes)
        return cls(tuple(names), counts.astype(np.int64).reshape(classes, classes))

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        if self.names != other.names:
            raise ValueError("confusion matrices of different classes cannot be added")
        return ConfusionMatrix(self.names, self.counts + other.counts)

    @property
    def pixels(self) -> int:
        """Number of counted pixels."""
        return int(self.counts.sum())

"""Scoring a segmenter on samples, each once, on its original pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unpool.classes import IGNORE_ID, Labels
from unpool.data import Sample
from unpool.engine.machine import Machine
from unpool.engine.prediction import TILE, most_probable, pieces
from unpool.metrics import ConfusionMatrix, Scores, scores
from unpool.segmenter import Segmenter


@dataclass(frozen=True)
class ImageResult:
    """One picture's result.

    Attributes
    ----------
    prediction: uint8 class ids (rows, columns).
    matrix: its confusion matrix.
    loss: sum over counted pixels of -log p(true class).
    """

    name: str
    prediction: Labels
    matrix: ConfusionMatrix
    loss: float


@dataclass(frozen=True)
class Evaluation:
    """The result over a set.

    Attributes
    ----------
    matrix: one confusion matrix over all pictures.
    scores: its scores.
    images: (name, scores) of each picture, in the order they were scored.
    loss: mean over counted pixels of -log p(true class), or None where there are none.
    """

    matrix: ConfusionMatrix
    scores: Scores
    images: tuple[tuple[str, Scores], ...]
    loss: float | None


def evaluate_each(
    segmenter: Segmenter, samples: Iterable[Sample], machine: Machine, tile: int = TILE
) -> Iterator[ImageResult]:
    """Predict and count each sample."""
    for sample in samples:
        prediction = np.empty(sample.labels.shape, dtype=np.uint8)
        loss = 0.0
        for piece in pieces(segmenter, sample.image, sample.name, machine, tile):
            prediction[piece.rows, piece.columns] = most_probable(piece)
            truth = torch.from_numpy(sample.labels[piece.rows, piece.columns].astype(np.int64))
            loss += float(F.cross_entropy(piece.logits[None], truth[None], ignore_index=IGNORE_ID, reduction="sum"))
        matrix = ConfusionMatrix.of(segmenter.classes.names, sample.labels, prediction)
        yield ImageResult(sample.name, prediction, matrix, loss)


def summarise(segmenter: Segmenter, results: Iterable[ImageResult]) -> Evaluation:
    """Add up the results of single pictures."""
    matrix = ConfusionMatrix.empty(segmenter.classes.names)
    images: list[tuple[str, Scores]] = []
    loss = 0.0
    for result in results:
        matrix = matrix + result.matrix
        images.append((result.name, scores(result.matrix)))
        loss += result.loss
    return Evaluation(matrix, scores(matrix), tuple(images), loss / matrix.pixels if matrix.pixels else None)


def total_of(
    segmenter: Segmenter, results: Iterable[ImageResult], sum_up: Callable[[Tensor], Tensor]
) -> tuple[Scores, float | None]:
    """Scores and mean loss (as in ``Evaluation``) of results that ``sum_up`` adds to those of other processes."""
    own = summarise(segmenter, results)
    counts = sum_up(torch.from_numpy(own.matrix.counts.copy()))
    matrix = ConfusionMatrix(own.matrix.names, counts.numpy())
    loss = float(sum_up(torch.tensor([(own.loss or 0.0) * own.matrix.pixels], dtype=torch.float64)))
    return scores(matrix), loss / matrix.pixels if matrix.pixels else None

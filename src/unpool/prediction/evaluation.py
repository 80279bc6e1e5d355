"""Scoring a segmenter on samples, each once, on its original pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unpool.class_table import IGNORE_ID
from unpool.data.samples import Sample
from unpool.machine.device import Machine
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.measures import Evidence, Measure, Numbers
from unpool.metrics.scores import Scores, scores
from unpool.prediction.averaging import ONCE, Averaging
from unpool.prediction.predictor import TILE, pieces
from unpool.prediction.result import Prediction
from unpool.processes import Processes
from unpool.segmenter import Segmenter
from unpool.shapes import Size


@dataclass(frozen=True)
class ImageResult:
    """One picture's result.

    Attributes
    ----------
    matrix: its confusion matrix.
    loss: sum over counted pixels of -log p(true class).
    numbers: of each measure, in their order.
    """

    name: str
    matrix: ConfusionMatrix
    loss: float
    numbers: tuple[Numbers, ...] = ()


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
    segmenter: Segmenter,
    samples: Iterable[Sample],
    machine: Machine,
    tile: Size = TILE,
    measures: Sequence[Measure] = (),
    averaging: Averaging = ONCE,
) -> Iterator[ImageResult]:
    """Predict and count each sample, and measure it."""
    whole = any(measure.probabilities for measure in measures)
    for sample in samples:
        answer = Prediction.empty(
            len(segmenter.classes),
            sample.labels.shape,
            confidence=bool(measures),
            whole=whole,
            variance=bool(measures) and averaging.samples > 0,
        )
        loss = 0.0
        for piece in pieces(segmenter, sample.image, sample.name, machine, tile, averaging):
            answer.take(piece)
            truth = torch.from_numpy(sample.labels[piece.rows, piece.columns].astype(np.int64))
            loss += float(F.cross_entropy(piece.logits[None], truth[None], ignore_index=IGNORE_ID, reduction="sum"))
        matrix = ConfusionMatrix.of(segmenter.classes.names, sample.labels, answer.prediction)
        numbers: tuple[Numbers, ...] = ()
        if answer.confidence is not None:
            variance = None if answer.variance is None else answer.variance.mean(axis=0)
            seen = Evidence(
                sample.labels, sample.instances, answer.prediction, answer.confidence, answer.probabilities, variance
            )
            numbers = tuple(measure.numbers(seen) for measure in measures)
        yield ImageResult(sample.name, matrix, loss, numbers)


def evaluate_together(
    segmenter: Segmenter,
    samples: Sequence[Sample],
    names: Sequence[str],
    machine: Machine,
    processes: Processes,
    measures: Sequence[Measure] = (),
    averaging: Averaging = ONCE,
) -> Iterator[ImageResult]:
    """Predict, count and measure each sample, known by its name, in one of the processes.

    The first one gets the results of all, in the order of the samples; the others get their own.
    """
    own = iter(evaluate_each(segmenter, processes.share(samples), machine, measures=measures, averaging=averaging))
    for index, name in enumerate(names):
        owner = index % processes.count
        if owner == processes.rank:
            result = next(own)
            if not processes.first:
                _send(result, processes)
            yield result
        elif processes.first:
            yield _receive(name, segmenter.classes.names, len(measures), processes, owner)


def _send(result: ImageResult, processes: Processes) -> None:
    processes.send(torch.from_numpy(result.matrix.counts))
    processes.send(torch.tensor([result.loss], dtype=torch.float64))
    for numbers in result.numbers:
        processes.send(torch.tensor(numbers.shape))
        processes.send(torch.from_numpy(numbers))


def _receive(name: str, classes: tuple[str, ...], measures: int, processes: Processes, owner: int) -> ImageResult:
    counts = processes.receive(torch.empty(len(classes), len(classes), dtype=torch.int64), owner)
    loss = processes.receive(torch.empty(1, dtype=torch.float64), owner)
    numbers: list[Numbers] = []
    for _ in range(measures):
        length = processes.receive(torch.empty(1, dtype=torch.int64), owner)
        numbers.append(processes.receive(torch.empty(int(length), dtype=torch.float64), owner).numpy())
    return ImageResult(name, ConfusionMatrix(classes, counts.numpy()), float(loss), tuple(numbers))


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
) -> tuple[Scores, float | None, Sequence[tuple[str, Scores]]]:
    """Scores and mean loss (as in ``Evaluation``) of results that ``sum_up`` adds to those of other processes.

    Also name and scores of each of this process's own pictures.
    """
    own = summarise(segmenter, results)
    counts = sum_up(torch.from_numpy(own.matrix.counts.copy()))
    matrix = ConfusionMatrix(own.matrix.names, counts.numpy())
    loss = float(sum_up(torch.tensor([(own.loss or 0.0) * own.matrix.pixels], dtype=torch.float64)))
    return scores(matrix), loss / matrix.pixels if matrix.pixels else None, own.images

"""The scores of a predictor on samples, each counted once, on its original pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unpool.class_table import IGNORE_ID
from unpool.data.samples import Sample
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.measures import Evidence, Measure, Numbers
from unpool.metrics.scores import Scores, scores
from unpool.objects.separation import ObjectIds, separated, separation_for
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import Kept, Prediction
from unpool.processes import Processes
from unpool.segmenter import Segmenter


@dataclass(frozen=True)
class ImageResult:
    """The result of one picture.

    Attributes
    ----------
    matrix: its confusion matrix.
    loss: sum over counted pixels of -log p(true class).
    numbers: the numbers of each measure, in the order of the measures.
    """

    name: str
    matrix: ConfusionMatrix
    loss: float
    numbers: tuple[Numbers, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """The result of a set of pictures.

    Attributes
    ----------
    matrix: one confusion matrix over all pictures.
    scores: the scores of that matrix.
    images: (name, scores) of each picture, in the order in which they were scored.
    loss: mean over counted pixels of -log p(true class), or None where there are none.
    """

    matrix: ConfusionMatrix
    scores: Scores
    images: tuple[tuple[str, Scores], ...]
    loss: float | None

    @property
    def total_loss(self) -> float:
        """Sum over counted pixels of -log p(true class)."""
        return (self.loss or 0.0) * self.matrix.pixels


def evaluate_each(
    predictor: Predictor, samples: Iterable[Sample], measures: Sequence[Measure] = ()
) -> Iterator[ImageResult]:
    """Predict each sample, count its pixels in a confusion matrix, and compute the measures."""
    classes = predictor.segmenter.classes
    keep = Kept(
        confidence=bool(measures),
        probabilities=any(measure.probabilities for measure in measures),
        variance=bool(measures),
        inside=any(measure.separated for measure in measures),
    )
    for sample in samples:
        rows, columns = sample.labels.shape
        predicted = predictor.empty(slice(0, rows), columns, keep)
        loss = 0.0
        for tile in predictor.tiles(sample.image, sample.name):
            predicted.fill(tile)
            labels = torch.from_numpy(sample.labels[tile.rows, tile.columns].astype(np.int64))
            loss += float(F.cross_entropy(tile.logits[None], labels[None], ignore_index=IGNORE_ID, reduction="sum"))
        matrix = ConfusionMatrix.of(classes.names, sample.labels, predicted.prediction)
        objects = separated_prediction(predicted, predictor.segmenter.borders)
        yield ImageResult(sample.name, matrix, loss, _measured(sample, predicted, measures, objects))


def separated_prediction(predicted: Prediction, borders: int) -> ObjectIds | None:
    """Return the objects of a picture's prediction, touching ones separated; None where ``inside`` is not kept.

    Parameters
    ----------
    borders: width of the borders that the network learned; 0 for none.
    """
    if predicted.inside is None:
        return None
    return separated(predicted.prediction, predicted.inside, separation_for(borders))


def _measured(
    sample: Sample, predicted: Prediction, measures: Sequence[Measure], objects: ObjectIds | None
) -> tuple[Numbers, ...]:
    if predicted.confidence is None:
        return ()
    variance = None if predicted.variance is None else predicted.variance.mean(axis=0)
    evidence = Evidence(
        sample.labels,
        sample.instances,
        predicted.prediction,
        predicted.confidence,
        predicted.probabilities,
        variance,
        objects,
    )
    return tuple(measure.numbers(evidence) for measure in measures)


def evaluate_together(
    predictor: Predictor,
    samples: Sequence[Sample],
    names: Sequence[str],
    processes: Processes,
    measures: Sequence[Measure] = (),
) -> Iterator[ImageResult]:
    """Predict and score each sample in one of the processes.

    The first process yields the results of all, in the order of the samples; the others yield their own.

    Parameters
    ----------
    names: of all samples; a process reads only its own samples.
    """
    own = evaluate_each(predictor, processes.share(samples), measures)
    for index, name in enumerate(names):
        owner = index % processes.count
        if owner == processes.rank:
            result = next(own)
            if not processes.first:
                _send(result, processes)
            yield result
        elif processes.first:
            yield _receive(name, predictor.segmenter.classes.names, len(measures), processes, owner)


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
    return _evaluation(matrix, tuple(images), loss)


def total_of(segmenter: Segmenter, results: Iterable[ImageResult], sum_up: Callable[[Tensor], Tensor]) -> Evaluation:
    """Return the evaluation of the pictures of all processes; its ``images`` are this process's own.

    Parameters
    ----------
    results: of this process's pictures.
    sum_up: sums a tensor over the processes.
    """
    own = summarise(segmenter, results)
    counts = sum_up(torch.from_numpy(own.matrix.counts.copy()))
    loss = float(sum_up(torch.tensor([own.total_loss], dtype=torch.float64)))
    return _evaluation(ConfusionMatrix(own.matrix.names, counts.numpy()), own.images, loss)


def joint_evaluation(first: Evaluation, second: Evaluation) -> Evaluation:
    """Return the evaluation of two sets of pictures together."""
    loss = first.total_loss + second.total_loss
    return _evaluation(first.matrix + second.matrix, (*first.images, *second.images), loss)


def _evaluation(matrix: ConfusionMatrix, images: tuple[tuple[str, Scores], ...], total_loss: float) -> Evaluation:
    return Evaluation(matrix, scores(matrix), images, total_loss / matrix.pixels if matrix.pixels else None)

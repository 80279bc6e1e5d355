"""Scores of single objects, where the prediction is of classes: its connected components are the objects.

* **Predicted objects** are the connected components of each class but the first. Pixels are connected if they share an
  edge or a corner: that is the default of scikit-image, OpenCV, Matlab and ImageJ (not of scipy). Challenges of objects
  take object numbers and have no rule for it. With edges alone, the specks of an uncertain prediction would be many
  more objects. Objects that touch in the prediction are one object, which lowers the score. No component is too small
  to count.
* **True objects** are the object numbers in the mask. Each number is one object, even if its pixels are not connected.
  Where masks have no numbers, the connected components of the true class are the objects.
* **SEG** (Maška et al., Bioinformatics 30(11), 2014, the Cell Tracking Challenge): the IoU of a true object with the
  predicted one that covers more than half of it (there is at most one), else 0; the mean over all true objects of the
  set.
* **Average precision** (Data Science Bowl 2018; Caicedo et al., Nature Methods 16, 2019): an object is found if the
  IoU of a true and a predicted object is above a threshold. With TP found, FP other predicted and FN other true objects
  of a picture, it is TP / (TP + FP + FN), the mean over the thresholds 0.50, 0.55, ..., 0.95, then over the pictures.
* **F1** = 2 TP / (2 TP + FP + FN) of all objects of the set, at threshold 0.5.
* A true object is **merged** if the predicted object that covers more than half of it covers more than half of another
  true object too. A predicted object is a **part** if the true object that covers more than half of it covers more than
  half of another predicted object too.

The average precision leaves out a picture with neither true nor predicted objects; a picture with only one of both has
0. Ignored pixels belong to no object, and predicted pixels there connect nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.metrics.arithmetic import known_mean, ratio
from unpool.metrics.measures import Column, Curve, Diagram, Evidence, Measure, Numbers, ScoreTable
from unpool.metrics.segments import components

TWENTIETHS = range(10, 20)
"""IoU thresholds 0.50, 0.55, ..., 0.95 in twentieths, so that whole numbers of pixels are compared and 0.55 is exact.

Above one half, no object has such an IoU with two others, so objects need no matching.
"""

ObjectNumbers = NDArray[Any]
"""(rows, columns) integers: the number of each pixel's object; 0 for background."""

_RULE = (
    "Predicted objects are the connected components (over edges and corners) of each class but the first, so those "
    "that touch in the prediction are one; none is too small to count. True objects are the numbers in the masks, or "
    "connected components where masks have none. SEG: IoU of a true object with the predicted one that covers more "
    "than half of it, else 0; mean over all true objects. AP: TP / (TP + FP + FN) of a picture, mean over the IoU "
    "thresholds 0.50, 0.55 … 0.95 (above which an object is found), then over pictures; a picture with neither true "
    "nor predicted objects is left out. F1, found: of all objects, at 0.50. Merged: true objects that share the "
    "predicted one; parts: predicted objects that share the true one."
)


@dataclass(frozen=True)
class ObjectCounts:
    """The counts of one picture's objects of one class.

    Attributes
    ----------
    true, predicted: number of true and of predicted objects.
    overlap: sum over the true objects of the IoU that SEG gives them.
    merged: number of true objects that share their predicted object.
    parts: number of predicted objects that share their true object.
    found: number of found objects at each threshold of ``TWENTIETHS``.
    """

    true: int
    predicted: int
    overlap: float
    merged: int
    parts: int
    found: tuple[int, ...]


_SEPARATED_RULE = (
    "As objects, but predicted objects that touch are separated as predict --objects does: by a watershed on the "
    "network's own evidence, version 1."
)
"""The version is raised where objects are separated in another way, so that tests of two ways are not compared."""


def objects(names: Sequence[str]) -> Measure:
    """Return the measure of objects: a row for each class but the first, and one for all objects if there are more.

    Parameters
    ----------
    names: K class names, the first of which is the background.
    """
    return _measure(names, separated=False)


def separated_objects(names: Sequence[str]) -> Measure:
    """Return the measure of objects where touching ones are separated; its columns are those of ``objects``.

    Parameters
    ----------
    names: K class names, the first of which is the background.
    """
    return _measure(names, separated=True)


def _measure(names: Sequence[str], *, separated: bool) -> Measure:
    rows = tuple(names[1:]) if len(names) == 2 else (*names[1:], "all objects")
    return Measure(
        key="separated_objects" if separated else "objects",
        name="separated-objects" if separated else "objects",
        title="Objects, separated" if separated else "Objects",
        rule=_SEPARATED_RULE if separated else _RULE,
        rows=rows,
        columns=(
            Column("seg", "SEG"),
            Column("average_precision", "AP"),
            Column("f1", "F1 at 0.5"),
            Column("true", "true", "count", 0),
            Column("predicted", "predicted", "count", 0),
            Column("found", "found", "count", 0),
            Column("merged", "merged", "count", 0, "lower"),
            Column("parts", "parts", "count", 0, "lower"),
        ),
        numbers=lambda evidence: _numbers(evidence, len(names), separated=separated),
        table=lambda numbers: _table(_counts(numbers, len(names))),
        diagram=lambda numbers: _diagram(_counts(numbers, len(names))[:, -1]),
        separated=separated,
    )


def object_counts(truth: ObjectNumbers, prediction: ObjectNumbers) -> ObjectCounts:
    """Count the objects of one picture and class, by the rules of ``unpool.metrics.objects``.

    Parameters
    ----------
    truth, prediction: object numbers of the same shape. Only which pixels share a number matters, not the number.
    """
    in_object = (truth != 0) | (prediction != 0)
    true, rows = np.unique(truth[in_object], return_inverse=True)
    predicted, columns = np.unique(prediction[in_object], return_inverse=True)
    cells, pixels = np.unique(rows * len(predicted) + columns, return_counts=True)
    row, column = np.divmod(cells, max(len(predicted), 1))
    both = (true[row] != 0) & (predicted[column] != 0)
    row, column, pixels = row[both], column[both], pixels[both]
    size, predicted_size = np.bincount(rows)[row], np.bincount(columns)[column]
    union = size + predicted_size - pixels
    covering = 2 * pixels > size
    return ObjectCounts(
        true=int(np.count_nonzero(true)),
        predicted=int(np.count_nonzero(predicted)),
        overlap=fsum((pixels / union)[covering]),  # rounded once, so the order of the objects does not matter
        merged=_count_repeated(column[covering]),
        parts=_count_repeated(row[2 * pixels > predicted_size]),
        found=tuple(int(np.count_nonzero(20 * pixels > threshold * union)) for threshold in TWENTIETHS),
    )


def _count_repeated(numbers: NDArray[np.intp]) -> int:
    """Count the elements whose number occurs more than once."""
    _, times = np.unique(numbers, return_counts=True)
    return int(times[times > 1].sum())


def _numbers(evidence: Evidence, classes: int, *, separated: bool) -> Numbers:
    """Return the counts of each class but the first, one after the other."""
    known = evidence.labels != IGNORE_ID
    counts = []
    for k in range(1, classes):
        true = evidence.labels == k
        truth = components(true, corners=True) if evidence.instances is None else np.where(true, evidence.instances, 0)
        predicted = known & (evidence.prediction == k)
        if separated:
            assert evidence.separated is not None
            prediction = np.where(predicted, evidence.separated, 0)
        else:
            prediction = components(predicted, corners=True)
        *single, found = astuple(object_counts(truth, prediction))
        counts.append([*single, *found])
    return np.array(counts, dtype=np.float64).ravel()


def _counts(numbers: Numbers, classes: int) -> NDArray[np.float64]:
    """Return the counts (pictures, rows of the table, counts): of each class, and of all objects if there are more."""
    counts = numbers.reshape(len(numbers), classes - 1, -1)
    return counts if classes == 2 else np.concatenate([counts, counts.sum(1, keepdims=True)], axis=1)


def _table(counts: NDArray[np.float64]) -> ScoreTable:
    true, predicted, overlap, merged, parts = np.moveaxis(counts.sum(0), -1, 0)[:5]
    found = counts.sum(0)[:, 5]
    precision = known_mean(_precision(counts).mean(-1))
    f1 = ratio(2 * found, true + predicted)
    return np.stack([ratio(overlap, true), precision, f1, true, predicted, found, merged, parts], axis=1)


def _precision(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return TP / (TP + FP + FN) at each threshold: (..., thresholds); NaN where there are no objects."""
    found = counts[..., 5:]
    return ratio(found, counts[..., :1] + counts[..., 1:2] - found)


def _diagram(counts: NDArray[np.float64]) -> Diagram:
    """Return the curves of the scores of all objects, counts (pictures, counts), against the threshold."""
    thresholds = tuple(threshold / 20 for threshold in TWENTIETHS)
    found = ratio(counts[:, 5:].sum(0), counts[:, 0].sum())
    return Diagram(
        title="Objects found",
        x_label="IoU threshold",
        y_label="share",
        curves=(
            Curve("TP / (TP + FP + FN), mean over pictures", thresholds, tuple(known_mean(_precision(counts)))),
            Curve("TP / (TP + FN) of all objects", thresholds, tuple(found)),
        ),
    )

"""Scores of objects, one by one, where the prediction is of classes: its connected components are the objects.

* **Predicted objects** are the connected components of a class's pixels, of every class but the first. Pixels are
  connected where they share an edge or a corner, which is how scikit-image, OpenCV, Matlab and ImageJ count unless told
  otherwise (scipy does not). Challenges of objects take numbers and have no rule for it. With edges alone, the specks
  of an unsure prediction are many more objects. Objects that touch in the prediction are one, which costs score. No
  component is too small to count.
* **True objects** are the numbers in the mask, each one object even where its pixels do not hang together; where masks
  have no numbers, the connected components of the true class.
* **SEG** (Maška et al., Bioinformatics 30(11), 2014, the Cell Tracking Challenge): the IoU of a true object with the
  predicted one that covers more than half of it, of which there is at most one, else 0; the mean over all true objects
  of the set.
* **Average precision** (Data Science Bowl 2018; Caicedo et al., Nature Methods 16, 2019): an object is found where the
  IoU of a true and a predicted one is above a threshold; with TP found, FP other predicted and FN other true objects of
  a picture TP / (TP + FP + FN), the mean over the thresholds 0.50, 0.55, ..., 0.95, then over the pictures.
* **F1** = 2 TP / (2 TP + FP + FN) of all objects of the set, at threshold 0.5.
* A true object is **merged** where the predicted one that covers more than half of it does so to another true one too;
  a predicted object is a **part** where the true one that covers more than half of it does so to another as well.

A picture with neither true nor predicted objects is left out of the average precision; with only one of both it has 0.
Ignored pixels belong to no object, and what is predicted there connects nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.class_table import IGNORE_ID
from unpool.metrics.arithmetic import known_mean, ratio
from unpool.metrics.measures import Column, Curve, Diagram, Evidence, Measure, Numbers, Table

TWENTIETHS = range(10, 20)
"""Thresholds of the IoU in twentieths, so that whole numbers of pixels are compared: 0.50, 0.55, ..., 0.95."""

_TOUCHING = np.ones((3, 3), dtype=np.bool_)

Objects = NDArray[Any]
"""Object numbers (rows, columns), integers; 0 for background."""

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
    """What is known of one picture's objects of one class.

    Attributes
    ----------
    true, predicted: how many there are.
    overlap: sum over the true objects of the IoU that SEG gives them.
    merged: true objects that share their predicted one.
    parts: predicted objects that share their true one.
    found: at each threshold of ``TWENTIETHS``.
    """

    true: int
    predicted: int
    overlap: float
    merged: int
    parts: int
    found: tuple[int, ...]


def objects(names: Sequence[str]) -> Measure:
    """The scores of objects as a measure: a row for each class but the first, and all together where there are more.

    Parameters
    ----------
    names: K class names, the first of which is the background.
    """
    rows = tuple(names[1:]) if len(names) == 2 else (*names[1:], "all objects")
    return Measure(
        key="objects",
        name="objects",
        title="Objects",
        rule=_RULE,
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
        numbers=lambda seen: _numbers(seen, len(names)),
        table=lambda numbers: _table(_sums(numbers, len(names))),
        diagram=lambda numbers: _diagram(_sums(numbers, len(names))[:, -1]),
    )


def object_counts(truth: Objects, prediction: Objects) -> ObjectCounts:
    """Count the objects of one picture and class, by the module's rules.

    Parameters
    ----------
    truth, prediction: object numbers of the same shape; which numbers they are does not matter.
    """
    somewhere = (truth != 0) | (prediction != 0)
    true, rows = np.unique(truth[somewhere], return_inverse=True)
    predicted, columns = np.unique(prediction[somewhere], return_inverse=True)
    pairs, pixels = np.unique(rows * len(predicted) + columns, return_counts=True)
    row, column = np.divmod(pairs, max(len(predicted), 1))
    both = (true[row] != 0) & (predicted[column] != 0)
    row, column, pixels = row[both], column[both], pixels[both]
    size, predicted_size = np.bincount(rows)[row], np.bincount(columns)[column]
    union = size + predicted_size - pixels
    covering = 2 * pixels > size
    return ObjectCounts(
        true=int(np.count_nonzero(true)),
        predicted=int(np.count_nonzero(predicted)),
        overlap=fsum((pixels / union)[covering]),  # rounded once, so the order of the objects does not matter
        merged=_sharing(column[covering]),
        parts=_sharing(row[2 * pixels > predicted_size]),
        found=tuple(int(np.count_nonzero(20 * pixels > threshold * union)) for threshold in TWENTIETHS),
    )


def _sharing(owners: NDArray[np.intp]) -> int:
    """How many have an owner that others have too."""
    _, times = np.unique(owners, return_counts=True)
    return int(times[times > 1].sum())


def _numbers(seen: Evidence, classes: int) -> Numbers:
    """The counts of each class but the first, one after the other."""
    known = seen.labels != IGNORE_ID
    counts = []
    for k in range(1, classes):
        true = seen.labels == k
        truth = _components(true) if seen.instances is None else np.where(true, seen.instances, 0)
        found = astuple(object_counts(truth, _components(known & (seen.prediction == k))))
        counts.append([*found[:-1], *found[-1]])
    return np.array(counts, dtype=np.float64).ravel()


def _components(mask: NDArray[np.bool_]) -> Objects:
    numbers: Objects
    numbers, _ = ndimage.label(mask, _TOUCHING)
    return numbers


def _sums(numbers: Numbers, classes: int) -> NDArray[np.float64]:
    """Counts (pictures, rows of the table, counts): of each class, and of all where there are several."""
    counts = numbers.reshape(len(numbers), classes - 1, -1)
    return counts if classes == 2 else np.concatenate([counts, counts.sum(1, keepdims=True)], axis=1)


def _table(counts: NDArray[np.float64]) -> Table:
    true, predicted, overlap, merged, parts = np.moveaxis(counts.sum(0), -1, 0)[:5]
    found = counts.sum(0)[:, 5]
    precision = known_mean(_precision(counts).mean(-1))
    f1 = ratio(2 * found, true + predicted)
    return np.stack([ratio(overlap, true), precision, f1, true, predicted, found, merged, parts], axis=1)


def _precision(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """TP / (TP + FP + FN) at each threshold: (..., thresholds); NaN where there are no objects."""
    found = counts[..., 5:]
    return ratio(found, counts[..., :1] + counts[..., 1:2] - found)


def _diagram(counts: NDArray[np.float64]) -> Diagram:
    """How the scores of all objects (pictures, counts) fall as the threshold rises."""
    thresholds = tuple(threshold / 20 for threshold in TWENTIETHS)
    found = ratio(counts[:, 5:].sum(0), counts[:, 0].sum())
    return Diagram(
        title="Objects found",
        across="IoU threshold",
        up="share",
        curves=(
            Curve("TP / (TP + FP + FN), mean over pictures", thresholds, tuple(known_mean(_precision(counts)))),
            Curve("TP / (TP + FN) of all objects", thresholds, tuple(found)),
        ),
    )

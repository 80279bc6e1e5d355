"""Scores of boundaries, for each class of each picture, each with its rule.

* **BF score** (Badrinarayanan et al., arXiv 1511.00561 v3, sec. 3.3, after Csurka et al., BMVC 2013): as many boundary
  pixels as possible of ground truth and prediction are matched one to one, at most 0.75 % of the picture's diagonal
  apart. With m matches, precision = m / predicted, recall = m / true, BF = their harmonic mean = 2 m / (predicted +
  true).
* **Boundary IoU** (Cheng et al., CVPR 2021): the IoU of two bands. A band holds the pixels of the class within 2 % of
  the diagonal of its outline (rounded, at least 1 pixel; counted along rows and columns).
* **Hausdorff 95**: distances in pixels (Euclidean) from each pixel of one rim to the nearest pixel of the other; the
  larger one of the two 95th percentiles (linearly interpolated).
* **Normalised surface distance** (Nikolov et al., arXiv 1809.04430): the share of the pixels of both rims that are at
  most 0.75 % of the diagonal from the other rim.

A class counts in a picture if it has a boundary in the ground truth or in the prediction, as in SegNet's script.
``counted="truth"`` counts only classes with a boundary in the ground truth, as SegNet's paper says; it changes the BF
score alone. Where only one of the two has a boundary, ratios are 0 and the Hausdorff distance is the diagonal. The mean
of a picture is over the classes that count in it. The value of a set, for a class as for the means, is the mean over
the pictures that have one. ``unpool.metrics.contours`` has the rule for ignored pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import hypot
from typing import Literal, TypeAlias

import numpy as np

from unpool.class_table import IGNORE_ID, Labels
from unpool.metrics.arithmetic import known_mean
from unpool.metrics.contours import band, boundary, distances, matched_pixels, rim
from unpool.metrics.measures import Column, Measure, Numbers
from unpool.metrics.segments import BinaryImage

BF_TOLERANCE = 0.0075
"""Share of the diagonal; of the normalised surface distance too. 4.5 pixels at 360 x 480."""

BAND_WIDTH = 0.02
"""Share of the diagonal. 12 pixels at 360 x 480."""

Counted: TypeAlias = Literal["either", "truth"]
"""Classes that the BF score counts: with a boundary in ground truth or prediction, or in the ground truth."""

_RULE = (
    "Boundary scores are means over pictures, in each of which a class counts if it has a boundary in the truth or in "
    "the prediction. Where only one of them has, ratios are 0 and the Hausdorff distance is the picture's diagonal. "
    "There is no boundary against ignored pixels or, but for the boundary IoU, the picture's edge."
)
_PAPERS_RULE = " The BF score alone counts the classes that have a boundary in the truth."


@dataclass(frozen=True)
class BoundaryScore:
    """The scores of one class, or the mean of several classes; None where no class counts.

    Attributes
    ----------
    bf, boundary_iou, normalised_surface_distance: 0..1, 1 for a perfect boundary.
    hausdorff_95: in pixels, 0 for a perfect boundary.
    """

    name: str
    bf: float | None
    boundary_iou: float | None
    hausdorff_95: float | None
    normalised_surface_distance: float | None


@dataclass(frozen=True)
class BoundaryScores:
    """The scores of one picture: of each class, and the mean of the classes that count in it."""

    classes: tuple[BoundaryScore, ...]
    mean: BoundaryScore


def boundaries(names: Sequence[str], counted: Counted = "either") -> Measure:
    """Return the measure of boundaries: a row for each class, and the mean of those that count in a picture.

    Parameters
    ----------
    names: K class names.
    counted: classes that the BF score counts.
    """
    return Measure(
        key="boundaries",
        name="boundaries" if counted == "either" else "boundaries-of-truth",
        title="Boundaries",
        rule=_RULE + (_PAPERS_RULE if counted == "truth" else ""),
        rows=(*names, "mean"),
        columns=(
            Column("bf", "BF score"),
            Column("boundary_iou", "boundary IoU"),
            Column("hausdorff_95", "Hausdorff 95, px", "pixels", 2, "lower"),
            Column("normalised_surface_distance", "surface distance"),
        ),
        numbers=lambda evidence: _numbers(boundary_scores(names, evidence.labels, evidence.prediction, counted)),
        table=lambda numbers: known_mean(numbers).reshape(len(names) + 1, -1),
    )


def _numbers(scores: BoundaryScores) -> Numbers:
    """Return the scores of the classes and of their mean, one after the other."""
    values = [astuple(score)[1:] for score in (*scores.classes, scores.mean)]
    return np.array(values, dtype=np.float64).ravel()


def boundary_scores(
    names: Sequence[str], labels: Labels, prediction: Labels, counted: Counted = "either"
) -> BoundaryScores:
    """Score the boundaries of one picture, by the rules of ``unpool.metrics.boundaries``.

    Parameters
    ----------
    names: K class names.
    labels: class ids (rows, columns); ``IGNORE_ID`` for ignored pixels.
    prediction: class ids of the same shape.
    """
    if labels.shape != prediction.shape or labels.ndim != 2:
        raise ValueError(f"labels of shape {labels.shape}, prediction of shape {prediction.shape}")
    known = labels != IGNORE_ID
    classes = tuple(
        BoundaryScore(
            name,
            bf_score(labels == k, prediction == k, known, counted),
            boundary_iou(labels == k, prediction == k, known),
            *surface_scores(labels == k, prediction == k, known),
        )
        for k, name in enumerate(names)
    )
    return BoundaryScores(classes, _mean_score(classes))


def bf_score(
    truth: BinaryImage, prediction: BinaryImage, known: BinaryImage, counted: Counted = "either"
) -> float | None:
    """Return the BF score of one class: 0..1, or None where the class does not count.

    Parameters
    ----------
    truth, prediction: (rows, columns); whether a pixel is of the class.
    known: whether a pixel counts, that is, is not ignored.
    """
    true, predicted = boundary(truth, known), boundary(prediction, known)
    pixels = int(true.sum()) + int(predicted.sum())
    if not pixels or (counted == "truth" and not true.any()):
        return None
    return 2 * matched_pixels(predicted, true, BF_TOLERANCE * hypot(*truth.shape)) / pixels


def boundary_iou(truth: BinaryImage, prediction: BinaryImage, known: BinaryImage) -> float | None:
    """Return the boundary IoU of one class: 0..1, or None where neither has a band.

    Parameters
    ----------
    truth, prediction: (rows, columns); whether a pixel is of the class.
    known: whether a pixel counts, that is, is not ignored.
    """
    width = max(1, round(BAND_WIDTH * hypot(*truth.shape)))
    true, predicted = band(truth, known, width), band(prediction, known, width)
    union = int((true | predicted).sum())
    return int((true & predicted).sum()) / union if union else None


def surface_scores(
    truth: BinaryImage, prediction: BinaryImage, known: BinaryImage
) -> tuple[float | None, float | None]:
    """Return Hausdorff 95 in pixels and normalised surface distance 0..1 of one class; None where neither has a rim.

    Parameters
    ----------
    truth, prediction: (rows, columns); whether a pixel is of the class.
    known: whether a pixel counts, that is, is not ignored.
    """
    true, predicted = rim(truth, known), rim(prediction, known)
    diagonal = hypot(*truth.shape)
    if not true.any() and not predicted.any():
        return None, None
    if not true.any() or not predicted.any():
        return diagonal, 0.0
    both_ways = distances(true, predicted), distances(predicted, true)
    near = np.concatenate(both_ways) <= BF_TOLERANCE * diagonal
    return float(max(np.percentile(way, 95) for way in both_ways)), float(near.mean())


def _mean_score(scores: Sequence[BoundaryScore]) -> BoundaryScore:
    values = np.array([astuple(score)[1:] for score in scores], dtype=np.float64)
    return BoundaryScore("mean", *(None if np.isnan(mean) else float(mean) for mean in known_mean(values)))

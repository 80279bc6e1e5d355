"""Scores of boundaries, class by class and picture by picture, each with its rule.

* **BF score** (Badrinarayanan et al., arXiv 1511.00561 v3, sec. 3.3, after Csurka et al., BMVC 2013): boundary pixels
  of truth and prediction are matched one to one, at most 0.75 % of the picture's diagonal apart, as many as can be;
  with m pairs, precision = m / predicted, recall = m / true, BF = their harmonic mean = 2 m / (predicted + true).
* **Boundary IoU** (Cheng et al., CVPR 2021): the IoU of the two bands of pixels within 2 % of the diagonal (rounded,
  at least 1 pixel; counted along rows and columns) of the class's outline, inside the class.
* **Hausdorff 95**: the larger one of the two 95th percentiles (linearly interpolated) of the Euclidean distances in
  pixels, from each pixel of one rim to the nearest one of the other.
* **Normalised surface distance** (Nikolov et al., arXiv 1809.04430): the share of both rims' pixels that are at most
  0.75 % of the diagonal from the other rim.

A class counts in a picture if it has a boundary in the truth or in the prediction, which is what SegNet's script does;
``counted="truth"`` is the paper's wording, for the BF score alone. Where only one of the two has a boundary, ratios are
0 and the Hausdorff distance is the diagonal. A picture's mean is over the classes that count in it; the value of a set
is the mean over the pictures that have one, for a class as for the means. Ignored pixels: see ``contours``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import hypot
from typing import Literal, TypeAlias

import numpy as np

from unpool.class_table import IGNORE_ID, Labels
from unpool.metrics.arithmetic import known_mean
from unpool.metrics.contours import Mask, band, boundary, distances, matched, rim
from unpool.metrics.measures import Column, Measure, Numbers

BF_TOLERANCE = 0.0075
"""Of the diagonal; also that of the normalised surface distance. 4.5 pixels at 360 x 480."""

BAND_WIDTH = 0.02
"""Of the diagonal. 12 pixels at 360 x 480."""

Counted: TypeAlias = Literal["either", "truth"]
"""Classes that the BF score counts: with a boundary in truth or prediction, or in the truth."""

_RULE = (
    "Boundary scores are means over pictures, in each of which a class counts if it has a boundary in the truth or in "
    "the prediction. Where only one of them has, ratios are 0 and the Hausdorff distance is the picture's diagonal. "
    "There is no boundary against ignored pixels or, but for the boundary IoU, the picture's edge."
)
_PAPERS_RULE = " The BF score alone counts the classes that have a boundary in the truth."


@dataclass(frozen=True)
class BoundaryScore:
    """One class, or the mean of several: None where nothing counts.

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
    """A picture: each class, and the mean of those that count in it."""

    classes: tuple[BoundaryScore, ...]
    mean: BoundaryScore


def boundaries(names: Sequence[str], counted: Counted = "either") -> Measure:
    """The boundary scores as a measure: a row for each class, and the mean of those that count in a picture.

    Parameters
    ----------
    names: K class names.
    counted: the classes that the BF score counts.
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
        numbers=lambda seen: _numbers(boundary_scores(names, seen.labels, seen.prediction, counted)),
        table=lambda numbers: known_mean(numbers).reshape(len(names) + 1, -1),
    )


def _numbers(found: BoundaryScores) -> Numbers:
    """The scores of the classes and of their mean, one after the other."""
    values = [astuple(score)[1:] for score in (*found.classes, found.mean)]
    return np.array(values, dtype=np.float64).ravel()


def boundary_scores(
    names: Sequence[str], labels: Labels, prediction: Labels, counted: Counted = "either"
) -> BoundaryScores:
    """Score the boundaries of one picture, by the module's rules.

    Parameters
    ----------
    names: K class names.
    labels: class ids (rows, columns), ``IGNORE_ID`` where a pixel counts nowhere.
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


def bf_score(truth: Mask, prediction: Mask, known: Mask, counted: Counted = "either") -> float | None:
    """BF score of one class: 0..1, or None where it does not count.

    Parameters
    ----------
    truth, prediction, known: (rows, columns); whether a pixel is of the class, and whether it counts.
    """
    true, found = boundary(truth, known), boundary(prediction, known)
    pixels = int(true.sum()) + int(found.sum())
    if not pixels or (counted == "truth" and not true.any()):
        return None
    return 2 * matched(found, true, BF_TOLERANCE * hypot(*truth.shape)) / pixels


def boundary_iou(truth: Mask, prediction: Mask, known: Mask) -> float | None:
    """Boundary IoU of one class: 0..1, or None where there is neither band. Parameters as in ``bf_score``."""
    width = max(1, round(BAND_WIDTH * hypot(*truth.shape)))
    true, found = band(truth, known, width), band(prediction, known, width)
    union = int((true | found).sum())
    return int((true & found).sum()) / union if union else None


def surface_scores(truth: Mask, prediction: Mask, known: Mask) -> tuple[float | None, float | None]:
    """Hausdorff 95 in pixels and normalised surface distance 0..1 of one class, or None where there is neither rim.

    Parameters as in ``bf_score``.
    """
    true, found = rim(truth, known), rim(prediction, known)
    diagonal = hypot(*truth.shape)
    if not true.any() and not found.any():
        return None, None
    if not true.any() or not found.any():
        return diagonal, 0.0
    ways = distances(true, found), distances(found, true)
    near = np.concatenate(ways) <= BF_TOLERANCE * diagonal
    return float(max(np.percentile(way, 95) for way in ways)), float(near.mean())


def _mean_score(scores: Sequence[BoundaryScore]) -> BoundaryScore:
    values = np.array([astuple(score)[1:] for score in scores], dtype=np.float64)
    return BoundaryScore("mean", *(None if np.isnan(mean) else float(mean) for mean in known_mean(values)))

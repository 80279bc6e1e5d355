"""The scores of the ISBI 2012 challenge: cells that membranes separate, in sections from an electron microscope.

A pixel is predicted to be inside a cell if the probability of the inside is above a threshold. The thresholds 0.0, 0.1,
… 1.0 are all tried, each of them for all pictures, and every score is its best one. As in the challenge's programs
(Fiji's Trainable Segmentation):

* **V_rand, V_info**: the predicted cells are grown until lines of 1 pixel separate them (``partitions.thinned``) and
  compared with the true ones, the 4-connected components of the ground truth. The value of a set is the mean over its
  pictures.
* **Rand error**: 1 - F of pairs of pixels, as V_rand, but of the predicted cells without growing, summed over the
  pictures.
* **pixel error**: 1 - F of the pixels of cells, summed over the pictures. ``pixel_differences`` is the share of pixels
  that differ, the mean over the pictures.
* **warping error**: of all pixels, those that still split or merge cells after the ground truth was warped
  (``warping``). The threshold 1.0 is not tried. ``warping_mistakes`` counts connected ones once, at the same threshold:
  by itself it would be lowest where a whole picture is one mistake.

Ignored pixels count nowhere: they are in no pair and in no count of pixels. In the ground truth they are no cell, as if
the picture ended there, so unknown pixels neither join two cells nor are warped.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.errors import UsageError
from unpool.metrics.arithmetic import known_mean, ratio
from unpool.metrics.measures import Column, Curve, Diagram, Evidence, Measure, Numbers, ScoreTable
from unpool.metrics.partitions import information_score, overlap, pixel_pairs, rand_score, thinned
from unpool.metrics.segments import components
from unpool.metrics.warping import TopologyErrors, topology_errors

THRESHOLDS = tuple(k / 10 for k in range(11))

HALF = THRESHOLDS.index(0.5)

UNWARPED = 1.0
"""Threshold that the warping error does not try."""

PerThreshold = NDArray[np.float64]
"""One value for each threshold, (..., thresholds); NaN where no pixel counts."""


class MembraneNumbers(NamedTuple):
    """The numbers of N pictures at each threshold: float64 (N, thresholds), NaN where no pixel counts.

    Attributes
    ----------
    rand, rand_split, rand_merge, info, info_split, info_merge: 0..1, after thinning.
    pairs_both, pairs_true, pairs_predicted: pairs of pixels in one true and one predicted cell, in one true cell, in
        one predicted cell, without thinning.
    hits, true, predicted: pixels of true cells that are predicted, of true cells, of predicted cells.
    pixels: counted pixels.
    wrong_pixels, mistakes: topology errors.
    """

    rand: PerThreshold
    rand_split: PerThreshold
    rand_merge: PerThreshold
    info: PerThreshold
    info_split: PerThreshold
    info_merge: PerThreshold
    pairs_both: PerThreshold
    pairs_true: PerThreshold
    pairs_predicted: PerThreshold
    hits: PerThreshold
    true: PerThreshold
    predicted: PerThreshold
    pixels: PerThreshold
    wrong_pixels: PerThreshold
    mistakes: PerThreshold


def membranes(names: Sequence[str], membrane: Literal[0, 1] = 0) -> Measure:
    """Return the measure of the challenge's scores: a row for the threshold 0.5, and one for the best thresholds.

    Parameters
    ----------
    names: names of the two classes.
    membrane: class id of the membrane; the other class is the inside of cells.

    Raises
    ------
    UsageError: there are not two classes.
    """
    if len(names) != 2:
        raise UsageError(
            f"scores of membranes for {len(names)} classes: {', '.join(names)}",
            "two classes, the membrane and the inside of cells",
            "leave membranes out of --measures, or train with masks of these two classes",
        )
    inside = 1 - membrane
    return Measure(
        key="membranes",
        name="membranes-second" if membrane else "membranes",
        title="Membranes",
        rule=f"Membrane is the class '{names[membrane]}', inside of cells the class '{names[inside]}'. {_RULE}",
        rows=("at 0.5", "best"),
        columns=(
            Column("v_rand", "V_rand"),
            Column("v_rand_split", "V_rand split"),
            Column("v_rand_merge", "V_rand merge"),
            Column("v_info", "V_info"),
            Column("v_info_split", "V_info split"),
            Column("v_info_merge", "V_info merge"),
            Column("rand_error", "Rand error", better="lower"),
            Column("pixel_error", "pixel error", better="lower"),
            Column("pixel_differences", "differing", better="lower"),
            Column("warping_error", "warping error", digits=6, better="lower"),
            Column("warping_mistakes", "once each", digits=6, better="lower"),
        ),
        numbers=lambda evidence: _numbers(evidence, inside),
        table=_table,
        diagram=_diagram,
        probabilities=True,
    )


_RULE = (
    "The scores of the ISBI 2012 challenge, at the threshold 0.5 for the probability of the inside, and each at the "
    "best of the thresholds 0.0, 0.1, … 1.0. The best is chosen on these very pictures, as the challenge does, which "
    "flatters it. V_rand and V_info: after thinning, means over pictures; split is 1 where no cell is cut, merge where "
    "none are joined. Rand and pixel error: 1 - F of pairs of pixels, and of pixels, of cells; differing: the share of "
    "pixels. Warping error: the share of pixels that split or merge cells; once each: connected ones counted once."
)


def _numbers(evidence: Evidence, inside: int) -> Numbers:
    """Return the numbers of one picture at each threshold, one after the other, in the order of ``MembraneNumbers``."""
    assert evidence.probabilities is not None
    truth, known, likely = evidence.labels == inside, evidence.labels != IGNORE_ID, evidence.probabilities[inside]
    cells = components(truth)
    rows = []
    for threshold in THRESHOLDS:
        predicted = likely > threshold
        thin = overlap(cells, thinned(predicted))
        errors = TopologyErrors(nan, nan) if threshold == UNWARPED else topology_errors(truth, likely, threshold, known)
        pixels = [(predicted & truth).sum(), truth.sum(), (predicted & known).sum(), known.sum()]
        pairs = pixel_pairs(overlap(cells, components(predicted)))
        rows.append([*rand_score(thin), *information_score(thin), *pairs, *pixels, *errors])
    return np.array(rows, dtype=np.float64).ravel()


def _by_name(numbers: Numbers) -> MembraneNumbers:
    return MembraneNumbers(*np.moveaxis(numbers.reshape(len(numbers), len(THRESHOLDS), -1), -1, 0))


def _table(numbers: Numbers) -> ScoreTable:
    """Return every score at 0.5 and at its best threshold. A side of a score takes the best threshold of that score."""
    each = _by_name(numbers)
    errors = (
        1 - _f_score(each.pairs_both, each.pairs_true, each.pairs_predicted),
        1 - _f_score(each.hits, each.true, each.predicted),
        known_mean(ratio(each.true + each.predicted - 2 * each.hits, each.pixels)),
        ratio(each.wrong_pixels.sum(0), each.pixels.sum(0)),
        ratio(each.mistakes.sum(0), each.pixels.sum(0)),
    )
    scores = np.stack([*map(known_mean, each[:6]), *errors])
    guides = [scores[0]] * 3 + [scores[3]] * 3 + [-error for error in (*errors[:-1], errors[-2])]
    best = [_highest(guide) for guide in guides]
    return np.stack([scores[:, HALF], scores[np.arange(len(scores)), best]])


def _diagram(numbers: Numbers) -> Diagram:
    """Return the curves of a set's V_rand and V_info against the threshold."""
    each = _by_name(numbers)
    curves = tuple(
        Curve(label, THRESHOLDS, tuple(map(float, known_mean(values))))
        for label, values in (("V_rand", each.rand), ("V_info", each.info))
    )
    return Diagram("V_rand and V_info after thinning", "threshold", "score", curves)


def _highest(values: PerThreshold) -> int:
    """Return the index of the highest known value, the first of equal ones."""
    return int(np.argmax(np.where(np.isnan(values), -inf, values)))


def _f_score(hits: PerThreshold, true: PerThreshold, predicted: PerThreshold) -> PerThreshold:
    """Return the harmonic mean of precision and recall at each threshold, of counts (N, thresholds) summed over N."""
    return ratio(2 * hits.sum(0), (true + predicted).sum(0))

"""The scores of the ISBI 2012 challenge: cells that membranes part, in sections seen by an electron microscope.

A pixel is found to be inside a cell if the probability of that is above a threshold. The thresholds 0.0, 0.1, … 1.0
are all tried, the same one for all pictures, and every score is its best one. As in the challenge's programs (Fiji's
Trainable Segmentation):

* **V_rand, V_info**: the found cells are grown until lines of 1 pixel part them (``partitions.thinned``) and compared
  with the true ones, the 4-connected components of the truth. The value of a set is the mean over its pictures.
* **Rand error**: 1 - F of pairs of pixels, as V_rand, but of the found cells as they are, summed over the pictures.
* **pixel error**: 1 - F of the pixels of cells, summed over the pictures. ``pixel_differences`` is the plain share of
  pixels that differ, the mean over the pictures.
* **warping error**: of all pixels, those that still split or merge cells after the truth was warped (``warping``); the
  threshold 1.0 is not tried. ``warping_mistakes`` counts connected ones once, at the same threshold: alone it would be
  lowest where a picture is one mistake.

Ignored pixels count nowhere. In the truth they are no cell, as if the picture ended there: what is unknown can neither
join two cells nor be warped. They are in no pair and in no count of pixels.
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
from unpool.metrics.measures import Column, Curve, Diagram, Evidence, Measure, Numbers, Table
from unpool.metrics.partitions import components, information_score, overlap, pairs, rand_score, thinned
from unpool.metrics.warping import Topology, topology

THRESHOLDS = tuple(k / 10 for k in range(11))

HALF = THRESHOLDS.index(0.5)

UNWARPED = 1.0
"""The threshold that the warping error does not try."""

Scan = NDArray[np.float64]
"""(thresholds,); NaN where nothing counts."""


class Facts(NamedTuple):
    """What is known of N pictures at each threshold: float64 (N, thresholds), NaN where nothing counts.

    Attributes
    ----------
    rand, rand_split, rand_merge, info, info_split, info_merge: 0..1, after thinning.
    pairs_both, pairs_true, pairs_found: pairs of pixels that lie in one cell, without thinning.
    hits, true, found: pixels of true cells that are found, of true cells, of found cells.
    pixels: that count.
    wrong_pixels, mistakes: of topology.
    """

    rand: Scan
    rand_split: Scan
    rand_merge: Scan
    info: Scan
    info_split: Scan
    info_merge: Scan
    pairs_both: Scan
    pairs_true: Scan
    pairs_found: Scan
    hits: Scan
    true: Scan
    found: Scan
    pixels: Scan
    wrong_pixels: Scan
    mistakes: Scan


def membranes(names: Sequence[str], membrane: Literal[0, 1] = 0) -> Measure:
    """The challenge's scores as a measure: a row for the threshold 0.5, and one for the best thresholds.

    Parameters
    ----------
    names: of the two classes.
    membrane: which of them is the membrane; the other one is the inside of cells.

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
        numbers=lambda seen: _numbers(seen, inside),
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


def _numbers(seen: Evidence, inside: int) -> Numbers:
    """What is known of one picture at each threshold, one after the other, in the order of ``Facts``."""
    assert seen.probabilities is not None
    truth, known, likely = seen.labels == inside, seen.labels != IGNORE_ID, seen.probabilities[inside]
    cells = components(truth)
    rows = []
    for threshold in THRESHOLDS:
        found = likely > threshold
        thin = overlap(cells, thinned(found))
        wrong = Topology(nan, nan) if threshold == UNWARPED else topology(truth, likely, threshold, known)
        pixels = [(found & truth).sum(), truth.sum(), (found & known).sum(), known.sum()]
        plain = pairs(overlap(cells, components(found)))
        rows.append([*rand_score(thin), *information_score(thin), *plain, *pixels, *wrong])
    return np.array(rows, dtype=np.float64).ravel()


def _facts(numbers: Numbers) -> Facts:
    return Facts(*np.moveaxis(numbers.reshape(len(numbers), len(THRESHOLDS), -1), -1, 0))


def _table(numbers: Numbers) -> Table:
    """Every score at 0.5 and where it is best, or the score that it is a side of."""
    facts = _facts(numbers)
    errors = (
        1 - _f_score(facts.pairs_both, facts.pairs_true, facts.pairs_found),
        1 - _f_score(facts.hits, facts.true, facts.found),
        known_mean(ratio(facts.true + facts.found - 2 * facts.hits, facts.pixels)),
        ratio(facts.wrong_pixels.sum(0), facts.pixels.sum(0)),
        ratio(facts.mistakes.sum(0), facts.pixels.sum(0)),
    )
    scans = np.stack([*map(known_mean, facts[:6]), *errors])
    guides = [scans[0]] * 3 + [scans[3]] * 3 + [-error for error in (*errors[:-1], errors[-2])]
    best = [_highest(guide) for guide in guides]
    return np.stack([scans[:, HALF], scans[np.arange(len(scans)), best]])


def _diagram(numbers: Numbers) -> Diagram:
    """V_rand and V_info of a set at each threshold."""
    facts = _facts(numbers)
    curves = tuple(
        Curve(label, THRESHOLDS, tuple(map(float, known_mean(scan))))
        for label, scan in (("V_rand", facts.rand), ("V_info", facts.info))
    )
    return Diagram("V_rand and V_info after thinning", "threshold", "score", curves)


def _highest(scan: Scan) -> int:
    """The place of the highest known value, the first of equal ones."""
    return int(np.argmax(np.where(np.isnan(scan), -inf, scan)))


def _f_score(hits: Scan, true: Scan, found: Scan) -> Scan:
    """The harmonic mean of precision and recall at each threshold, of counts (N, thresholds) summed over pictures."""
    return ratio(2 * hits.sum(0), (true + found).sum(0))

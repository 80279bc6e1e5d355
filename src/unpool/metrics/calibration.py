"""Whether a model is right as often as it says: its confidence against its accuracy.

Pixels are put into 15 bins of equal width by the predicted class's probability, as Guo et al. (On Calibration of Modern
Neural Networks, ICML 2017, arXiv 1706.04599, sec. 2) do: bin m holds confidences in ((m - 1) / 15, m / 15]. In each bin
the accuracy is compared with the mean confidence; the expected calibration error is the mean of the gaps, weighted by
the bins' pixels, the maximum calibration error the widest gap. All pixels of a set count alike, whatever picture they
are in; ignored pixels count nowhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.metrics.measures import Column, Curve, Diagram, Evidence, Measure, Numbers, Table

BINS = 15

FEWEST = 0.001
"""Bins with a smaller share of the pixels say nothing of the maximum and are not drawn."""

_UNIT = 2.0**-24
"""Confidences are added up as multiples of this, so their sums are exact up to 2^29 pixels in whatever order."""

_RULE = (
    "The predicted class's probability is the confidence; pixels are put into 15 bins of equal width by it. Expected "
    "calibration error: the mean gap between a bin's accuracy and its mean confidence, weighted by pixels; maximum "
    "calibration error: the widest gap of the bins with at least 0.1 % of the pixels. Ignored pixels count nowhere."
)


def calibration() -> Measure:
    """Calibration as a measure: one row, over all pixels."""
    return Measure(
        key="calibration",
        name="calibration",
        title="Calibration",
        rule=_RULE,
        rows=("all pixels",),
        columns=(
            Column("expected_calibration_error", "expected error", better="lower"),
            Column("maximum_calibration_error", "maximum", better="lower"),
            Column("mean_confidence", "confidence", better="neither"),
            Column("accuracy", "accuracy"),
        ),
        numbers=_numbers,
        table=_table,
        diagram=reliability,
    )


def _numbers(seen: Evidence) -> Numbers:
    """Pixels, right pixels and the sum of confidences of each bin, one after the other."""
    known = seen.labels != IGNORE_ID
    confidence = seen.confidence[known].astype(np.float64)
    right = seen.prediction[known] == seen.labels[known]
    places = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(np.int64)
    units = np.rint(confidence / _UNIT)
    sums = [np.bincount(places, weights, BINS) for weights in (None, right, units)]
    return np.concatenate([sums[0], sums[1], sums[2] * _UNIT]).astype(np.float64)


def _table(numbers: Numbers) -> Table:
    pixels, right, confidence = _bins(numbers)
    whole = pixels.sum()
    if not whole:
        return np.full((1, 4), np.nan)
    gaps = np.abs(right - confidence)  # of a bin's sums: its gap times its pixels
    counted = _telling(pixels)
    widest = (gaps[counted] / pixels[counted]).max()
    return np.array([[gaps.sum() / whole, widest, confidence.sum() / whole, right.sum() / whole]])


def reliability(numbers: Numbers) -> Diagram:
    """The reliability diagram: a bin's accuracy against its mean confidence, and how many pixels are in it."""
    pixels, right, confidence = (sums[_telling(_bins(numbers)[0])] for sums in _bins(numbers))
    across = tuple((confidence / pixels).tolist())
    return Diagram(
        title="reliability",
        across="mean confidence of a bin",
        up="share",
        curves=(
            Curve("right, of the bin's pixels", across, tuple((right / pixels).tolist())),
            Curve("in the bin, of all pixels", across, tuple((pixels / max(pixels.sum(), 1)).tolist())),
        ),
        diagonal=True,
    )


def _bins(numbers: Numbers) -> NDArray[np.float64]:
    """Pixels, right pixels and sums of confidence, each (BINS,), over pictures' numbers (N, n)."""
    return np.asarray(numbers.sum(axis=0).reshape(3, BINS))


def _telling(pixels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The bins that hold enough of the pixels."""
    return np.asarray((pixels > 0) & (pixels >= FEWEST * pixels.sum()))

"""Whether a model is right as often as its confidence says: confidence against accuracy.

Pixels are put into 15 bins of equal width by the probability of the predicted class, as Guo et al. do (On Calibration
of Modern Neural Networks, ICML 2017, arXiv 1706.04599, sec. 2): bin m holds confidences in ((m - 1) / 15, m / 15]. The
gap of a bin is the difference between its accuracy and its mean confidence. The expected calibration error is the mean
of the gaps, weighted by the bins' pixels; the maximum calibration error is the widest gap. All pixels of a set count
alike, whatever picture they are in; ignored pixels count nowhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.metrics.measures import Column, Curve, Diagram, Evidence, Measure, Numbers, ScoreTable

CONFIDENCE_BINS = 15

SMALLEST_BIN_SHARE = 0.001
"""Share of the pixels below which a bin is not drawn and does not count for the maximum."""

_UNIT = 2.0**-24
"""Confidences are rounded to multiples of this, so their sums are exact up to 2^29 pixels in any order."""

_RULE = (
    "The predicted class's probability is the confidence; pixels are put into 15 bins of equal width by it. Expected "
    "calibration error: the mean gap between a bin's accuracy and its mean confidence, weighted by pixels; maximum "
    "calibration error: the widest gap of the bins with at least 0.1 % of the pixels. Ignored pixels count nowhere."
)


def calibration() -> Measure:
    """Return the measure of calibration: one row, over all pixels."""
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


def _numbers(evidence: Evidence) -> Numbers:
    """Return pixels, right pixels and the sum of confidences of each bin, one after the other."""
    known = evidence.labels != IGNORE_ID
    confidence = evidence.confidence[known].astype(np.float64)
    right = evidence.prediction[known] == evidence.labels[known]
    bins = np.clip(np.ceil(confidence * CONFIDENCE_BINS) - 1, 0, CONFIDENCE_BINS - 1).astype(np.int64)
    units = np.rint(confidence / _UNIT)
    sums = [np.bincount(bins, weights, CONFIDENCE_BINS) for weights in (None, right, units)]
    return np.concatenate([sums[0], sums[1], sums[2] * _UNIT]).astype(np.float64)


def _table(numbers: Numbers) -> ScoreTable:
    pixels, right, confidence = _bins(numbers)
    total = pixels.sum()
    if not total:
        return np.full((1, 4), np.nan)
    gaps = np.abs(right - confidence)  # of a bin's sums: its gap times its pixels
    counted = _large_enough(pixels)
    widest = (gaps[counted] / pixels[counted]).max()
    return np.array([[gaps.sum() / total, widest, confidence.sum() / total, right.sum() / total]])


def reliability(numbers: Numbers) -> Diagram:
    """Return the reliability diagram: accuracy and share of pixels of each bin against its mean confidence."""
    pixels, right, confidence = (sums[_large_enough(_bins(numbers)[0])] for sums in _bins(numbers))
    mean_confidence = tuple((confidence / pixels).tolist())
    return Diagram(
        title="reliability",
        x_label="mean confidence of a bin",
        y_label="share",
        curves=(
            Curve("right, of the bin's pixels", mean_confidence, tuple((right / pixels).tolist())),
            Curve("in the bin, of all pixels", mean_confidence, tuple((pixels / max(pixels.sum(), 1)).tolist())),
        ),
        diagonal=True,
    )


def _bins(numbers: Numbers) -> NDArray[np.float64]:
    """Return pixels, right pixels and sums of confidence, each (CONFIDENCE_BINS,), of the pictures' numbers (N, n)."""
    return np.asarray(numbers.sum(axis=0).reshape(3, CONFIDENCE_BINS))


def _large_enough(pixels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which bins hold at least ``SMALLEST_BIN_SHARE`` of the pixels."""
    return np.asarray((pixels > 0) & (pixels >= SMALLEST_BIN_SHARE * pixels.sum()))

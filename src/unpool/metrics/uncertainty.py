"""Whether a model is uncertain where it is wrong: does high uncertainty find the wrong pixels?

There are two uncertainties. One is 1 - confidence, where confidence is the probability of the predicted class. The
other, where dropout is sampled, is the variance of the probabilities over the samples, averaged over the classes as
Bayesian SegNet shows it (Kendall et al., arXiv 1511.02680, sec. 3). Pixels are counted in fixed bins of uncertainty,
four for each doubling from 2^-24 to 1, so the counts of a set's pictures add up exactly. Pixels of one bin are tied.

* **Finds the wrong**: the area under the ROC curve. It is the chance that of one wrong and one right pixel, each drawn
  from all, the wrong one is more uncertain; ties count half. 0.5 is no better than chance.
* **Accuracy of the surest half, of the surest 90 %**: the accuracy of these pixels alone. Of a bin at the limit, only a
  share of the pixels belongs to them; the same share of its right pixels counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.metrics.measures import Column, Curve, Diagram, Evidence, Measure, Numbers, ScoreTable

BIN_EDGES = 2.0 ** (np.arange(-96, 0) / 4)
"""Lower limits of all bins but the first, which holds all uncertainties below 2^-24."""

UNCERTAINTY_BINS = len(BIN_EDGES) + 1

_DRAWN_SHARES = np.linspace(0.05, 1, 20)
_RULE = (
    "Finds the wrong: the chance that of a wrong and a right pixel the wrong one is the less sure (the area under the "
    "ROC curve; 0.5 is chance). Surest: the accuracy of the surest pixels, when the others are set aside. "
    "Uncertainty by confidence is 1 minus the predicted class's probability"
)
_VARIANCE_RULE = ", by variance the mean over the classes of the variance over the samples"


def uncertainty(sampled: bool = False) -> Measure:
    """Return the measure of uncertainty.

    Parameters
    ----------
    sampled: whether dropout is sampled; then there is a second row, for the variance over the samples.
    """
    kinds = ("by confidence", "by variance") if sampled else ("by confidence",)
    return Measure(
        key="uncertainty",
        name="uncertainty",
        title="Uncertainty",
        rule=f"{_RULE}{_VARIANCE_RULE if sampled else ''}. Ignored pixels count nowhere.",
        rows=kinds,
        columns=(
            Column("finds_wrong", "finds the wrong"),
            Column("accuracy_50", "surest 50 %"),
            Column("accuracy_90", "surest 90 %"),
            Column("accuracy", "all pixels"),
        ),
        numbers=lambda evidence: _numbers(evidence, sampled),
        table=lambda numbers: _table(_counts(numbers)),
        diagram=lambda numbers: _diagram(_counts(numbers), kinds),
    )


def _numbers(evidence: Evidence, sampled: bool) -> Numbers:
    """Return right and wrong pixels of each bin, for each kind of uncertainty: float64 (kinds * 2 * bins,)."""
    known = evidence.labels != IGNORE_ID
    wrong = evidence.prediction[known] != evidence.labels[known]
    kinds = [1 - evidence.confidence]
    if sampled:
        assert evidence.variance is not None, "no samples were drawn"
        kinds.append(evidence.variance)
    bins = (np.searchsorted(BIN_EDGES, kind[known], side="right") for kind in kinds)
    counts = [np.bincount(bin_ + UNCERTAINTY_BINS * wrong, minlength=2 * UNCERTAINTY_BINS) for bin_ in bins]
    return np.concatenate(counts).astype(np.float64)


def _counts(numbers: Numbers) -> NDArray[np.float64]:
    """Return right and wrong pixels of a set, the surest bin first: (kinds, 2, bins)."""
    return np.asarray(numbers.sum(axis=0).reshape(-1, 2, UNCERTAINTY_BINS))


def _table(counts: NDArray[np.float64]) -> ScoreTable:
    return np.array([
        [roc_area(right, wrong), *_accuracies(right, wrong, np.array([0.5, 0.9, 1.0]))] for right, wrong in counts
    ])  # fmt: skip


def roc_area(right: NDArray[np.float64], wrong: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve, by trapezoids; NaN where all pixels are right or all are wrong.

    Parameters
    ----------
    right, wrong: (n,) pixels of each bin, the surest first.
    """
    pairs = right.sum() * wrong.sum()
    surer = np.cumsum(right) - right
    return float(((surer + right / 2) * wrong).sum() / pairs) if pairs else np.nan


def _accuracies(
    right: NDArray[np.float64], wrong: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the accuracy of the surest shares of the pixels; NaN where there are no pixels."""
    pixels = np.concatenate([[0], np.cumsum(right + wrong)])
    if not pixels[-1]:
        return np.full(shares.shape, np.nan)
    kept = shares * pixels[-1]
    return np.asarray(np.interp(kept, pixels, np.concatenate([[0], np.cumsum(right)])) / kept)


def _diagram(counts: NDArray[np.float64], kinds: tuple[str, ...]) -> Diagram:
    """Return the curves of accuracy against the share of pixels, the surest first."""
    curves = (Curve(kind, tuple(_DRAWN_SHARES.tolist()), tuple(_accuracies(right, wrong, _DRAWN_SHARES).tolist()))
              for kind, (right, wrong) in zip(kinds, counts, strict=True))  # fmt: skip
    return Diagram("accuracy of the surest pixels", "share of the pixels, surest first", "accuracy", tuple(curves))

"""Whether a model is unsure where it is wrong: does high uncertainty find the wrong pixels?

Two uncertainties are asked: 1 - confidence (what the predicted class's probability lacks to 1) and, where dropout was
sampled, the variance of the probabilities over the samples, averaged over the classes as Bayesian SegNet shows it
(Kendall et al., arXiv 1511.02680, sec. 3). Pixels are counted in fixed bins of uncertainty, four to a doubling from
2^-24 to 1, so the pictures of a set add up exactly; pixels of one bin are taken to tie.

* **Finds the wrong**: the area under the receiver operating characteristic, which is the chance that of a wrong and a
  right pixel, each drawn from all, the wrong one is the less sure, ties counted half. 0.5 is no better than chance.
* **Accuracy of the surest half, of the surest 90 %**: what is right when the other pixels are set aside. A bin that is
  cut gives as many right pixels as its share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.metrics.measures import Column, Curve, Diagram, Evidence, Measure, Numbers, Table

EDGES = 2.0 ** (np.arange(-96, 0) / 4)
"""Where bins begin, each but the first, which holds all that is smaller than 2^-24."""

BINS = len(EDGES) + 1

_DRAWN = np.linspace(0.05, 1, 20)
_RULE = (
    "Finds the wrong: the chance that of a wrong and a right pixel the wrong one is the less sure (the area under the "
    "ROC curve; 0.5 is chance). Surest: the accuracy of the surest pixels, when the others are set aside. "
    "Uncertainty by confidence is 1 minus the predicted class's probability"
)
_VARIANCE_RULE = ", by variance the mean over the classes of the variance over the samples"


def uncertainty(sampled: bool = False) -> Measure:
    """Uncertainty as a measure.

    Parameters
    ----------
    sampled: whether there is a row for the variance over dropout samples too.
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
        numbers=lambda seen: _numbers(seen, sampled),
        table=lambda numbers: _table(_counts(numbers)),
        diagram=lambda numbers: _diagram(_counts(numbers), kinds),
    )


def _numbers(seen: Evidence, sampled: bool) -> Numbers:
    """Right and wrong pixels of each bin, for each kind of uncertainty: float64 (kinds * 2 * BINS,)."""
    known = seen.labels != IGNORE_ID
    wrong = seen.prediction[known] != seen.labels[known]
    kinds = [1 - seen.confidence]
    if sampled:
        assert seen.variance is not None, "no samples were drawn"
        kinds.append(seen.variance)
    places = (np.searchsorted(EDGES, kind[known], side="right") for kind in kinds)
    counts = [np.bincount(place + BINS * wrong, minlength=2 * BINS) for place in places]
    return np.concatenate(counts).astype(np.float64)


def _counts(numbers: Numbers) -> NDArray[np.float64]:
    """Right and wrong pixels of a set, the surest first: (kinds, 2, BINS)."""
    return np.asarray(numbers.sum(axis=0).reshape(-1, 2, BINS))


def _table(counts: NDArray[np.float64]) -> Table:
    return np.array([
        [finds_wrong(right, wrong), *_accuracies(right, wrong, np.array([0.5, 0.9, 1.0]))] for right, wrong in counts
    ])  # fmt: skip


def finds_wrong(right: NDArray[np.float64], wrong: NDArray[np.float64]) -> float:
    """Area under the ROC curve, by trapezoids; NaN where all pixels are right or all are wrong.

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
    """Accuracy of the surest shares of the pixels; NaN where there are none."""
    pixels = np.concatenate([[0], np.cumsum(right + wrong)])
    if not pixels[-1]:
        return np.full(shares.shape, np.nan)
    kept = shares * pixels[-1]
    return np.asarray(np.interp(kept, pixels, np.concatenate([[0], np.cumsum(right)])) / kept)


def _diagram(counts: NDArray[np.float64], kinds: tuple[str, ...]) -> Diagram:
    """Accuracy against the share of pixels kept."""
    curves = (Curve(kind, tuple(_DRAWN.tolist()), tuple(_accuracies(right, wrong, _DRAWN).tolist()))
              for kind, (right, wrong) in zip(kinds, counts, strict=True))  # fmt: skip
    return Diagram("accuracy of the surest pixels", "share of the pixels, surest first", "accuracy", tuple(curves))

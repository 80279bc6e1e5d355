"""The colours of a study's attempts, the same in all its drawings."""

from __future__ import annotations

from collections.abc import Sequence

from unpool.report.plot_style import BLUE, ORANGE
from unpool.report.study_contents import Attempt

OTHERS = "#8b8f96"
"""Colour of the attempts for which no colour is left."""

_PALETTE = (BLUE, ORANGE, "#3f9b63", "#8a63b5", "#c9485b", "#2a9d9d", "#a0703c", "#c75fa8")


def attempt_colours(attempts: Sequence[Attempt]) -> list[str]:
    """Return a colour for each attempt, the same in all drawings: the baseline's is the text's, ``currentColor``.

    Of many attempts, those with the highest scores have a colour of their own, the others ``OTHERS``.
    """
    ranked = sorted(range(1, len(attempts)), key=lambda k: (*_rank(attempts[k]), k))
    coloured = sorted(ranked[: len(_PALETTE)])
    colours = dict(zip(coloured, _PALETTE, strict=False))
    return ["currentColor" if k == 0 else colours.get(k, OTHERS) for k in range(len(attempts))]


def _rank(attempt: Attempt) -> tuple[float, float]:
    """Return what is smaller for a better attempt: by its score, then by its validation."""
    last = [row.mean_iou for course in attempt.courses for row in course.rows[-1:] if row.mean_iou is not None]
    validation = attempt.validation if attempt.validation is not None else max(last, default=-1.0)
    return -(attempt.score if attempt.score is not None else -1.0), -validation

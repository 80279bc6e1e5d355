"""Counts, scores and their intervals."""

from unpool.metrics.boundaries import (
    BoundaryEvaluation,
    BoundaryScore,
    BoundaryScores,
    Counted,
    boundary_scores,
    mean_boundary_scores,
)
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.intervals import Interval, Intervals, bootstrap
from unpool.metrics.scores import ABSENT_RULE, ClassScore, Scores, scores

__all__ = [
    "ABSENT_RULE",
    "BoundaryEvaluation",
    "BoundaryScore",
    "BoundaryScores",
    "ClassScore",
    "ConfusionMatrix",
    "Counted",
    "Interval",
    "Intervals",
    "Scores",
    "bootstrap",
    "boundary_scores",
    "mean_boundary_scores",
    "scores",
]

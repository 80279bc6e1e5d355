"""Counts and scores."""

from unpool.metrics.boundaries import (
    BoundaryEvaluation,
    BoundaryScore,
    BoundaryScores,
    Counted,
    boundary_scores,
    mean_boundary_scores,
)
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.scores import ABSENT_RULE, ClassScore, Scores, scores

__all__ = [
    "ABSENT_RULE",
    "BoundaryEvaluation",
    "BoundaryScore",
    "BoundaryScores",
    "ClassScore",
    "ConfusionMatrix",
    "Counted",
    "Scores",
    "boundary_scores",
    "mean_boundary_scores",
    "scores",
]

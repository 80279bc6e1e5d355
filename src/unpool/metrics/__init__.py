"""Counts and scores."""

from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.scores import ABSENT_RULE, ClassScore, Scores, scores

__all__ = ["ABSENT_RULE", "ClassScore", "ConfusionMatrix", "Scores", "scores"]

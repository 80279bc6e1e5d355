"""Counts, scores and their intervals."""

from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.intervals import Interval, Intervals, bootstrap
from unpool.metrics.scores import ABSENT_RULE, ClassScore, Scores, scores

__all__ = ["ABSENT_RULE", "ClassScore", "ConfusionMatrix", "Interval", "Intervals", "Scores", "bootstrap", "scores"]

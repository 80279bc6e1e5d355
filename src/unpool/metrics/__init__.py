"""Counts, scores and their intervals, and further measures."""

from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.intervals import Interval, Intervals, bootstrap
from unpool.metrics.measures import Evidence, Measure, Measured, Numbers, measured
from unpool.metrics.named import MEASURES, SAMPLED
from unpool.metrics.scores import ABSENT_RULE, ClassScore, Scores, scores

__all__ = [
    "ABSENT_RULE",
    "MEASURES",
    "SAMPLED",
    "ClassScore",
    "ConfusionMatrix",
    "Evidence",
    "Interval",
    "Intervals",
    "Measure",
    "Measured",
    "Numbers",
    "Scores",
    "bootstrap",
    "measured",
    "scores",
]

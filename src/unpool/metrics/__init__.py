"""Counts, scores and their intervals, and further measures."""

from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.conventions import Conventional, by_conventions
from unpool.metrics.image_means import image_means, image_numbers
from unpool.metrics.intervals import Interval, Intervals, bootstrap, tally
from unpool.metrics.measures import Evidence, Measure, Measured, Numbers, measured
from unpool.metrics.named import MEASURES, SAMPLED
from unpool.metrics.scores import ABSENT_RULE, ClassScore, Scores, scores

__all__ = [
    "ABSENT_RULE",
    "MEASURES",
    "SAMPLED",
    "ClassScore",
    "ConfusionMatrix",
    "Conventional",
    "Evidence",
    "Interval",
    "Intervals",
    "Measure",
    "Measured",
    "Numbers",
    "Scores",
    "bootstrap",
    "by_conventions",
    "image_means",
    "image_numbers",
    "measured",
    "scores",
    "tally",
]

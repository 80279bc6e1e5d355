"""A person's folder of pictures and masks: what is in it, what it means, how it is divided."""

from unpool.data.facts import PictureFacts, Survey
from unpool.data.findings import Finding
from unpool.data.folder import Folder, Pair, find_pairs
from unpool.data.groups import group_of
from unpool.data.samples import Sample, read_sample
from unpool.data.split import Split, make_split
from unpool.data.statistics import training_normalisation
from unpool.data.survey import describe, survey, survey_steps

__all__ = [
    "Finding",
    "Folder",
    "Pair",
    "PictureFacts",
    "Sample",
    "Split",
    "Survey",
    "describe",
    "find_pairs",
    "group_of",
    "make_split",
    "read_sample",
    "survey",
    "survey_steps",
    "training_normalisation",
]

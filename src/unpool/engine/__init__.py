"""The loops: training, evaluation, prediction, on plain objects."""

from unpool.engine.diagnosis import diagnose
from unpool.engine.evaluation import Evaluation, ImageResult, evaluate_each, summarise
from unpool.engine.facts import Facts
from unpool.engine.machine import Machine, Precision, choose_machine
from unpool.engine.prediction import pieces, predict, predict_probabilities
from unpool.engine.training import (
    Budget,
    EpochRecord,
    EpochSums,
    Recipe,
    StepRecord,
    TrainingState,
    fit,
    training,
)

__all__ = [
    "Budget",
    "EpochRecord",
    "EpochSums",
    "Evaluation",
    "Facts",
    "ImageResult",
    "Machine",
    "Precision",
    "Recipe",
    "StepRecord",
    "TrainingState",
    "choose_machine",
    "diagnose",
    "evaluate_each",
    "fit",
    "pieces",
    "predict",
    "predict_probabilities",
    "summarise",
    "training",
]

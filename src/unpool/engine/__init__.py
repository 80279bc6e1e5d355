"""The loops: training, evaluation, prediction, on plain objects."""

from unpool.engine.evaluation import Evaluation, ImageResult, evaluate_each, summarise
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
    "ImageResult",
    "Machine",
    "Precision",
    "Recipe",
    "StepRecord",
    "TrainingState",
    "choose_machine",
    "evaluate_each",
    "fit",
    "pieces",
    "predict",
    "predict_probabilities",
    "summarise",
    "training",
]

"""The loops: training, evaluation, prediction, on plain objects."""

from unpool.engine.answers import Answer
from unpool.engine.averaging import ONCE, Averaging, require_dropout
from unpool.engine.diagnosis import diagnose
from unpool.engine.evaluation import Evaluation, ImageResult, evaluate_each, evaluate_together, summarise
from unpool.engine.facts import Facts
from unpool.engine.machine import Machine, Precision, choose_machine
from unpool.engine.prediction import answer, pieces, predict, predict_probabilities, ready
from unpool.engine.processes import ALONE, Processes
from unpool.engine.records import Budget, EpochRecord, EpochSums, StepRecord, TrainingState
from unpool.engine.training import Recipe, fit, training

__all__ = [
    "ALONE",
    "ONCE",
    "Answer",
    "Averaging",
    "Budget",
    "EpochRecord",
    "EpochSums",
    "Evaluation",
    "Facts",
    "ImageResult",
    "Machine",
    "Precision",
    "Processes",
    "Recipe",
    "StepRecord",
    "TrainingState",
    "answer",
    "choose_machine",
    "diagnose",
    "evaluate_each",
    "evaluate_together",
    "fit",
    "pieces",
    "predict",
    "predict_probabilities",
    "ready",
    "require_dropout",
    "summarise",
    "training",
]

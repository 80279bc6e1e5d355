"""Which epoch's weights a training keeps: the one whose validation gives the highest value so far."""

from __future__ import annotations

from math import isfinite
from typing import Literal

from unpool.prediction.evaluation import Evaluation
from unpool.training.records import TrainingState

Criterion = Literal["mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "loss"]
"""What epochs are compared by: a validation score, or the validation loss."""


def criterion_value(criterion: Criterion, evaluation: Evaluation) -> float | None:
    """Return the value by which an epoch is compared, higher is better; None where it does not exist."""
    if criterion == "loss":
        return None if evaluation.loss is None else -evaluation.loss
    score: float | None = getattr(evaluation.scores, criterion)
    return score


def note_if_best(state: TrainingState, value: float | None) -> bool:
    """Note the epoch that has just ended as the best where its value is the highest so far; return whether it is.

    A value that is not finite is never the best: no later one would be higher than NaN.
    """
    best = value is not None and isfinite(value) and (state.best_score is None or value > state.best_score)
    if best:
        state.best_score, state.best_epoch = value, state.epoch
    return best

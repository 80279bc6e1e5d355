"""The records of a training: its budget, its state between steps, and its reports on steps and epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from unpool.errors import TrainingError
from unpool.wording import problem_text

_ADDED_TO_STATE: Mapping[str, Any] = {"reserved": 0.0, "validated_every": 1}
_ADDED_TO_ROWS: Mapping[str, Any] = {"validated": None}
"""Fields that older checkpoints do not have, with the values that their trainings had."""

NONFINITE_LIMIT = 5
"""Number of steps in a row without a finite loss after which training stops."""


@dataclass(frozen=True)
class Budget:
    """The length of a training: a number of epochs, or minutes of wall time. Exactly one is given.

    Under a time budget the clock drives the schedule: the learning rate is at its end when the time is up, however fast
    the machine works meanwhile. Such a run cannot be repeated bit for bit; one with ``epochs`` can.
    """

    epochs: int | None = None
    minutes: float | None = None

    def progress(self, state: TrainingState, steps: int) -> float:
        """Return the share of the training that is done, 0..1; an epoch has ``steps`` steps.

        Of a time budget, ``state.reserved`` seconds are for what comes before the first step and after the last
        validation, and as many as a validation of all pictures takes are for that last validation.
        """
        if self.epochs is not None:
            return min((state.epoch * steps + state.sums.done) / (self.epochs * steps), 1.0)
        assert self.minutes is not None
        return min((state.seconds + state.last_validation) / max(60 * self.minutes - state.reserved, 1e-9), 1.0)


@dataclass
class EpochSums:
    """Sums over the steps of the current epoch.

    Attributes
    ----------
    done: number of steps, skipped ones too.
    counted: number of steps with a finite loss.
    loss: sum of the losses of the counted steps; terms: sum of each term of the loss, by name.
    skipped: number of steps without a finite loss; in_a_row: how many of them follow the last finite loss.
    waiting: seconds that the loop waited for data.
    """

    done: int = 0
    counted: int = 0
    loss: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    in_a_row: int = 0
    waiting: float = 0.0

    def add(self, loss: float, terms: Mapping[str, float], names: tuple[str, ...]) -> None:
        """Add the loss and the terms of a step; NaN is a skipped step.

        Raises
        ------
        TrainingError: the last ``NONFINITE_LIMIT`` steps had no finite loss.
        """
        self.done += 1
        if math.isfinite(loss):
            self.counted += 1
            self.in_a_row = 0
            self.loss += loss
            for name, value in terms.items():
                self.terms[name] = self.terms.get(name, 0.0) + value
            return
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= NONFINITE_LIMIT:
            raise TrainingError(
                f"the loss was {loss} for {self.in_a_row} steps in a row, last on {', '.join(sorted(set(names)))}",
                "a finite loss",
                "lower the learning rate (--set learning_rate=…), or look for damaged pixels in these pictures",
            )

    def mean(self, total: float) -> float | None:
        """Return ``total`` per counted step; None where no step counted."""
        return total / self.counted if self.counted else None


@dataclass
class TrainingState:
    """Everything that a training needs to continue after an interruption, apart from weights and optimiser.

    Attributes
    ----------
    epoch: number of finished epochs.
    step: number of steps done.
    seconds: wall time so far, over all parts of an interrupted run.
    reserved: seconds of a time budget that are not for steps and validations: the preparation, and the last files.
    validation_seconds: seconds spent on validation; last_validation: seconds that all pictures take, by the last one.
    validated_every: a validation takes every n-th picture, and the last one takes all.
    best_score: highest validation score so far, None before the first; best_epoch: the epoch that reached it.
    parts: parts in which a batch is computed, one after the other.
    compiled: whether the step is compiled. It and ``parts`` change the rounding, so a resumed run keeps both.
    history: rows of ``EpochRecord.to_json``.
    sums: of the epoch that has begun.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    reserved: float = 0.0
    validation_seconds: float = 0.0
    last_validation: float = 0.0
    validated_every: int = 1
    best_score: float | None = None
    best_epoch: int = 0
    parts: int = 1
    compiled: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: EpochSums = field(default_factory=EpochSums)

    def to_plain(self) -> dict[str, Any]:
        """Return the state as numbers, strings, lists and dicts; ``from_plain`` reads it back."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> TrainingState:
        """Return the state that ``to_plain`` wrote. Raises ValueError on other data."""
        _require_fields(EpochSums, plain.get("sums"))
        fields = {**_ADDED_TO_STATE, **plain, "sums": EpochSums(**plain["sums"])}
        _require_fields(cls, fields)
        state = cls(**fields)
        sums = state.sums
        times = (state.seconds, state.reserved, state.validation_seconds, state.last_validation)
        if min(*times, sums.counted, sums.skipped) < 0:
            raise ValueError("a time or a count below 0")
        if max(state.epoch, state.best_epoch, state.step, state.parts, sums.done) >= 1 << 63:
            raise ValueError("a count of more than 64 bits")
        if not 0 <= state.best_epoch <= state.epoch == len(state.history) <= state.step:
            raise ValueError(
                f"{len(state.history)} rows for {state.epoch} epochs of {state.step} steps, the best {state.best_epoch}"
            )
        if not (0 <= sums.done <= state.step and 1 <= state.parts <= 4096):
            raise ValueError(f"{sums.done} of {state.step} steps in this epoch, in {state.parts} parts")
        if state.validated_every < 1:
            raise ValueError(f"every {state.validated_every}-th validation picture")
        for row in state.history:
            epoch_row(row)
        return state


@dataclass(frozen=True)
class StepRecord:
    """The report on one training step.

    Attributes
    ----------
    epoch, step: from 1; steps: number of steps of an epoch.
    progress: share of the training that is done, 0..1.
    seconds: wall time from the start of the training.
    parts: parts in which the batch was computed; halved: whether memory ran out in this step and raised their number.
    skipped: names of the pictures in the batch, where the step was left out because its loss was not finite.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    progress: float
    seconds: float
    parts: int = 1
    halved: bool = False
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpochRecord:
    """The report on one epoch.

    Attributes
    ----------
    epoch: from 1; steps: number of steps from the start of the training.
    train_loss: mean of the steps' losses, None where no step counted; terms: means of its terms, by name.
    val_loss: mean cross-entropy of a validation pixel, without class weights; None where the epoch was not validated.
    mean_iou, mean_dice, global_accuracy, class_accuracy, class_iou, class_recall: validation scores, as in
        ``unpool.metrics.scores``; None, and empty mappings, where the epoch was not validated.
    predicted_shares: share of each class in the predicted validation pixels, 0..1.
    intervals: 95 % intervals [low, high] of the validation scores of a best epoch, by name; empty where several
        processes share the pictures.
    best: whether this is the best epoch so far.
    progress: share of the training that is done, 0..1.
    seconds: wall time from the start of the training; waiting: seconds of this epoch that the loop waited for data.
    skipped: number of steps of this epoch that were left out because their loss was not finite.
    validated: number of validation pictures that were predicted; None where the epoch was not validated.
    """

    epoch: int
    steps: int
    train_loss: float | None
    terms: Mapping[str, float]
    learning_rate: float
    val_loss: float | None
    mean_iou: float | None
    mean_dice: float | None
    global_accuracy: float | None
    class_accuracy: float | None
    class_iou: Mapping[str, float | None]
    class_recall: Mapping[str, float | None]
    predicted_shares: Mapping[str, float]
    intervals: Mapping[str, Sequence[float]]
    best: bool
    progress: float
    seconds: float
    waiting: float
    skipped: int
    validated: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON data."""
        return asdict(self)


def epoch_row(plain: Any) -> dict[str, Any]:
    """Return a row of a history, as ``EpochRecord.to_json`` and the remarks of a diagnosis made it.

    Raises
    ------
    ValueError: the data are no such row.
    """
    if not isinstance(plain, dict):
        raise ValueError("no row of an epoch")
    row = {name: value for name, value in plain.items() if name != "remarks"}
    _require_fields(EpochRecord, {**_ADDED_TO_ROWS, **row}, finite=False)
    return plain


def _require_fields(kind: type, plain: Any, *, finite: bool = True) -> None:
    """Raise ValueError unless plain data has exactly the fields of a dataclass, and each has its type."""
    try:
        _form_of(kind, finite).model_validate(plain)
    except ValidationError as error:
        raise ValueError(problem_text(error.errors()[0])) from error


@cache
def _form_of(kind: type, finite: bool) -> type[BaseModel]:
    """Return the model of a dataclass's fields; it takes milliseconds to make, and a history has many rows."""
    hints: dict[str, Any] = {name: (hint, ...) for name, hint in get_type_hints(kind).items()}
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=not finite)
    return create_model(kind.__name__, __config__=config, **hints)

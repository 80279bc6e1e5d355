"""What a training remembers and reports: plain records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from unpool.errors import RunError

NONFINITE_LIMIT = 5
"""Steps in a row with a loss that is not finite, after which training stops."""


@dataclass(frozen=True)
class Budget:
    """How long to train: a number of epochs, or minutes of wall time. Exactly one is given."""

    epochs: int | None = None
    minutes: float | None = None

    def progress(self, state: TrainingState, steps: int) -> float:
        """How much of the training is done, 0..1, when an epoch has ``steps`` steps.

        Under a time budget the last validation's duration is kept free for the one that is to come.
        """
        if self.epochs is not None:
            return min((state.epoch * steps + state.sums.done) / (self.epochs * steps), 1.0)
        assert self.minutes is not None
        return min((state.seconds + state.last_validation) / (60 * self.minutes), 1.0)


@dataclass
class EpochSums:
    """Running sums of the epoch that is under way.

    Attributes
    ----------
    done: steps done, also those left out; ``counted`` those with a finite loss.
    loss: sum over the counted steps; ``terms`` of each term of the loss by itself.
    skipped: steps left out; ``in_a_row`` of them since the last finite one.
    waiting: seconds the loop waited for data.
    """

    done: int = 0
    counted: int = 0
    loss: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    in_a_row: int = 0
    waiting: float = 0.0

    def add(self, loss: float, terms: Mapping[str, float], names: tuple[str, ...]) -> None:
        """Take in one step's loss and its terms; NaN is a step that was left out."""
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
            raise RunError(
                f"the loss was {loss} for {self.in_a_row} steps in a row, last on {', '.join(sorted(set(names)))}",
                "a finite loss",
                "lower the learning rate (--set learning_rate=…), or look for damaged pixels in these pictures",
            )

    def mean(self, total: float) -> float | None:
        """``total`` a counted step."""
        return total / self.counted if self.counted else None


@dataclass
class TrainingState:
    """What has to survive an interruption, apart from weights and optimiser.

    Attributes
    ----------
    epoch: epochs finished.
    step: steps done.
    seconds: wall time spent so far, in all parts of an interrupted run.
    validation_seconds: the part of it spent on validation, and how long the last one took.
    best_score: highest validation score so far, None before the first; ``best_epoch`` is where it was reached.
    parts: parts that a batch is computed in, one after the other.
    compiled: whether the step is compiled; it rounds otherwise than the plain one, so a resumed run keeps to it.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    last_validation: float = 0.0
    best_score: float | None = None
    best_epoch: int = 0
    parts: int = 1
    compiled: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: EpochSums = field(default_factory=EpochSums)

    def to_plain(self) -> dict[str, Any]:
        """Numbers, strings, lists and dicts of them; ``from_plain`` reads them back."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> TrainingState:
        """Read a state written by ``to_plain``. Raises TypeError or KeyError on foreign data."""
        return cls(**{**plain, "sums": EpochSums(**plain["sums"])})


@dataclass(frozen=True)
class StepRecord:
    """One training step: its place in the run and how far the whole training is.

    ``skipped`` names the pictures of a step that was left out because its loss was not finite. ``parts`` is in how many
    parts the batch was computed, and ``halved`` whether memory ran out in this step and made them more.
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
    """One epoch.

    Attributes
    ----------
    train_loss: mean of the steps' losses, None where no step counted; ``terms`` are the means of its terms.
    val_loss: mean cross-entropy of a validation pixel, unweighted; None where the epoch was not validated.
    mean_iou, mean_dice, global_accuracy, class_accuracy, class_iou, class_recall: validation scores, as in
        ``unpool.metrics``; predicted_shares: share of each class in the predicted validation pixels, 0..1. The
        mappings are empty where the epoch was not validated.
    intervals: 95 %, of the validation scores of a best epoch, [low, high] by name; empty where several processes share
        the pictures.
    best: whether this is the best epoch so far.
    seconds: wall time from the start of the training; waiting: seconds of this epoch the loop waited for data.
    skipped: steps of this epoch left out because their loss was not finite.
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

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)

"""The training loop, told top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from unpool.data import Sample
from unpool.data.batches import Batch, CropSampler
from unpool.engine.evaluation import Evaluation, evaluate_each, summarise
from unpool.engine.machine import Machine
from unpool.errors import RunError
from unpool.losses import CrossEntropyDice
from unpool.nets.blocks import crop_to
from unpool.optim import one_cycle, set_learning_rate
from unpool.segmenter import Segmenter

NONFINITE_LIMIT = 5
"""Steps in a row with a loss that is not finite, after which training stops."""

SETTLED = 0.7
"""Share of the training after which batch normalisation keeps its statistics and trains under them.

A batch of crops from a mixed set (faint fluorescence, bright histology) is normalised by what happens to be in it;
prediction is not. Without a time to settle, a network that fits its batches well can predict badly.
"""

VALIDATION_SHARE = 0.15
"""Largest share of a time budget spent on validation."""


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
    loss, cross_entropy, dice: sums over the counted steps.
    skipped: steps left out; ``in_a_row`` of them since the last finite one.
    waiting: seconds the loop waited for data.
    """

    done: int = 0
    counted: int = 0
    loss: float = 0.0
    cross_entropy: float = 0.0
    dice: float = 0.0
    skipped: int = 0
    in_a_row: int = 0
    waiting: float = 0.0

    def add(self, loss: tuple[float, float, float], batch: Batch) -> None:
        """Take in one step's loss and parts."""
        self.done += 1
        if all(map(math.isfinite, loss)):
            self.counted += 1
            self.in_a_row = 0
            self.loss += loss[0]
            self.cross_entropy += loss[1]
            self.dice += loss[2]
            return
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= NONFINITE_LIMIT:
            pictures = ", ".join(sorted(set(batch.names)))
            raise RunError(
                f"the loss was {loss[0]} for {self.in_a_row} steps in a row, last on {pictures}",
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
    best_score: highest validation score so far; ``best_epoch`` is where it was reached.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    last_validation: float = 0.0
    best_score: float = -1.0
    best_epoch: int = 0
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
    """One training step: its place in the run and how far the whole training is."""

    epoch: int
    step: int
    steps: int
    loss: float
    progress: float
    seconds: float


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes
    ----------
    train_loss: mean of the steps' losses, None where no step counted; cross_entropy and dice are its parts.
    val_loss: mean cross-entropy of a validation pixel, unweighted; None where the epoch was not validated.
    mean_iou, mean_dice, global_accuracy, class_accuracy, class_iou, class_recall: validation scores, as in
        ``unpool.metrics``; predicted_shares: share of each class in the predicted validation pixels, 0..1. The
        mappings are empty where the epoch was not validated.
    best: whether this is the best epoch so far.
    seconds: wall time from the start of the training; waiting: seconds of this epoch the loop waited for data.
    skipped: steps of this epoch left out because their loss was not finite.
    """

    epoch: int
    steps: int
    train_loss: float | None
    cross_entropy: float | None
    dice: float | None
    learning_rate: float
    val_loss: float | None
    mean_iou: float | None
    mean_dice: float | None
    global_accuracy: float | None
    class_accuracy: float | None
    class_iou: Mapping[str, float | None]
    class_recall: Mapping[str, float | None]
    predicted_shares: Mapping[str, float]
    best: bool
    progress: float
    seconds: float
    waiting: float
    skipped: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Recipe:
    """Everything the loop needs beside the segmenter.

    Attributes
    ----------
    learning_rate: peak of the one-cycle schedule.
    clip: largest gradient norm.
    """

    batches: CropSampler
    validation: Sequence[Sample]
    loss: CrossEntropyDice
    optimiser: Optimizer
    learning_rate: float
    budget: Budget
    machine: Machine
    clip: float = 10.0


def fit(segmenter: Segmenter, recipe: Recipe, state: TrainingState | None = None) -> Iterator[EpochRecord]:
    """Train and yield one record an epoch; saving, logging and drawing are the caller's business."""
    for record in training(segmenter, recipe, state if state is not None else TrainingState()):
        if isinstance(record, EpochRecord):
            yield record


def training(segmenter: Segmenter, recipe: Recipe, state: TrainingState) -> Iterator[StepRecord | EpochRecord]:
    """The loop: yields every step, and every epoch after its validation.

    ``state`` is true at every yield, so a caller who saves it then, with the network and the optimiser, can go on
    from there: every crop depends only on the seed, the epoch and its place in the epoch.

    Raises
    ------
    RunError: the loss was not finite for several steps in a row; the message names the pictures.
    """
    recipe.machine.place(segmenter.network)
    started = time.monotonic() - state.seconds
    progress = recipe.budget.progress(state, recipe.batches.steps)
    while progress < 1.0 or state.sums.done:  # all steps may be done, and the epoch still wait for its validation
        batches = recipe.batches.epoch(state.epoch, first=state.sums.done)
        while progress < 1.0 and state.sums.done < recipe.batches.steps:
            rate = recipe.learning_rate * one_cycle(progress)
            set_learning_rate(recipe.optimiser, rate)
            _to_training(segmenter.network, progress)
            asked = time.monotonic()
            batch = next(batches)
            state.sums.waiting += time.monotonic() - asked
            loss = train_step(segmenter, batch, recipe)
            state.sums.add(loss, batch)
            state.step += 1
            state.seconds = time.monotonic() - started
            progress = recipe.budget.progress(state, recipe.batches.steps)
            yield StepRecord(state.epoch + 1, state.sums.done, recipe.batches.steps, loss[0], progress, state.seconds)
        batches.close()
        state.epoch += 1
        evaluation = None
        if progress >= 1.0 or _worth_validating(recipe.budget, state):
            evaluation = validate(segmenter, recipe, state)
            state.seconds = time.monotonic() - started
        yield _epoch_record(state, evaluation, recipe, progress)


def _to_training(network: nn.Module, progress: float) -> None:
    network.train()
    if progress >= SETTLED:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def train_step(segmenter: Segmenter, batch: Batch, recipe: Recipe) -> tuple[float, float, float]:
    """One step of the optimiser; returns the loss and its two parts, NaN where the step was left out.

    A loss or a gradient that is not finite changes nothing, not even the running statistics of the norms.
    """
    machine, network = recipe.machine, segmenter.network
    statistics = [buffer.clone() for buffer in network.buffers()]
    recipe.optimiser.zero_grad(set_to_none=True)
    with machine.arithmetic():
        logits = network(machine.put(batch.images))
    logits = crop_to(logits, batch.labels.shape[1:])
    loss = recipe.loss(logits, batch.labels.to(machine.device, non_blocking=True))
    loss.total.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
    if torch.isfinite(loss.total) and torch.isfinite(norm):
        recipe.optimiser.step()
        return loss.total.item(), loss.cross_entropy.item(), loss.dice.item()
    for buffer, before in zip(network.buffers(), statistics, strict=True):
        buffer.copy_(before)
    return math.nan, math.nan, math.nan


def validate(segmenter: Segmenter, recipe: Recipe, state: TrainingState) -> Evaluation:
    """Score the validation pictures, on their original pixels."""
    started = time.monotonic()
    segmenter.network.eval()
    evaluation = summarise(segmenter, evaluate_each(segmenter, recipe.validation, recipe.machine))
    state.last_validation = time.monotonic() - started
    state.validation_seconds += state.last_validation
    return evaluation


def _epoch_record(state: TrainingState, evaluation: Evaluation | None, recipe: Recipe, progress: float) -> EpochRecord:
    found = evaluation.scores if evaluation else None
    best = found is not None and found.mean_iou is not None and found.mean_iou > state.best_score
    if best and found is not None and found.mean_iou is not None:
        state.best_score, state.best_epoch = found.mean_iou, state.epoch
    sums = state.sums
    record = EpochRecord(
        epoch=state.epoch,
        steps=state.step,
        train_loss=sums.mean(sums.loss),
        cross_entropy=sums.mean(sums.cross_entropy),
        dice=sums.mean(sums.dice),
        learning_rate=recipe.optimiser.param_groups[0]["lr"],
        val_loss=evaluation.loss if evaluation else None,
        mean_iou=found.mean_iou if found else None,
        mean_dice=found.mean_dice if found else None,
        global_accuracy=found.global_accuracy if found else None,
        class_accuracy=found.class_accuracy if found else None,
        class_iou={c.name: c.iou for c in found.classes} if found else {},
        class_recall={c.name: c.recall for c in found.classes} if found else {},
        predicted_shares={c.name: c.predicted_pixels / max(found.pixels, 1) for c in found.classes} if found else {},
        best=best,
        progress=progress,
        seconds=state.seconds,
        waiting=sums.waiting,
        skipped=sums.skipped,
    )
    state.history.append(record.to_json())
    state.sums = EpochSums(in_a_row=sums.in_a_row)
    return record


def _worth_validating(budget: Budget, state: TrainingState) -> bool:
    """Every epoch where epochs are counted; under a time budget, as long as validation stays a small share of it."""
    if budget.epochs is not None:
        return True
    return state.validation_seconds + state.last_validation <= VALIDATION_SHARE * state.seconds

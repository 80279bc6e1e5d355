"""The training loop, readable from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator

from torch import nn

from unpool.optim import set_learning_rate, share_of_peak
from unpool.segmenter import Segmenter
from unpool.training.best_epoch import criterion_value, note_if_best
from unpool.training.objective import Objective, objective
from unpool.training.records import EpochRecord, EpochSums, StepRecord, TrainingState
from unpool.training.setup import TrainingSetup
from unpool.training.step import step_that_fits
from unpool.training.validation import Validation, validate, validation_is_due


def fit(segmenter: Segmenter, setup: TrainingSetup, state: TrainingState | None = None) -> Iterator[EpochRecord]:
    """Train, and yield one record an epoch. The caller saves, logs and draws."""
    for record in training(segmenter, setup, state if state is not None else TrainingState()):
        if isinstance(record, EpochRecord):
            yield record


def training(segmenter: Segmenter, setup: TrainingSetup, state: TrainingState) -> Iterator[StepRecord | EpochRecord]:
    """Train, and yield a record after every step and after every epoch with its validation.

    At every yield ``state`` is up to date. A caller who then saves it, with the network and the optimiser, can resume
    from there: a crop depends only on the seed, the epoch and its place in the epoch, dropout on the seed and the step.

    Raises
    ------
    RunError: the loss was not finite for several steps in a row, with the pictures' names; or the memory does not
        hold a single crop.
    """
    network, processes, steps = segmenter.network, setup.processes, setup.batches.steps
    setup.machine.place(network)
    processes.share_batch_statistics(network)
    loss_of = objective(network, setup.loss, setup.machine, processes, compiled=state.compiled)
    started = time.monotonic() - state.seconds
    progress = setup.budget.progress(state, steps)
    while progress < 1.0 or state.sums.done:  # a resumed run may have done all steps of an epoch but not validated it
        progress = yield from _train_one_epoch(network, setup, state, loss_of, started, progress)
        state.epoch += 1
        validation = None
        if progress >= 1.0 or validation_is_due(setup, state):
            validation = validate(segmenter, setup, state, last=progress >= 1.0)
            state.seconds = processes.agree(time.monotonic() - started)
        yield _end_epoch(state, validation, setup, progress)


def _train_one_epoch(
    network: nn.Module,
    setup: TrainingSetup,
    state: TrainingState,
    loss_of: Objective,
    started: float,
    progress: float,
) -> Generator[StepRecord, None, float]:
    """Take the remaining steps of an epoch, yield a record of each, and return the progress after the last."""
    processes, steps = setup.processes, setup.batches.steps
    batches = setup.batches.epoch(state.epoch, state.sums.done, (processes.rank, processes.count))
    while progress < 1.0 and state.sums.done < steps:
        set_learning_rate(setup.optimiser, setup.learning_rate * share_of_peak(setup.schedule, progress))
        _set_training_mode(network, settled=progress >= setup.settled)
        waiting_since = time.monotonic()
        batch = next(batches)
        state.sums.waiting += time.monotonic() - waiting_since
        parts_before = state.parts
        loss, terms = step_that_fits(network, batch, setup, loss_of, state)
        state.sums.add(loss, terms, batch.names)
        state.step += 1
        state.seconds = processes.agree(time.monotonic() - started)
        progress = setup.budget.progress(state, steps)
        skipped = () if math.isfinite(loss) else tuple(sorted(set(batch.names)))
        yield StepRecord(
            state.epoch + 1, state.sums.done, steps, loss, progress, state.seconds, state.parts,
            halved=state.parts > parts_before, skipped=skipped,
        )  # fmt: skip
    batches.close()
    return progress


def _set_training_mode(network: nn.Module, *, settled: bool) -> None:
    network.train()
    if settled:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _end_epoch(
    state: TrainingState, validation: Validation | None, setup: TrainingSetup, progress: float
) -> EpochRecord:
    """Choose the best epoch so far, add the epoch's record to the history, and clear the epoch's sums."""
    value = criterion_value(setup.best, validation.compared) if validation else None
    best = note_if_best(state, value)
    sums, scores = state.sums, validation.evaluation.scores if validation else None
    record = EpochRecord(
        epoch=state.epoch,
        steps=state.step,
        train_loss=sums.mean(sums.loss),
        terms={name: total / sums.counted for name, total in sums.terms.items()},
        learning_rate=setup.optimiser.param_groups[0]["lr"],
        val_loss=validation.evaluation.loss if validation else None,
        mean_iou=scores.mean_iou if scores else None,
        mean_dice=scores.mean_dice if scores else None,
        global_accuracy=scores.global_accuracy if scores else None,
        class_accuracy=scores.class_accuracy if scores else None,
        class_iou={c.name: c.iou for c in scores.classes} if scores else {},
        class_recall={c.name: c.recall for c in scores.classes} if scores else {},
        predicted_shares={c.name: c.predicted_pixels / max(scores.pixels, 1) for c in scores.classes} if scores else {},
        intervals=validation.intervals() if validation and best else {},
        best=best,
        progress=progress,
        seconds=state.seconds,
        waiting=sums.waiting,
        skipped=sums.skipped,
        validated=validation.pictures if validation else None,
    )
    state.history.append(record.to_json())
    state.sums = EpochSums(in_a_row=sums.in_a_row)
    return record

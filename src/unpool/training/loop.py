"""The training loop, told top to bottom."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.optim import Optimizer

from unpool.data.batches import Batch, CropSampler
from unpool.data.groups import group_of
from unpool.data.samples import Sample
from unpool.errors import RunError
from unpool.losses.loss import Loss
from unpool.machine.device import Machine, out_of_memory
from unpool.metrics.intervals import HEADLINE, bootstrap
from unpool.metrics.scores import Scores
from unpool.optim import Schedule, set_learning_rate, share_of_peak
from unpool.prediction.evaluation import evaluate_each, total_of
from unpool.prediction.predictor import Predictor
from unpool.processes import ALONE, Processes
from unpool.segmenter import Segmenter
from unpool.training import batch_statistics
from unpool.training.objective import Objective, in_parts, objective
from unpool.training.records import Budget, EpochRecord, EpochSums, StepRecord, TrainingState

Criterion = Literal["mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "loss"]

SETTLED = 0.7
"""Share of the training after which batch normalisation keeps its statistics and trains under them.

A batch of crops from a mixed set (faint fluorescence, bright histology) is normalised by what happens to be in it;
prediction is not. Without a time to settle, a network that fits its batches well can predict badly.
"""

VALIDATION_SHARE = 0.15
"""Largest share of a time budget spent on validation."""


@dataclass(frozen=True)
class TrainingSetup:
    """Everything the loop needs beside the segmenter.

    Attributes
    ----------
    learning_rate: peak of the schedule.
    clip: largest gradient norm; 0 leaves gradients as they are.
    settled: share of the training after which batch normalisation keeps its statistics; 1 is never.
    recompute: take batch-normalisation statistics anew over the training crops before each validation.
    validate_every: epochs from one validation to the next.
    best: the validation score by which the best epoch is chosen.
    processes: who shares the batches.
    """

    batches: CropSampler
    validation: Sequence[Sample]
    loss: Loss
    optimiser: Optimizer
    learning_rate: float
    budget: Budget
    machine: Machine
    schedule: Schedule = "one-cycle"
    clip: float = 10.0
    settled: float = SETTLED
    recompute: bool = False
    validate_every: int = 1
    best: Criterion = "mean_iou"
    processes: Processes = ALONE

    @property
    def most_parts(self) -> int:
        """Parts that the smallest share of a batch can be cut into; in each of them all processes add up their sums."""
        return max(1, self.batches.batch_size // self.processes.count)


def fit(segmenter: Segmenter, recipe: TrainingSetup, state: TrainingState | None = None) -> Iterator[EpochRecord]:
    """Train and yield one record an epoch; saving, logging and drawing are the caller's business."""
    for record in training(segmenter, recipe, state if state is not None else TrainingState()):
        if isinstance(record, EpochRecord):
            yield record


def training(segmenter: Segmenter, recipe: TrainingSetup, state: TrainingState) -> Iterator[StepRecord | EpochRecord]:
    """The loop: yields every step, and every epoch after its validation.

    ``state`` is true at every yield, so a caller who saves it then, with the network and the optimiser, can go on
    from there: every crop depends only on the seed, the epoch and its place in the epoch, every dropped value on the
    seed and the step.

    Raises
    ------
    RunError: the loss was not finite for several steps in a row, with the pictures' names; or the memory does not
        hold a single crop.
    """
    processes, steps = recipe.processes, recipe.batches.steps
    recipe.machine.place(segmenter.network)
    processes.share_batch_statistics(segmenter.network)
    loss_of = objective(segmenter.network, recipe.loss, recipe.machine, processes, compiled=state.compiled)
    started = time.monotonic() - state.seconds
    progress = recipe.budget.progress(state, steps)
    while progress < 1.0 or state.sums.done:  # all steps may be done, and the epoch still wait for its validation
        batches = recipe.batches.epoch(state.epoch, state.sums.done, (processes.rank, processes.count))
        while progress < 1.0 and state.sums.done < steps:
            set_learning_rate(recipe.optimiser, recipe.learning_rate * share_of_peak(recipe.schedule, progress))
            _to_training(segmenter.network, frozen=progress >= recipe.settled)
            asked = time.monotonic()
            batch = next(batches)
            state.sums.waiting += time.monotonic() - asked
            parts = state.parts
            loss, terms = step_that_fits(segmenter.network, batch, recipe, loss_of, state)
            state.sums.add(loss, terms, batch.names)
            state.step += 1
            state.seconds = processes.agree(time.monotonic() - started)
            progress = recipe.budget.progress(state, steps)
            skipped = () if math.isfinite(loss) else tuple(sorted(set(batch.names)))
            yield StepRecord(
                state.epoch + 1, state.sums.done, steps, loss, progress, state.seconds, state.parts,
                halved=state.parts > parts, skipped=skipped,
            )  # fmt: skip
        batches.close()
        state.epoch += 1
        validation = None
        if progress >= 1.0 or _worth_validating(recipe, state):
            validation = validate(segmenter, recipe, state)
            state.seconds = processes.agree(time.monotonic() - started)
        yield _epoch_record(state, validation, recipe, progress)


def _to_training(network: nn.Module, *, frozen: bool) -> None:
    network.train()
    if frozen:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def step_that_fits(
    network: nn.Module, batch: Batch, recipe: TrainingSetup, loss_of: Objective, state: TrainingState
) -> tuple[float, dict[str, float]]:
    """One ``train_step``; where memory runs out, the same step again in twice as many parts, from then on.

    Raises
    ------
    RunError: the memory does not hold a single crop, or ran out in one of several processes.
    """
    while True:
        torch.manual_seed(_seed_of(recipe, state.step))
        try:
            return train_step(network, batch, recipe, loss_of, state.parts)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if recipe.processes.count > 1:  # the others wait in a sum for the parts they know of
                raise RunError(
                    f"memory ran out in process {recipe.processes.rank} of {recipe.processes.count}",
                    "memory for its share of a batch",
                    "start again with --set parts=…, a smaller crop or batch_size, or fewer processes on this machine",
                ) from error
            if state.parts >= len(batch.names):
                raise no_room(batch) from error
        recipe.machine.release()
        state.parts = min(2 * state.parts, len(batch.names))


def no_room(batch: Batch) -> RunError:
    """The error where memory does not hold one crop of a batch."""
    return RunError(
        f"memory ran out on a single crop ({', '.join(batch.names[:3])})",
        "memory for one crop at least",
        "set a smaller --set crop=…, a narrower network (--set width=…), or end other programs",
    )


def _seed_of(recipe: TrainingSetup, step: int) -> int:
    # Far apart for neighbouring steps and processes; torch takes 64 bits.
    return (recipe.batches.seed * 0x9E3779B97F4A7C15 + step * 0x1000003 + recipe.processes.rank) % (1 << 63)


def train_step(
    network: nn.Module, batch: Batch, recipe: TrainingSetup, loss_of: Objective, parts: int = 1
) -> tuple[float, dict[str, float]]:
    """One step of the optimiser; returns the loss and its terms, NaN where the step was left out.

    In several parts the gradients of the parts' losses are averaged by their crops (or summed, where the loss is a
    sum); batch normalisation, Dice and the divisor of the cross-entropy then see a part at a time. A loss or a gradient
    that is not finite changes nothing, not even the running statistics of the norms.
    """
    processes = recipe.processes
    statistics = [buffer.clone() for buffer in network.buffers()]
    recipe.optimiser.zero_grad(set_to_none=True)
    loss = torch.zeros((), device=recipe.machine.device)
    terms: dict[str, torch.Tensor] = {}
    try:
        for part in in_parts(batch, min(parts, recipe.most_parts)):
            value = loss_of(part)
            share = 1.0 if recipe.loss.division == "sum" else _share(part, batch, processes)
            (value.total * (share / processes.count)).backward()  # type: ignore[no-untyped-call]
            loss = loss + share * value.total.detach()
            terms = {name: terms.get(name, 0) + share * term.detach() for name, term in value.terms.items()}
        processes.sum_gradients(network)
        norm = nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
        if torch.isfinite(loss) and torch.isfinite(norm):
            if recipe.clip and norm > recipe.clip:
                nn.utils.clip_grads_with_norm_(network.parameters(), recipe.clip, norm)
            recipe.optimiser.step()
            return loss.item(), {name: float(term) for name, term in terms.items()}
    except BaseException:
        _put_back(network, statistics)
        raise
    _put_back(network, statistics)
    return math.nan, {}


def _share(part: Batch, batch: Batch, processes: Processes) -> float:
    """The part's share of the crops that all processes hold."""
    crops = processes.sum_counts(torch.tensor([len(part.names), len(batch.names)]))
    return float(crops[0] / crops[1])


def _put_back(network: nn.Module, statistics: Sequence[torch.Tensor]) -> None:
    with torch.no_grad():
        for buffer, before in zip(network.buffers(), statistics, strict=True):
            buffer.copy_(before)


@dataclass(frozen=True)
class Validation:
    """Scores of the validation pictures, and the mean cross-entropy of their pixels.

    ``images`` are name and scores of each picture; empty where processes share them, which know their own alone.
    """

    scores: Scores
    loss: float | None
    images: Sequence[tuple[str, Scores]] = ()

    def value(self, criterion: Criterion) -> float | None:
        """The score that is to be high; None where it has no value."""
        if criterion == "loss":
            return None if self.loss is None else -self.loss
        score: float | None = getattr(self.scores, criterion)
        return score

    def intervals(self) -> dict[str, list[float]]:
        """The 95 % interval [low, high] of each score of the set, by name; none where the pictures do not show any."""
        if len(self.images) < 2:
            return {}
        found = bootstrap(self.images, group_of(name for name, _ in self.images))
        known = {name: getattr(found, name, None) for name in HEADLINE}
        return {name: list(interval) for name, interval in known.items() if interval}


def validate(segmenter: Segmenter, recipe: TrainingSetup, state: TrainingState) -> Validation:
    """Score the validation pictures, on their original pixels; each by one of the processes."""
    started, processes = time.monotonic(), recipe.processes
    if recipe.recompute:
        batch_statistics.recompute(segmenter.network, _plain_crops(recipe, state), recipe.machine)
    segmenter.network.eval()
    own = evaluate_each(Predictor(segmenter, recipe.machine), processes.share(recipe.validation))
    scores, loss, images = total_of(segmenter, own, processes.sum_counts)
    state.last_validation = processes.agree(time.monotonic() - started)
    state.validation_seconds += state.last_validation
    return Validation(scores, loss, images if processes.count == 1 else ())


def _plain_crops(recipe: TrainingSetup, state: TrainingState) -> Iterator[Batch]:
    """The crops of an epoch as they lie in the pictures."""
    plain = dataclasses.replace(recipe.batches, augmentation=recipe.batches.augmentation.none())
    return plain.epoch(state.epoch, 0, (recipe.processes.rank, recipe.processes.count))


def _epoch_record(
    state: TrainingState, found: Validation | None, recipe: TrainingSetup, progress: float
) -> EpochRecord:
    value = found.value(recipe.best) if found else None
    best = value is not None and (state.best_score is None or value > state.best_score)
    if best:
        state.best_score, state.best_epoch = value, state.epoch
    sums, scores = state.sums, found.scores if found else None
    record = EpochRecord(
        epoch=state.epoch,
        steps=state.step,
        train_loss=sums.mean(sums.loss),
        terms={name: total / sums.counted for name, total in sums.terms.items()},
        learning_rate=recipe.optimiser.param_groups[0]["lr"],
        val_loss=found.loss if found else None,
        mean_iou=scores.mean_iou if scores else None,
        mean_dice=scores.mean_dice if scores else None,
        global_accuracy=scores.global_accuracy if scores else None,
        class_accuracy=scores.class_accuracy if scores else None,
        class_iou={c.name: c.iou for c in scores.classes} if scores else {},
        class_recall={c.name: c.recall for c in scores.classes} if scores else {},
        predicted_shares={c.name: c.predicted_pixels / max(scores.pixels, 1) for c in scores.classes} if scores else {},
        intervals=found.intervals() if found and best else {},
        best=best,
        progress=progress,
        seconds=state.seconds,
        waiting=sums.waiting,
        skipped=sums.skipped,
    )
    state.history.append(record.to_json())
    state.sums = EpochSums(in_a_row=sums.in_a_row)
    return record


def _worth_validating(recipe: TrainingSetup, state: TrainingState) -> bool:
    """As often as asked; under a time budget only as long as validation stays a small share of it."""
    if state.epoch % recipe.validate_every:
        return False
    if recipe.budget.epochs is not None:
        return True
    return state.validation_seconds + state.last_validation <= VALIDATION_SHARE * state.seconds

"""Validation: when it is due, and the scores of the validation pictures."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unpool.data.batches import Batch
from unpool.data.groups import group_of
from unpool.metrics.intervals import HEADLINE, bootstrap
from unpool.metrics.scores import Scores
from unpool.prediction.evaluation import evaluate_each, total_of
from unpool.prediction.predictor import Predictor
from unpool.segmenter import Segmenter
from unpool.training import batch_statistics
from unpool.training.records import TrainingState
from unpool.training.setup import TrainingSetup

VALIDATION_SHARE = 0.15
"""Largest share of a time budget that validation takes."""


@dataclass(frozen=True)
class Validation:
    """The result of a validation.

    Attributes
    ----------
    loss: mean cross-entropy of a counted pixel, without class weights; None where no pixel counts.
    images: name and scores of each picture; empty where several processes share the pictures.
    """

    scores: Scores
    loss: float | None
    images: Sequence[tuple[str, Scores]] = ()

    def intervals(self) -> dict[str, list[float]]:
        """Return the 95 % interval [low, high] of each score, by name; empty with fewer than two pictures."""
        if len(self.images) < 2:
            return {}
        intervals = bootstrap(self.images, group_of(name for name, _ in self.images))
        known = {name: getattr(intervals, name, None) for name in HEADLINE}
        return {name: list(interval) for name, interval in known.items() if interval}


def validation_is_due(setup: TrainingSetup, state: TrainingState) -> bool:
    """Tell whether the epoch that has just ended is validated.

    Every ``validate_every`` epochs; under a time budget only while validation takes a small share of the time.
    """
    if state.epoch % setup.validate_every:
        return False
    if setup.budget.epochs is not None:
        return True
    return state.validation_seconds + state.last_validation <= VALIDATION_SHARE * state.seconds


def validate(segmenter: Segmenter, setup: TrainingSetup, state: TrainingState) -> Validation:
    """Score the validation pictures on their original pixels, each picture in one of the processes."""
    started, processes = time.monotonic(), setup.processes
    if setup.recompute:
        batch_statistics.recompute(segmenter.network, _plain_crops(setup, state), setup.machine)
    segmenter.network.eval()
    own = evaluate_each(Predictor(segmenter, setup.machine), processes.share(setup.validation))
    scores, loss, images = total_of(segmenter, own, processes.sum_counts)
    state.last_validation = processes.agree(time.monotonic() - started)
    state.validation_seconds += state.last_validation
    return Validation(scores, loss, images if processes.count == 1 else ())


def _plain_crops(setup: TrainingSetup, state: TrainingState) -> Iterator[Batch]:
    """Yield the batches of the coming epoch without augmentation."""
    plain = dataclasses.replace(setup.batches, augmentation=setup.batches.augmentation.none())
    return plain.epoch(state.epoch, 0, (setup.processes.rank, setup.processes.count))

"""Validation: when it is due, and the scores of the validation pictures."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unpool.data.batches import Batch
from unpool.data.groups import group_of
from unpool.metrics.intervals import HEADLINE, bootstrap
from unpool.prediction.evaluation import Evaluation, evaluate_each, joint_evaluation, total_of
from unpool.prediction.predictor import Predictor
from unpool.segmenter import Segmenter
from unpool.training import batch_statistics
from unpool.training.records import TrainingState
from unpool.training.setup import TrainingSetup

VALIDATION_SHARE = 0.06
"""Largest share of a time budget that validations take before the last one."""

LONG_VALIDATION = 0.1
"""Share of a time budget above which a validation of all pictures is only made at the end."""

FEWEST_PICTURES = 8
"""The fewest pictures of a validation, where there are as many."""


@dataclass(frozen=True)
class Validation:
    """The result of a validation.

    Attributes
    ----------
    evaluation: of all pictures that were predicted; its loss is without class weights.
    compared: of the pictures that every validation predicts, by which epochs are compared.
    pictures: number of pictures that were predicted.
    whole: whether ``evaluation.images`` has them all, which it has not where several processes share the pictures.
    """

    evaluation: Evaluation
    compared: Evaluation
    pictures: int
    whole: bool

    def intervals(self) -> dict[str, list[float]]:
        """Return the 95 % interval [low, high] of each score, by name; empty with fewer than two pictures."""
        images = self.evaluation.images
        if len(images) < 2 or not self.whole:
            return {}
        intervals = bootstrap(images, group_of(name for name, _ in images))
        known = {name: getattr(intervals, name, None) for name in HEADLINE}
        return {name: list(interval) for name, interval in known.items() if interval}


def validated_every(pictures: int, seconds: float, minutes: float) -> int:
    """Return n, where validations before the last one take every n-th of the pictures: 1, or more to save time.

    Parameters
    ----------
    pictures: number of validation pictures.
    seconds: time that all of them take.
    minutes: time of the training.
    """
    if seconds <= LONG_VALIDATION * 60 * minutes:
        return 1
    wanted = 2 * seconds / (VALIDATION_SHARE * 60 * minutes)  # so that there is time for two
    return max(1, min(math.ceil(wanted), pictures // FEWEST_PICTURES))


def validation_is_due(setup: TrainingSetup, state: TrainingState) -> bool:
    """Tell whether the epoch that has just ended is validated.

    Every ``validate_every`` epochs; under a time budget only while validation takes a small share of the time.
    """
    if state.epoch % setup.validate_every:
        return False
    if setup.budget.epochs is not None:
        return True
    seconds = state.last_validation / state.validated_every
    return state.validation_seconds + seconds <= VALIDATION_SHARE * state.seconds


def validate(segmenter: Segmenter, setup: TrainingSetup, state: TrainingState, *, last: bool) -> Validation:
    """Score validation pictures on their original pixels, each picture in one of the processes.

    Parameters
    ----------
    last: whether the training ends here; then all pictures are predicted, otherwise every
        ``state.validated_every``-th.
    """
    started, processes = time.monotonic(), setup.processes
    if setup.recompute:
        batch_statistics.recompute(segmenter.network, _plain_crops(setup, state), setup.machine)
    segmenter.network.eval()
    predictor, count = Predictor(segmenter, setup.machine), len(setup.validation)

    def evaluated(places: Sequence[int]) -> Evaluation:
        own = (setup.validation[place] for place in processes.share(places))
        return total_of(segmenter, evaluate_each(predictor, own), processes.sum_counts)

    always = range(0, count, state.validated_every)
    compared = evaluation = evaluated(always)
    if last and len(always) < count:
        evaluation = joint_evaluation(compared, evaluated([place for place in range(count) if place not in always]))
    pictures = count if last else len(always)
    seconds = processes.agree(time.monotonic() - started)
    state.last_validation = seconds * count / pictures
    state.validation_seconds += seconds
    return Validation(evaluation, compared, pictures, processes.count == 1)


def _plain_crops(setup: TrainingSetup, state: TrainingState) -> Iterator[Batch]:
    """Yield the batches of the coming epoch without augmentation."""
    plain = dataclasses.replace(setup.batches, augmentation=setup.batches.augmentation.none())
    return plain.epoch(state.epoch, 0, (setup.processes.rank, setup.processes.count))

"""What a training's diagnosis has to know of the data and the settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unpool.commands.train.preparation import TrainingJob
from unpool.data.thickness import typical_thickness
from unpool.data.training_normalisation import nearly_constant
from unpool.training.diagnosis.case import TrainingFacts

MEASURED = 12
"""Training pictures in which the thickness of the classes is measured."""


def facts_of(job: TrainingJob) -> TrainingFacts:
    """Collect the facts of a training that is ready to run."""
    survey, given = job.survey, job.config
    train, val = survey.split.train, survey.split.val
    classes = len(survey.table)
    return TrainingFacts(
        names=survey.table.names,
        train_shares=survey.class_shares(train),
        val_shares=survey.class_shares(val),
        train_pictures=_holding(job, train),
        val_pictures=_holding(job, val),
        train_count=len(train),
        val_count=len(val),
        weights=tuple(job.setup.loss.weights or (1.0,) * classes),
        balanced=given.loss.class_weights == "balanced",
        weight_cap=given.loss.class_weight_cap,
        thickness=_thickness(job),
        detail=job.config.structure.detail,
        flat_pictures=nearly_constant(job.segmenter.normalisation),
        norm=job.config.structure.norm,
        summed=given.loss.division == "sum",
        dice=given.loss.dice,
        rare=job.config.augmentation.rare,
        batch_size=given.training.batch_size,
        optimiser=given.training.optimiser,
        learning_rate=given.training.learning_rate,
    )


def _holding(job: TrainingJob, names: Sequence[str]) -> tuple[int, ...]:
    """How many of these pictures hold each class."""
    counts = [job.survey.pictures[name].class_pixels for name in names]
    return tuple(sum(pixels > 0 for pixels in of_class) for of_class in zip(*counts, strict=True))


def _thickness(job: TrainingJob) -> tuple[float | None, ...]:
    """Measured where it matters: most networks answer from maps of the picture's own size."""
    classes = len(job.survey.table)
    if job.config.structure.detail == 1:
        return (None,) * classes
    samples = job.setup.batches.samples
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(MEASURED, len(samples))).astype(int))
    return typical_thickness((samples[int(index)] for index in chosen), classes)

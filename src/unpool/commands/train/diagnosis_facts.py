"""The facts about data and settings that the diagnosis of a training needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unpool.commands.train.preparation import TrainingJob
from unpool.data.thickness import typical_thickness
from unpool.data.training_normalisation import nearly_constant
from unpool.training.diagnosis.case import TrainingFacts

MEASURED = 12
"""Number of training pictures in which the thickness of the classes is measured."""


def facts_of(job: TrainingJob) -> TrainingFacts:
    """Collect the facts of a training that is ready to run."""
    survey, given = job.survey, job.config
    train, val = survey.split.train, survey.split.val
    classes = len(survey.table)
    return TrainingFacts(
        names=survey.table.names,
        train_shares=survey.class_shares(train),
        val_shares=survey.class_shares(val),
        train_pictures=_pictures_with_class(job, train),
        val_pictures=_pictures_with_class(job, val),
        train_count=len(train),
        val_count=len(val),
        weights=tuple(job.setup.loss.weights or (1.0,) * classes)[:classes],
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


def _pictures_with_class(job: TrainingJob, names: Sequence[str]) -> tuple[int, ...]:
    """Count for each class the pictures that show it."""
    by_picture = [job.survey.pictures[name].class_pixels for name in names]
    return tuple(sum(pixels > 0 for pixels in of_class) for of_class in zip(*by_picture, strict=True))


def _thickness(job: TrainingJob) -> tuple[float | None, ...]:
    """Return the typical thickness of each class in pixels; None where the network answers at full resolution."""
    classes = len(job.survey.table)
    if job.config.structure.detail == 1:
        return (None,) * classes
    samples = job.setup.batches.samples
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(MEASURED, len(samples))).astype(int))
    return typical_thickness((samples[int(index)] for index in chosen), job.segmenter.outputs)[:classes]

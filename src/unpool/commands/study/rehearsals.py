"""The rehearsals of variants before a study: whether each can be trained here, and what a step takes."""

from __future__ import annotations

import gc
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from unpool.commands.events import Event, Progress
from unpool.commands.train.preparation import prepare
from unpool.commands.train.rehearsal import rehearsed, validation_seconds
from unpool.config.settings import merge, resolve
from unpool.convolution.choices import CHOICES
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError, TrainingError, UsageError
from unpool.nets.explain.explanation import explain
from unpool.study.records import VariantFacts
from unpool.study.variants import Variant


def rehearse_all(
    survey: Survey, variants: Sequence[Variant], common: Mapping[str, Any]
) -> Generator[Event, None, tuple[tuple[Variant, ...], tuple[VariantFacts, ...]]]:
    """Rehearse each variant; one that cannot be trained gets the reason as ``refused``.

    Parameters
    ----------
    common: settings that are the same for all variants, nested.

    Raises
    ------
    UnpoolError: the baseline, which is the first variant, cannot be trained.
    """
    checked: list[Variant] = []
    facts: list[VariantFacts] = []
    CHOICES.begin({})
    for done, variant in enumerate(variants):
        yield Progress("rehearsing variants", done, len(variants))
        try:
            if not variant.refused:
                facts.append(rehearse_variant(survey, variant, common))
            checked.append(variant)
        except (UsageError, DataError, TrainingError) as error:
            if not variant.number:
                raise
            checked.append(variant.model_copy(update={"refused": f"{error.found}; {error.repair}"}))
    yield Progress("rehearsing variants", len(variants), len(variants))
    return tuple(checked), tuple(facts)


def rehearse_variant(survey: Survey, variant: Variant, common: Mapping[str, Any]) -> VariantFacts:
    """Rehearse one variant.

    Raises
    ------
    UnpoolError: it cannot be trained on these pictures or this machine.
    """
    config = resolve(merge(variant.settings, common, {"training": {"epochs": 1}}), variant.name)
    job = prepare(survey, config)
    setup, network = job.setup, job.segmenter.network
    result, _ = rehearsed(job)
    steps = setup.batches.steps
    found = VariantFacts(
        variant=variant.number,
        steps=steps,
        step_seconds=result.step_seconds,
        epoch_seconds=result.step_seconds * steps + validation_seconds(job, result.step_seconds),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        memory=result.peak_bytes,
        multiply_adds=explain(network, setup.batches.crop.with_margin(), variant.name).multiply_adds,
    )
    del job, setup, network
    gc.collect()
    return found

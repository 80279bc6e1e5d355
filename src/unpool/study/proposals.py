"""Proposals of a search: settings to try next, from those that were tried and the scores that they reached.

Optuna's TPE sampler (Bergstra et al., NeurIPS 2011) proposes; the results of the study are its only memory. The same
results give the same proposals in every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unpool.errors import UsageError
from unpool.study.plan import PlannedVariant, Range, Search, SettingValue, StudyPlan
from unpool.study.variants import name_after

BATCHES = 3
"""Batches of variants that are proposed one after the other, each with the results of those before."""

Tried = Sequence[tuple[Mapping[str, Any], float | None]]
"""Settings that differ from the baseline, and the score that they reached; None where it is unknown."""


def batch_size(search: Search, batch: int) -> int:
    """Return the number of variants in a batch, from 0; the batches add up to the attempts of the search."""
    return search.attempts * (batch + 1) // BATCHES - search.attempts * batch // BATCHES


def proposed_settings(plan: StudyPlan, tried: Tried, batch: int) -> list[PlannedVariant]:
    """Return the variants of a batch.

    Settings outside the ranges of the search are not learned from.

    Raises
    ------
    UsageError: optuna is not installed.
    """
    search = plan.search
    assert search is not None
    optuna = imported_optuna()
    distributions = {name: _distribution(values) for name, values in search.ranges.items()}
    seed = plan.split_seed * BATCHES + batch
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=batch_size(search, 0), constant_liar=True)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for settings, score in tried:
        if score is not None and settings.keys() == distributions.keys():
            params = {name: _stored(values, settings[name]) for name, values in search.ranges.items()}
            study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=score))
    proposals = [study.ask(distributions).params for _ in range(batch_size(search, batch))]
    settings_of = [{name: _value(search.ranges[name], value) for name, value in each.items()} for each in proposals]
    unique = {name_after(each): each for each in settings_of}
    return [PlannedVariant(name=name, set=each) for name, each in unique.items()]


def imported_optuna() -> Any:
    """Return the module optuna, which prints nothing.

    Raises
    ------
    UsageError: it is not installed.
    """
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            "a search without optuna",
            "the extra that samples settings",
            "install it with: pip install 'unpool[search]', or vary few values without --search",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _distribution(values: Range | Sequence[SettingValue]) -> Any:
    """Return optuna's distribution of the values of a setting."""
    distributions = imported_optuna().distributions
    if not isinstance(values, Range):
        return distributions.CategoricalDistribution([str(index) for index in range(len(values))])  # any type of value
    whole = all(isinstance(each, int) for each in (values.low, values.high, values.step or 1))
    kind = distributions.IntDistribution if whole else distributions.FloatDistribution
    step = values.step if values.step is not None else (1 if whole else None)
    return kind(values.low, values.high, log=values.log, step=step)


def _stored(values: Range | Sequence[SettingValue], value: Any) -> Any:
    """Return what the sampler knows a value by."""
    return value if isinstance(values, Range) else str(list(values).index(value))


def _value(values: Range | Sequence[SettingValue], sampled: Any) -> Any:
    """Return the value of a setting from what the sampler gave; numbers with three digits, which a person reads."""
    if not isinstance(values, Range):
        return values[int(sampled)]
    rounded = float(f"{sampled:.3g}")
    short = not isinstance(sampled, int) and values.step is None and values.low <= rounded <= values.high
    return rounded if short else sampled

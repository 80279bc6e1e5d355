"""The beginning of a study: its variants are rehearsed, the minutes are divided, and a forecast is made."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from statistics import mean

from unpool.commands.events import Event
from unpool.commands.study.rehearsals import rehearse_all
from unpool.config.settings import resolve
from unpool.data.groups import group_of
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError, UsageError
from unpool.ledger.record import digest
from unpool.machine.device import choose_machine
from unpool.metrics.intervals import members_of
from unpool.metrics.seeds import VarianceComponents, detectable_difference
from unpool.study.plan import StudyPlan
from unpool.study.proposals import imported_optuna
from unpool.study.records import Study, StudyData, VariantFacts
from unpool.study.stages import RESERVED, shares_for, trainings
from unpool.study.variants import variants_of
from unpool.wording import all_of, count_text, decodable, duration_text, first_of, minutes_text, on_one_line

FEWEST_STEPS = 60
"""Steps of a full training below which a study is too short to judge structures."""

MOST_UNEVEN = 0.05
"""The largest share by which the steps of a variant may differ without a warning."""

USUAL_SPREAD = VarianceComponents(seed=0.007**2, unit=0.005**2, residual=0.007**2)
"""Variances of a difference in mean IoU, for the forecast alone; measured in the study of docs/studies.md."""


def begun_study(survey: Survey, plan: StudyPlan) -> Generator[Event, None, Study]:
    """Return a study that is ready to run: what every process that works on it agrees on.

    Raises
    ------
    UsageError: the baseline or the plan is refused, or the minutes are too few.
    DataError: there are too few pictures to judge.
    """
    data = study_data(survey)
    if plan.search is not None:
        imported_optuna()  # so that a search without it is refused before any work
    variants, facts = yield from rehearse_all(survey, variants_of(plan), plan.data_settings)
    tried = sum(1 for variant in variants if variant.number and not variant.refused)
    attempts = tried + (plan.search.attempts if plan.search else 0)
    if not attempts:
        reasons = first_of([f"{variant.name}: {variant.refused}" for variant in variants if variant.refused], 2, "; ")
        raise UsageError(
            f"no variant that can be trained ({reasons or 'all have the settings of the baseline'})",
            "at least one variant that differs from the baseline",
            "change the plan, or give other values with --vary",
        )
    total_steps, minutes, shares = _division(plan, facts, attempts)
    given = resolve(variants[0].settings, "the baseline").machine
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Study(
        id=study_id(plan, survey),
        created=created,
        plan=plan,
        data=data,
        variants=variants,
        facts=facts,
        total_steps=total_steps,
        minutes=minutes,
        shares=shares,
        precision="bfloat16" if choose_machine(given.device, given.precision).reduced else "float32",
    )


def study_id(plan: StudyPlan, survey: Survey) -> str:
    """Return what names a study for the processes that share it: the same for the same plan and pictures."""
    given = plan.model_dump(mode="json", exclude={"minutes", "most_seeds"})
    return digest([given, survey.fingerprint, survey.table.to_card()])[:12]


def study_data(survey: Survey) -> StudyData:
    """Return the pictures that train, choose and judge.

    Raises
    ------
    DataError: fewer than two pictures to choose by or to judge by.
    """
    split = survey.split
    parts = {part: tuple(n for n in split.members(part) if n in survey.pictures) for part in ("train", "val", "test")}
    for part, verb in (("val", "choose"), ("test", "judge")):
        if len(parts[part]) < 2:
            raise DataError(
                f"{survey.folder.root}: {count_text(len(parts[part]), 'picture')} to {verb} by",
                f"two or more in the {part} part",
                f"add pictures with masks, or give a larger share: --{part}-share 0.4",
            )
    root = survey.folder.root.resolve()
    warnings = [f"{each.found}; {each.repair}" for each in survey.findings if each.severity == "warning"]
    return StudyData(
        name=on_one_line(root.name),
        folder=decodable(str(root)),
        fingerprint=survey.fingerprint,
        origin=split.origin,
        **parts,
        warnings=tuple(warnings),
    )


def forecast_text(study: Study) -> str:
    """Return what a study will do, how long it takes, and what difference it will be able to see."""
    lines = [f"Study {study.plan.name}", *(f"  {label:<12}{on_one_line(text)}" for label, text in forecast_rows(study))]
    lines += [f"  not possible: {each.name}: {on_one_line(each.refused)}" for each in study.variants if each.refused]
    lines += [f"  warning: {warning}" for warning in warnings_on(study)]
    return "\n".join(lines)


def forecast_rows(study: Study) -> list[tuple[str, str]]:
    """Return the facts of a study and its forecast, with their titles."""
    plan, data = study.plan, study.data
    possible = [variant for variant in study.variants if not variant.refused]
    attempts = len(possible) - 1 + (plan.search.attempts if plan.search else 0)
    rows = [
        ("question", plan.question),
        ("baseline", f"{plan.net}" + "".join(f" {key}={value}" for key, value in plan.set.items())),
        ("variants", f"{attempts}: {first_of([variant.name for variant in possible[1:]], 8)}" if possible[1:] else ""),
        ("searched", f"{plan.search.attempts} of {all_of(list(plan.search.ranges))}" if plan.search else ""),
        ("pictures", f"{len(data.train)} train, {len(data.val)} choose, {len(data.test)} judge at the end, once"),
        ("split", data.origin),
        ("equal", _equal_text(study)),
        ("stages", _stages_text(study, attempts)),
        ("seeds", f"{plan.seeds} for each finalist, up to {plan.seeds_at_most} where the verdict needs them"),
        ("time", f"about {duration_text(forecast_seconds(study))} of {minutes_text(plan.minutes)}"),
        ("can see", _resolution_text(study, attempts)),
    ]
    return [(label, text) for label, text in rows if text]


def forecast_seconds(study: Study) -> float:
    """Return the time of all trainings of a study, with as many seeds as each finalist gets at least."""
    attempts = len(study.facts) - 1 + (study.plan.search.attempts if study.plan.search else 0)
    mean_seconds = mean(_full_seconds(study, each) for each in study.facts)
    return trainings(study.shares, attempts, study.plan.seeds) * mean_seconds


def warnings_on(study: Study) -> list[str]:
    """Return warnings for the reader of a study, one sentence each."""
    warnings = list(study.data.warnings)
    if study.total_steps is not None and study.total_steps < FEWEST_STEPS:
        warnings.append(
            f"each training has {study.total_steps} steps only, and the order of the variants may say little: give "
            "more --minutes, fewer variants or fewer --seeds"
        )
    if study.total_steps is not None:
        uneven = {each.variant: study.epochs_of(each) * each.steps for each in study.facts}
        warnings += [
            f"{study.variants[number].name} gets {steps:,} steps, not {study.total_steps:,}: its epochs have another "
            "number of steps; give more --minutes or --epochs, so that whole epochs come nearer"
            for number, steps in uneven.items()
            if abs(steps - study.total_steps) > MOST_UNEVEN * study.total_steps
        ]
        if forecast_seconds(study) > 60 * study.plan.minutes:
            warnings.append(
                f"the trainings take about {duration_text(forecast_seconds(study))}, more than the "
                f"{minutes_text(study.plan.minutes)} of the plan; each finalist gets its seeds all the same"
            )
    units = _units(study)
    if units < 5:
        warnings.append(
            f"{count_text(units, 'picture')} (or groups of pictures) judge; five or more give useful intervals"
        )
    if study.plan.equal == "seconds":
        warnings.append("trainings by the clock cannot be repeated bit for bit, and other work on the machine counts")
    return warnings


def _division(
    plan: StudyPlan, facts: Sequence[VariantFacts], attempts: int
) -> tuple[int | None, float | None, tuple[float, ...]]:
    """Return the steps or the minutes of a full training, and the shares after which variants are given up."""
    base = facts[0]
    epoch = mean(each.epoch_seconds * base.steps / each.steps for each in facts)  # of as many steps as the baseline's
    seconds = 60 * plan.minutes * (1 - RESERVED)
    shares = shares_for(attempts, halving=plan.halving, epochs=None)
    if plan.equal == "seconds":
        return None, seconds / trainings(shares, attempts, plan.seeds) / 60, shares
    if plan.epochs is not None:
        return plan.epochs * base.steps, None, shares_for(attempts, halving=plan.halving, epochs=plan.epochs)
    epochs = int(seconds / (trainings(shares, attempts, plan.seeds) * epoch))
    shares = shares_for(attempts, halving=plan.halving, epochs=epochs)
    epochs = int(seconds / (trainings(shares, attempts, plan.seeds) * epoch))
    if epochs < 1:
        least = trainings(shares, attempts, plan.seeds) * epoch / (1 - RESERVED) / 60
        raise UsageError(
            f"{minutes_text(plan.minutes)} for {count_text(attempts, 'variant')} and {count_text(plan.seeds, 'seed')}",
            f"at least {least:.0f} minutes, for one epoch of each",
            f"give --minutes {max(10 * least, 1):.0f} or more, fewer variants, or smaller networks",
        )
    return epochs * base.steps, None, shares


def _full_seconds(study: Study, facts: VariantFacts) -> float:
    if study.minutes is not None:
        return 60 * study.minutes
    return study.epochs_of(facts) * facts.epoch_seconds


def _equal_text(study: Study) -> str:
    if study.minutes is not None:
        return f"{study.minutes:.3g} minutes for each training, whatever it does in them"
    steps = study.total_steps or 0
    epochs = study.epochs_of(study.facts[0])
    times = sorted(_full_seconds(study, each) for each in study.facts)
    return (
        f"{steps:,} steps for each training ({count_text(epochs, 'epoch')}), "
        f"{duration_text(times[0])} to {duration_text(times[-1])}"
    )


def _stages_text(study: Study, attempts: int) -> str:
    if len(study.shares) == 1:
        return f"all {attempts} variants are trained to the end"
    parts, left = [], attempts
    for share in study.shares:
        parts.append(f"{left} to {share * 100:g} %" if share < 1 else f"{left} to the end")
        left = -(-left // 2)
    return f"{', '.join(parts)}; the baseline always to the end"


def _resolution_text(study: Study, attempts: int) -> str:
    seeds, units = study.plan.seeds, _units(study)
    if min(seeds, units) < 2:
        return "no difference: it takes two seeds and two pictures or more"
    least = detectable_difference(USUAL_SPREAD, seeds, units, attempts)
    most = detectable_difference(USUAL_SPREAD, max(study.plan.seeds_at_most, 2), units, attempts)
    return (
        f"differences of about {100 * least:.1f} points of mean IoU with {seeds} seeds, {100 * most:.1f} with "
        f"{study.plan.seeds_at_most} (a guess, from the usual spread of seeds and pictures)"
    )


def _units(study: Study) -> int:
    """Return the number of units (pictures, or groups where there are enough) that judge."""
    groups = group_of((*study.data.train, *study.data.val, *study.data.test))
    return len(members_of([groups[name] for name in study.data.test]))

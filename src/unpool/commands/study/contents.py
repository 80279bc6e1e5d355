"""The contents of a study's page and tables, from its results: what came of each variant, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import NamedTuple

from unpool.commands.study.beginning import forecast_rows, warnings_on
from unpool.commands.study.crops import read_crops
from unpool.commands.study.judging import rules, verdicts
from unpool.ledger.changes import setting_text
from unpool.metrics.intervals import Interval
from unpool.report.study_contents import Attempt, AttemptCost, AttemptState, Course, CourseRow, StudyContents
from unpool.study.folder import StudyFolder
from unpool.study.records import Results, Study, StudyTask, TaskResult
from unpool.study.stages import Position, position
from unpool.study.variants import Variant
from unpool.study.verdicts import Verdict, score_of
from unpool.wording import all_of, command_text, count_text, on_one_line

PICTURE, TRUTH = "picture", "truth"
"""Names of the crops without a prediction, in the place of a variant's."""


class StudyView(NamedTuple):
    """A study as far as it is: its folder, its results, where it stands, and its verdicts."""

    folder: StudyFolder
    study: Study
    results: Results
    where: Position
    judged: Mapping[int, Verdict]


def study_contents(folder: StudyFolder, study: Study, results: Results) -> StudyContents:
    """Return what the page and the tables of a study show."""
    where = position(study, results)
    judged = verdicts(results, where)
    view = StudyView(folder, study, results, where, judged)
    pictures, truths = (read_crops(folder, name) for name in (PICTURE, TRUTH))
    names = [f"crop {number + 1}" for number in range(len(pictures))] if len(pictures) == len(truths) else []
    attempts = [_attempt(view, variant, len(names)) for variant in _in_order(where, judged)]
    return StudyContents(
        title=study.plan.question or f"A study of {study.data.name}: {all_of(_varied(study)) or study.plan.name}",
        subtitle=f"{study.data.name}, begun {study.created[:10]}"
        + ("" if where.stage is None else f"; not finished: {where.stage.title}"),
        headline=study_headline(view),
        attempts=attempts,
        facts=[("Study", forecast_rows(study))],
        crop_names=names,
        crop_pictures=pictures if names else (),
        crop_truths=truths if names else (),
        warnings=warnings_on(study),
        rules=rules(study, where),
        command=command_text(["unpool", "study", study.data.folder, "--out", folder.path, "--resume"]),
    )


def _varied(study: Study) -> list[str]:
    """Return the settings that the variants change."""
    keys = [key.rpartition(".")[2] for variant in study.variants for key in variant.changes]
    return list(dict.fromkeys([*keys, *(study.plan.search.ranges if study.plan.search else ())]))


def study_headline(view: StudyView) -> list[str]:
    """Return what a study found, one sentence each, the most important first."""
    where, judged = view.where, view.judged
    if where.stage is not None:
        return [f"The study is not finished: {where.stage.title}. All numbers are of validation pictures."]
    sentences = []
    if not any(each.difference.shown and each.difference.value > 0 for each in judged.values()):
        sentences.append("No variant was shown to be better than the baseline.")
    ordered = sorted(judged, key=lambda number: -judged[number].difference.value)
    sentences += [f"{where.variants[number].name}: {judged[number].sentence}." for number in ordered]
    given_up = [number for number in where.ended if not where.variants[number].refused]
    if given_up:
        sentences.append(f"{count_text(len(given_up), 'variant')} ended before the test, see below.")
    sentences += _ensemble_sentences(view)
    if where.stopped_adding:
        sentences.append(f"No more seeds were added: {where.stopped_adding}.")
    return sentences


def _ensemble_sentences(view: StudyView) -> list[str]:
    """Return whether the models of the best variant's seeds are better together than alone, and the file."""
    folder, _, results, where, _ = view
    if where.ensemble is None:
        return []
    name, seeds = where.variants[where.ensemble].name, where.seeds[where.ensemble]
    joined = results.get(StudyTask(kind="ensemble", variant=where.ensemble).key)
    alone = {kind: score_of(results, where.ensemble, seeds, kind) for kind in ("train", "test")}
    if joined is None or joined.score is None or joined.validation is None or not all(alone.values()):
        return []
    gains = [
        100 * (together - score.value)
        for together, score in ((joined.validation, alone["train"]), (joined.score, alone["test"]))
        if score is not None
    ]
    outcome = "It was not better on both"
    if min(gains) > 0:
        outcome = f"It was better on both, and takes {joined.members} times as long: {folder.ensemble}"
    return [
        f"The {joined.members} models of {name} as one, with the mean of their probabilities: mean IoU "
        f"{joined.score:.3f} on the test pictures, {gains[1]:+.1f} points from the mean of the single ones "
        f"({gains[0]:+.1f} on the validation pictures). {outcome}."
    ]


def _in_order(where: Position, judged: Mapping[int, Verdict]) -> list[Variant]:
    """Return the baseline, the judged variants from the best to the worst, and then the others."""

    def place(number: int) -> tuple[bool, bool, float, int]:
        return number > 0, number not in judged, -judged[number].difference.value if number in judged else 0.0, number

    return [where.variants[number] for number in sorted(where.variants, key=place)]


def _attempt(view: StudyView, variant: Variant, crops: int) -> Attempt:
    folder, study, results, where, judged = view
    number, shown = variant.number, read_crops(folder, variant.slug)
    seeds = where.seeds.get(number, ())
    trained = _newest(study, results, number)
    tests = [result for seed in seeds if (result := results.get(StudyTask(kind="test", variant=number, seed=seed).key))]
    score = score_of(results, number, seeds, "test")
    verdict, facts = judged.get(number), where.facts.get(number)
    difference = verdict.difference if verdict is not None else None
    validations = [result.score for result in trained if result.score is not None]
    full = [result.seconds for result in trained if result.key.endswith("until-1")]
    predictions = [result.picture_seconds for result in trained if result.picture_seconds is not None]
    return Attempt(
        name=on_one_line(variant.name),
        changes=[(key, setting_text(value)) for key, value in variant.changes.items()],
        note=on_one_line(variant.note),
        state=_state(where, variant, trained, tests, seeds),
        ended=on_one_line(where.ended.get(number, "")),
        seeds=len(seeds),
        score=score.value if score else None,
        score_interval=score.interval if score else None,
        difference=100 * difference.value if difference else None,
        difference_interval=(
            Interval(100 * difference.interval.low, 100 * difference.interval.high)
            if difference and difference.interval
            else None
        ),
        verdict=verdict.sentence if verdict else "",
        shown=bool(difference and difference.shown),
        validation=mean(validations) if validations else None,
        cost=AttemptCost(
            parameters=facts.parameters if facts else None,
            multiply_adds=facts.multiply_adds if facts else None,
            step_seconds=facts.step_seconds if facts else None,
            training_seconds=mean(full) if full else None,
            prediction_seconds=mean(predictions) if predictions else None,
            memory=facts.memory if facts else None,
        ),
        courses=[_course(result) for result in trained],
        given_up_at=_given_up_at(where, number, trained),
        crops=shown if len(shown) == crops else (),
    )


def _state(
    where: Position,
    variant: Variant,
    trained: Sequence[TaskResult],
    tests: Sequence[TaskResult],
    seeds: Sequence[int],
) -> AttemptState:
    if variant.refused:
        return "refused"
    if (ended := where.ended.get(variant.number, "")) != "":
        return "failed" if ended.startswith("failed") else "given up"
    if tests and len(tests) == len(seeds) and all(test.counts for test in tests):
        return "judged"
    return "running" if trained else "waiting"


def _newest(study: Study, results: Results, number: int) -> list[TaskResult]:
    """Return the newest result of each training of a variant, in the order of the seeds."""
    newest: dict[int, TaskResult] = {}
    for seed in range(study.plan.first_seed, study.plan.first_seed + study.plan.seeds_at_most):
        for share in study.shares:
            if result := results.get(StudyTask(kind="train", variant=number, seed=seed, share=share).key):
                newest[seed] = result
    return list(newest.values())


def _course(result: TaskResult) -> Course:
    return Course(result.seed, [CourseRow(*row) for row in result.course])


def _given_up_at(where: Position, number: int, trained: Sequence[TaskResult]) -> float | None:
    if where.ended.get(number, "").startswith("given up") and trained and trained[-1].course:
        return trained[-1].course[-1][0]
    return None

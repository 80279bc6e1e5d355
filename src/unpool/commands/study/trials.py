"""The trials of a study: trainings up to a share, tests, and proposals, each with its result."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from unpool.checkpoint.models import load_model
from unpool.commands.ensemble.ensemble import ensemble
from unpool.commands.events import Event, Message, Progress
from unpool.commands.run_folder import RunFolder
from unpool.commands.study.crops import ShownCrop, shown_crops, write_crops
from unpool.commands.study.rehearsals import rehearse_variant
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import survey_by, test
from unpool.commands.train.train import TrainedRun, train
from unpool.config.schema import RunConfig
from unpool.config.settings import merge, resolve
from unpool.data.batches import SampleStore
from unpool.data.groups import group_of
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError, TrainingError, UnpoolError, UsageError
from unpool.generators import mapped
from unpool.io.documents import read_json_lines
from unpool.ledger.folders import read_record
from unpool.ledger.record import Origin, StudyPlace
from unpool.machine.device import Machine, choose_machine
from unpool.metrics.intervals import PixelCounts, pixel_counts
from unpool.nets.ensemble import MOST_MEMBERS
from unpool.prediction.evaluation import evaluate_each, summarise
from unpool.prediction.predictor import Predictor
from unpool.study.claims import Claims
from unpool.study.folder import StudyFolder
from unpool.study.proposals import proposed_settings
from unpool.study.records import Results, Study, StudyTask, TaskResult
from unpool.study.stages import Position
from unpool.study.variants import Variant, variant_of
from unpool.training.records import EpochRecord, StepRecord

_ROUNDING = 1e-9


class Interrupted(NamedTuple):
    """A training that did not reach its share: its state is saved.

    Attributes
    ----------
    signal: number of the signal that stopped it; None where another process has taken the task, because this one gave
        no sign of life for long.
    """

    signal: int | None


@dataclass
class Workplace:
    """What the trials of a study share in one process: the survey, the validation pictures, and their crops.

    Attributes
    ----------
    survey: of the training data; test_survey: of the same folder by the class table of the models, once it is needed.
    claims: which process does which task.
    where: where the study stands, with all variants so far.
    """

    folder: StudyFolder
    study: Study
    survey: Survey
    claims: Claims
    validation: SampleStore
    crops: Sequence[ShownCrop]
    test_survey: Survey | None = None
    where: Position = field(default_factory=Position)

    @classmethod
    def of(cls, folder: StudyFolder, study: Study, survey: Survey, claims: Claims) -> Workplace:
        """Return the workplace of a process that begins to work on a study."""
        pairs = {pair.name: pair for pair in survey.folder.pairs}
        validation = SampleStore([pairs[name] for name in study.data.val], survey.table)
        return cls(folder, study, survey, claims, validation, shown_crops(validation))

    def run_of(self, task: StudyTask) -> RunFolder:
        """Return the run folder of a training or a test."""
        return RunFolder(self.folder.runs / self.where.variants[task.variant].slug / f"seed-{task.seed}")

    def config_of(self, task: StudyTask) -> RunConfig:
        """Return the configuration of a training."""
        return resolve(self.settings_of(task), self.where.variants[task.variant].name)

    def settings_of(self, task: StudyTask) -> dict[str, Any]:
        """Return the settings of a training, nested."""
        return self.study.settings_of(self.where.variants[task.variant], self.where.facts[task.variant], task.seed)


def do_task(place: Workplace, task: StudyTask, results: Results) -> Generator[Event, None, TaskResult | Interrupted]:
    """Do a task and return its result; a training that its settings make impossible has one with the error."""
    try:
        if task.kind == "propose":
            return (yield from _proposal(place, task, results))
        if task.kind == "test":
            return (yield from _tested(place, task))
        if task.kind == "ensemble":
            return (yield from _joined(place, task))
        return (yield from _trained(place, task))
    except TrainingError as error:  # others, such as a full disk, are not the variant's
        if task.kind != "train":
            raise
        return task.result(error=error.found)


def _trained(place: Workplace, task: StudyTask) -> Generator[Event, None, TaskResult | Interrupted]:
    """Train until a share of the training, from the state that is there; score the validation pictures at the end."""
    variant, run = place.where.variants[task.variant], place.run_of(task)
    interrupted = yield from _train_until(place, task, variant, run)
    if interrupted is not None:
        return interrupted
    rows = _rows_until(run, task.share)
    course = [(row["progress"], row["seconds"], row["mean_iou"], row["train_loss"]) for row in rows]
    known = [score for _, _, score, _ in course if score is not None]
    result = task.result(
        score=max(known, default=None),
        seconds=rows[-1]["seconds"],
        epochs=len(rows),
        best_epoch=max((row["epoch"] for row in rows if row["best"]), default=0),
        course=tuple(course),
        run=run.path.relative_to(place.folder.path).as_posix(),
    )
    if not run.model.is_file():
        return result.model_copy(update={"error": "no epoch had a validation score"})
    predictor = Predictor(load_model(run.model).segmenter, _machine_of(place, task))
    if task.seed == place.study.plan.first_seed:
        write_crops(place.folder, variant, [crop.of_prediction(predictor) for crop in place.crops])
    if task.share < 1:
        return result
    yield Progress(f"{variant.name}: validation pictures", 0, 1)
    started = time.monotonic()
    evaluation = summarise(predictor.segmenter, evaluate_each(predictor, place.validation))
    seconds = (time.monotonic() - started) / len(place.validation)
    counted = _counted(place, [(name, pixel_counts(each)) for name, each in evaluation.images])
    return result.model_copy(update={**counted, "score": evaluation.scores.mean_iou, "picture_seconds": seconds})


def _train_until(
    place: Workplace, task: StudyTask, variant: Variant, run: RunFolder
) -> Generator[Event, None, Interrupted | None]:
    """Run the training of a task, and leave it after the epoch that reaches the task's share, with its state saved."""
    baseline = place.folder.runs / place.where.variants[0].slug / f"seed-{task.seed}"
    origin = Origin(
        parent=_id_in(baseline) if task.variant else None,
        study=StudyPlace(folder=str(place.folder.path.absolute()), variant=variant.name, note=variant.note),
    )
    if task.share < 1 and any(_reaches(row["progress"], task.share) for row in _rows_until(run, task.share)):
        return None  # this process, or one before it, was killed after the last epoch of the part
    training = train(place.survey, place.settings_of(task), run.path, resume=True, origin=origin)
    study = place.study
    total = study.minutes or study.epochs_of(place.where.facts[task.variant])
    unit = "epochs" if study.minutes is None else "minutes"
    title = f"{variant.name}, seed {task.seed}: {unit}"
    try:
        while True:
            event = next(training)
            if isinstance(event, StepRecord):
                yield Progress(title, int(total * event.progress), math.ceil(total * task.share))
            elif isinstance(event, EpochRecord):
                if not place.claims.holds(task.key):
                    return Interrupted(None)
                if task.share < 1 and _reaches(event.progress, task.share):
                    return None
            elif not isinstance(event, Message):
                yield event
    except StopIteration as stop:
        trained: TrainedRun = stop.value
        return None if trained.stopped_by is None else Interrupted(trained.stopped_by)
    finally:
        training.close()


def _reaches(progress: float, share: float) -> bool:
    return progress >= share - _ROUNDING


def _rows_until(run: RunFolder, share: float) -> list[dict[str, Any]]:
    """Return the rows of a training's log up to the epoch that reached a share of the training; none without a log."""
    rows = read_json_lines(run.log, dict).entries if run.log.is_file() else []
    reached = (number for number, row in enumerate(rows, start=1) if share < 1 and _reaches(row["progress"], share))
    return rows[: next(reached, None)]


def _tested(place: Workplace, task: StudyTask) -> Generator[Event, None, TaskResult | Interrupted]:
    """Score a model on the test pictures."""
    run = place.run_of(task)
    if not run.model.is_file():  # trained by a process on another machine, which has ended
        interrupted = yield from _train_until(place, task, place.where.variants[task.variant], run)
        if interrupted is not None:
            return interrupted
    return (yield from _test_of(place, task, run.model))


def _test_of(place: Workplace, task: StudyTask, model: Path) -> Generator[Event, None, TaskResult]:
    """Score a model on the test pictures."""
    given, study = place.config_of(task).machine, place.study
    if place.test_survey is None:
        place.test_survey = yield from survey_by(load_model(model), place.survey.folder.root)
    options = TestOptions(which="test", device=given.device, precision=given.precision)
    scoring = test(model, place.test_survey, options, fingerprint=study.data.fingerprint)
    tested = yield from mapped(scoring, lambda event: [] if isinstance(event, Message) else [event])
    record = read_record(tested.report.parent)
    counts = [(name, pixel_counts(each)) for name, each in tested.evaluation.images]
    return task.result(
        score=tested.evaluation.scores.mean_iou,
        seconds=record.seconds,
        run=model.parent.relative_to(place.folder.path).as_posix(),
        **_counted(place, counts),
    )


def _joined(place: Workplace, task: StudyTask) -> Generator[Event, None, TaskResult]:
    """Join the models of a variant's seeds to one model, and score it on the validation and on the test pictures."""
    seeds = place.where.seeds[task.variant]
    runs = [place.run_of(task.model_copy(update={"seed": seed})) for seed in seeds]
    models = [run.model for run in runs if run.model.is_file()][:MOST_MEMBERS]  # others are on another machine
    if len(models) < 2:
        return task.result()
    out = place.folder.ensemble
    out.unlink(missing_ok=True)  # of a process that was killed
    ensemble(models, out)
    predictor = Predictor(load_model(out).segmenter, _machine_of(place, task))
    validation = summarise(predictor.segmenter, evaluate_each(predictor, place.validation))
    tested = yield from _test_of(place, task, out)
    return tested.model_copy(update={"validation": validation.scores.mean_iou, "members": len(models)})


def _machine_of(place: Workplace, task: StudyTask) -> Machine:
    given = place.config_of(task).machine
    return choose_machine(given.device, given.precision)


def _proposal(place: Workplace, task: StudyTask, results: Results) -> Generator[Event, None, TaskResult]:
    """Propose variants by what those before have reached, and rehearse each."""
    study, base = place.study, place.where.variants[0]
    tried = [
        (place.where.variants[number].given, result.score)
        for number in place.where.variants
        if (result := results.get(_first_look(study, number))) is not None and not result.error
    ]
    number = max(place.where.variants) + 1
    known = [resolve(each.settings) for each in place.where.variants.values() if not each.refused]
    common = merge(study.plan.data_settings, {"training": {"seed": study.plan.first_seed}})
    variants, facts = [], []
    for planned in proposed_settings(study.plan, tried, task.variant):
        variant, config = variant_of(number, planned, base.settings, known[0])
        if config in known:
            continue  # tried already: its name and its score are known
        try:
            if config is not None:
                known.append(config)
                facts.append(rehearse_variant(place.survey, variant, common))
        except (UsageError, TrainingError, DataError) as error:
            variant = variant.model_copy(update={"refused": error.found})
        variants.append(variant)
        number += 1
        yield Progress("rehearsing variants", len(variants), len(variants) + 1)
    return task.result(proposed=tuple(variants), facts=tuple(facts))


def _first_look(study: Study, number: int) -> str:
    return StudyTask(kind="train", variant=number, seed=study.plan.first_seed, share=study.shares[0]).key


def _counted(place: Workplace, counts: Sequence[tuple[str, PixelCounts]]) -> dict[str, Any]:
    """Return names, groups and counts of scored pictures, in the order of their names."""
    groups = group_of(pair.name for pair in place.survey.folder.pairs)
    ordered = sorted(counts, key=lambda each: each[0])
    return {
        "pictures": tuple(name for name, _ in ordered),
        "groups": tuple(groups[name] for name, _ in ordered),
        "counts": tuple(tuple(map(tuple, each.tolist())) for _, each in ordered),
    }


def _id_in(folder: Path) -> str | None:
    try:
        return read_record(folder).id
    except UnpoolError:
        return None

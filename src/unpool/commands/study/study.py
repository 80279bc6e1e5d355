"""``study``: variants of a network, trained under the same conditions, judged on pictures set aside, and recorded."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from unpool.commands.check import check, require_no_errors
from unpool.commands.events import Event, Message, Progress
from unpool.commands.interruption import ending_text
from unpool.commands.study.beginning import begun_study, forecast_seconds, forecast_text, study_id
from unpool.commands.study.contents import PICTURE, TRUTH, study_contents
from unpool.commands.study.trials import Interrupted, Workplace, do_task
from unpool.config.schema import RunConfig
from unpool.config.settings import resolve
from unpool.dataset.survey_result import Survey
from unpool.dataset.survey_text import survey_page
from unpool.errors import BusyError, DataError, TrainingError, UsageError
from unpool.io.destination import claimed, is_unused, numbered_paths, require_writable
from unpool.io.files import write_text
from unpool.io.outputs import mark_output
from unpool.io.write.images import write_image
from unpool.machine.process_memory import keep_memory
from unpool.processes import join
from unpool.report.study_contents import StudyContents
from unpool.report.study_page import render_study
from unpool.report.study_table import study_csv, study_markdown, study_text
from unpool.study.claims import Alone, Claims, shared_claims
from unpool.study.folder import StudyFolder, begin_study, read_results, read_study, write_result, write_study
from unpool.study.plan import StudyPlan, plan_of
from unpool.study.records import Results, Study, StudyTask, TaskResult
from unpool.study.stages import Position, position, training_seconds
from unpool.study.variants import folder_name, variants_of
from unpool.wording import command_text, duration_text, problem_text

WAIT = 2.0
"""Seconds between two looks for a task while other processes work."""

BEGINNING = "begin"
"""The task of the process that begins a study in a database."""

ELSEWHERE = 120.0
"""Seconds for which a task is left to the process that has its run, where that run is not in this folder and nobody
works. After that it is done here from the beginning, since that process may have ended."""

REST = 60.0
"""Seconds after which a task is tried again whose folder another process was writing into."""

_Form = TypeVar("_Form", bound=BaseModel)


@dataclass(frozen=True)
class StudyResult:
    """The result of ``study``.

    Attributes
    ----------
    contents: what the page and the tables show.
    stopped_by: number of the signal that stopped this process before the study's end, or None.
    """

    folder: StudyFolder
    study: Study
    results: Results
    contents: StudyContents
    stopped_by: int | None = None

    @property
    def text(self) -> str:
        """The record as a page of text."""
        return study_text(self.contents)

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        where = position(self.study, self.results)
        return {
            "folder": str(self.folder.path),
            "finished": where.stage is None,
            "study": self.study.model_dump(mode="json"),
            "results": {key: result.model_dump(mode="json") for key, result in sorted(self.results.items())},
            "ended": {where.variants[number].name: why for number, why in where.ended.items()},
            "seeds": {where.variants[number].name: list(seeds) for number, seeds in where.seeds.items()},
        }


def study(
    data: Path, plan: StudyPlan, out: Path | None = None, *, resume: bool = False, storage: str | None = None
) -> Generator[Event, None, StudyResult]:
    """Train and judge the variants of a plan, alone or together with other processes that have the same command.

    Parameters
    ----------
    data: pictures and masks in any layout that ``check`` reads.
    out: the folder of the study; by default the first free ``studies/<data>-<plan>``. A study of the same plan that is
        there goes on.
    resume: without ``out``, continue the newest study of this plan instead of beginning one.
    storage: address of a database through which processes without a common disk share the study.

    Raises
    ------
    UsageError, DataError, RunError: the message has the details.
    """
    config = resolve(variants_of(plan)[0].settings)
    _require_one_process(config)
    keep_memory()
    folder = StudyFolder(out if out is not None else _default_path(data, plan, resume=resume))
    require_writable(folder.path)
    shared = storage is not None or find_spec("optuna") is not None
    with ExitStack() as held:
        settings = config.data.model_copy(update=plan.data_settings["data"])
        survey = yield from check(data, settings)
        yield Message(survey_page(survey))
        require_no_errors(survey)
        _require_free(folder)
        common = shared_claims(storage, folder.path, study_id(plan, survey)) if storage is not None else None
        begun = yield from _begun(folder, survey, plan, common)
        if not shared:
            held.enter_context(claimed(folder.path))
        yield Message(forecast_text(begun))
        claims = common or (shared_claims(None, folder.path, begun.id) if shared else Alone())
        place = Workplace.of(folder, begun, survey, claims)
        _write_plain_crops(place)
        stopped_by = yield from _work(place)
        shown = shown_study(folder.path)
        write_study_record(folder, shown.contents)
        return replace(shown, stopped_by=stopped_by)


def plan_in(out: Path | None, changes: Mapping[str, Any], settings: Sequence[str]) -> StudyPlan:
    """Return the plan of the study in a folder, for a command that names no variants.

    Parameters
    ----------
    changes: keys of the plan that the command line gives.
    settings: settings that it gives, which cannot change.

    Raises
    ------
    UsageError: there is no study in the folder.
    """
    folder = StudyFolder(out) if out is not None else None
    if folder is None or not folder.study.is_file():
        raise UsageError(
            "a study without variants",
            "settings to vary, or a plan",
            "give --vary skip=none,add,concat, or --plan unet-skips",
        )
    if settings:
        raise UsageError(
            f"{settings[0]} for the study in {out}",
            "the settings that it was begun with",
            "leave it out, or begin a new study with --vary or --plan",
        )
    given = {key: value for key, value in changes.items() if value is not None}
    return plan_of({**read_study(folder).plan.model_dump(exclude_unset=True), **given}, "the command line")


def write_study_record(folder: StudyFolder, contents: StudyContents) -> None:
    """Write the page and the tables of a study. Raises RunError."""
    write_text(folder.page, render_study(contents))
    write_text(folder.csv, study_csv(contents))
    write_text(folder.markdown, study_markdown(contents))


def shown_study(path: Path) -> StudyResult:
    """Return the study in a folder as it stands.

    Raises
    ------
    DataError: there is no study, or a file of it cannot be read.
    """
    folder = StudyFolder(path)
    begun = read_study(folder)
    results = read_results(folder)
    return StudyResult(folder, begun, results, study_contents(folder, begun, results))


def _work(place: Workplace) -> Generator[Event, None, int | None]:
    """Do tasks until the study is finished; return the number of a signal that stopped this process, or None."""
    folder, claims, waited, title = place.folder, place.claims, False, ""
    seen: dict[str, float] = {}
    resting: dict[str, float] = {}
    results: dict[str, TaskResult] = {}
    while True:
        begun = place.study = read_study(folder)  # another process may have been started with more --minutes
        results = _gathered(folder, claims, results)
        where = place.where = position(begun, results)
        _require_baseline(where)
        if where.stage is None:
            return None
        if where.stage.title != title:
            title = where.stage.title
            yield Message(f"\n{title}")
        if claims.workers():
            seen.clear()  # what is elsewhere is left to those who work
        now = time.monotonic()
        free = (task for task in _free(place, results, seen) if resting.get(task.key, now) <= now)
        task = next((task for task in free if claims.claim(task.key)), None)
        if task is None:
            if not waited:
                waited = True
                yield Message(f"waiting for the tasks of {claims.workers()} other processes")
            time.sleep(WAIT)
            continue
        waited = False
        with claims.working():
            try:
                result = yield from do_task(place, task, results)
            except BusyError:  # a process that seemed to be dead still writes there
                claims.give_back(task.key)
                resting[task.key] = time.monotonic() + REST
                continue
            if isinstance(result, Interrupted):
                if result.signal is None:
                    continue
                claims.give_back(task.key)
                again = command_text(["unpool", "study", begun.data.folder, "--out", folder.path, "--resume"])
                yield Message(f"{ending_text(result.signal)}: everything is saved; continue with: {again}")
                return result.signal
            if claims.finish(task.key, result.model_dump(mode="json")):
                write_result(folder, result)
                results[task.key] = result
        write_study_record(folder, study_contents(folder, begun, results))
        yield Message(f"  {_ending(place, task, result)}{_left(begun, task, results)}")


def _free(place: Workplace, results: Results, seen: dict[str, float]) -> list[StudyTask]:
    """Return the tasks that can be done now; those whose training began here come first.

    Parameters
    ----------
    seen: when each task was seen for the first time, whose run is not in this folder.
    """
    assert place.where.stage is not None
    tasks = [task for task in place.where.stage.tasks if task.key not in results]
    begun = {(result.variant, result.seed) for result in results.values() if result.run}
    now = time.monotonic()

    def is_elsewhere(task: StudyTask) -> bool:
        return task.kind != "propose" and not place.run_of(task).state.is_file()

    def is_left(task: StudyTask) -> bool:
        if not is_elsewhere(task) or (task.variant, task.seed) not in begun:
            return False
        return now - seen.setdefault(task.key, now) < ELSEWHERE

    return sorted((task for task in tasks if not is_left(task)), key=is_elsewhere)


def _gathered(folder: StudyFolder, claims: Claims, known: Results) -> dict[str, TaskResult]:
    """Return all results, after those of other processes that are not in the folder were written there."""
    results = read_results(folder, known)
    for key, plain in claims.results().items():
        if key not in results and key != BEGINNING:
            result = _from_others(TaskResult, plain)
            if result.key != key:
                raise _odd_claims(f"the result of {key} is named {result.key}")
            results[key] = result
            write_result(folder, result)
    return results


def _from_others(form: type[_Form], plain: Mapping[str, Any]) -> _Form:
    """Return what another process has put where the claims are.

    Raises
    ------
    DataError: it has another form, as from another version of unpool.
    """
    try:
        return form.model_validate(plain)
    except ValidationError as error:
        raise _odd_claims(problem_text(error.errors()[0])) from error


def _odd_claims(why: str) -> DataError:
    return DataError(
        f"the claims of this study hold something odd ({why})",
        "results as this version of unpool study writes them",
        "run the same version of unpool in all processes, or begin a new study",
    )


def _require_free(folder: StudyFolder) -> None:
    """Raise UsageError where a folder holds something else than a study."""
    if not folder.study.is_file() and folder.path.exists() and not is_unused(folder.path):
        raise UsageError(
            f"{folder.path} is not empty and has no study.json",
            "a new or empty folder, or the folder of a study",
            "give another --out",
        )


def _begun(
    folder: StudyFolder, survey: Survey, plan: StudyPlan, common: Claims | None
) -> Generator[Event, None, Study]:
    """Return the study in a folder, or begin it.

    Parameters
    ----------
    common: claims in a database, where the processes may have no common disk; None for a study in its folder alone.

    Raises
    ------
    UsageError: the study in the folder has another plan.
    DataError: the data are not those of the study.
    """
    while not folder.study.is_file():
        try:
            with claimed(folder.path):
                if not folder.study.is_file():
                    new = yield from begun_study(survey, plan) if common is None else _agreed(survey, plan, common)
                    begin_study(folder, new)
                    mark_output(folder.path, f"{folder.runs.name}/")
        except BusyError:
            yield Progress("waiting for the process that begins the study", 0, 1)
            time.sleep(WAIT)
    begun = read_study(folder)
    if common is not None and (yield from _agreed(survey, plan, common, begun)) != begun:
        raise UsageError(
            f"the study in {folder.path} is not the one in the database",
            "one study, with one budget",
            "give another --name for a study of its own, or another --out to join the one in the database",
        )
    if begun.plan.model_copy(update={"minutes": plan.minutes, "most_seeds": plan.most_seeds}) != plan:
        raise UsageError(
            f"the study in {folder.path} has another plan",
            "the plan that it was begun with; only --minutes and --most-seeds may change",
            "give the same options, or another --out for a new study",
        )
    if begun.data.fingerprint != survey.fingerprint:
        raise DataError(
            f"{survey.folder.root} has changed since the study in {folder.path} was begun",
            "the same pictures and masks",
            "put the data back as it was, or begin a new study with another --out",
        )
    if begun.plan != plan:
        if common is not None or any(key.endswith("-test") for key in read_results(folder)):
            raise UsageError(
                f"another budget for the study in {folder.path}, "
                + ("which a database keeps" if common is not None else "whose test pictures have been looked at"),
                "the --minutes and --most-seeds that it was begun with",
                "leave them out, or begin a new study with another --out",
            )
        begun = begun.model_copy(update={"plan": plan})
        write_study(folder, begun)
    return begun


def _agreed(
    survey: Survey, plan: StudyPlan, common: Claims, begun: Study | None = None
) -> Generator[Event, None, Study]:
    """Return the study that the first of several processes without a common disk has begun.

    Parameters
    ----------
    begun: the study that this process would put there; None to begin one.
    """
    while (plain := common.results().get(BEGINNING)) is None:
        if common.claim(BEGINNING):
            with common.working():
                new = begun or (yield from begun_study(survey, plan))
                common.finish(BEGINNING, new.model_dump(mode="json"))
        else:
            yield Progress("waiting for the process that begins the study", 0, 1)
            time.sleep(WAIT)
    return _from_others(Study, plain)


def _require_baseline(where: Position) -> None:
    """Raise TrainingError where the baseline could not be trained: there is nothing to compare with."""
    if (why := where.ended.get(0)) is not None:
        raise TrainingError(
            f"the baseline {why}", "a baseline that can be trained", "change its settings, and begin a new study"
        )


def _require_one_process(config: RunConfig) -> None:
    if join(config.machine.device).count > 1:
        raise UsageError(
            "unpool study under torchrun",
            "one process for each training",
            "start the same `unpool study … --out DIR` in several terminals or on several machines: they share its "
            "trainings",
        )


def _default_path(data: Path, plan: StudyPlan, *, resume: bool) -> Path:
    name = f"{data.resolve().name or 'data'}-{folder_name(plan.name) or 'study'}"
    base, newest = Path("studies") / name, None
    for path in numbered_paths(base):
        if not path.exists():
            return newest if resume and newest is not None else path
        newest = path
    raise AssertionError("numbered_paths is endless")


def _write_plain_crops(place: Workplace) -> None:
    """Write the crops without a prediction: the pictures, and their ground truth."""
    colours = place.survey.table.colours
    for number, crop in enumerate(place.crops, start=1):
        write_image(place.folder.crops / f"{PICTURE}-{number}.png", crop.plain())
        write_image(place.folder.crops / f"{TRUTH}-{number}.png", crop.tinted(crop.sample.labels, colours))


def _ending(place: Workplace, task: StudyTask, result: TaskResult) -> str:
    """Return how a task ended."""
    if task.kind == "propose":
        return f"{len(result.proposed)} variants proposed"
    name = place.where.variants[task.variant].name
    if task.kind == "ensemble":
        return f"{result.members} models of {name} as one: test mean IoU {result.score or 0:.4f}"
    if result.error:
        return f"{name}, seed {task.seed}: failed: {result.error}"
    score = "unknown" if result.score is None else f"{result.score:.4f}"
    which = "test" if task.kind == "test" else "validation"
    part = f" after {task.share * 100:g} %" if task.share < 1 else ""
    return f"{name}, seed {task.seed}{part}: {which} mean IoU {score}"


def _left(study: Study, task: StudyTask, results: Results) -> str:
    """Return the time of the trainings that are left by the forecast, in words; an empty text where it is over."""
    if task.kind != "train":
        return ""
    spent = training_seconds(each for each in results.values() if each.course)
    left = forecast_seconds(study) - sum(spent.values())
    return f"   (about {duration_text(left)} of training left)" if left > 0 else ""

"""The record of a training or a test, which is written to ``run.json`` while it runs."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unpool.checkpoint.models import weights_digest
from unpool.commands.events import Event, Message
from unpool.commands.run_folder import RunFolder, model_file
from unpool.commands.train.preparation import TrainingJob, suited_settings
from unpool.commands.train.provenance import software
from unpool.config.schema import RunConfig
from unpool.config.settings import resolve
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError, UnpoolError
from unpool.ledger.changes import WITHOUT_EFFECT
from unpool.ledger.folders import read_record, sibling_runs, write_record
from unpool.ledger.record import (
    UNKNOWN,
    DataUsed,
    ModelUsed,
    Origin,
    Record,
    RecordedState,
    RunKind,
    digest,
    file_digest,
    present_code,
    present_process,
)
from unpool.ledger.text import score_text
from unpool.machine.device import Machine
from unpool.machine.process_memory import peak_memory
from unpool.metrics.intervals import HEADLINE, Intervals
from unpool.prediction.evaluation import Evaluation
from unpool.training.records import TrainingState
from unpool.wording import decodable, dotted_names


def record_training(
    job: TrainingJob,
    run: RunFolder,
    state: TrainingState,
    steps: Generator[Event, None, int | None],
    origin: Origin = UNKNOWN,
) -> Generator[Event, None, int | None]:
    """Run the steps of a training and keep its record; return the number of the signal that stopped it, or None.

    The record says ``running`` before the first step, and how the training ended after the last one. Only the first
    process writes it.
    """
    if not job.setup.processes.first:
        return (yield from steps)
    record = _training_record(job, run, origin)
    write_record(run.path, record)
    try:
        stopped_by = yield from steps
    except (GeneratorExit, KeyboardInterrupt):
        _write_end_if_possible(record, run, state, "stopped")
        raise
    except BaseException as error:
        _write_end_if_possible(record, run, state, "failed", str(error) or type(error).__name__)
        raise
    write_record(run.path, _ended_record(record, run, state, "finished" if stopped_by is None else "stopped"))
    return stopped_by


def note_earlier_training(job: TrainingJob, run: RunFolder) -> Generator[Event, None, None]:
    """Yield a message if a finished run next to this one has the same data, settings and code."""
    yield from _note_earlier_run(_training_key(job), run.path)


@dataclass(frozen=True)
class TestSetup:
    """The model, the data and the options of a test.

    Attributes
    ----------
    model: the model file; net: the name of its network.
    pictures: number of tested pictures, by the words for the split they are from.
    options: options of the test by the names of its parameters, with which ``runs rerun`` repeats it.
    """

    model: Path
    net: str
    survey: Survey
    pictures: Mapping[str, int]
    options: Mapping[str, Any]
    machine: Machine


@dataclass(frozen=True)
class StartedTest:
    """A test that runs: its folder, and its record so far."""

    folder: Path
    record: Record


def begin_test(folder: Path, setup: TestSetup) -> Generator[Event, None, StartedTest]:
    """Begin the record of a test whose report goes to ``folder``.

    Yields a message if a finished test next to this one has the same model, data and options.
    """
    model = _model(setup.model)
    key = digest(["test", *_data_key(setup.survey), present_code().digest, model.digest, dict(setup.options)])
    record = _new_record(
        "test",
        key,
        folder,
        net=setup.net,
        data=_data(setup.survey, setup.pictures, ""),
        settings=dict(setup.options),
        machine=setup.machine.describe(),
        model=model,
    )
    yield from _note_earlier_run(key, folder)
    return StartedTest(folder, record)


def record_test(test: StartedTest, evaluation: Evaluation, intervals: Intervals | None) -> None:
    """Write the record of a test that has finished.

    Raises
    ------
    RunError: the record cannot be written.
    """
    now = datetime.now(UTC)
    record = test.record.model_copy(
        update={
            "state": "finished",
            "updated": now,
            "seconds": round((now - test.record.created).total_seconds(), 1),
            "peak_bytes": peak_memory(),
            "scores": {name: getattr(evaluation.scores, name) for name in HEADLINE},
            "intervals": {name: getattr(intervals, name) for name in HEADLINE} if intervals else {},
            "result": digest([[name, matrix.to_json()] for name, matrix in evaluation.images]),
        }
    )
    write_record(test.folder, record)


def _training_record(job: TrainingJob, run: RunFolder, origin: Origin) -> Record:
    """Return the record of a training that begins or continues; one that continues keeps its id."""
    config, split, processes = job.config, job.survey.split, job.setup.processes.count
    record = _new_record(
        "train",
        _training_key(job),
        run.path,
        net=config.net,
        data=_data(job.survey, {"train": len(split.train), "val": len(split.val)}, split.origin),
        settings=config.model_dump(mode="json"),
        changed=_changed(config, len(job.survey.table)),
        seed=config.training.seed,
        machine=job.setup.machine.describe() + (f", {processes} processes" if processes > 1 else ""),
        start=_model(model_file(Path(config.training.start))) if config.training.start is not None else None,
        parent=origin.parent,
        study=origin.study,
    )
    try:
        before = read_record(run.path)
    except DataError:  # the run is new, or its record is damaged
        return record
    kept = {
        "id": before.id,
        "created": before.created,
        "peak_bytes": before.peak_bytes,
        "parent": before.parent or (origin.parent if origin.parent != before.id else None),
        "study": before.study or origin.study,
    }
    return record.model_copy(update=kept)


def _new_record(kind: RunKind, key: str, folder: Path, **fields: Any) -> Record:
    now = datetime.now(UTC)
    return Record(
        id=digest([key, now.isoformat(), decodable(str(folder.absolute()))])[:8],
        kind=kind,
        state="running",
        key=key,
        created=now,
        updated=now,
        code=present_code(),
        software=software(),
        process=present_process(),
        **fields,
    )


def _write_end_if_possible(
    record: Record, run: RunFolder, state: TrainingState, end: RecordedState, error: str = ""
) -> None:
    with suppress(UnpoolError, OSError):  # the error that ended the training matters more
        write_record(run.path, _ended_record(record, run, state, end, error))


def _ended_record(record: Record, run: RunFolder, state: TrainingState, end: RecordedState, error: str = "") -> Record:
    best = state.history[state.best_epoch - 1] if state.best_epoch else {}
    has_model = run.model.is_file()
    peaks = [peak for peak in (record.peak_bytes, peak_memory()) if peak is not None]
    return record.model_copy(
        update={
            "state": end,
            "error": error,
            "updated": datetime.now(UTC),
            "seconds": round(state.seconds, 1),
            "peak_bytes": max(peaks, default=None),
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "scores": {name: best[name] for name in HEADLINE if name in best},
            "model": _model(run.model) if has_model else None,
            "result": weights_digest(run.model) if has_model else None,
        }
    )


def _training_key(job: TrainingJob) -> str:
    """Return a digest of all that decides the result: of a first model its content, not its name."""
    settings = job.config.model_dump(mode="json", exclude={*WITHOUT_EFFECT})
    start = settings["training"].pop("start")
    start_digest = file_digest(model_file(Path(start))) if start is not None else None
    return digest(["train", *_data_key(job.survey), present_code().digest, start_digest, settings])


def _data_key(survey: Survey) -> tuple[str, dict[str, Any]]:
    """Return what the pictures and masks of a run are, and what the mask values mean."""
    return survey.fingerprint, survey.table.to_card()


def _changed(config: RunConfig, classes: int) -> dict[str, Any]:
    """Return the settings that differ from the defaults and from those that suit the pictures."""
    suited = suited_settings(config.augmentation.orientation, classes, config.data.normalisation)
    defaults = resolve({"net": config.net, **suited})
    usual = dict(dotted_names(defaults.model_dump(mode="json")))
    settings = dotted_names(config.model_dump(mode="json", exclude={"recipe"}))
    return {name: value for name, value in settings if name not in usual or usual[name] != value}


def _note_earlier_run(key: str, folder: Path) -> Generator[Event, None, None]:
    same = [each for each in sibling_runs(folder) if each.record.key == key and each.state == "finished"]
    for entry in same[:1]:
        which = "validation mean IoU" if entry.record.kind == "train" else "mean IoU"
        yield Message(
            f"this has been run already: {entry.folder} ({which} {score_text(entry.record)}), with the same data, "
            "settings and code; it is run again"
        )


def _data(survey: Survey, pictures: Mapping[str, int], choice: str) -> DataUsed:
    root = survey.folder.root.resolve()
    return DataUsed(
        name=decodable(root.name),
        folder=decodable(str(root)),
        fingerprint=survey.fingerprint,
        pictures=dict(pictures),
        choice=choice,
    )


def _model(file: Path) -> ModelUsed:
    return ModelUsed(file=decodable(str(file.absolute())), digest=file_digest(file))

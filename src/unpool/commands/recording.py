"""The record of a training or test, written as it runs: from a job or a result to ``run.json``."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unpool.checkpoint.models import weights_digest
from unpool.commands.events import Event, Message
from unpool.commands.run_folder import RunFolder
from unpool.commands.train.preparation import TrainingJob, orientation_settings
from unpool.commands.train.provenance import software
from unpool.config.schema import RunConfig, resolve
from unpool.dataset.survey_result import Survey
from unpool.errors import DataError, UnpoolError
from unpool.io.folders import readable
from unpool.ledger.folders import beside, read_record, write_record
from unpool.ledger.record import (
    DataUsed,
    ModelUsed,
    Record,
    RunKind,
    Written,
    digest,
    file_digest,
    present_code,
    present_process,
)
from unpool.ledger.selection import flat
from unpool.ledger.text import score_text
from unpool.machine.device import Machine
from unpool.machine.process_memory import peak_memory
from unpool.metrics.intervals import HEADLINE, Intervals
from unpool.prediction.evaluation import Evaluation
from unpool.training.records import TrainingState

NO_MATTER = ("machine", "recipe", "config_version")
"""Sections of a configuration that do not decide what is trained."""


def recorded(
    job: TrainingJob, run: RunFolder, state: TrainingState, steps: Generator[Event, None, int | None]
) -> Generator[Event, None, int | None]:
    """Run a training's steps with its record beside them: ``running`` before, what became of it afterwards.

    Returns what the steps return, the signal that stopped them. Only the first process writes.
    """
    if not job.setup.processes.first:
        return (yield from steps)
    record = _of_training(job, run)
    write_record(run.path, record)
    try:
        stopped_by = yield from steps
    except (GeneratorExit, KeyboardInterrupt):
        _try_to_end(record, run, state, "stopped")
        raise
    except BaseException as error:
        _try_to_end(record, run, state, "failed", str(error) or type(error).__name__)
        raise
    write_record(run.path, _ended(record, run, state, "finished" if stopped_by is None else "stopped"))
    return stopped_by


def trained_already(job: TrainingJob, run: RunFolder) -> Generator[Event, None, None]:
    """Say it where a finished run beside this one has the same data, settings and code."""
    yield from _said_already(_training_key(job), run.path)


@dataclass(frozen=True)
class OpenTest:
    """A test that has begun: where it will be recorded, and what is known of it by now."""

    folder: Path
    record: Record


def begin_test(
    folder: Path,
    model: Path,
    net: str,
    survey: Survey,
    pictures: Mapping[str, int],
    options: Mapping[str, Any],
    machine: Machine,
) -> Generator[Event, None, OpenTest]:
    """Note what is tested, and say it where a finished test beside this one has the same model, data and options.

    Parameters
    ----------
    folder: where the test's report goes; model: the model's file.
    pictures: how many are tested, by which they are in words.
    options: the test's own, by the names of its parameters; they are what it is run again with.
    """
    tested = _model(model)
    key = digest(["test", survey.fingerprint, present_code().digest, tested.digest, dict(options)])
    record = _new_record(
        "test",
        key,
        folder,
        net=net,
        data=_data(survey, pictures, ""),
        settings=dict(options),
        machine=machine.describe(),
        model=tested,
    )
    yield from _said_already(key, folder)
    return OpenTest(folder, record)


def record_test(begun: OpenTest, evaluation: Evaluation, intervals: Intervals | None) -> None:
    """Write the record of a test that is done. Raises RunError."""
    now = datetime.now(UTC)
    found = begun.record.model_copy(
        update={
            "state": "finished",
            "updated": now,
            "seconds": round((now - begun.record.created).total_seconds(), 1),
            "peak_bytes": peak_memory(),
            "scores": {name: getattr(evaluation.scores, name) for name in HEADLINE},
            "intervals": {name: getattr(intervals, name) for name in HEADLINE} if intervals else {},
            "result": digest([[name, counted.to_json()] for name, counted in evaluation.images]),
        }
    )
    write_record(begun.folder, found)


def _of_training(job: TrainingJob, run: RunFolder) -> Record:
    """The record of a training that begins or goes on; one that goes on keeps its id."""
    config, split, processes = job.config, job.survey.split, job.setup.processes.count
    record = _new_record(
        "train",
        _training_key(job),
        run.path,
        net=config.net,
        data=_data(job.survey, {"train": len(split.train), "val": len(split.val)}, split.origin),
        settings=config.model_dump(mode="json"),
        changed=_changed(config),
        seed=config.training.seed,
        machine=job.setup.machine.describe() + (f", {processes} processes" if processes > 1 else ""),
        start=_model(Path(config.training.start)) if config.training.start is not None else None,
    )
    try:
        before = read_record(run.path)
    except DataError:  # a new run, or a record that is beyond use
        return record
    kept = {"id": before.id, "created": before.created, "peak_bytes": before.peak_bytes}
    return record.model_copy(update=kept)


def _new_record(kind: RunKind, key: str, folder: Path, **known: Any) -> Record:
    now = datetime.now(UTC)
    return Record(
        id=digest([key, now.isoformat(), readable(str(folder.absolute()))])[:8],
        kind=kind,
        state="running",
        key=key,
        created=now,
        updated=now,
        code=present_code(),
        software=software(),
        process=present_process(),
        **known,
    )


def _try_to_end(record: Record, run: RunFolder, state: TrainingState, how: Written, error: str = "") -> None:
    with suppress(UnpoolError, OSError):  # what ended the training matters more: perhaps the disk is full
        write_record(run.path, _ended(record, run, state, how, error))


def _ended(record: Record, run: RunFolder, state: TrainingState, how: Written, error: str = "") -> Record:
    best = state.history[state.best_epoch - 1] if state.best_epoch else {}
    made = run.model.is_file()
    peaks = [peak for peak in (record.peak_bytes, peak_memory()) if peak is not None]
    return record.model_copy(
        update={
            "state": how,
            "error": error,
            "updated": datetime.now(UTC),
            "seconds": round(state.seconds, 1),
            "peak_bytes": max(peaks, default=None),
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "scores": {name: best[name] for name in HEADLINE if name in best},
            "model": _model(run.model) if made else None,
            "result": weights_digest(run.model) if made else None,
        }
    )


def _training_key(job: TrainingJob) -> str:
    """A digest of all that decides what comes out; of a model to begin with its content, not its name."""
    settings = job.config.model_dump(mode="json", exclude={*NO_MATTER})
    start = settings["training"].pop("start")
    begun_with = file_digest(Path(start)) if start is not None else None
    return digest(["train", job.survey.fingerprint, present_code().digest, begun_with, settings])


def _changed(config: RunConfig) -> dict[str, Any]:
    """Settings that differ from the defaults, apart from what was measured in the pictures."""
    defaults = resolve({"net": config.net, "augmentation": orientation_settings(config.augmentation.orientation)})
    plain = dict(flat(defaults.model_dump(mode="json")))
    given = flat(config.model_dump(mode="json", exclude={"recipe"}))
    return {name: value for name, value in given if name not in plain or plain[name] != value}


def _said_already(key: str, folder: Path) -> Generator[Event, None, None]:
    same = [each for each in beside(folder) if each.record.key == key and each.state == "finished"]
    for entry in same[:1]:
        which = "validation mean IoU" if entry.record.kind == "train" else "mean IoU"
        yield Message(
            f"this has been run already: {entry.folder} ({which} {score_text(entry.record)}), with the same data, "
            "settings and code; it is run again"
        )


def _data(survey: Survey, pictures: Mapping[str, int], choice: str) -> DataUsed:
    root = survey.folder.root.resolve()
    return DataUsed(
        name=readable(root.name),
        folder=readable(str(root)),
        fingerprint=survey.fingerprint,
        pictures=dict(pictures),
        choice=choice,
    )


def _model(file: Path) -> ModelUsed:
    return ModelUsed(file=readable(str(file.absolute())), digest=file_digest(file))

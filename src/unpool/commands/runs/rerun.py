"""``runs rerun``: a run that is done again from its record, and the comparison of both results."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from unpool.commands.events import Event, Message
from unpool.commands.run_folder import MODEL_FILE
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import test
from unpool.commands.train.provenance import software
from unpool.commands.train.train import TrainedRun, train
from unpool.config.settings import merge, resolve
from unpool.errors import DataError, ModelFileError, UsageError
from unpool.io.destination import free_path
from unpool.ledger.folders import FoundRun, read_record
from unpool.ledger.record import ModelUsed, Origin, Record, file_digest, present_code
from unpool.ledger.text import score_text
from unpool.machine.device import choose_machine
from unpool.wording import command_text, on_one_line, problem_text


@dataclass(frozen=True)
class Rerun:
    """The result of a run that was done again.

    Attributes
    ----------
    before, after: the records of the old and of the new run.
    folder: the folder of the new run.
    stopped_by: the signal that stopped the new run before its end, or None.
    """

    before: Record
    after: Record
    folder: Path
    stopped_by: int | None = None

    @property
    def same(self) -> bool | None:
        """Whether both results are the same, bit for bit; None where one of the runs did not finish."""
        if self.before.state != "finished" or self.after.state != "finished":
            return None
        return self.before.result == self.after.result

    @property
    def text(self) -> str:
        """A sentence that compares the two results."""
        same = "the same weights" if self.before.kind == "train" else "the same counts on every picture"
        if self.same:
            return f"{same} as {self.before.id}, bit for bit: {self.folder}"
        scores = (
            f"mean IoU {score_text(self.after)}, {self.before.id} had {score_text(self.before)}{self._difference()}"
        )
        if self.same is None:
            states = f"{self.before.id} is {self.before.state}, the new run is {self.after.state}"
            return f"not comparable, {states}: {scores}: {self.folder}"
        return f"not {same}: {scores}{_by_clock(self.before)}: {self.folder}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "folder": str(self.folder),
            "same": self.same,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        }

    def _difference(self) -> str:
        now, then = self.after.mean_iou, self.before.mean_iou
        return "" if now is None or then is None else f" ({100 * (now - then):+.2f} points)"


def rerun(run: FoundRun, out: Path | None = None) -> Generator[Event, None, Rerun]:
    """Train or test again with the data and settings of a record, into a new folder.

    Parameters
    ----------
    out: the new folder; by default ``<folder>-again`` in the old one's parent, with a number where that exists.

    Raises
    ------
    DataError: the data is gone, or its files have changed.
    ModelFileError: the model that is tested, or that a training begins with, is gone or was replaced.
    UsageError, RunError: those of ``unpool.commands.train.train.train`` or ``unpool.commands.test.test.test``.
    """
    record = run.record
    folder = Path(record.data.folder)
    _require_known_settings(record)
    if not os.path.isdir(folder):
        raise DataError(
            f"{folder}, the data of {record.id}, is gone",
            f"the folder with the fingerprint {record.data.fingerprint[:12]}",
            "put it back there; or train on another folder: unpool train FOLDER --recipe RUN/config.toml",
        )
    given = record.start if record.kind == "train" else record.model
    model = _model_file(given, run) if given is not None else None
    target = out if out is not None else free_path(run.folder.with_name(f"{run.folder.name}-again"))
    changes = changes_since(record)
    if changes:
        yield Message("changed since that run: " + "; ".join(changes))
    if record.kind == "test":
        assert model is not None  # the record of a test has one
        options = TestOptions(**record.settings)
        yield from test(model, folder, options, out=target, fingerprint=record.data.fingerprint)
        return Rerun(record, read_record(target), target)
    trained = yield from _train_again(record, folder, model, target)
    return Rerun(record, read_record(trained.folder), trained.folder, trained.stopped_by)


def changes_since(record: Record) -> Sequence[str]:
    """List the changes since a run that may change its result: of code, software and machine."""
    given = record.settings.get("machine", {}) if record.kind == "train" else record.settings
    machine = choose_machine(given.get("device", "auto"), given.get("precision", "auto")).describe()
    code = present_code()
    pairs = [
        ("the code", f"{record.code.version}, {record.code.digest[:12]}", f"{code.version}, {code.digest[:12]}"),
        ("the machine", record.machine, machine),
        *((name, record.software.get(name, "unknown"), version) for name, version in software().items()),
    ]
    return [f"{name} (was {then}, is {now})" for name, then, now in pairs if then != now]


def _train_again(record: Record, folder: Path, start: Path | None, out: Path) -> Generator[Event, None, TrainedRun]:
    settings = merge(record.settings, {"training": {"start": start and str(start)}})
    origin = Origin(parent=record.id, fingerprint=record.data.fingerprint)
    trained = yield from train(folder, settings, out, origin=origin)
    if not trained.finished:
        words = ["unpool", "train", str(folder), "--recipe", str(out / "config.toml"), "--out", str(out), "--resume"]
        yield Message(f"to continue: {command_text(words)}")
    return trained


def _require_known_settings(record: Record) -> None:
    """Raise DataError unless the settings in a record are those of a training or a test of this version."""
    try:
        if record.kind == "train":
            resolve(record.settings, "settings")
            return
        unknown = record.settings.keys() - {field.name for field in fields(TestOptions)}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        TypeAdapter(TestOptions).validate_python(record.settings)
    except (UsageError, ValueError) as error:
        which = f"the {'training' if record.kind == 'train' else 'test'} {record.id}"
        raise DataError(
            f"{which} has settings that this version does not have ({_first_problem(error)})",
            f"settings of this version's unpool {record.kind}",
            f"use the version of unpool that made it, or start a new one with unpool {record.kind}",
        ) from error


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return problem_text(error.errors()[0])
    return on_one_line(error.found if isinstance(error, UsageError) else str(error))


def _model_file(given: ModelUsed, run: FoundRun) -> Path:
    """Return the model file of a run: where it was, or above the test if both folders have moved together."""
    places = [Path(given.file), run.folder.parent / MODEL_FILE]
    files = [file for file in places if os.path.isfile(file)]
    for file in files:
        if file_digest(file) == given.digest:
            return file
    raise ModelFileError(
        f"{given.file} is {'another model now' if files else 'gone'}",
        f"the model with the digest {given.digest[:12]} of the run {run.record.id}",
        "put it back there, or start a new run with unpool train or unpool test",
    )


def _by_clock(record: Record) -> str:
    minutes = record.settings.get("training", {}).get("minutes")
    return "; a training by minutes ends by the clock, so no two are equal" if minutes is not None else ""

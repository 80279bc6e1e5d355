"""``runs rerun``: a run done again from its record, and whether the same comes out."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from unpool.commands.events import Event
from unpool.commands.events import Message
from unpool.commands.train.provenance import software
from unpool.commands.run_folder import MODEL_FILE
from unpool.commands.run_folder import free_path
from unpool.commands.test.test import test
from unpool.commands.train.train import TrainedRun
from unpool.commands.train.train import train
from unpool.config.schema import merge
from unpool.machine.device import choose_machine
from unpool.errors import DataError
from unpool.errors import ModelFileError
from unpool.ledger.folders import Entry
from unpool.ledger.record import ModelUsed
from unpool.ledger.record import Record
from unpool.ledger.record import file_digest
from unpool.ledger.record import present_code
from unpool.ledger.folders import read_record
from unpool.ledger.text import score_text


@dataclass(frozen=True)
class Rerun:
    """What came of a run that was done again.

    Attributes
    ----------
    before, after: the two records; folder: of the new one.
    stopped_by: the signal that stopped it before its end, or None.
    """

    before: Record
    after: Record
    folder: Path
    stopped_by: int | None = None

    @property
    def same(self) -> bool | None:
        """Whether the result is the same, bit for bit; None where one of the two has not come to its end."""
        if self.before.state != "finished" or self.after.state != "finished":
            return None
        return self.before.result == self.after.result

    @property
    def text(self) -> str:
        """One sentence."""
        what = "the same weights" if self.before.kind == "train" else "the same counts on every picture"
        if self.same:
            return f"{what} as {self.before.id}, bit for bit: {self.folder}"
        scores = f"mean IoU {score_text(self.after)}, {self.before.id} had {score_text(self.before)}{self._apart()}"
        if self.same is None:
            states = f"{self.before.id} is {self.before.state}, this {self.after.state}"
            return f"not comparable, {states}: {scores}: {self.folder}"
        return f"not {what}: {scores}{_by_clock(self.before)}: {self.folder}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "folder": str(self.folder),
            "same": self.same,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        }

    def _apart(self) -> str:
        now, then = self.after.mean_iou, self.before.mean_iou
        return "" if now is None or then is None else f" ({100 * (now - then):+.2f} points)"


def rerun(entry: Entry, out: Path | None = None) -> Generator[Event, None, Rerun]:
    """Train or test again as a record says, into a new folder.

    Parameters
    ----------
    out: the new folder; by default ``<folder>-again`` beside the old one, numbered where it exists.

    Raises
    ------
    DataError: the data is gone, or its files have changed.
    ModelFileError: the model that is to be tested or begun with is gone or another one.
    UsageError, RunError: as of a training or test.
    """
    record = entry.record
    folder = Path(record.data.folder)
    if not folder.is_dir():
        raise DataError(
            f"{folder}, the data of {record.id}, is gone",
            f"the folder with the fingerprint {record.data.fingerprint[:12]}",
            "put it back there; to do the same on another folder: unpool train FOLDER --recipe the run's config.toml",
        )
    given = record.start if record.kind == "train" else record.model
    begun_with = _required(given, entry) if given is not None else None
    target = out if out is not None else free_path(entry.folder.with_name(f"{entry.folder.name}-again"))
    different = differences(record)
    if different:
        yield Message("since then has changed: " + "; ".join(different))
    if record.kind == "test":
        assert begun_with is not None
        yield from test(begun_with, folder, out=target, fingerprint=record.data.fingerprint, **_options(record))
        return Rerun(record, read_record(target), target)
    trained = yield from _train_again(record, folder, begun_with, target)
    return Rerun(record, read_record(trained.folder), trained.folder, trained.stopped_by)


def differences(record: Record) -> Sequence[str]:
    """What may change a result, apart from data and settings: code, software and machine, then and now."""
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
    trained = yield from train(folder, settings, out, fingerprint=record.data.fingerprint)
    if not trained.finished:
        words = ["unpool", "train", str(folder), "--recipe", str(out / "config.toml"), "--out", str(out), "--resume"]
        yield Message(f"the command to go on: {shlex.join(words)}")
    return trained


def _options(record: Record) -> dict[str, Any]:
    unknown = record.settings.keys() - signature(test).parameters
    if unknown:
        raise DataError(
            f"the test {record.id} was made with {', '.join(sorted(unknown))}",
            "options of this version's unpool test",
            "use the version of unpool that made it, or test anew with unpool test",
        )
    return dict(record.settings)


def _required(given: ModelUsed, entry: Entry) -> Path:
    """The model file that a run was given, where it was or, if its folders have moved together, above the test."""
    places = [Path(given.file), entry.folder.parent / MODEL_FILE]
    found = [file for file in places if file.is_file()]
    for file in found:
        if file_digest(file) == given.digest:
            return file
    raise ModelFileError(
        f"{given.file} is {'another model now' if found else 'gone'}",
        f"the model with the digest {given.digest[:12]} that {entry.record.id} was run with",
        "put it back there, or start a new run with unpool train or unpool test",
    )


def _by_clock(record: Record) -> str:
    minutes = record.settings.get("training", {}).get("minutes")
    return "; a training by minutes ends where the clock says, and differs each time" if minutes is not None else ""

"""Records in folders: write them, read them, and find runs by folder or by id."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unpool.errors import DataError, UsageError
from unpool.io.documents import read_json
from unpool.io.files import write_json
from unpool.io.folders import is_junk
from unpool.ledger.notes import NO_NOTES, Notes, read_notes
from unpool.ledger.record import RECORD_FILE, Record
from unpool.wording import command_text, decodable, first_of, problem_text

MAX_DEPTH = 8
"""The most levels of folders below a folder that is searched."""

MAX_RECORD_BYTES = 16_000_000
"""The most bytes of a record; a larger file is no record."""

SILENT_SECONDS = 3600.0
"""Seconds without a write after which a run elsewhere counts as interrupted; a long validation writes nothing."""

ACTIVITY_FILES = (RECORD_FILE, "state.pt", "log.jsonl")
"""Files that a training writes again and again; their times show whether it runs."""

CANDIDATES = 8
"""The most runs that a message names."""


@dataclass(frozen=True)
class FoundRun:
    """A run that was found in its folder.

    Attributes
    ----------
    state: as in its record; ``interrupted`` where the record has ``running`` and no process runs.
    notes: those that a person keeps on it.
    """

    folder: Path
    record: Record
    state: str
    notes: Notes = NO_NOTES

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data: the record with ``state``, ``folder`` and ``notes``."""
        return {
            **self.record.to_json(),
            "state": self.state,
            "folder": decodable(str(self.folder)),
            "notes": [note.to_json() for note in self.notes.entries],
            "odd_notes": list(map(decodable, self.notes.odd)),
        }


@dataclass(frozen=True)
class UnreadableRecord:
    """A file with a record's name that is no record, and the reason."""

    path: Path
    why: str

    def to_json(self) -> dict[str, str]:
        """Return plain JSON data."""
        return {"path": decodable(str(self.path)), "why": self.why}


@dataclass(frozen=True)
class FoundRuns:
    """The runs in some folders, and the records there that cannot be read."""

    runs: tuple[FoundRun, ...]
    unreadable: tuple[UnreadableRecord, ...]


def write_record(folder: Path, record: Record) -> None:
    """Write a record into its run's folder, atomically. Raises RunError."""
    write_json(folder / RECORD_FILE, record.to_json())


def read_record(path: Path) -> Record:
    """Read a record.

    Parameters
    ----------
    path: a run.json, or its folder.

    Raises
    ------
    DataError: the record is missing, unreadable, or of another version.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    try:
        if not file.is_file():
            raise OSError("no such file" if not file.exists() else "no plain file")
        return Record.model_validate(read_json(file, MAX_RECORD_BYTES))
    except (OSError, ValidationError, DataError) as error:
        raise DataError(
            f"{decodable(str(file))}: {_why(error, file)}",
            "the record of a training or test, as this version of unpool writes it",
            "restore the file from a copy, or remove it if another program wrote it; the model in its folder does not "
            "need it",
        ) from error


def run_in(folder: Path) -> FoundRun:
    """Return the run in a folder. Raises DataError where its record is missing or unreadable."""
    record = read_record(folder)
    return FoundRun(folder, record, _state(record, folder), read_notes(folder))


def find_runs(roots: Sequence[Path]) -> FoundRuns:
    """Find every run in some folders and below them, in the order of their paths.

    Links are followed; each folder is visited once, at most ``MAX_DEPTH`` levels down. Hidden folders are left out.

    Raises
    ------
    DataError: one of ``roots`` is no folder.
    """
    runs, unreadable = [], []
    visited: set[str] = set()
    for root in roots:
        if not root.is_dir():
            raise DataError(
                f"{root}: {'a file' if root.exists() else 'no such folder'}",
                "a folder with runs in it",
                "give the folder of your runs; unpool train puts runs into the folder runs unless --out names another",
            )
        for folder in _folders_with_record(root, visited):
            try:
                runs.append(run_in(folder))
            except DataError as error:
                path = folder / RECORD_FILE
                unreadable.append(UnreadableRecord(path, error.found.removeprefix(f"{decodable(str(path))}: ")))
    return FoundRuns(tuple(runs), tuple(unreadable))


def sibling_runs(folder: Path) -> Iterator[FoundRun]:
    """Yield the runs in the other folders of a folder's parent. Unreadable records are left out.

    The folder itself may not exist yet.
    """
    for file in sorted(folder.parent.glob(f"*/{RECORD_FILE}")):
        if file.parent != folder:
            try:
                yield run_in(file.parent)
            except DataError:
                continue


def run_named(name: str, roots: Sequence[Path]) -> FoundRun:
    """Return the one run that a name means.

    Parameters
    ----------
    name: an id, the first letters of an id that no other id shares, or the path of a run's folder.
    roots: folders in which ids are searched.

    Raises
    ------
    UsageError: no run, or several, with this id; the message names candidates.
    DataError: ``name`` is a folder whose record is missing or unreadable.
    """
    path = Path(name)
    if path.name == RECORD_FILE and path.is_file():
        return run_in(path.parent)
    if path.is_dir():
        return run_in(path)
    places = ", ".join(map(str, roots))
    runs = find_runs(roots).runs
    matching = [run for run in runs if run.record.id.startswith(name.lower())]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UsageError(
            f"{name}: {len(matching)} runs in {places} have an id that begins so",
            "an id, or as many letters of it as only one run has",
            f"give one of {_candidates(matching)}, or a run's folder",
        )
    newest = sorted(runs, key=lambda run: run.record.created, reverse=True)
    raise UsageError(
        f"{name}: no run in {places} has this id, and there is no such folder",
        f"one of {_candidates(newest)}" if newest else f"a run in {places}",
        f"list the runs with: {command_text(['unpool', 'runs', *roots])}",
    )


def _folders_with_record(root: Path, visited: set[str]) -> Iterator[Path]:
    for here, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        if RECORD_FILE in names:
            yield Path(here)
        depth = len(Path(here).relative_to(root).parts)
        folders[:] = sorted(name for name in folders if not is_junk(name)) if depth < MAX_DEPTH else []


def _state(record: Record, folder: Path) -> str:
    """Return the state of a run; ``interrupted`` where the record has ``running`` and the run does not work any more.

    A killed process cannot write that it was killed. So the run is interrupted if its process is gone. That cannot be
    known on another host, or where another process has got its number: then the times of the run's files decide.
    """
    if record.state != "running":
        return record.state
    if record.process.host == platform.node() and os.name == "posix" and not _is_alive(record.process.pid):
        return "interrupted"
    files = [folder / name for name in ACTIVITY_FILES]
    newest = max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)
    return "interrupted" if time.time() - newest > SILENT_SECONDS else "running"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # a process of another user
        return True
    return True


def _why(error: Exception, file: Path) -> str:
    if isinstance(error, ValidationError):
        return f"no record ({problem_text(error.errors()[0])})"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    assert isinstance(error, DataError)
    return error.found.removeprefix(f"{decodable(str(file))}: ")


def _candidates(runs: Sequence[FoundRun]) -> str:
    return first_of([f"{run.record.id} ({decodable(str(run.folder))})" for run in runs], CANDIDATES)

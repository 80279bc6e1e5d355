"""Records in folders: written, found, read and named."""

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
from unpool.io.files import write_json
from unpool.io.folders import is_junk, readable
from unpool.ledger.record import RECORD_FILE, Record

DEEPEST = 8
"""Folders below the one that is searched."""

LARGEST = 16 << 20
"""Bytes of a record; what is larger is none."""

SILENCE = 3600.0
"""Seconds without a sign after which a run elsewhere is taken to have ended: a long validation is silent too."""

SIGNS = (RECORD_FILE, "state.pt", "log.jsonl")
"""Files that a training writes as it goes."""

SHOWN = 8
"""Candidates named in a message."""


@dataclass(frozen=True)
class Entry:
    """A run that was found.

    Attributes
    ----------
    state: as in its record; ``interrupted`` where the record says ``running`` and nothing runs.
    """

    folder: Path
    record: Record
    state: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {**self.record.to_json(), "state": self.state, "folder": readable(str(self.folder))}


@dataclass(frozen=True)
class Unreadable:
    """A file that is named as a record and is none, and why."""

    path: Path
    why: str

    def to_json(self) -> dict[str, str]:
        """Plain JSON data."""
        return {"path": readable(str(self.path)), "why": self.why}


@dataclass(frozen=True)
class Found:
    """What is in some folders."""

    entries: tuple[Entry, ...]
    unreadable: tuple[Unreadable, ...]


def write_record(folder: Path, record: Record) -> None:
    """Write a record into its run's folder, atomically. Raises RunError."""
    write_json(folder / RECORD_FILE, record.to_json())


def read_record(path: Path) -> Record:
    """Read a record: a run.json, or the one in a folder.

    Raises
    ------
    DataError: it is missing, unreadable, or no record of this version.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    try:
        if not file.is_file():
            raise OSError("no such file" if not file.exists() else "no plain file")
        if file.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST >> 20} MB")
        return Record.model_validate_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{readable(str(file))}: {_why(error)}",
            "the record of a training or test, as this version of unpool writes it",
            "take the file from a copy, or remove it if it is not unpool's; the model beside it does not depend on it",
        ) from error


def entry_in(folder: Path) -> Entry:
    """The run in a folder. Raises DataError as ``read_record`` does."""
    record = read_record(folder)
    return Entry(folder, record, _state(record, folder))


def find(roots: Sequence[Path]) -> Found:
    """Every run in some folders and below them, in the order of their paths.

    Links are followed, each folder is visited once, none deeper than ``DEEPEST``; hidden ones are left out.

    Raises
    ------
    UsageError: one of ``roots`` is no folder.
    """
    entries, unreadable = [], []
    visited: set[str] = set()
    for root in roots:
        if not root.is_dir():
            raise UsageError(
                f"{root}: no such folder",
                "a folder with runs in it",
                "name the folder of your runs; unpool train makes runs in runs unless --out says otherwise",
            )
        for folder in _folders_with_record(root, visited):
            try:
                entries.append(entry_in(folder))
            except DataError as error:
                path = folder / RECORD_FILE
                unreadable.append(Unreadable(path, error.found.removeprefix(f"{readable(str(path))}: ")))
    return Found(tuple(entries), tuple(unreadable))


def beside(folder: Path) -> Iterator[Entry]:
    """The runs in the folders beside a folder, which may not exist yet; unreadable ones are passed over."""
    for file in sorted(folder.parent.glob(f"*/{RECORD_FILE}")):
        if file.parent != folder:
            try:
                yield entry_in(file.parent)
            except DataError:
                continue


def pick(name: str, roots: Sequence[Path]) -> Entry:
    """The run that a person means.

    Parameters
    ----------
    name: an id, the beginning of one that no other id shares, or the path of a run's folder.
    roots: where an id is looked for.

    Raises
    ------
    UsageError: no run, or several, with this id; names candidates.
    DataError: ``name`` is a folder whose record is missing or unreadable.
    """
    path = Path(name)
    if path.name == RECORD_FILE and path.is_file():
        return entry_in(path.parent)
    if path.is_dir():
        return entry_in(path)
    places = ", ".join(map(str, roots))
    entries = find(roots).entries
    matching = [entry for entry in entries if entry.record.id.startswith(name.lower())]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UsageError(
            f"{name}: {len(matching)} runs in {places} have an id that begins so",
            "an id, or as much of it as one run alone has",
            f"name one of {_candidates(matching)}, or give a run's folder",
        )
    newest = sorted(entries, key=lambda entry: entry.record.created, reverse=True)
    raise UsageError(
        f"{name}: no run in {places} has this id, and there is no such folder",
        f"one of {_candidates(newest)}" if newest else f"a run in {places}",
        "see unpool runs, or give a run's folder",
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
        folders[:] = sorted(name for name in folders if not is_junk(name)) if depth < DEEPEST else []


def _state(record: Record, folder: Path) -> str:
    if record.state != "running":
        return record.state
    if record.process.host == platform.node() and os.name == "posix" and not _alive(record.process.pid):
        return "interrupted"
    signs = [folder / name for name in SIGNS]
    newest = max((sign.stat().st_mtime for sign in signs if sign.is_file()), default=0.0)
    return "interrupted" if time.time() - newest > SILENCE else "running"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's process
        return True
    return True


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"no record ({where + ': ' if where else ''}{first['msg']})"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"no record ({error})"


def _candidates(entries: Sequence[Entry]) -> str:
    named = [f"{entry.record.id} ({readable(str(entry.folder))})" for entry in entries[:SHOWN]]
    return ", ".join(named) + (f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else "")

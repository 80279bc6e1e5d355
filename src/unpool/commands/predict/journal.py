"""The journal of a folder of predictions: which masks were begun and finished, and what each depends on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from unpool.errors import DataError
from unpool.io.documents import read_json_lines
from unpool.io.files import append_text, writing

JOURNAL = ".unpool-predictions.jsonl"
"""Name of the journal file: one line when a mask is begun, one when it is finished."""


class JournalEntry(NamedTuple):
    """An entry on a mask: a digest of everything the mask depends on, and whether the mask is finished."""

    key: str
    done: bool


class Journal(NamedTuple):
    """The last entry of each mask, by its full path, and what is wrong in the lines that have no entry."""

    entries: dict[Path, JournalEntry]
    odd: list[str]


def read_journal(folder: Path) -> Journal:
    """Read the journal of a folder; without one there are no entries."""
    file, home = folder / JOURNAL, folder.resolve()
    if not file.is_file():
        return Journal({}, [])
    try:
        lines = read_json_lines(file, _entry_of)
    except DataError as error:
        return Journal({}, [error.found])
    return Journal({home / mask: entry for mask, entry in lines.entries}, [f"{file}: {odd}" for odd in lines.odd])


def _entry_of(value: Any) -> tuple[str, JournalEntry]:
    form = {"mask": str, "key": str, "done": bool}
    if not isinstance(value, dict) or {name: type(each) for name, each in value.items()} != form:
        raise ValueError("no entry on a mask")
    return value["mask"], JournalEntry(value["key"], value["done"])


def note(folder: Path, mask: Path, entry: JournalEntry) -> None:
    """Add an entry on a mask to the folder's journal.

    Raises
    ------
    RunError: the journal cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    name = mask.relative_to(folder.resolve()).as_posix()
    begin = "" if _ends_a_line(folder / JOURNAL) else "\n"
    append_text(folder / JOURNAL, f"{begin}{json.dumps({'mask': name, 'key': entry.key, 'done': entry.done})}\n")


def _ends_a_line(file: Path) -> bool:
    """Return whether the next entry begins a line; a killed process may have left the beginning of one."""
    if not file.is_file() or not file.stat().st_size:
        return True
    with file.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        return content.read(1) == b"\n"

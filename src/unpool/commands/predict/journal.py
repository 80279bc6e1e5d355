"""The journal of a folder of predictions: which masks were begun and finished, and what each depends on."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from unpool.io.files import append_text, writing

JOURNAL = ".unpool-predictions.jsonl"
"""Name of the journal file: one line when a mask is begun, one when it is finished."""


class JournalEntry(NamedTuple):
    """An entry on a mask: a digest of everything the mask depends on, and whether the mask is finished."""

    key: str
    done: bool


def read_journal(folder: Path) -> dict[Path, JournalEntry]:
    """Return the last entry of each mask, by its full path; incomplete lines are ignored."""
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    entries: dict[Path, JournalEntry] = {}
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            entry = json.loads(line)
            entries[folder.resolve() / str(entry["mask"])] = JournalEntry(str(entry["key"]), bool(entry["done"]))
    return entries


def note(folder: Path, mask: Path, entry: JournalEntry) -> None:
    """Add an entry on a mask to the folder's journal.

    Raises
    ------
    RunError: the journal cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    name = mask.relative_to(folder.resolve()).as_posix()
    append_text(folder / JOURNAL, json.dumps({"mask": name, "key": entry.key, "done": entry.done}) + "\n")

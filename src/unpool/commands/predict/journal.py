"""What was predicted into a folder: which masks were begun and finished, and what each depends on."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from unpool.io.files import append_text, writing

JOURNAL = ".unpool-predictions.jsonl"
"""The journal of a folder: a line when a mask is begun, and one when it is finished."""


class JournalEntry(NamedTuple):
    """What a journal says of a mask: the key of what it depends on, and whether it was finished."""

    key: str
    done: bool


def read_journal(folder: Path) -> dict[Path, JournalEntry]:
    """The last entry for each mask, by its whole path; a line that was torn is none."""
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found: dict[Path, JournalEntry] = {}
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            entry = json.loads(line)
            found[folder.resolve() / str(entry["mask"])] = JournalEntry(str(entry["key"]), bool(entry["done"]))
    return found


def note(folder: Path, mask: Path, entry: JournalEntry) -> None:
    """Write into the folder's journal what a mask is, or will be, made from.

    Raises
    ------
    RunError: it cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    named = mask.relative_to(folder.resolve()).as_posix()
    append_text(folder / JOURNAL, json.dumps({"mask": named, "key": entry.key, "done": entry.done}) + "\n")

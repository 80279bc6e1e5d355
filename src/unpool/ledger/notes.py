"""The notes that a person keeps on a run, in a file of their own, to which lines are only added."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from unpool.errors import DataError, UsageError
from unpool.io.documents import JSONLines, read_json_lines
from unpool.io.files import append_text
from unpool.wording import command_text

NOTES_FILE = "notes.jsonl"
"""The file of a run's notes. They are not in run.json, which a training that runs replaces."""

MOST_LETTERS = 10_000
"""The most letters of a note."""


class Note(NamedTuple):
    """A note on a run, and the time when it was written."""

    time: datetime
    text: str

    def to_json(self) -> dict[str, str]:
        """Return plain JSON data."""
        return {"time": self.time.isoformat(), "text": self.text}


class Notes(NamedTuple):
    """The notes on a run, the oldest first, and what is wrong in the lines that are none."""

    entries: tuple[Note, ...] = ()
    odd: tuple[str, ...] = ()


NO_NOTES = Notes()


def add_note(folder: Path, text: str) -> Note:
    """Add a note to those of the run in a folder; no note before it is changed.

    Raises
    ------
    UsageError: the text is empty or too long.
    RunError: the note cannot be written.
    """
    if not text.strip() or len(text) > MOST_LETTERS:
        raise UsageError(
            "a note without a text" if not text.strip() else f"a note of {len(text):,} letters",
            f"a text of 1 to {MOST_LETTERS:,} letters",
            f"write for example {command_text(['unpool', 'runs', 'note', folder, 'the masks were corrected'])}",
        )
    note = Note(datetime.now(UTC), text)
    append_text(folder / NOTES_FILE, json.dumps(note.to_json()) + "\n")
    return note


def read_notes(folder: Path) -> Notes:
    """Return the notes on the run in a folder; none where there is no file of notes."""
    file = folder / NOTES_FILE
    try:
        lines = read_json_lines(file, _note) if os.path.isfile(file) else JSONLines([], [])
    except DataError as error:
        return Notes((), (error.found,))
    return Notes(tuple(lines.entries), tuple(f"{file}: {odd}" for odd in lines.odd))


def _note(value: Any) -> Note:
    try:
        time = datetime.fromisoformat(value["time"])
        if not isinstance(value["text"], str) or time.tzinfo is None:
            raise TypeError
        time.astimezone()  # a time that no local clock shows
        return Note(time, value["text"])
    except (LookupError, OverflowError, TypeError, ValueError) as error:
        raise ValueError("no note") from error

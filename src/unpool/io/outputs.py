"""Folders with outputs: which files in them unpool wrote, and whether somebody changed those files since."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeAlias

from unpool.errors import DataError
from unpool.io.documents import JSONLines, read_json_lines
from unpool.io.files import append_text, write_text, writing

OUTPUT_MARK = ".unpool-output"
"""A file in a folder with outputs, so that pictures that unpool wrote there are not taken for data.

Each line is the name of a file, or of a folder with a slash at its end. The files of a journal count too. A mark
without any name means the whole folder: earlier versions wrote no names.
"""

JOURNAL = ".unpool-predictions.jsonl"
"""The journal of a folder of predictions: one line when the files of a picture are begun, one when they are done."""

_EXTRAS = ("overlays", "probabilities", "uncertainty")
"""Folders of the files that earlier versions wrote and did not name in the journal."""

Stamp: TypeAlias = tuple[int, int]
"""The size of a file in bytes and the time of its last change in nanoseconds; of a folder, the sum and the newest."""


class JournalEntry(NamedTuple):
    """The last entry on the files of one picture.

    Attributes
    ----------
    key: a digest of everything that the files depend on.
    done: whether the files are finished.
    stamps: of each file by its name, when the entry was written; None for a file that did not exist.
    """

    key: str
    done: bool
    stamps: Mapping[str, Stamp | None]


class Journal(NamedTuple):
    """The last entry of each mask, by its full path, and what is wrong in the lines that have no entry."""

    entries: dict[Path, JournalEntry]
    odd: tuple[str, ...]


def mark_output(folder: Path, *names: str) -> None:
    """Mark pictures in a folder as written by unpool. A mark that exists stays as it is.

    Parameters
    ----------
    names: of files, and of folders with a slash at their end; without names, the files of the folder's journal.

    Raises
    ------
    RunError: the mark cannot be written.
    """
    if not (folder / OUTPUT_MARK).exists():
        write_text(folder / OUTPUT_MARK, "".join(f"{name}\n" for name in names))


def is_marked(folder: Path) -> bool:
    """Return whether a folder has the output mark."""
    return (folder / OUTPUT_MARK).is_file()


def written_names(folder: Path) -> frozenset[str]:
    """Return the names that a folder's mark and journal have; none where there are neither, or for the whole folder."""
    mark = (line.strip() for line in _lines(folder / OUTPUT_MARK))
    return frozenset([*filter(None, mark), *journal_names(folder)])


def journal_names(folder: Path) -> Iterator[str]:
    """Yield the name of every file in a folder's journal."""
    for mask, entry in _lines_of_journal(folder).entries:
        yield mask
        yield from entry.stamps
        if not entry.stamps:
            stem = PurePosixPath(mask).with_suffix("")
            yield from (f"{extra}/{stem}{suffix}" for extra in _EXTRAS for suffix in (".png", ".tif"))


def read_journal(folder: Path) -> Journal:
    """Read the journal of a folder; without one there are no entries."""
    home, lines = folder.resolve(), _lines_of_journal(folder)
    return Journal({home / mask: entry for mask, entry in lines.entries}, tuple(lines.odd))


def _lines_of_journal(folder: Path) -> JSONLines:
    file = folder / JOURNAL
    try:
        lines = read_json_lines(file, _entry_of) if os.path.isfile(file) else JSONLines([], [])
    except DataError as error:
        return JSONLines([], [error.found])
    return JSONLines(lines.entries, [f"{file}: {odd}" for odd in lines.odd])


def _entry_of(value: Any) -> tuple[str, JournalEntry]:
    """Return a mask's name and its entry. Earlier versions wrote no files. Raises ValueError for an odd line."""
    try:
        stamps = {str(name): stamp and (int(stamp[0]), int(stamp[1])) for name, stamp in value.get("files", {}).items()}
        return str(value["mask"]), JournalEntry(str(value["key"]), bool(value["done"]), stamps)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise ValueError("no entry on a mask") from error


def note_files(folder: Path, files: Sequence[Path], key: str, *, done: bool) -> None:
    """Add an entry on the files of a picture to a folder's journal, with their present stamps.

    Parameters
    ----------
    files: full paths in the folder, without links; the first is the mask.

    Raises
    ------
    RunError: the journal cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    stamps = {output_name(folder, path): stamp_of(path) for path in files}
    line = {"mask": output_name(folder, files[0]), "key": key, "done": done, "files": stamps}
    append_text(folder / JOURNAL, json.dumps(line) + "\n")


def output_name(folder: Path, path: Path) -> str:
    """Return the name of a file in a folder's journal."""
    return path.relative_to(folder.resolve()).as_posix()


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a file or a folder; None where there is none."""
    try:
        facts = path.stat()
        inside = [each.stat() for each in path.rglob("*")] if path.is_dir() else []
    except OSError:
        return None
    return sum(each.st_size for each in (facts, *inside)), max(each.st_mtime_ns for each in (facts, *inside))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    except OSError:
        return []

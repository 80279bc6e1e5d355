"""Picture files under a folder, and folders that hold our own output."""

from __future__ import annotations

import os
from pathlib import Path

from unpool.errors import DataError
from unpool.io.files import write_bytes
from unpool.io.read.images import IMAGE_SUFFIXES

OUTPUT_MARK = ".unpool-output"
"""A file that marks a folder as written by unpool, so that it is not taken for somebody's data."""

JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def mark_output(folder: Path) -> None:
    """Mark a folder, made if missing, as written by unpool."""
    write_bytes(folder / OUTPUT_MARK, b"")


def picture_files(root: Path) -> list[Path]:
    """All picture files under a folder, sorted within each.

    Links are followed, each folder is visited once. Hidden files, what operating systems leave behind, and folders
    that unpool marked as its own output are left out; ``root`` itself may be marked.

    Raises
    ------
    DataError: a file name with bytes that are no letters.
    """
    found: list[Path] = []
    visited: set[str] = set()
    for here, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        if real in visited or (OUTPUT_MARK in names and Path(here) != root):
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not is_junk(name))
        found += [Path(here, name) for name in sorted(names) if not is_junk(name)]
    pictures = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and _is_file(path)]
    for path in pictures:
        if readable(path.name) != path.name:
            raise DataError(
                f"{root}: a file name with bytes that are no UTF-8 letters: {readable(path.name)}",
                "file names in UTF-8",
                "rename the file, and its partner alike",
            )
    return pictures


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden or left behind by an operating system."""
    return name.startswith(".") or name.lower() in JUNK


def _is_file(path: Path) -> bool:
    """Whether a path is no pipe, socket or folder; a link to nothing counts, so that it is told as a broken file."""
    return path.is_file() or not path.exists()


def readable(name: str) -> str:
    """A name that can be printed: undecodable bytes as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()

"""Picture files under a folder, and folders that hold this package's own output."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from unpool.errors import DataError
from unpool.io.files import write_bytes
from unpool.io.read.images import IMAGE_SUFFIXES
from unpool.wording import decodable

OUTPUT_MARK = ".unpool-output"
"""A file that marks a folder as written by unpool, so that its pictures are not taken for data."""

JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
"""Names, in lower case, of files and folders that operating systems leave behind."""


def mark_output(folder: Path) -> None:
    """Mark a folder, which is made if it is missing, as written by unpool."""
    write_bytes(folder / OUTPUT_MARK, b"")


def picture_files(root: Path) -> list[Path]:
    """List all picture files under a folder, see ``files_under``. Raises DataError for a name that is no UTF-8."""
    return pictures_among(root, files_under(root))


def files_under(root: Path) -> list[Path]:
    """List all files under a folder, sorted within each folder.

    Links are followed; each folder is visited once. Hidden files, files that operating systems leave behind, and
    folders that unpool marked as its own output are left out; ``root`` itself may be marked.
    """
    files: list[Path] = []
    visited: set[str] = set()
    for here, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        if real in visited or (OUTPUT_MARK in names and Path(here) != root):
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not is_junk(name))
        files += [Path(here, name) for name in sorted(names) if not is_junk(name)]
    return [path for path in files if _is_file(path)]


def pictures_among(root: Path, files: Iterable[Path]) -> list[Path]:
    """Return those of a folder's files that are pictures by their suffix.

    Raises
    ------
    DataError: the name of a picture has bytes that are no UTF-8.
    """
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    for path in pictures:
        if decodable(path.name) != path.name:
            raise DataError(
                f"{root}: a file name with bytes that are no UTF-8 letters: {decodable(path.name)}",
                "file names in UTF-8",
                "rename the file, and its mask or picture alike",
            )
    return pictures


def is_junk(name: str) -> bool:
    """Return whether a file or folder is hidden, or left behind by an operating system."""
    return name.startswith(".") or name.lower() in JUNK


def _is_file(path: Path) -> bool:
    """Return whether a path is a file. A link to nothing counts as one, so that it is reported as broken."""
    return path.is_file() or not path.exists()

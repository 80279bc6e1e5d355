"""Picture files under a folder, and folders that hold our own output."""

from __future__ import annotations

import os
from pathlib import Path

from unpool.io.images import IMAGE_SUFFIXES

OUTPUT_MARK = ".unpool-output"
"""A file that marks a folder as written by unpool, so that it is not taken for somebody's data."""


def mark_output(folder: Path) -> None:
    """Mark a folder, made if missing, as written by unpool."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OUTPUT_MARK).touch()


def picture_files(root: Path) -> list[Path]:
    """All picture files under a folder, sorted within each.

    Links are followed, each folder is visited once. Hidden files, what operating systems leave behind, and folders
    that unpool marked as its own output are left out; ``root`` itself may be marked.
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
    return [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden or left behind by an operating system."""
    return name.startswith((".", "__MACOSX")) or name.lower() in ("thumbs.db", "desktop.ini")

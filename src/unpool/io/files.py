"""Whole files, written so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unpool.errors import DataError, RunError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the body succeeds.

    The folder is made if it is missing. The temporary file has the same suffix as ``path``; it is flushed to
    the disk before the swap, and removed when the body raises. The body must write the file.

    Raises
    ------
    RunError: the file cannot be written; an OSError of the body is taken as that.
    """
    draft = path.with_name(f".{secrets.token_hex(6)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error})",
            "a place with room and rights to write",
            "free some space, check the folder's rights, or write elsewhere",
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file of bytes atomically."""
    with atomic_path(path) as draft:
        draft.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file atomically, with line ends as given."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write plain data as indented JSON, atomically. NaN and infinity are refused with a ValueError."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DataError: the file is missing, unreadable or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", "a readable JSON file", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: no valid JSON ({error})",
            "a JSON file",
            "mend the file, or let the program that wrote it do so",
        ) from error


def safe_child(folder: Path, relative: str | Path) -> Path:
    """The path of ``relative`` under ``folder``, with links and ``..`` resolved.

    Raises
    ------
    DataError: the path leaves the folder, or is the folder itself.
    """
    home = folder.resolve()
    child = (home / relative).resolve()
    if child == home or not child.is_relative_to(home):
        raise DataError(f"the name '{relative}'", f"a path inside {folder}", "rename the file, without '..' or a root")
    return child

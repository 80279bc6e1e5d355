"""Whole files, written so that a reader never sees half of one."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unpool.errors import DataError, RunError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a full disk, an exhausted quota and a limit on file sizes."""

DRAFT = re.compile(r"\.unpool-[0-9a-f]{12}(\..*)?")


@contextmanager
def atomic_path(path: Path, size: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the body succeeds.

    The folder is made if it is missing. The temporary file has the same suffix as ``path``; it is flushed to
    the disk before the swap, and removed when the body raises. The body must write the file.

    Parameters
    ----------
    size: bytes the body means to write, for the message where there is no room.

    Raises
    ------
    RunError: the file cannot be written; an OSError of the body is taken as that.
    """
    with writing(path, size):
        draft = draft_beside(path)
        try:
            yield draft
            flush(draft)
            take_place(draft, path)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Run what writes ``path`` inside this: an OSError becomes a RunError that names the file and the room needed."""
    try:
        yield
    except OSError as error:
        found = f"{path}: cannot be written ({error.strerror or error})"
        if error.errno in NO_ROOM:
            raise RunError(
                found,
                f"room for {'it' if size is None else f'{max(size / 1e6, 0.1):.1f} MB'} in {path.parent}",
                "free some space there, or raise the quota or the limit on file sizes",
            ) from error
        raise RunError(
            found,
            "a place with room and rights to write",
            "free some space, check the folder's rights, or write elsewhere",
        ) from error


def draft_beside(path: Path) -> Path:
    """A new name in the folder of ``path``, made if missing, with its suffix; ``drafts`` knows such names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".unpool-{secrets.token_hex(6)}{path.suffix}")


def is_draft(name: str) -> bool:
    """Whether a file name is one that ``draft_beside`` gives."""
    return DRAFT.fullmatch(name) is not None


def drafts(folder: Path) -> list[Path]:
    """What a process that was killed left unfinished in a folder, sorted; nothing where there is no folder."""
    return sorted(path for path in folder.glob(".unpool-*") if is_draft(path.name))


def flush(path: Path) -> None:
    """Bring a file to the disk, and let the next reader take it from there instead of from memory."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # not every file system takes advice
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def take_place(draft: Path, path: Path) -> None:
    """Swap a flushed draft in, and bring the swap itself to the disk."""
    draft.replace(path)
    if os.name == "nt":  # folders cannot be opened there
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot flush a folder
            raise
    finally:
        os.close(folder)


def keep_as(path: Path, kept: Path) -> None:
    """Give a file a second name, under which it stays when another takes its place; ``kept`` is replaced.

    It costs no copy. Where there is no such file, or the file system knows no second names, nothing is kept.
    """
    if path.is_file():
        kept.unlink(missing_ok=True)
        with suppress(OSError):
            os.link(path, kept)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file of bytes atomically."""
    with atomic_path(path, len(content)) as draft:
        draft.write_bytes(content)


def append_text(path: Path, text: str) -> None:
    """Add UTF-8 text to the end of a file.

    Raises
    ------
    RunError: it cannot be written; a part of the text may be.
    """
    content = text.encode("utf-8")
    with writing(path, len(content)), path.open("ab") as file:
        file.write(content)


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

"""Files that are written atomically, so that a reader never sees a half-written one."""

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
from unpool.wording import bytes_text

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The system's error numbers for a full disk, an exhausted quota and a limit on file sizes."""

DRAFT = re.compile(r"\.unpool-[0-9a-f]{12}(\..*)?")
"""The form of a draft's name."""


@contextmanager
def atomic_path(path: Path, size: int | None = None, *, replace: bool = True) -> Iterator[Path]:
    """Yield a draft, a temporary path beside ``path``, which replaces ``path`` when the body succeeds.

    The folder is made if it is missing. The draft has the suffix of ``path``. It is flushed to the disk before it
    replaces ``path``, and removed when the body raises. The body must write the draft.

    Parameters
    ----------
    size: bytes that the body writes, for the message of a full disk.
    replace: whether a file that is there by then is replaced; else RunError is raised.

    Raises
    ------
    RunError: the file cannot be written. An OSError of the body is taken as that.
    """
    with writing(path, size):
        draft = draft_beside(path)
        try:
            yield draft
            flush_to_disk(draft)
            put_in_place(draft, path, replace=replace)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Raise a RunError that names the file where the body, which writes ``path``, raises an OSError.

    Parameters
    ----------
    size: bytes that the body writes, for the message of a full disk.
    """
    try:
        yield
    except OSError as error:
        found = f"{path}: cannot be written ({error.strerror or error})"
        if error.errno in NO_ROOM:
            raise RunError(
                found,
                f"room for {'it' if size is None else bytes_text(max(size, 1e5))} in {path.parent}",
                "free some space there, or raise the quota or the limit on file sizes",
            ) from error
        raise RunError(
            found,
            "a place with room, and the right to write there",
            "free some space, check the folder's rights, or write elsewhere",
        ) from error


def draft_beside(path: Path) -> Path:
    """Return a new name with the suffix of ``path``, in its folder, which is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".unpool-{secrets.token_hex(6)}{path.suffix}")


def is_draft(name: str) -> bool:
    """Return whether a file name is one of ``draft_beside``."""
    return DRAFT.fullmatch(name) is not None


def drafts(folder: Path) -> list[Path]:
    """List the drafts that killed processes left in a folder, sorted; none where there is no folder."""
    return sorted(path for path in folder.glob(".unpool-*") if is_draft(path.name))


def flush_to_disk(path: Path) -> None:
    """Bring a file to the disk, and let the next reader read it from the disk instead of from memory."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # not every file system takes advice
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def put_in_place(draft: Path, path: Path, *, replace: bool = True) -> None:
    """Rename a flushed draft to ``path``, and bring the folder's new entry to the disk.

    Parameters
    ----------
    replace: whether a file that is there is replaced; else FileExistsError is raised.
    """
    if replace:
        draft.replace(path)
    else:
        _put_in_free_place(draft, path)
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


def _put_in_free_place(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)  # unlike a renaming, it replaces nothing
        draft.unlink()
    except FileExistsError:
        raise
    except OSError as error:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        draft.replace(path)


def keep_as(path: Path, second: Path) -> None:
    """Give a file a second name, which keeps its content when another file replaces ``path``.

    The second name is a hard link and costs no copy; it replaces an older file of that name. Nothing is done where
    there is no such file, or where the file system has no hard links.
    """
    if path.is_file():
        second.unlink(missing_ok=True)
        with suppress(OSError):
            os.link(path, second)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file of bytes atomically. Raises RunError."""
    with atomic_path(path, len(content)) as draft:
        draft.write_bytes(content)


def append_text(path: Path, text: str) -> None:
    """Add lines of UTF-8 text to the end of a file; they begin after a last line that a kill left incomplete.

    Raises
    ------
    RunError: the text cannot be written; a part of it may be in the file.
    """
    content = text.encode("utf-8")
    with writing(path, len(content)), path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            content = (b"" if file.read(1) == b"\n" else b"\n") + content
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically, with line ends as given. Raises RunError."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write plain data as indented JSON, atomically. Raises RunError, and ValueError for NaN and infinity."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def safe_child(folder: Path, relative: str | Path) -> Path:
    """Return the path of ``relative`` under ``folder``, with links and ``..`` resolved.

    Raises
    ------
    DataError: the path leaves the folder, or is the folder itself.
    """
    home = Path(os.path.realpath(folder))
    child = Path(os.path.realpath(home / relative))
    if child != home and child.is_relative_to(home):
        return child
    if (named := Path(os.path.normpath(home / relative))) != home and named.is_relative_to(home):
        raise DataError(
            f"{folder / relative} leads through a link to {child}",
            f"a path inside {folder}",
            "remove the link, or write into another folder",
        )
    raise DataError(f"the name '{relative}'", f"a path inside {folder}", "rename the file, without '..' or a root")

"""The destination of a command's files: whether it can be written, and the claim that keeps other commands out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from unpool.errors import BusyError, RunError, UsageError
from unpool.io.files import draft_beside, is_draft, writing
from unpool.io.locks import lock
from unpool.io.outputs import OUTPUT_MARK
from unpool.wording import bytes_text

LONGEST_SUFFIX = ".part"
"""The longest text that is added to the name of a file while it is written."""

ROOM_IN_PATHS = 64
"""Bytes that names of temporary files add to a path."""


def require_writable(folder: Path) -> None:
    """Raise an error if a folder cannot be made or written to, before any work is done for it.

    Raises
    ------
    UsageError: names the folder or the file that is in the way.
    """
    try:
        nearest = _nearest(folder)
    except OSError as error:  # a name that is too long
        raise UsageError(
            f"{folder}: {error.strerror}", "a folder that can be made", "give another --out, with shorter names"
        ) from error
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"{folder}: {nearest} is {'not writable' if nearest.is_dir() else 'a file'}",
            "a folder that can be made and written to",
            "give another --out",
        )


def require_short(path: Path, source: Path) -> None:
    """Raise UsageError where the path of an output, or its last name, is longer than the file system takes.

    Parameters
    ----------
    source: the picture that the output belongs to.
    """
    for what, text, room, limit in (
        ("name", path.name, len(LONGEST_SUFFIX), "PC_NAME_MAX"),
        ("path", str(path), ROOM_IN_PATHS, "PC_PATH_MAX"),
    ):
        size, most = len(os.fsencode(text)), _limit(path.parent, limit) - room
        if size > most:
            raise UsageError(
                f"{source}: the {what} of its output {path.name} would have {size} bytes",
                f"at most {most} bytes there, so that a temporary file can be named after it",
                "rename the picture" if what == "name" else "give an --out with a shorter path",
            )


def _limit(folder: Path, name: str) -> int:
    """Return a limit of the file system of a folder, which may not exist yet; 255 or 4096 where it is unknown."""
    with suppress(AttributeError, OSError, ValueError):  # not on Windows
        if (limit := os.pathconf(_nearest(folder), name)) > 0:
            return limit
    return 255 if name == "PC_NAME_MAX" else 4096


def require_room(folder: Path, size: float, what: str) -> None:
    """Raise RunError where a file system has less room than the files that will be written into a folder.

    Parameters
    ----------
    size: bytes that the files will take; files that they replace take none.
    what: the files, in words.
    """
    free = free_bytes(folder)
    if free is not None and free < size:
        raise RunError(
            f"{folder}: {bytes_text(free)} of the disk are free",
            f"{bytes_text(size)} for {what}",
            "free some space there, or give an --out on another disk",
        )


def free_bytes(folder: Path) -> int | None:
    """Return the bytes that are free where a folder is or will be; None where the file system does not say."""
    nearest = _nearest(folder)
    with suppress(OSError):
        usage = shutil.disk_usage(nearest)
        return usage.free if usage.total else None
    return None


def _nearest(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists. Raises OSError for a name that is too long."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def ignores_case(folder: Path) -> bool:
    """Return whether the file system of a folder takes names that differ only in case for the same name."""
    nearest = next(path for path in (folder, *folder.parents) if path.is_dir())
    draft = draft_beside(nearest / "case")
    try:
        draft.touch()
        return draft.with_name(draft.name.upper()).exists()
    except OSError:
        return True
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes of unpool from a folder while the body writes into it.

    The folder is made if it is missing. It is removed again where the body leaves it empty. The claim ends with the
    process, also where it is killed. Windows and some network file systems know no such claims; there nothing is kept.

    Raises
    ------
    BusyError: another process has claimed the folder.
    UsageError: it cannot be made.
    RunError: the system refuses to make it.
    """
    require_writable(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    handle = _locked(folder)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
        with suppress(OSError):  # a folder that is not empty
            for path in made:
                path.rmdir()


@contextmanager
def new_folder(out: Path | None, base: Path, repair: str = "give another --out") -> Iterator[Path]:
    """Claim a new folder and yield it: ``out``, or else the first of ``base``, ``base-2`` … that does not exist.

    Of two processes that begin at the same time with the same ``base``, each gets its own; see ``claimed``.

    Parameters
    ----------
    repair: what a person can do where ``out`` is not empty.

    Raises
    ------
    UsageError: ``out`` is not empty, another process has claimed it, or the folder cannot be made.
    """
    require_writable(base if out is None else out)
    parents = [path for path in (base.parents if out is None else ()) if not path.exists()]
    folder = out or next(path for path in numbered_paths(base) if made_folder(path))
    try:
        with claimed(folder):
            if not is_unused(folder):
                raise UsageError(f"{folder} already exists and is not empty", "a new or empty folder", repair)
            yield folder
    finally:
        with suppress(OSError):  # not empty
            for path in () if out else (folder, *parents):
                path.rmdir()


def is_unused(folder: Path) -> bool:
    """Return whether a folder is empty, apart from the files of a command that was killed at its very start."""
    return folder.is_dir() and all(each.name == OUTPUT_MARK or is_draft(each.name) for each in folder.iterdir())


def free_path(base: Path) -> Path:
    """Return the first of ``base``, ``base-2``, ``base-3`` … that does not exist."""
    return next(path for path in numbered_paths(base) if not path.exists())


def numbered_paths(base: Path) -> Iterator[Path]:
    """Yield ``base``, ``base-2``, ``base-3`` … without end."""
    yield base
    for number in count(2):
        yield base.with_name(f"{base.name}-{number}")


def made_folder(folder: Path) -> bool:
    """Make a folder; return whether this process made it, and not another one before."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _locked(folder: Path) -> int | None:
    """Return an open handle with the lock of a folder; None on Windows, where folders cannot be opened."""
    if os.name == "nt":
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle, wait=False)
    except BlockingIOError as error:
        os.close(handle)
        raise BusyError(
            f"{folder}: another unpool command is writing into this folder",
            "one command at a time for each --out",
            "wait until it ends, or give another --out",
        ) from error
    return handle

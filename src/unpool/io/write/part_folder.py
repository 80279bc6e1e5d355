"""The folder ``<name>.part`` beside a picture that is being written: only files that unpool made there are removed."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from unpool.errors import UsageError
from unpool.io.files import is_draft
from unpool.io.outputs import OUTPUT_MARK, is_marked, mark_output

_ZARR_NAME = re.compile(r"zarr\.json|\.zgroup|\.zattrs|\.zarray|\.zmetadata|c|\d+(\.\d+)*")
"""Names of the files and folders in a Zarr folder."""


def part_folder(path: Path) -> Path:
    """Return the folder of the unfinished files of a picture."""
    return path.with_name(path.name + ".part")


def own_names(path: Path) -> tuple[str, str, str]:
    """Return the names in the folder of unfinished files: of the bands, the draft, and the picture it replaces."""
    return "bands", f"draft{path.suffix}", f"old{path.suffix}"


def require_own(path: Path) -> None:
    """Raise UsageError where writing a picture would need a folder that unpool did not make.

    That is a folder in the place of the picture, or in the place of its unfinished files.
    """
    if path.is_dir() and (path.suffix.lower() != ".zarr" or not _is_zarr_alone(path)):
        raise _somebodys(path)
    part = part_folder(path)
    if not os.path.lexists(part):
        return
    if part.is_symlink() or not part.is_dir() or any((part / name).is_symlink() for name in own_names(path)):
        raise _somebodys(part)
    if not is_marked(part) and not all(is_draft(each.name) for each in part.iterdir()):
        raise _somebodys(part)


def open_part_folder(path: Path) -> Path:
    """Make and mark the folder of the unfinished files of a picture. Raises UsageError as ``require_own``."""
    require_own(path)
    folder = part_folder(path)
    mark_output(folder, own_names(path)[1])
    return folder


def remove_part_folder(path: Path) -> None:
    """Remove the files that unpool made for a finished picture, and the folder if nothing else is in it."""
    folder = part_folder(path)
    for name in (*own_names(path), OUTPUT_MARK):
        remove(folder / name)
    with suppress(OSError):  # somebody put a file there
        folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file, or a Zarr folder without links and without other files in it, which stay. Nothing may be there."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for here, folders, files in os.walk(path, topdown=False):
        for name in filter(_ZARR_NAME.fullmatch, files):
            Path(here, name).unlink()
        for name in folders:
            with suppress(OSError):  # not empty, or a link
                Path(here, name).rmdir()
    with suppress(OSError):
        path.rmdir()


def _is_zarr_alone(folder: Path) -> bool:
    """Return whether a folder has nothing but the files of a Zarr."""
    return all(
        _ZARR_NAME.fullmatch(name) and not Path(here, name).is_symlink()
        for here, folders, files in os.walk(folder)
        for name in (*folders, *files)
    )


def _somebodys(path: Path) -> UsageError:
    return UsageError(
        f"{path} is in the way: unpool did not make it, so it is neither used nor removed",
        "a name that unpool may write to",
        "move it elsewhere, or give another --out",
    )

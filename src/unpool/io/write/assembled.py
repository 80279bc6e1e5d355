"""Assembled files: pictures and masks made from several files, or from a part of one, kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unpool.errors import RunError
from unpool.io.cache import cache_folder
from unpool.io.placement import Placement
from unpool.io.write.images import write_image


def assembled_file(
    sources: Sequence[Path],
    recipe: str,
    name: str,
    make: Callable[[], NDArray[Any]],
    suffix: str = ".tif",
    placement: Placement | None = None,
) -> Path:
    """Return the file of a picture or a mask that is assembled from other files, or from a part of one.

    The file is in the cache folder, so that the person's folder stays as it is. It is made where it is not there yet,
    or where one of its sources has changed.

    Parameters
    ----------
    sources: the files that it is made from, in order.
    recipe: what is done with them, with all that the result depends on, such as ``page 3``. Change it when the
        program that makes the file changes.
    name: the name of the file without suffix, as messages show it; letters that no file name can have become ``_``.
    make: returns the array, of a type that ``unpool.io.write.images.write_image`` writes. Object numbers above 65535
        are int32 in a TIFF.
    suffix: ``.tif`` or ``.png``.
    placement: place and size that its sources state, which a ``.tif`` states too; None for none.

    Raises
    ------
    RunError: there is no cache folder, or it cannot be written. What ``make`` raises.
    """
    home = cache_folder()
    if home is None:
        raise RunError(
            "no cache folder for files that are assembled from others",
            "a home folder, or a folder in the variable XDG_CACHE_HOME",
            "set XDG_CACHE_HOME to a folder",
        )
    digest = hashlib.sha256(recipe.encode())
    for source in sources:
        facts = source.stat()
        place = os.path.realpath(source)
        digest.update(f"\0{place}\0{facts.st_size}\0{facts.st_mtime_ns}".encode("utf-8", "surrogateescape"))
    plain = "".join("_" if letter in '/\\:*?"<>|' or ord(letter) < 32 else letter for letter in name).strip(". ")
    path = home / "assembled" / digest.hexdigest()[:20] / f"{plain[:100] or 'file'}{suffix}"
    if not path.is_file():
        write_image(path, make(), placement)
    return path

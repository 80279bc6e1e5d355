"""Whole pictures to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from unpool.errors import UsageError
from unpool.io.files import atomic_path


def write_image(path: Path, array: NDArray[Any]) -> None:
    """Write pixels as PNG or TIFF, by the path's suffix, atomically.

    Parameters
    ----------
    array: uint8, uint16 or float32 of shape (rows, columns) or (rows, columns, channels). A PNG takes uint8
        with 1 or 3 channels, or uint16 with one.

    Raises
    ------
    UsageError: the suffix cannot hold these pixels.
    """
    flat = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if path.suffix.lower() in (".tif", ".tiff"):
        colour = flat.ndim == 3 and flat.shape[2] == 3 and flat.dtype != np.float32
        with atomic_path(path) as draft:
            tifffile.imwrite(
                draft,
                flat,
                photometric="rgb" if colour else "minisblack",
                planarconfig="contig" if flat.ndim == 3 else None,
                compression="zlib",
            )
        return
    fits = (flat.dtype == np.uint8 and flat.shape[2:] in ((), (3,))) or (flat.dtype == np.uint16 and flat.ndim == 2)
    if path.suffix.lower() != ".png" or not fits:
        raise UsageError(
            f"{path.name}: {flat.dtype} pixels of shape {flat.shape}",
            "a .png of 8-bit grey or RGB or 16-bit grey, or a .tif",
            "write a .tif instead",
        )
    with atomic_path(path) as draft:
        Image.fromarray(np.ascontiguousarray(flat)).save(draft, format="PNG")

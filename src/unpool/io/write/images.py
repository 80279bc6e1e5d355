"""Pictures that are written in one piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from unpool.errors import UsageError
from unpool.io.files import atomic_path
from unpool.io.placement import Placement
from unpool.io.write.tiff import stated_facts


def write_image(path: Path, array: NDArray[Any], placement: Placement | None = None) -> None:
    """Write pixels atomically as PNG or TIFF; the path's suffix decides.

    Parameters
    ----------
    array: uint8, uint16 or float32 of shape (rows, columns) or (rows, columns, channels). A PNG takes uint8
        with 1 or 3 channels, or uint16 with one.
    placement: place, size and missing data that a TIFF states; None states none.

    Raises
    ------
    UsageError: the suffix cannot hold these pixels.
    """
    pixels = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if path.suffix.lower() in (".tif", ".tiff"):
        colour = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype != np.float32
        with atomic_path(path) as draft:
            tifffile.imwrite(
                draft,
                pixels,
                photometric="rgb" if colour else "minisblack",
                planarconfig="contig" if pixels.ndim == 3 else None,
                compression="zlib",
                **stated_facts(pixels, placement or Placement(), rgb=colour),
            )
        return
    fits = (pixels.dtype == np.uint8 and pixels.shape[2:] in ((), (3,))) or (
        pixels.dtype == np.uint16 and pixels.ndim == 2
    )
    if path.suffix.lower() != ".png" or not fits:
        raise UsageError(
            f"{path.name}: {pixels.dtype} pixels of shape {pixels.shape}",
            "a .png of 8-bit grey or RGB or 16-bit grey, or a .tif",
            "write a .tif instead",
        )
    with atomic_path(path) as draft:
        Image.fromarray(np.ascontiguousarray(pixels)).save(draft, format="PNG")

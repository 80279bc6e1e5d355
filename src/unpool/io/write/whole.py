"""Pictures whose pixels are all in memory, written at once in the form of those that are written by bands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.errors import UsageError
from unpool.io.files import atomic_path
from unpool.io.write.band_form import BandForm
from unpool.io.write.png import write_png
from unpool.io.write.tiff import write_tiff


class WholeRows:
    """The rows of an array (rows, columns, channels)."""

    def __init__(self, pixels: NDArray[Any]) -> None:
        self._pixels = pixels

    def read(self, height: int, step: int = 1, channel: int | None = None) -> Iterator[NDArray[Any]]:
        """Yield rows as ``unpool.io.write.band_form.RowSource`` describes."""
        chosen = slice(None) if channel is None else slice(channel, channel + 1)
        thin = self._pixels[::step, ::step, chosen]
        for top in range(0, len(thin), height):
            yield thin[top : top + height]


def write_whole(path: Path, form: BandForm, pixels: NDArray[Any]) -> None:
    """Write a PNG or TIFF atomically; the path's suffix decides.

    Parameters
    ----------
    pixels: (rows, columns) or (rows, columns, channels) in the form's size and dtype.

    Raises
    ------
    UsageError: the suffix cannot hold these pixels.
    RunError: no room, or no right to write.
    """
    require_suffix(path, form, (".png", ".tif", ".tiff"))
    rows = WholeRows(pixels[..., np.newaxis] if pixels.ndim == 2 else pixels)
    with atomic_path(path, pixels.nbytes) as draft:
        (write_png if path.suffix.lower() == ".png" else write_tiff)(draft, form, rows)


def require_suffix(path: Path, form: BandForm, suffixes: tuple[str, ...]) -> None:
    """Raise UsageError where the suffix of a path is none of these, or cannot hold the pixels of a form."""
    suffix = path.suffix.lower()
    fits = (form.dtype == "uint8" and form.channels in (1, 3)) or (form.dtype == "uint16" and form.channels == 1)
    if suffix not in suffixes or (suffix == ".png" and not fits):
        raise UsageError(
            f"{path.name}: {form.dtype} pixels with {form.channels} channels",
            "a .tif, a .zarr, or a .png of 8-bit grey or RGB or 16-bit grey",
            "write a .tif instead",
        )

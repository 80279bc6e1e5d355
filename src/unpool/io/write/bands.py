"""Pictures of any size, written by bands of rows, and taken up again where a process was killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unpool.class_table import ClassTable
from unpool.errors import DataError, UsageError
from unpool.io.files import flush, take_place, writing
from unpool.io.folders import mark_output
from unpool.io.placement import Placement, tiff_placement
from unpool.io.read.bitmaps import bitmap_header
from unpool.io.read.formats import is_tiff, opened
from unpool.io.read.raster import decoding
from unpool.io.read.tiff import tiff_picture
from unpool.io.read.windows import PictureFile, open_picture
from unpool.io.read.zarr import is_zarr
from unpool.io.write.band_form import BandForm
from unpool.io.write.masks import written_form
from unpool.io.write.png import write_png
from unpool.io.write.tiff import write_tiff
from unpool.io.write.unfinished import UnfinishedBands
from unpool.io.write.zarr import write_zarr

PNG_SIDE = 30_000
"""Rows or columns above which a mask is written as a TIFF: few programs open larger PNGs, and none by windows."""


class BandWriter:
    """A picture that is being written, see ``open_band_writer``. ``done`` rows are there already."""

    def __init__(self, path: Path, form: BandForm, part: UnfinishedBands, stored: NDArray[Any] | None) -> None:
        self.path, self.form = path, form
        self._part = part
        self._stored = stored

    @property
    def done(self) -> int:
        """Rows that are on the disk; the next band begins there."""
        return self._part.done

    @property
    def displaced(self) -> bool:
        """Whether rows of another form or key were found, and thrown away."""
        return self._part.displaced

    @property
    def left(self) -> Path | None:
        """The folder in which the rows stay if no more are written; None once the file is made."""
        folder = self._part.path.parent
        return folder if folder.exists() else None

    def write(self, band: NDArray[Any]) -> None:
        """Put the next rows on the disk, whole width. They survive whatever happens afterwards.

        Parameters
        ----------
        band: (rows, columns) or (rows, columns, channels) in the form's dtype; class ids for a mask.

        Raises
        ------
        RunError: no room, or no rights to write.
        UsageError: a band of another width or type, or more rows than the picture has.
        """
        if self._stored is not None:
            band = self._stored[band]
        pixels = band[..., np.newaxis] if band.ndim == 2 else band
        form = self.form
        if pixels.shape[1:] != (form.columns, form.channels) or self.done + len(pixels) > form.rows:
            raise self._wrong(f"a band of shape {band.shape} after {self.done:,} rows")
        if pixels.dtype != np.dtype(form.dtype):
            raise self._wrong(f"a band of type {pixels.dtype}")
        with writing(self.path, pixels.nbytes):
            self._part.add(pixels)

    def finish(self) -> None:
        """Make the file from its bands, put it in its place and remove them.

        Raises
        ------
        RunError: no room, or no rights to write.
        UsageError: rows are missing.
        """
        if self.done != self.form.rows:
            raise self._wrong(f"{self.done:,} rows")
        draft = self._part.path.with_name(f"draft{self.path.suffix}")
        with writing(self.path):
            _WRITERS[self.path.suffix.lower()](draft, self.form, self._part)
            _take_place(draft, self.path)
            self._part.close()
            shutil.rmtree(self._part.path.parent)

    def _wrong(self, found: str) -> UsageError:
        form = self.form
        expected = f"{form.rows:,} rows of {form.columns:,} columns with {form.channels} channels of {form.dtype}"
        return UsageError(
            f"{self.path.name}: {found}", expected, "write bands of full width from the top to the bottom"
        )


@contextmanager
def open_band_writer(path: Path, form: BandForm, key: str = "") -> Iterator[BandWriter]:
    """Begin to write a picture by bands, or go on where it was left.

    Bands are kept in the folder ``<name>.part`` beside ``path`` until ``finish`` makes the file from them; left
    without it, by an error or a kill, the folder stays and the next call with the same form and key goes on. Its
    cost on the disk is a few per cent of the pixels for class ids, and all of them for floating point, until the file
    is there. What is in it is checked by checksums; a torn band is done again. Memory: one band, or one row of tiles.

    Parameters
    ----------
    path: .png (uint8 with 1 or 3 channels, uint16 with 1), .tif (everything) or .zarr.
    key: what the pixels depend on, such as a hash of model and picture; bands of another key are thrown away.

    Raises
    ------
    RunError: no room, no rights to write, or another process is writing this picture.
    UsageError: the suffix cannot hold these pixels.
    """
    with _opened(path, form, key, None) as writer:
        yield writer


@contextmanager
def open_mask_writer(
    path: Path, size: tuple[int, int], table: ClassTable, placement: Placement | None = None, key: str = ""
) -> Iterator[BandWriter]:
    """``open_band_writer`` for class ids (rows, columns): the file holds what ``write_mask`` would write.

    Raises
    ------
    RunError, UsageError: as ``open_band_writer`` and ``write_mask``.
    """
    stored, palette = written_form(table)
    form = BandForm(*size, dtype=stored.dtype.name, palette=palette, placement=placement or Placement())
    with _opened(path, form, key, stored) as writer:
        yield writer


def mask_suffix(picture: PictureFile) -> str:
    """The suffix that a prediction of a picture should have.

    ``.zarr`` for a Zarr folder; ``.tif`` where the picture is a tiled TIFF, has smaller copies or a place on the
    earth, or is longer than 30,000 pixels; else ``.png``.
    """
    return _suffix(max(picture.shape[:2]), picture.placement)


def suffix_of(path: Path) -> str:
    """``mask_suffix`` by what the file says of itself, without decoding it; ``.png`` where it cannot be read."""
    size, placement = _said(path)
    return _suffix(max(size), placement)


def size_of(path: Path) -> tuple[int, int]:
    """Rows and columns by what the file says of itself, without decoding it; 0 where it cannot be read."""
    return _said(path)[0]


def _said(path: Path) -> tuple[tuple[int, int], Placement]:
    try:
        if is_zarr(path):
            with open_picture(path) as picture:
                return picture.shape[:2], picture.placement
        with opened(path) as file:
            if not is_tiff(file, path):
                header, placement = bitmap_header(file, path), Placement()
            else:
                with decoding(path), tifffile.TiffFile(file, name=str(path)) as tiff:
                    found = tiff_picture(tiff, path)
                    header, placement = found.header, tiff_placement(tiff, found.series)
    except DataError:
        return (0, 0), Placement()
    return (header.rows, header.columns), placement


def _suffix(longest: int, placement: Placement) -> str:
    if placement.zarr:
        return ".zarr"
    windows = longest > PNG_SIDE or placement.tiled or placement.levels or placement.geography
    return ".tif" if windows else ".png"


_WRITERS = {".png": write_png, ".tif": write_tiff, ".tiff": write_tiff, ".zarr": write_zarr}


@contextmanager
def _opened(path: Path, form: BandForm, key: str, stored: NDArray[Any] | None) -> Iterator[BandWriter]:
    _check_suffix(path, form)
    folder = path.with_name(path.name + ".part")
    mark_output(folder)
    with writing(path):
        part = UnfinishedBands(folder / "bands", (form.rows, form.columns, form.channels), np.dtype(form.dtype), key)
    try:
        yield BandWriter(path, form, part, stored)
    finally:
        part.close()


def _check_suffix(path: Path, form: BandForm) -> None:
    suffix = path.suffix.lower()
    fits = (form.dtype == "uint8" and form.channels in (1, 3)) or (form.dtype == "uint16" and form.channels == 1)
    if suffix not in _WRITERS or (suffix == ".png" and not fits):
        raise UsageError(
            f"{path.name}: {form.dtype} pixels with {form.channels} channels",
            "a .tif, a .zarr, or a .png of 8-bit grey or RGB or 16-bit grey",
            "write a .tif instead",
        )


def _take_place(draft: Path, path: Path) -> None:
    """Swap a file or folder in. A folder cannot replace another, so that one is moved away first."""
    if not draft.is_dir():
        flush(draft)
    elif path.exists():
        path.replace(draft.with_name(f"old{path.suffix}"))
    take_place(draft, path)

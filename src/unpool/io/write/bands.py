"""Pictures of any size, written by bands of rows. After a kill, writing continues at the first missing row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import ClassTable
from unpool.errors import UsageError
from unpool.io.files import flush_to_disk, put_in_place, writing
from unpool.io.placement import Placement
from unpool.io.write.band_form import BandForm
from unpool.io.write.masks import in_single_values, written_form
from unpool.io.write.part_folder import own_names, part_folder, remove_part_folder
from unpool.io.write.png import write_png
from unpool.io.write.tiff import write_tiff
from unpool.io.write.unfinished import UnfinishedPicture
from unpool.io.write.whole import require_suffix
from unpool.io.write.zarr import write_zarr
from unpool.shapes import Size


class BandWriter(UnfinishedPicture):
    """A picture that is being written; ``open_band_writer`` and ``open_mask_writer`` make one."""

    def __init__(self, path: Path, form: BandForm, key: str, values: NDArray[Any] | None) -> None:
        require_suffix(path, form, tuple(_WRITERS))
        super().__init__(path, (form.rows, form.columns, form.channels), form.dtype, key)
        self.form = form
        self._values = values  # the stored value of each label; None where bands have stored values

    def write(self, band: NDArray[Any]) -> None:
        """Put the next rows on the disk. They survive an error or a kill.

        Parameters
        ----------
        band: (rows, columns) or (rows, columns, channels) of full width in the form's dtype; class ids for a mask.

        Raises
        ------
        RunError: no room, or no right to write.
        UsageError: a band of another width or type, or more rows than the picture has.
        """
        if self._values is not None:
            band = self._values[band]
        pixels = band[..., np.newaxis] if band.ndim == 2 else band
        form = self.form
        if pixels.shape[1:] != (form.columns, form.channels) or self.done + len(pixels) > form.rows:
            raise self._wrong(f"a band of shape {band.shape} after {self.done:,} rows")
        if pixels.dtype != np.dtype(form.dtype):
            raise self._wrong(f"a band of type {pixels.dtype}")
        super().write(pixels)

    def finish(self) -> None:
        """Make the file from its bands, put it in its place and remove the bands: half a minute for 400 megapixels.

        Raises
        ------
        RunError: no room, or no right to write.
        UsageError: rows are missing.
        """
        if self.done != self.form.rows:
            raise self._wrong(f"{self.done:,} rows")
        _, draft, old = (part_folder(self.path) / name for name in own_names(self.path))
        with writing(self.path):
            _WRITERS[self.path.suffix.lower()](draft, self.form, self._bands)
            _put_in_place(draft, self.path, old)
            self._bands.close()
            remove_part_folder(self.path)

    def _wrong(self, found: str) -> UsageError:
        form = self.form
        expected = f"{form.rows:,} rows of {form.columns:,} columns with {form.channels} channels of {form.dtype}"
        return UsageError(
            f"{self.path.name}: {found}", expected, "write bands of full width from the top to the bottom"
        )


@contextmanager
def open_band_writer(path: Path, form: BandForm, key: str = "") -> Iterator[BandWriter]:
    """Begin to write a picture by bands, or continue where an earlier writer stopped.

    Bands are kept in the folder ``<name>.part`` beside ``path`` until ``finish`` makes the file from them. After an
    error or a kill the folder stays if it has rows, and the next call with the same form and key continues. It takes a
    few per cent of the bytes of the pixels for class ids, and all of them for floating point. Checksums find torn
    bands, which are written again. Memory: one band, or one row of tiles.

    Parameters
    ----------
    path: .png (uint8 with 1 or 3 channels, uint16 with 1), .tif (all forms) or .zarr.
    key: a text that changes with the pixels, such as a hash of model and picture; bands of another key are deleted.

    Raises
    ------
    RunError: no room, no right to write, or another process is writing this picture.
    UsageError: the suffix cannot hold these pixels, or somebody else made the folder ``<name>.part``.
    """
    with closing(BandWriter(path, form, key, None)) as writer:
        yield writer


@contextmanager
def open_mask_writer(
    path: Path, size: Size, table: ClassTable, placement: Placement | None = None, key: str = ""
) -> Iterator[BandWriter]:
    """Begin to write a mask by bands of labels, or continue where an earlier writer stopped.

    The file holds the values that ``unpool.io.write.masks.write_mask`` would write. Where the picture may lack data,
    ``IGNORE_ID`` has a value of its own, which a TIFF declares as missing data. A Zarr folder has single
    values, and colours beside them. ``open_band_writer`` describes bands and ``key``.

    Parameters
    ----------
    size: rows and columns.

    Raises
    ------
    RunError: no room, no right to write, or another process is writing this picture.
    UsageError: the suffix cannot hold these pixels, or a class has a value above 65535.
    """
    placement = placement or Placement()
    if path.suffix.lower() == ".zarr":
        table = in_single_values(table)
    written = written_form(table, missing=placement.may_lack_data)
    form = replace(written.band_form(*size), placement=placement)
    with closing(BandWriter(path, form, key, written.values)) as writer:
        yield writer


_WRITERS = {".png": write_png, ".tif": write_tiff, ".tiff": write_tiff, ".zarr": write_zarr}


def _put_in_place(draft: Path, path: Path, old: Path) -> None:
    """Replace ``path`` by a draft, a file or a folder. A folder cannot replace another, which is moved to ``old``."""
    if not draft.is_dir():
        flush_to_disk(draft)
    elif path.exists():
        path.replace(old)
    put_in_place(draft, path)

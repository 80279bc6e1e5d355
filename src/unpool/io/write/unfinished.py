"""The bands of a picture that is not finished, in one file to which records are only added.

The first line is JSON: shape, pixel type and key. In each record its rows, size and checksum come before the
data: the sizes of the channels, then the channels one after the other, so that one of them can be read without the
others. A kill during a write leaves a record whose checksum does not match; its rows are written again.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError, RunError
from unpool.io.files import writing
from unpool.io.locks import lock
from unpool.io.write.part_folder import open_part_folder, own_names, part_folder, remove_part_folder

RECORD = struct.Struct(">IQI")
"""The head of a record: rows, bytes of data, and CRC-32 of the data with the number of rows as its start value."""

RECORD_BYTES = 1 << 25
"""Bytes of pixels in one record, about; bands with more are cut."""


class Band(NamedTuple):
    """A record: its rows, the place of its first channel in the file, and the bytes of each channel."""

    rows: int
    start: int
    sizes: tuple[int, ...]

    @property
    def end(self) -> int:
        """The place behind its last channel."""
        return self.start + sum(self.sizes)


class UnfinishedBands:
    """The rows 0 to ``done`` of a picture (rows, columns, channels).

    Whole numbers are deflated fast, class ids to about a hundredth of their bytes; floating point is stored as it is.

    Parameters
    ----------
    key: a text that changes with the pixels; rows of another key, shape or type are deleted.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], key: str) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self.started_over = False  # whether rows of another key, shape or type were there and are deleted
        self._row = shape[1] * shape[2] * dtype.itemsize
        self._sizes = struct.Struct(f">{shape[2]}Q")
        self._effort = 1 if dtype.kind == "u" else 0
        self._file: BinaryIO = path.open("ab+")
        try:
            _lock(self._file, path)
            self._bands = self._recovered(_title(shape, dtype, key))
        except BaseException:
            self._file.close()
            raise

    @property
    def done(self) -> int:
        """Number of rows in the file."""
        return sum(band.rows for band in self._bands)

    def add(self, pixels: NDArray[Any]) -> None:
        """Put the next rows on the disk, (rows, columns, channels)."""
        height = max(1, RECORD_BYTES // self._row)
        for top in range(0, len(pixels), height):
            rows = pixels[top : top + height]
            planes = [zlib.compress(plane, self._effort) for plane in map(np.ndarray.tobytes, np.moveaxis(rows, 2, 0))]
            sizes = tuple(map(len, planes))
            data = self._sizes.pack(*sizes) + b"".join(planes)
            start = self._file.seek(0, os.SEEK_END) + RECORD.size + self._sizes.size
            self._file.write(RECORD.pack(len(rows), len(data), _check(len(rows), data)) + data)
            self._bands.append(Band(len(rows), start, sizes))
        self._file.flush()
        os.fsync(self._file.fileno())

    def read(self, height: int, step: int = 1, channel: int | None = None) -> Iterator[NDArray[Any]]:
        """Yield rows as ``unpool.io.write.band_form.RowSource`` describes."""
        channels = range(self.shape[2]) if channel is None else (channel,)
        waiting: list[NDArray[Any]] = []
        top = count = 0
        for band in self._bands:
            thin = self._read(band, channels)[-top % step :: step, ::step]
            if step > 1:
                thin = thin.copy()  # a view would keep all bands in memory until ``height`` rows are there
            top += band.rows
            while len(thin):
                rows, thin = thin[: height - count], thin[height - count :]
                waiting.append(rows)
                count += len(rows)
                if count == height:
                    yield np.concatenate(waiting)
                    waiting, count = [], 0
        if waiting:
            yield np.concatenate(waiting)

    def close(self) -> None:
        """Close the file; its rows stay."""
        self._file.close()

    def _recovered(self, title: bytes) -> list[Band]:
        """Return the complete records, and cut off what follows them; cut off all where the title is another."""
        self._file.seek(0)
        bands: list[Band] = []
        head = self._file.read(len(title))
        self.started_over = not title.startswith(head)  # a torn title counts as an empty file
        end = len(title) if head == title else 0
        if end:
            bands = self._complete_records()
            end = bands[-1].end if bands else end
        self._file.truncate(end)
        if not end:
            self._file.write(title)
        return bands

    def _complete_records(self) -> list[Band]:
        bands: list[Band] = []
        rows = 0
        while len(head := self._file.read(RECORD.size)) == RECORD.size:
            count, size, check = RECORD.unpack(head)
            start = self._file.tell()
            rows += count
            # deflated data are at most a little larger than the pixels, so this reads no more than one band
            extra = 1024 + (64 + 8) * self.shape[2]
            if not 0 < count <= rows <= self.shape[0] or size > count * self._row * 1.01 + extra:
                break
            data = self._file.read(size)
            if len(data) != size or _check(count, data) != check or size < self._sizes.size:
                break
            sizes = self._sizes.unpack_from(data)
            if sum(sizes) + self._sizes.size != size:
                break
            bands.append(Band(count, start + self._sizes.size, sizes))
        return bands

    def _read(self, band: Band, channels: Sequence[int]) -> NDArray[Any]:
        """Return some channels of a record, (rows, columns, channels)."""
        size = band.rows * self._row // self.shape[2]
        planes = []
        for channel in channels:
            self._file.seek(band.start + sum(band.sizes[:channel]))
            plane = zlib.decompressobj().decompress(self._file.read(band.sizes[channel]), size)
            if len(plane) != size:
                raise DataError(
                    f"{self.path}: a damaged band", "rows as they were written", "delete it and predict again"
                )
            planes.append(np.frombuffer(plane, self.dtype).reshape(band.rows, self.shape[1]))
        return planes[0][..., np.newaxis] if len(planes) == 1 else np.stack(planes, axis=2)


class UnfinishedPicture:
    """The rows of a picture file that is being written, in the folder of its unfinished files.

    Parameters
    ----------
    path: of the picture file.
    shape: rows, columns and channels of what is kept.
    key: a text that changes with the pixels; rows of another key, shape or type are deleted. None deletes all.

    Raises
    ------
    RunError, UsageError: see ``unpool.io.write.bands.open_band_writer``.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: str, key: str | None) -> None:
        self.path = path
        file = open_part_folder(path) / own_names(path)[0]
        with writing(path):
            if key is None:
                file.unlink(missing_ok=True)
            self._bands = UnfinishedBands(file, shape, np.dtype(dtype), key or "")
        self._dropped = False

    @property
    def done(self) -> int:
        """Number of rows that are on the disk; the next band begins there."""
        return self._bands.done

    @property
    def started_over(self) -> bool:
        """Whether rows of another form or key were there and are deleted."""
        return self._bands.started_over

    @property
    def unfinished_folder(self) -> Path | None:
        """The folder that keeps the rows until the file is made; None afterwards."""
        return part_folder(self.path) if self._bands.path.exists() else None

    def drop(self) -> None:
        """Remove the rows when the writer is closed, because nobody will continue."""
        self._dropped = True

    def write(self, band: NDArray[Any]) -> None:
        """Put the next rows (rows, columns, channels) on the disk. They survive an error or a kill. Raises RunError."""
        with writing(self.path, band.nbytes):
            self._bands.add(band)

    def close(self) -> None:
        """Close the rows; they stay for a later writer unless there are none, or somebody dropped them."""
        self._bands.close()
        if self._dropped or not self._bands.done:
            remove_part_folder(self.path)


def _title(shape: tuple[int, int, int], dtype: np.dtype[Any], key: str) -> bytes:
    facts = {"unpool bands": 2, "shape": shape, "dtype": dtype.str, "key": key}
    return json.dumps(facts).encode() + b"\n"


def _check(rows: int, data: bytes) -> int:
    return zlib.crc32(data, rows)


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        lock(file.fileno(), wait=False)
    except BlockingIOError as error:
        raise RunError(
            f"{path}: another process is writing it", "one process for each picture", "wait until it ends, or stop it"
        ) from error

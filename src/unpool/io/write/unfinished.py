"""Bands of a picture that is not finished: a file that is only added to, and tells a torn end from a whole one.

One line of JSON says what the bands are of; then each record has its rows, its size and a checksum before its data.
What was killed while it wrote leaves a record that does not match, and its rows are done again.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError, RunError

RECORD = struct.Struct(">IQI")
"""Rows, bytes of data, CRC-32 of the data begun with that of the rows."""

RECORD_BYTES = 1 << 25
"""About how many bytes of pixels one record holds; higher bands are cut."""


class Band(NamedTuple):
    """A record: its rows, where its data begin and how many bytes they are."""

    rows: int
    start: int
    size: int


class UnfinishedBands:
    """Finished bands, rows 0 to ``done``, of pixels (rows, columns, channels).

    Class ids are deflated fast, which makes them about a hundredth; floating point is stored as it is.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], key: str) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self.displaced = False  # bands of another form or key were found, and cut off
        self._row = shape[1] * shape[2] * dtype.itemsize
        self._file: BinaryIO = path.open("ab+")
        try:
            _lock(self._file, path)
            self._bands = self._taken_up(_title(shape, dtype, key))
        except BaseException:
            self._file.close()
            raise

    @property
    def done(self) -> int:
        """Rows that are there."""
        return sum(band.rows for band in self._bands)

    def add(self, pixels: NDArray[Any]) -> None:
        """Put the next rows on the disk, (rows, columns, channels)."""
        height = max(1, RECORD_BYTES // self._row)
        for top in range(0, len(pixels), height):
            rows = np.ascontiguousarray(pixels[top : top + height])
            data = zlib.compress(rows.data, 1 if self.dtype.kind == "u" else 0)
            start = self._file.seek(0, os.SEEK_END) + RECORD.size
            self._file.write(RECORD.pack(len(rows), len(data), _check(len(rows), data)) + data)
            self._bands.append(Band(len(rows), start, len(data)))
        self._file.flush()
        os.fsync(self._file.fileno())

    def bands(self, height: int, step: int = 1) -> Iterator[NDArray[Any]]:
        """All rows from the top, ``height`` at a time (the last are fewer), of every ``step``-th row and column."""
        waiting: list[NDArray[Any]] = []
        top = count = 0
        for band in self._bands:
            thin = self._read(band)[-top % step :: step, ::step]
            if step > 1:
                thin = thin.copy()  # a view would keep the whole band while rows of many are waited for
            top += band.rows
            while len(thin):
                taken, thin = thin[: height - count], thin[height - count :]
                waiting.append(taken)
                count += len(taken)
                if count == height:
                    yield np.concatenate(waiting)
                    waiting, count = [], 0
        if waiting:
            yield np.concatenate(waiting)

    def close(self) -> None:
        """Close the file; what is there stays."""
        self._file.close()

    def _taken_up(self, title: bytes) -> list[Band]:
        """The records that are whole; what follows them, or a file about something else, is cut off."""
        self._file.seek(0)
        bands: list[Band] = []
        found = self._file.read(len(title))
        self.displaced = not title.startswith(found)  # a torn title is nobody's
        end = len(title) if found == title else 0
        if end:
            bands = self._whole_records()
            end = bands[-1].start + bands[-1].size if bands else end
        self._file.truncate(end)
        if not end:
            self._file.write(title)
        return bands

    def _whole_records(self) -> list[Band]:
        bands: list[Band] = []
        rows = 0
        while len(head := self._file.read(RECORD.size)) == RECORD.size:
            count, size, check = RECORD.unpack(head)
            start = self._file.tell()
            rows += count
            # deflated data never are more than a little larger than the pixels, so this reads no more than a band
            if not 0 < count <= rows <= self.shape[0] or size > count * self._row * 1.01 + 1024:
                break
            data = self._file.read(size)
            if len(data) != size or _check(count, data) != check:
                break
            bands.append(Band(count, start, size))
        return bands

    def _read(self, band: Band) -> NDArray[Any]:
        self._file.seek(band.start)
        pixels = zlib.decompressobj().decompress(self._file.read(band.size), band.rows * self._row)
        if len(pixels) != band.rows * self._row:
            raise DataError(f"{self.path}: a damaged band", "what was written before", "delete it and predict again")
        return np.frombuffer(pixels, self.dtype).reshape(band.rows, *self.shape[1:])


def _title(shape: tuple[int, int, int], dtype: np.dtype[Any], key: str) -> bytes:
    facts = {"unpool bands": 1, "shape": shape, "dtype": dtype.str, "key": key}
    return json.dumps(facts).encode() + b"\n"


def _check(rows: int, data: bytes) -> int:
    return zlib.crc32(data, rows)


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep a second process away, where the system can; the lock ends with the process."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(
            f"{path}: another process is writing it", "one process for each picture", "wait for it, or end it"
        ) from error
    except OSError:
        return  # a file system without locks

"""The directories of a TIFF, which describe its pages: checked against the file before a library believes them.

A directory states where others are, and how many numbers a tag has. A few bytes can so announce an endless chain, or
tables of billions of entries. Here each directory is visited once and no table is read.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from unpool.errors import DataError
from unpool.io.read.raster import broken
from unpool.wording import bytes_text

MAX_DIRECTORIES = 10_000
"""The most pages, their smaller copies included. One picture has a few; a stack of more is refused all the same."""

MAX_NUMBERS = 10_000_000
"""The most places and sizes of strips and tiles in all directories. Each takes about 40 bytes of memory."""

MAX_TAGS = 4096
"""The most tags of a directory."""

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by the number of its type (TIFF 6.0, and BigTIFF's 16 to 18)."""

_WHOLE = frozenset({1, 3, 4, 13, 16, 18})
"""The types of whole numbers from 0."""

_SUBDIRECTORIES = 330
_STRUCTURE = {
    **{256: "width", 257: "length", 258: "bits per sample", 259: "compression", 273: "strip offsets"},
    **{277: "samples per pixel", 278: "rows per strip", 279: "strip byte counts", 284: "planar configuration"},
    **{317: "predictor", 322: "tile width", 323: "tile length", 324: "tile offsets", 325: "tile byte counts"},
    **{262: "photometric interpretation", 266: "fill order", _SUBDIRECTORIES: "subdirectories", 339: "sample format"},
    **{32997: "depth", 32998: "tile depth"},
}
"""Tags without which pixels cannot be found or decoded. The others describe the picture, and may be odd."""

_MANY = frozenset({258, 273, 278, 279, 324, 325, _SUBDIRECTORIES, 339})
"""Those of them that may hold more than one number. Some programs list the rows of each strip."""


@dataclass(frozen=True)
class _Form:
    """The form of all directories of a file: classic TIFF, or BigTIFF.

    Attributes
    ----------
    order: ``<`` or ``>``.
    count, offset: the format of the number of tags, and of an offset.
    tag: the format of a tag; its value, or the place of it, comes last.
    """

    order: str
    count: str
    offset: str
    tag: str


@dataclass(frozen=True)
class _Tag:
    code: int
    kind: int
    count: int
    value: bytes

    @property
    def bytes(self) -> int:
        return self.count * _TYPE_BYTES.get(self.kind, 0)


class OneFile(io.RawIOBase):
    """A file that is read alone: it has no descriptor and no folder, so a library opens none of the files beside it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes; take no memory for those that the file does not have."""
        left = max(0, self.size - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))

    def readinto(self, buffer: Any, /) -> int:  # noqa: D102
        return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:  # noqa: D102
        return self._file.seek(offset, whence)

    def tell(self) -> int:  # noqa: D102
        return self._file.tell()

    def seekable(self) -> bool:  # noqa: D102
        return True


def check_directories(file: OneFile, path: Path) -> None:
    """Visit all directories of a TIFF. Raises DataError where they cannot be believed."""
    form, first = _form(file)
    waiting, visited = [(first, True)], set[int]()
    numbers = values = 0
    while waiting:
        place, chained = waiting.pop()
        if place in visited:
            raise broken(path, f"its directory at byte {place} leads to itself")
        visited.add(place)
        if len(visited) > MAX_DIRECTORIES:
            raise DataError(
                f"{path}: more than {MAX_DIRECTORIES:,} pages",
                "one picture in each file",
                "save each page as a picture of its own",
            )
        tags, after = _directory(file, form, place, path)
        for tag in tags:
            _check_tag(tag, form, file.size, path)
        numbers += sum(tag.count for tag in tags if tag.code in _STRUCTURE)
        values += sum(tag.bytes for tag in tags if tag.bytes <= file.size)
        _check_sums(numbers, values, file.size, path)
        waiting += [(place, False) for tag in tags for place in _subdirectories(tag, form, file)]
        if chained and after:
            waiting.append((after, True))
    file.seek(0)


def _form(file: OneFile) -> tuple[_Form, int]:
    """Read the start of a TIFF: the form of its directories, and the place of the first."""
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}[start[:2]]
    big = struct.unpack_from(order + "H", start, 2)[0] == 43
    form = _Form(order, "Q", "Q", "HHQ8s") if big else _Form(order, "H", "I", "HHI4s")
    return form, int(struct.unpack_from(order + form.offset, start, 8 if big else 4)[0])


def _directory(file: OneFile, form: _Form, place: int, path: Path) -> tuple[list[_Tag], int]:
    """Read the tags of a directory, and the place of the next one in its chain."""
    if place >= file.size:
        raise broken(path, "the file is cut off")
    file.seek(place)
    head = file.read(struct.calcsize(form.count))
    count = int.from_bytes(head, "little" if form.order == "<" else "big")
    if count > MAX_TAGS:
        raise broken(path, f"{count} tags in its directory at byte {place}")
    size = struct.calcsize(form.order + form.tag)
    data = file.read(count * size)
    if len(data) != count * size:
        raise broken(path, "the file is cut off")
    tags = [_Tag(*tag) for tag in struct.iter_unpack(form.order + form.tag, data)]
    after = file.read(struct.calcsize(form.offset))
    return tags, int.from_bytes(after, "little" if form.order == "<" else "big")


def _check_tag(tag: _Tag, form: _Form, size: int, path: Path) -> None:
    """Raise DataError where a tag that leads to the pixels has no whole numbers, or lies outside the file."""
    name = _STRUCTURE.get(tag.code)
    if name is None:
        return
    if tag.kind not in _WHOLE or not tag.count:
        raise broken(path, f"its tag {tag.code} ({name}) holds no whole numbers from 0")
    if tag.count > 1 and tag.code not in _MANY:
        raise broken(path, f"its tag {tag.code} ({name}) holds {tag.count:,} numbers")
    place = 0 if tag.bytes <= len(tag.value) else struct.unpack(form.order + form.offset, tag.value)[0]
    if place + tag.bytes > size:
        raise broken(path, f"its tag {tag.code} ({name}) lies outside the file")


def _check_sums(numbers: int, values: int, size: int, path: Path) -> None:
    if numbers > MAX_NUMBERS:
        raise DataError(
            f"{path}: tables of {numbers:,} numbers",
            f"at most {MAX_NUMBERS:,} strips and tiles",
            "save it with tiles of 512 x 512",
        )
    if values > 2 * size + (1 << 20):
        raise broken(path, f"its directories announce {bytes_text(values)}, and it has {bytes_text(size)}")


def _subdirectories(tag: _Tag, form: _Form, file: OneFile) -> list[int]:
    """Return the places of the directories that a tag lists: smaller copies of a page."""
    if tag.code != _SUBDIRECTORIES:
        return []
    value = tag.value
    if tag.bytes > len(value):
        file.seek(struct.unpack(form.order + form.offset, value)[0])
        value = file.read(tag.bytes)
    letter = {1: "B", 2: "H", 4: "I", 8: "Q"}[_TYPE_BYTES[tag.kind]]
    count = min(tag.count, MAX_DIRECTORIES + 1)
    return [place for place in struct.unpack_from(f"{form.order}{count}{letter}", value) if place]

"""Portable anymaps: PBM, PGM and PPM (netpbm's P1 to P6), whose numbers stay as they are stored.

Pillow stretches them to 0 to 255, which would change the class values of a mask.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.io.read.raster import Header, Raster, broken, check_size, decoding
from unpool.wording import count_text

PNM_MARKS = tuple(b"P%d" % kind for kind in range(1, 7))
"""The first bytes of a file, which a gap follows."""

HEAD = 1 << 16
"""Bytes from the start in which the head of a file must end, with its comments."""

MOST_WORDS = 1 << 24
"""The most numbers of a file that writes them as text: each takes some 60 bytes of memory while it is read."""

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER = _GAP + rb"(\d{1,9})"
_TWO, _THREE = re.compile(rb"P[14]" + 2 * _NUMBER + rb"\s"), re.compile(rb"P[2356]" + 3 * _NUMBER + rb"\s")
_COMMENT = re.compile(rb"#[^\r\n]*")


class _Head(NamedTuple):
    """What the head of a file states.

    Attributes
    ----------
    kind: 1 to 3 for text, 4 to 6 for bytes; 1 and 4 are bits, 2 and 5 greys, 3 and 6 colours.
    most: the largest value.
    start: the place of the first byte of the pixels.
    """

    kind: int
    header: Header
    most: int
    start: int


def is_pnm(start: bytes) -> bool:
    """Return whether a file begins as a portable anymap: with its mark, and a gap or a comment."""
    return start[:2] in PNM_MARKS and (start[2:3].isspace() or start[2:3] == b"#")


def pnm_header(file: BinaryIO, path: Path) -> Header:
    """Read the header of a portable anymap. Raises DataError."""
    with decoding(path):
        return _head(file, path).header


def pnm_raster(file: BinaryIO, path: Path) -> Raster:
    """Decode a portable anymap. Raises DataError where it is broken, too large, or holds several pictures."""
    with decoding(path):
        head = _head(file, path)
        check_size(path, head.header)
        file.seek(head.start)
        pixels = _words(file, path, head) if head.kind <= 3 else _bytes(file, path, head)
        if pixels.size and head.most not in (255, 65535) and pixels.max() > head.most:
            raise broken(path, f"it holds the value {pixels.max()}, and announces {head.most} as the largest")
        shape = (head.header.rows, head.header.columns, head.header.channels)
        return Raster(head.header, pixels.reshape(shape[: 3 if shape[2] > 1 else 2]))


def _head(file: BinaryIO, path: Path) -> _Head:
    file.seek(0)
    start = file.read(HEAD)
    kind = int(start[1:2])
    found = (_TWO if kind in (1, 4) else _THREE).match(start)
    if found is None:
        raise broken(path, "its head states no size")
    columns, rows, most = (int(number) for number in (*found.groups(), b"1")[:3])
    if not 0 < most <= 65535:
        raise broken(path, f"its largest value is {most}")
    one_bit, channels = kind in (1, 4), 3 if kind in (3, 6) else 1
    header = Header(
        rows=rows,
        columns=columns,
        channels=channels,
        dtype="bool" if one_bit else "uint8" if most < 256 else "uint16",
        bits=1 if one_bit else 8 if most < 256 else 16,
        form="one-bit" if one_bit else "rgb" if channels == 3 else "grey",
        white_is_zero=one_bit,
    )
    return _Head(kind, header, most, found.end())


def _bytes(file: BinaryIO, path: Path, head: _Head) -> NDArray[np.generic]:
    header = head.header
    stored = np.dtype({"bool": "u1", "uint8": "u1", "uint16": ">u2"}[header.dtype])
    line = -(-header.columns // 8) if head.kind == 4 else header.columns * header.channels * stored.itemsize
    data = file.read(header.rows * line)
    if len(data) != header.rows * line:
        raise broken(path, f"it has {len(data):,} of {header.rows * line:,} bytes of pixels")
    _require_end(file.read(HEAD), path)
    pixels = np.frombuffer(data, stored)
    if head.kind == 4:
        return np.unpackbits(pixels.reshape(header.rows, line), axis=1)[:, : header.columns].astype(np.bool_)
    return pixels.astype(header.dtype)


def _words(file: BinaryIO, path: Path, head: _Head) -> NDArray[np.generic]:
    """Read numbers that are written as text; those of bits need no gaps between them."""
    header = head.header
    count = header.rows * header.columns * header.channels
    if count > MOST_WORDS:
        raise DataError(
            f"{path}: {count_text(count, 'number')} as text",
            f"at most {MOST_WORDS:,} numbers, or a file of bytes (P4, P5 or P6)",
            "save it as a PNG or TIFF",
        )
    text = _COMMENT.sub(b" ", file.read(12 * count + HEAD))
    words = re.findall(rb"\S" if head.kind == 1 else rb"\S+", text)
    if len(words) < count:
        raise broken(path, f"it has {len(words):,} of {count:,} numbers")
    _require_end(b" ".join(words[count : count + 2]), path)
    pixels = np.fromiter(map(int, words[:count]), np.int64, count)
    if pixels.min() < 0 or pixels.max() > head.most:
        raise broken(path, f"numbers from {pixels.min()} to {pixels.max()}, with {head.most} as the largest")
    return pixels.astype(header.dtype)


def _require_end(rest: bytes, path: Path) -> None:
    """Raise DataError where anything but gaps follows the pixels."""
    rest = rest.strip()
    if is_pnm(rest):
        raise DataError(f"{path}: several pictures", "one picture in each file", "save each picture as its own file")
    if rest:
        raise broken(path, f"{len(rest):,} bytes behind its pixels")

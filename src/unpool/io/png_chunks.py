"""The chunks of a PNG file."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

PNG_MARK = b"\x89PNG\r\n\x1a\n"
"""The first bytes of every PNG."""

DEFLATE_RATIO = 1032
"""The most times its size that deflated data can become."""

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel, by PNG colour type."""

_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, and steps down and across, of the seven pictures of which an interlaced PNG is made."""


def read_chunks(file: BinaryIO, *names: bytes) -> dict[bytes, bytes]:
    """Read the contents of the chunks with these names, and step over all others; join the chunks of one name."""
    place = file.tell()
    parts: dict[bytes, list[bytes]] = {}
    for name, start, size in _places(file):
        if name in names:
            file.seek(start)
            parts.setdefault(name, []).append(file.read(size))
    file.seek(place)
    return {name: b"".join(contents) for name, contents in parts.items()}


def chunk_data(file: BinaryIO, name: bytes, length: int = 1 << 20) -> Iterator[bytes]:
    """Yield the contents of all chunks of one name, at most ``length`` bytes at a time; stop where the file ends."""
    for each, start, size in _places(file):
        for place in range(start, start + size, length) if each == name else ():
            file.seek(place)
            yield file.read(min(length, start + size - place))


def stream_bytes(head: bytes) -> int:
    """Return the bytes of a PNG's rows with their filters, which its IDAT chunks inflate to.

    Parameters
    ----------
    head: the contents of the IHDR chunk.
    """
    columns, rows, bits, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", head)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    total = 0
    for top, left, down, across in passes:
        height, width = -(-max(rows - top, 0) // down), -(-max(columns - left, 0) // across)
        total += height * (1 + -(-width * SAMPLES[colour_type] * bits // 8)) if width else 0
    return total


def check_announced(file: BinaryIO, head: bytes) -> None:
    """Raise ValueError where a PNG announces more pixels than its data can hold; it is not decoded."""
    announced = stream_bytes(head)
    stored = sum(size for name, _, size in _places(file) if name == b"IDAT")
    if announced > DEFLATE_RATIO * stored:
        columns, rows = struct.unpack_from(">II", head)
        raise ValueError(f"{rows} x {columns} pixels are announced, which {stored:,} bytes of data cannot hold")


def check_complete(file: BinaryIO, head: bytes) -> None:
    """Raise ValueError where a PNG's data end before its last row. Pillow shows missing rows as black."""
    inflater, missing = zlib.decompressobj(), stream_bytes(head)
    for data in chunk_data(file, b"IDAT"):
        rest = data
        while rest and missing and not inflater.eof:
            missing -= len(inflater.decompress(rest, min(missing, 1 << 20)))
            rest = inflater.unconsumed_tail
    if missing:
        raise ValueError(f"{missing:,} of {stream_bytes(head):,} bytes of pixels are missing")


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk as a file holds it, with its length and checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


def png_head(rows: int, columns: int, bits: int, colour_type: int) -> bytes:
    """Return the first bytes of a PNG without interlacing: its mark and its first chunk."""
    return PNG_MARK + chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, colour_type, 0, 0, 0))


def _places(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start of the contents and the size of each chunk; none is longer than the file."""
    end, place = file.seek(0, os.SEEK_END), len(PNG_MARK)
    file.seek(place)
    while len(start := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", start)
        yield name, place + 8, min(size, end - place - 8)
        place += size + 12
        file.seek(place)

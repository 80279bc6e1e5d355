"""The chunks of a PNG file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

PNG_MARK = b"\x89PNG\r\n\x1a\n"
"""The first bytes of every PNG."""


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


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk as a file holds it, with its length and checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


def png_head(rows: int, columns: int, bits: int, colour_type: int) -> bytes:
    """Return the first bytes of a PNG without interlacing: its mark and its first chunk."""
    return PNG_MARK + chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, colour_type, 0, 0, 0))


def _places(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start of the contents and the size of each chunk."""
    place = len(PNG_MARK)
    file.seek(place)
    while len(start := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", start)
        yield name, place + 8, size
        place += size + 12
        file.seek(place)

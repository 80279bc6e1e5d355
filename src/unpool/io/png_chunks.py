"""The chunks a PNG file is made of."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

PNG_MARK = b"\x89PNG\r\n\x1a\n"


def read_chunks(file: BinaryIO, *names: bytes) -> dict[bytes, bytes]:
    """The contents of chunks of these names, found by stepping over all others; chunks of one name are joined."""
    place = file.tell()
    parts: dict[bytes, list[bytes]] = {}
    for name, start, size in _places(file):
        if name in names:
            file.seek(start)
            parts.setdefault(name, []).append(file.read(size))
    file.seek(place)
    return {name: b"".join(contents) for name, contents in parts.items()}


def chunk_pieces(file: BinaryIO, wanted: bytes, length: int = 1 << 20) -> Iterator[bytes]:
    """The contents of all chunks of one name, in pieces of at most ``length`` bytes; ends where the file does."""
    for name, start, size in _places(file):
        for place in range(start, start + size, length) if name == wanted else ():
            file.seek(place)
            yield file.read(min(length, start + size - place))


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk as it stands in a file, with its length and checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


def png_head(rows: int, columns: int, bits: int, colour_type: int) -> bytes:
    """How a PNG without interlacing begins: the mark and its first chunk."""
    return PNG_MARK + chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, colour_type, 0, 0, 0))


def _places(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the contents and size of each chunk."""
    place = len(PNG_MARK)
    file.seek(place)
    while len(start := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", start)
        yield name, place + 8, size
        place += size + 12
        file.seek(place)

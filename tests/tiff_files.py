"""TIFF files written by hand, tag by tag, so that a test can write what no program would."""

import lzma
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SHORT, LONG, RATIONAL, SIGNED, LONG8 = 3, 4, 5, 9, 16
_FORMATS = {1: "B", 2: "B", SHORT: "H", LONG: "I", 6: "b", 8: "h", SIGNED: "i", 11: "f", 12: "d", LONG8: "Q"}

Tags = Mapping[int, tuple[int, Sequence[Any]]]
"""Tags of a page: the type and the values of each, by code."""


def packed(samples: np.ndarray, bits: int) -> bytes:
    """Pack samples (rows, samples of a row) of 1 to 16 bits; each row begins with a new byte."""
    shifts = np.arange(bits - 1, -1, -1)
    unpacked = (samples[..., None].astype(int) >> shifts & 1).astype(np.uint8)
    return np.packbits(unpacked.reshape(len(samples), -1), axis=1).tobytes()


def pack_bits(data: bytes) -> bytes:
    """Compress with PackBits: runs of 2 to 128 equal bytes, others one by one, and an empty run between them."""
    coded, place = bytearray(), 0
    while place < len(data):
        run = 1
        while run < 128 and data[place + run : place + run + 1] == data[place : place + 1]:
            run += 1
        coded += bytes([257 - run if run > 1 else 0, data[place], 128])
        place += run
    return bytes(coded)


COMPRESSIONS = {1: bytes, 8: zlib.compress, 32773: pack_bits, 32946: zlib.compress, 34925: lzma.compress}
"""Functions that compress a block, by TIFF's number."""


def tiff(path: Path, pages: Sequence[tuple[Tags, Sequence[bytes]]], order: str = "<") -> Path:
    """Write pages, each with its tags and its blocks. Places and sizes of blocks are added where no tag states them."""
    data = bytearray({"<": b"II*\0", ">": b"MM\0*"}[order] + bytes(4))
    link = 4
    for tags, blocks in pages:
        places = []
        for block in blocks:
            places.append(len(data))
            data += block
        tiled = 322 in tags
        defaults = {
            324 if tiled else 273: (LONG, places),
            325 if tiled else 279: (LONG, [len(block) for block in blocks]),
        }
        data += bytes(len(data) % 2)
        struct.pack_into(order + "I", data, link, len(data))
        table = {**defaults, **tags}
        link = len(data) + 2 + 12 * len(table)
        data += _directory(table, len(data), order)
    path.write_bytes(data)
    return path


def _directory(tags: Tags, start: int, order: str) -> bytes:
    entries, values = struct.pack(order + "H", len(tags)), bytearray()
    beyond = start + 2 + 12 * len(tags) + 4
    for code, (kind, numbers) in sorted(tags.items()):
        value = struct.pack(f"{order}{len(numbers)}{_FORMATS[kind]}", *numbers)
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", beyond + len(values))
        values += value if len(value) > 4 else b""
        entries += struct.pack(order + "HHI", code, kind, len(numbers)) + place
    return entries + bytes(4) + values


def grey_tags(rows: int, columns: int, bits: int = 8, **changes: tuple[int, Sequence[Any]]) -> dict[int, Any]:
    """Return the tags of a grey page in one strip. Changes are given as ``t259=(SHORT, [8])``."""
    tags: dict[int, Any] = {
        **{256: (LONG, [columns]), 257: (LONG, [rows]), 258: (SHORT, [bits]), 259: (SHORT, [1]), 262: (SHORT, [1])},
        **{277: (SHORT, [1]), 278: (LONG, [rows])},
    }
    return {**tags, **{int(name[1:]): tag for name, tag in changes.items()}}

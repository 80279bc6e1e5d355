"""Blocks of a TIFF that Pillow decodes with libtiff: each becomes a small TIFF of its own, which has one strip.

So LZW, ZSTD, JPEG and fax codes need no further package, and a window decodes only the blocks that it touches. The
pixels of a block are made room for before it is decoded, and no more of it is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features
from PIL.TiffImagePlugin import TiffImageFile

from unpool.io.read.library_messages import quiet_libtiff
from unpool.shapes import Size

LZW, ZSTD, OLD_ZSTD, JPEG_BLOCKS = 5, 50000, 34926, 7
BYTE_CODES = frozenset({LZW, ZSTD, OLD_ZSTD})
"""The compressions, by TIFF's numbers, that Pillow undoes here to bytes, of any kind of pixels."""

FAX = frozenset({2, 3, 4})
"""The compressions of one bit for a pixel, as fax machines use them (TIFF 6.0, sections 10 and 11)."""

_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_FORMATS = {_SHORT: "H", _LONG: "I", _UNDEFINED: "B"}
_COLOUR_CHANNELS = {0: 1, 1: 1, 2: 3, 5: 4, 6: 3}
"""Channels of a JPEG block by TIFF's number of how samples become colours; others are left to imagecodecs."""

_SAMPLES = {
    LZW: "80000020201c04",
    ZSTD: "28b52ffd200421000000010203",
}
"""A block of the bytes 0, 1, 2, 3 by compression, in hex: it shows whether this build of Pillow has the code."""


def pillow_decodes(frame: Any) -> bool:
    """Return whether Pillow decodes the blocks of a page (of tifffile) here."""
    compression, bits = int(frame.compression), int(frame.bitspersample)
    if not features.check_codec("libtiff"):
        return False
    if compression in BYTE_CODES:
        return _has_code(ZSTD if compression == OLD_ZSTD else compression)
    if compression in FAX:
        return bits == 1 and int(frame.samplesperpixel) == 1 and int(frame.photometric) in (0, 1)
    if compression != JPEG_BLOCKS or bits != 8 or frame.jpegheader is not None:
        return False
    channels, alpha = int(frame.shaped[4]), len(frame.extrasamples)
    return channels == 1 or (alpha < 2 and _COLOUR_CHANNELS.get(int(frame.photometric)) == channels - alpha)


@cache
def _has_code(compression: int) -> bool:
    """Return whether Pillow's libtiff undoes a code; some builds leave ZSTD out."""
    try:
        return bytes_of_block(bytes.fromhex(_SAMPLES[compression]), compression, (1, 4)) == bytes(range(4))
    except (OSError, ValueError):
        return False


def bytes_of_block(data: bytes, compression: int, size: Size) -> bytes:
    """Return the bytes of a block, without the compression.

    Parameters
    ----------
    size: rows of the block, and bytes of a row.

    Raises
    ------
    OSError, ValueError: the data is damaged, or has fewer bytes than that.
    """
    tags = {262: (_SHORT, [1]), 258: (_SHORT, [8]), 277: (_SHORT, [1])}
    return _decoded(data, ZSTD if compression == OLD_ZSTD else compression, size, tags).tobytes()


def picture_of_block(data: bytes, frame: Any, tables: bytes | None, size: Size) -> NDArray[Any]:
    """Return the pixels (rows, columns, channels) of a block that is a JPEG, or is in fax codes.

    Parameters
    ----------
    frame: the page of tifffile.
    tables: the tables that all JPEG blocks of the page have in common.
    size: rows and columns of the block.

    Raises
    ------
    OSError, ValueError: the data is damaged, or has fewer pixels than that.
    """
    channels = int(frame.shaped[4])
    photometric = 1 if channels == 1 else int(frame.photometric)
    tags: dict[int, tuple[int, Sequence[int]]] = {262: (_SHORT, [photometric]), 277: (_SHORT, [channels])}
    if frame.compression in FAX:
        tags[258] = _SHORT, [1]
        for code in (292, 293):  # options of the codes
            if (option := frame.tags.valueof(code)) is not None:
                tags[code] = _LONG, [int(option)]
    else:
        tags[258] = _SHORT, [8] * channels
        if tables:
            tags[347] = _UNDEFINED, tables
        if channels > 1 and len(frame.extrasamples):
            tags[338] = _SHORT, [int(frame.extrasamples[0])]
        if photometric == 6:
            tags[530] = _SHORT, [int(each) for each in frame.subsampling or (2, 2)]
    return _decoded(data, int(frame.compression), size, tags).reshape(*size, channels)


def _decoded(data: bytes, compression: int, size: Size, tags: Mapping[int, tuple[int, Sequence[int]]]) -> NDArray[Any]:
    quiet_libtiff()
    rows, columns = size
    whole = {
        **{256: (_LONG, [columns]), 257: (_LONG, [rows]), 259: (_SHORT, [compression]), 278: (_LONG, [rows])},
        **{273: (_LONG, [0]), 279: (_LONG, [len(data)])},
        **tags,
    }
    with TiffImageFile(BytesIO(_wrapped(data, whole))) as image:
        if image.size != (columns, rows):
            raise ValueError(f"it is a picture of {image.size[1]} x {image.size[0]} pixels")
        image.im = Image.new(image.mode, image.size).im  # Pillow's pixel limit belongs to the program that uses it
        return np.asarray(image)


def _wrapped(data: bytes, tags: Mapping[int, tuple[int, Sequence[int]]]) -> bytes:
    """Return a TIFF of one page and one strip (TIFF 6.0, section 2)."""
    place = 8 + 2 + 12 * len(tags) + 4
    start = place + sum(_padded(kind, values) for kind, values in tags.values())
    entries, beyond = b"", b""
    for code, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{_FORMATS[kind]}", *([start] if code == 273 else values))
        entries += struct.pack("<HHI", code, kind, len(values))
        if len(packed) <= 4:
            entries += packed.ljust(4, b"\0")
        else:
            entries += struct.pack("<I", place + len(beyond))
            beyond += packed + bytes(len(packed) % 2)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + beyond + data


def _padded(kind: int, values: Sequence[int]) -> int:
    """Return the bytes that the values of a tag take behind the directory."""
    size = len(values) * struct.calcsize(_FORMATS[kind])
    return size + size % 2 if size > 4 else 0

"""How the blocks of a TIFF are compressed, and the bytes of a block inflated: never to more than its pixels take."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tifffile import COMPRESSION

from unpool.errors import DataError
from unpool.io.read.pillow_blocks import FAX, pillow_decodes
from unpool.io.read.tiff_samples import makes_samples
from unpool.io.read.webp import webp_size
from unpool.shapes import Size
from unpool.wording import all_of

JPEG = frozenset({6, 7, 33007, 34892})
"""The compressions that are JPEG, by TIFF's numbers."""

_LZMA_MEMORY = 1 << 28
"""The most bytes of LZMA's dictionary; its highest preset takes 64 MiB."""

_BY_PACKAGE = {5: "lzw_decode", 34926: "zstd_decode", 50000: "zstd_decode"}
"""Functions of the optional package imagecodecs that inflate, at most to a number of bytes, where Pillow cannot."""


def check_coding(frame: Any, path: Path) -> None:
    """Raise DataError where the blocks of a page cannot be decoded here. It names the package that is missing.

    Parameters
    ----------
    frame: the page of tifffile.
    """
    compression, bits, predictor = int(frame.compression), int(frame.bitspersample), int(frame.predictor)
    coded = _compression_text(compression)
    if compression not in {1, *_INFLATERS, *_BY_PACKAGE, *_PICTURE_SIZES, *FAX}:
        raise DataError(
            f"{path}: a TIFF {coded}, which is not read",
            "a TIFF without compression, or with deflate, LZW, JPEG or PackBits",
            "save the file uncompressed",
        )
    by_package = compression in {*_BY_PACKAGE, *_PICTURE_SIZES, *FAX} and not pillow_decodes(frame)
    by_samples = compression not in _PICTURE_SIZES and not is_sampled_here(frame)
    needs = [
        *([coded] if by_package else []),
        *([f"with samples of {bits} bits"] if by_samples and bits not in (1, 8, 16, 32, 64) else []),
        *(["with a predictor for floating point"] if by_samples and predictor > 2 else []),
    ]
    if needs and find_spec("imagecodecs") is None:
        raise DataError(
            f"{path}: a TIFF {all_of(needs)}",
            "a TIFF of 8, 16 or 32 bits without compression, or with deflate, LZW, JPEG or PackBits",
            "pip install 'unpool[codecs]', or save the file uncompressed, with 8, 16 or 32 bits",
        )


def _compression_text(compression: int) -> str:
    try:
        return f"compressed as {COMPRESSION(compression).name}"
    except ValueError:
        return f"compressed as number {compression}"


def inflated(data: bytes, compression: int, size: int) -> bytes:
    """Return the bytes of a block, without the compression.

    Parameters
    ----------
    size: bytes of the block's pixels. Some programs write a few more; twice as many are an error.

    Raises
    ------
    ValueError, zlib.error, lzma.LZMAError: the data is damaged, cut off, or larger than its pixels.
    """
    most = 2 * size
    if compression in _INFLATERS:
        plain = _INFLATERS[compression](data, most + 1)
    else:
        import imagecodecs  # noqa: PLC0415 - an optional package, which check_coding has found

        plain = getattr(imagecodecs, _BY_PACKAGE[compression])(data, out=most + 1)
    if len(plain) > most:
        raise ValueError("it inflates to more than its pixels")
    return plain


def is_inflated(compression: int) -> bool:
    """Return whether ``inflated`` undoes a compression; others give pixels, not bytes."""
    return compression in _INFLATERS or compression in _BY_PACKAGE


def is_sampled_here(frame: Any) -> bool:
    """Return whether the samples of a page (of tifffile) are made here from its bytes, not by tifffile."""
    return makes_samples(frame) and (frame.compression == 1 or is_inflated(frame.compression))


def check_coded_size(data: bytes, compression: int, block: Size) -> None:
    """Raise ValueError where a block that is a picture of its own, such as a JPEG, has more pixels than its place."""
    if compression in _PICTURE_SIZES:
        rows, columns = _PICTURE_SIZES[compression](data)
        if rows * columns > 2 * block[0] * block[1]:
            raise ValueError(f"it is a picture of {rows} x {columns} pixels")


def require_jpeg_end(data: bytes) -> None:
    """Raise ValueError where the data of a JPEG is cut off: a decoder would paint the rest grey."""
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise ValueError("its JPEG data has no end")


def _deflate(data: bytes, most: int) -> bytes:
    return _decompressed(zlib.decompressobj(), data, most)


def _lzma(data: bytes, most: int) -> bytes:
    return _decompressed(lzma.LZMADecompressor(memlimit=_LZMA_MEMORY), data, most)


def _decompressed(inflater: Any, data: bytes, most: int) -> bytes:
    """Return at most ``most`` bytes from a decompressor of Python's library; fewer only where the data have an end."""
    plain: bytes = inflater.decompress(data, most)
    if len(plain) < most and not inflater.eof:
        raise ValueError("its compressed data is cut off")
    return plain


def _packbits(data: bytes, most: int) -> bytes:
    """Undo PackBits (TIFF 6.0, section 9): runs of one byte, and runs of different bytes."""
    plain, place = bytearray(), 0
    while place < len(data) and len(plain) < most:
        head = data[place]
        if head < 128:
            plain += data[place + 1 : place + 2 + head]
            place += 2 + head
        else:
            plain += data[place + 1 : place + 2] * ((257 - head) % 129)  # 128 does nothing
            place += 2 if head > 128 else 1
    return bytes(plain)


_INFLATERS: Mapping[int, Callable[[bytes, int], bytes]] = {
    **dict.fromkeys((8, 32946, 50013), _deflate),
    32773: _packbits,
    34925: _lzma,
}
"""By TIFF's number of the compression: a function from data and the most bytes to take, to the inflated bytes."""


def _jpeg_size(data: bytes) -> Size:
    place = 2
    while place + 9 <= len(data):
        mark, length, _, rows, columns = struct.unpack_from(">HHBHH", data, place)
        if 0xFFC0 <= mark <= 0xFFCF and mark not in (0xFFC4, 0xFFC8, 0xFFCC):  # a frame, no table
            return rows, columns
        place += 2 + length if mark >> 8 == 0xFF and mark != 0xFFFF else 1
    raise ValueError("its JPEG data states no size")


def _jpeg_2000_size(data: bytes) -> Size:
    columns, rows = struct.unpack_from(">II", data, data.index(b"\xff\x4f\xff\x51") + 8)
    return rows, columns


def _png_size(data: bytes) -> Size:
    columns, rows = struct.unpack_from(">II", data, 16)
    return rows, columns


_PICTURE_SIZES: Mapping[int, Callable[[bytes], Size]] = {
    **dict.fromkeys(sorted(JPEG), _jpeg_size),
    **dict.fromkeys((33004, 33005, 34712), _jpeg_2000_size),
    34933: _png_size,
    **dict.fromkeys((34927, 50001), webp_size),
}
"""By compression: a function that reads the rows and columns that a block states."""

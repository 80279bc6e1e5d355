"""The codecs of Zarr chunks. Each is bounded before it decodes, and none can run code from a file.

The package zarr would decode as much as a chunk inflates to, so chunks are decoded here.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from unpool.io.read.blocks import BLOCK_LIMIT

Settings = Mapping[str, Any]
"""The configuration of a codec, from the metadata."""

_LZMA_MEMORY = 1 << 28
_ZSTD_BLOCK = 1 << 17
"""The most bytes of a block of a Zstandard frame (RFC 8878, section 3.1.1.2)."""


class _Inflater(Protocol):
    """A decompressor of Python's library."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def decoded(name: str, settings: Settings, data: bytes, limit: int) -> bytes:
    """Decode the bytes of a chunk by one codec.

    Parameters
    ----------
    limit: the most bytes that the result may have.

    Raises
    ------
    ValueError and the errors of codecs: the data are damaged, or larger than the limit.
    """
    plain = BYTE_CODECS[name](settings, data, limit)
    if len(plain) > limit:
        raise _too_large(len(plain), limit)
    return plain


def _inflated(start: Callable[[], _Inflater], data: bytes, limit: int) -> bytes:
    """Return the contents of all streams in data."""
    plain = bytearray()
    while data:
        inflater = start()
        plain += inflater.decompress(data, limit - len(plain) + 1)
        if len(plain) > limit:
            raise _too_large(len(plain), limit)
        if not inflater.eof:
            raise ValueError("the data end early")
        data = inflater.unused_data
    return bytes(plain)


def _zlib(settings: Settings, data: bytes, limit: int) -> bytes:
    return _inflated(lambda: zlib.decompressobj(wbits=47), data, limit)  # a zlib or a gzip head


def _bz2(settings: Settings, data: bytes, limit: int) -> bytes:
    return _inflated(bz2.BZ2Decompressor, data, limit)


def _lzma(settings: Settings, data: bytes, limit: int) -> bytes:
    return _inflated(lambda: lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_LZMA_MEMORY), data, limit)


def _lz4(settings: Settings, data: bytes, limit: int) -> bytes:
    _check_announced(struct.unpack_from("<I", data)[0], limit)
    from numcodecs import lz4  # noqa: PLC0415 - comes with the optional package zarr

    return bytes(lz4.decompress(data))


def _blosc(settings: Settings, data: bytes, limit: int) -> bytes:
    size, _, stored = struct.unpack_from("<III", data, 4)
    _check_announced(size, limit)
    if stored != len(data):
        raise ValueError(f"{len(data):,} bytes of a Blosc block of {stored:,}")
    from numcodecs import blosc  # noqa: PLC0415 - comes with the optional package zarr

    return bytes(blosc.decompress(data))


def _zstd(settings: Settings, data: bytes, limit: int) -> bytes:
    size, blocks = _zstd_head(data)
    if size is None:  # the bytes of its blocks are known only when they are decoded
        _check_announced(_zstd_blocks(data, blocks), max(limit, BLOCK_LIMIT))
    else:
        _check_announced(size, limit)
    if size == 0:
        return b""
    from numcodecs import zstd  # noqa: PLC0415 - comes with the optional package zarr

    return bytes(zstd.decompress(data))


def _zstd_head(data: bytes) -> tuple[int | None, int]:
    """Return the size of the contents of a frame, None where it is not stated, and the place of the first block."""
    if not data.startswith(b"\x28\xb5\x2f\xfd"):
        raise ValueError("no Zstandard frame")
    flags, single = data[4] >> 6, data[4] >> 5 & 1
    start = 6 - single + (0, 1, 2, 4)[data[4] & 3]
    length = (single, 2, 4, 8)[flags]
    if not length:
        return None, start
    if len(data) < start + length:
        raise ValueError("the data end early")
    return int.from_bytes(data[start : start + length], "little") + (256 if length == 2 else 0), start + length


def _zstd_blocks(data: bytes, place: int) -> int:
    """Return the most bytes that the blocks of a frame hold, from their heads."""
    most, last = 0, False
    while not last:
        if place + 3 > len(data):
            raise ValueError("the data end early")
        head = int.from_bytes(data[place : place + 3], "little")
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        most += _ZSTD_BLOCK if kind == 2 else size
        place += 3 + (1 if kind == 1 else size)
    if place + (data[4] & 4) != len(data):  # a checksum of 4 bytes; a second frame could hold any number of bytes
        raise ValueError("data behind the frame")
    return most


def _crc32c(settings: Settings, data: bytes, limit: int) -> bytes:
    import google_crc32c  # noqa: PLC0415 - comes with the optional package zarr

    if len(data) < 4 or google_crc32c.value(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ValueError("a wrong checksum")
    return data[:-4]


def _shuffle(settings: Settings, data: bytes, limit: int) -> bytes:
    size = settings.get("elementsize", 4)
    return np.frombuffer(data, np.uint8).reshape(size, -1).T.tobytes() if size > 1 else data


def _delta(settings: Settings, data: bytes, limit: int) -> bytes:
    plain = _number_type(settings["dtype"])
    stored = np.frombuffer(data, _number_type(settings.get("astype") or settings["dtype"]))
    _check_announced(stored.size * plain.itemsize, limit)
    return np.cumsum(stored, out=np.empty(stored.shape, plain)).tobytes()


def _number_type(name: Any) -> np.dtype[Any]:
    dtype = np.dtype(name) if isinstance(name, str) else np.dtype(object)
    if dtype.kind not in "buif":
        raise ValueError(f"a difference of the type {name!r}")
    return dtype


def _check_announced(size: int, limit: int) -> None:
    if size > limit:
        raise _too_large(size, limit)


def _too_large(size: int, limit: int) -> ValueError:
    return ValueError(f"it inflates to {size:,} bytes or more, its pixels take at most {limit:,}")


BYTE_CODECS: Mapping[str, Callable[[Settings, bytes, int], bytes]] = {
    **{"blosc": _blosc, "bz2": _bz2, "gzip": _zlib, "lz4": _lz4, "lzma": _lzma, "zlib": _zlib, "zstd": _zstd},
    **{"crc32c": _crc32c, "shuffle": _shuffle, "delta": _delta},
}
"""The codecs from bytes to bytes, by name. Others are refused: one of them unpickles data of the file."""

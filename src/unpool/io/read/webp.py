"""The head of a WebP: what its first chunk announces, as a file of its own and as a block of a TIFF."""

from __future__ import annotations

from unpool.shapes import Size

HEAD_BYTES = 30
"""Bytes from the start of a WebP that tell its size."""


def is_animated(head: bytes) -> bool:
    """Return whether a WebP holds several pictures."""
    return head[12:16] == b"VP8X" and bool(head[20] & 2)


def webp_size(head: bytes) -> Size:
    """Return the rows and columns that a WebP announces (RFC 9649, section 2).

    Parameters
    ----------
    head: at least ``HEAD_BYTES`` bytes from its start.

    Raises
    ------
    ValueError: its first chunk is none that a picture begins with.
    """
    kind = head[12:16]
    if kind == b"VP8X":
        return _number(head[27:30]) + 1, _number(head[24:27]) + 1
    if kind == b"VP8L":
        bits = _number(head[21:25])
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _number(head[28:30]) & 0x3FFF, _number(head[26:28]) & 0x3FFF
    raise ValueError("its first chunk is none of a WebP picture")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")

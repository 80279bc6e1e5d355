"""EXIF orientation: how a file says that its picture is displayed rotated or mirrored.

The readers apply it, and no other module does: ``images.as_displayed`` and ``masks.load_mask`` to decoded pixels,
``windows.PictureFile.window`` to the place of a window in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from unpool.orientation import Orientation

EXIF_ORIENTATIONS: Mapping[int, Orientation] = {
    1: Orientation(),
    2: Orientation(columns=True),
    3: Orientation(rows=True, columns=True),
    4: Orientation(rows=True),
    5: Orientation(True),
    6: Orientation(True, columns=True),
    7: Orientation(True, rows=True, columns=True),
    8: Orientation(True, rows=True),
}
"""The orientation in which stored pixels are displayed, by EXIF's number (Exif 2.32, tag 0x0112)."""

ORIENTATION_TAG = 0x0112
"""Code of the tag in EXIF data and in a TIFF."""


def exif_orientation(exif: bytes) -> int:
    """Return the number 1..8 in a block of EXIF data; 1 where the block has none or is damaged."""
    exif = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * entry)
            if tag == ORIENTATION_TAG:
                return _known(value)
    except struct.error:
        pass
    return 1


def tiff_orientation(page: Any) -> int:
    """Return the number 1..8 of a page of tifffile; 1 where the page has none."""
    return _known(page.tags.valueof(ORIENTATION_TAG, 1))


def _known(value: Any) -> int:
    return int(value) if value in range(1, 9) else 1

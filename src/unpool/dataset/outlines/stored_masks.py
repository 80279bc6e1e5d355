"""Masks that annotation files hold as texts: PNG files in base64, and runs of pixels along the rows."""

from __future__ import annotations

import binascii
import zlib
from base64 import b64decode
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unpool.dataset.outlines.filling import Patch, fill_block
from unpool.io.png_chunks import PNG_MARK
from unpool.shapes import Size


def fill_png(text: str, top: int, left: int, size: Size) -> Patch:
    """Return the pixels of a PNG file in base64, which may be compressed by zlib, at a row and a column.

    Its pixels are inside where they are not transparent; or not 0, where it has no transparency.

    Raises
    ------
    ValueError: the text is no such file, or the file is larger than the picture.
    """
    try:
        content = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("its mask is no base64") from error
    if not content.startswith(PNG_MARK):
        content = _inflated(content, 8 * size[0] * size[1] + 100_000)
    if not content.startswith(PNG_MARK) or content[12:16] != b"IHDR":
        raise ValueError("its mask is no PNG file")
    columns, rows = (int.from_bytes(content[place : place + 4], "big") for place in (16, 20))
    if not 0 < rows <= size[0] or not 0 < columns <= size[1]:
        raise ValueError(f"its mask has {rows} x {columns} pixels, and the picture {size[0]} x {size[1]}")
    try:
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            clear = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA")
            pixels = np.asarray(image.convert("RGBA"))[..., 3] if clear else np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"its mask is a broken PNG file ({error})") from error
    inside = pixels != 0
    return fill_block(inside.any(axis=2) if inside.ndim == 3 else inside, top, left, size)


def fill_row_runs(runs: Sequence[int], box: tuple[int, int, int, int], size: Size) -> Patch:
    """Return the pixels of runs of zeros and ones along the rows of a box (top, left, rows, columns), zeros first.

    Raises
    ------
    ValueError: the runs do not fit the box, or the box is larger than the picture.
    """
    top, left, rows, columns = box
    if not 0 < rows <= size[0] or not 0 < columns <= size[1]:
        raise ValueError(f"its mask has {rows} x {columns} pixels, and the picture {size[0]} x {size[1]}")
    lengths = np.array(runs, np.int64)
    if lengths.size == 0 or lengths.min() < 0 or lengths.max() > rows * columns or lengths.sum() != rows * columns:
        raise ValueError(f"its runs do not fit its box of {rows} x {columns} pixels")
    inside: NDArray[np.bool_] = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(rows, columns)
    return fill_block(inside, top, left, size)


def _inflated(content: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(content, most)
    except zlib.error as error:
        raise ValueError("its mask is no PNG file, and not compressed by zlib") from error
    if inflater.unconsumed_tail:
        raise ValueError("its mask is larger than the picture")
    return plain

"""A PNG that is made of bands of rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unpool.io.placement import Placement
from unpool.io.png_chunks import chunk, png_head
from unpool.io.write.band_form import BandForm, RowSource

ROWS = 256
"""Rows that are deflated in one piece."""

_CENTIMETRES = {2: 2.54, 3: 1.0}
"""Length of TIFF's units of resolution."""


def write_png(path: Path, form: BandForm, bands: RowSource) -> None:
    """Write a PNG of uint8 (grey, palette, RGB or one bit) or uint16 (grey). Rows have no filter: ids gain nothing by
    one.
    """
    bits = 1 if form.one_bit else 8 * np.dtype(form.dtype).itemsize
    colour_type = 3 if form.palette else 2 if form.channels == 3 else 0
    with path.open("wb") as file:
        file.write(png_head(form.rows, form.columns, bits, colour_type))
        file.write(_resolution(form.placement))
        if form.palette:
            file.write(chunk(b"PLTE", bytes(sample for colour in form.palette for sample in colour)))
        for data in _deflated(bands, one_bit=form.one_bit):
            file.write(chunk(b"IDAT", data))
        file.write(chunk(b"IEND", b""))


def _deflated(bands: RowSource, *, one_bit: bool) -> Iterator[bytes]:
    deflater = zlib.compressobj()
    for rows in bands.read(ROWS):
        lines = rows.astype(rows.dtype.newbyteorder(">")).reshape(len(rows), -1).view(np.uint8)
        lines = np.packbits(lines, axis=1) if one_bit else lines
        data = deflater.compress(np.pad(lines, ((0, 0), (1, 0))).data)
        if data:
            yield data
    yield deflater.flush()


def _resolution(placement: Placement) -> bytes:
    """Return the chunk with the pixels of a metre; nothing where the size of pixels is unknown."""
    if placement.resolution is None or placement.unit not in _CENTIMETRES:
        return b""
    across, down = (round(100 * each / _CENTIMETRES[placement.unit]) for each in placement.resolution)
    if not 0 < min(across, down) <= max(across, down) < 2**31:
        return b""
    return chunk(b"pHYs", across.to_bytes(4, "big") + down.to_bytes(4, "big") + b"\1")

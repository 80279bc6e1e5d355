"""TIFF through tifffile: any number of channels, 8, 16 and 32 bits."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION

from unpool.errors import DataError
from unpool.io.read.raster import Header, Raster, broken, check_size, decoding

# what tifffile has to say about a broken file is in the DataError; unheard, it would go to the terminal
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAX_UNNAMED_CHANNELS = 16
"""A stack whose leading axis has no name is taken as channels up to this many pages."""


class _Layout(NamedTuple):
    rows: int
    columns: int
    channels: int
    channel_axis: int | None
    """The axis of the channels once axes of length 1 are gone; None where there is one channel."""


class TiffPicture(NamedTuple):
    """A TIFF's picture, open: its pages, the axis of its channels without axes of length 1, and what is known of it."""

    series: tifffile.TiffPageSeries
    channel_axis: int | None
    header: Header
    palette: NDArray[np.uint8] | None


def tiff_header(file: BinaryIO, path: Path) -> Header:
    """The header of a TIFF file, of any size. Raises DataError."""
    with decoding(path), tifffile.TiffFile(file, name=str(path)) as tiff:
        return tiff_picture(tiff, path).header


def tiff_raster(file: BinaryIO, path: Path) -> Raster:
    """Decode a TIFF file. Raises DataError."""
    with decoding(path), tifffile.TiffFile(file, name=str(path)) as tiff:
        return whole_raster(tiff_picture(tiff, path), path)


def tiff_picture(tiff: tifffile.TiffFile, path: Path) -> TiffPicture:
    """The one picture in an open TIFF, at its full size. Raises DataError where it is cut off or not alone."""
    series = _only_series(tiff, path)
    layout = _layout(series, path)
    header = _header(series, layout)
    palette = None
    if header.form == "palette":
        palette = (np.asarray(series.keyframe.colormap).T >> 8).astype(np.uint8)
    return TiffPicture(series, layout.channel_axis, header, palette)


def whole_raster(picture: TiffPicture, path: Path) -> Raster:
    """Decode all of a TIFF's picture. Raises DataError."""
    series, header = picture.series, picture.header
    check_size(path, header.rows, header.columns, header.channels)
    check_complete(series, path)
    with codecs_named(series, path):
        pixels = np.asarray(series.asarray(maxworkers=1)).reshape(
            [size for size, axis in zip(series.shape, series.axes, strict=True) if size != 1 or axis in "YX"]
        )
    if picture.channel_axis is not None:
        pixels = np.moveaxis(pixels, picture.channel_axis, 2)
    return Raster(header, pixels, picture.palette)


def _only_series(tiff: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    whole = [series for series in tiff.series if not series.keyframe.is_reduced]
    if len(whole) != 1:
        raise DataError(
            f"{path}: {len(whole)} pictures of different sizes or kinds",
            "one picture in a file",
            "save each page as its own picture",
        )
    return whole[0]


def _layout(series: tifffile.TiffPageSeries, path: Path) -> _Layout:
    axes = "".join(axis for axis, size in zip(series.axes, series.shape, strict=True) if size != 1 or axis in "YX")
    sizes = dict(zip(series.axes, series.shape, strict=True))
    others = axes.replace("Y", "").replace("X", "")
    if "Y" not in axes or "X" not in axes or len(others) > 1 or axes.index("Y") > axes.index("X"):
        raise _stack(path, series)
    if not others:
        return _Layout(sizes["Y"], sizes["X"], 1, None)
    if others not in "CS" and (axes[0] != others or sizes[others] > MAX_UNNAMED_CHANNELS):
        raise _stack(path, series)
    return _Layout(sizes["Y"], sizes["X"], sizes[others], axes.index(others))


def _stack(path: Path, series: tifffile.TiffPageSeries) -> DataError:
    shape = " x ".join(f"{size}" for size in series.shape)
    return DataError(
        f"{path}: a stack of {shape} (axes {series.axes})",
        f"one picture of rows, columns and channels (up to {MAX_UNNAMED_CHANNELS} unnamed pages are channels)",
        "save each page as its own picture",
    )


def _header(series: tifffile.TiffPageSeries, layout: _Layout) -> Header:
    page = series.keyframe
    orientation = page.tags.valueof(274, 1)
    return Header(
        rows=layout.rows,
        columns=layout.columns,
        channels=layout.channels,
        dtype=str(np.dtype(series.dtype)),
        bits=int(page.bitspersample),
        form=_form(page, layout),
        orientation=int(orientation) if orientation in range(1, 9) else 1,
        lossy=page.compression in (6, 7),
        white_is_zero=int(page.photometric) == 0,
    )


def _form(page: Any, layout: _Layout) -> str:
    photometric = int(page.photometric)
    alpha = any(int(extra) in (1, 2) for extra in page.extrasamples)
    colour = photometric in (2, 6)
    if layout.channels == 1:
        if photometric == 3 and page.colormap is not None:
            return "palette"
        return "one-bit" if int(page.bitspersample) == 1 else "grey"
    if photometric == 5 and layout.channels == 4:
        return "cmyk"
    if colour and layout.channels == 3:
        return "rgb"
    if colour and layout.channels == 4 and alpha:
        return "rgba"
    if photometric in (0, 1) and layout.channels == 2 and alpha:
        return "grey-alpha"
    return "channels"


def check_complete(series: tifffile.TiffPageSeries, path: Path) -> None:
    """tifffile fills what lies behind the end of the file with zeros; refuse it instead. Raises DataError."""
    for page in series.pages:
        if page is None:
            raise broken(path, "a page is missing")
        size = page.parent.filehandle.size
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
            if offset + count > size:
                raise broken(path, "the file is cut off")


@contextmanager
def codecs_named(series: tifffile.TiffPageSeries, path: Path) -> Iterator[None]:
    """Decode inside this: where a decoder is missing, a DataError says which and how to install it."""
    try:
        yield
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise DataError(
            f"{path}: compressed as {COMPRESSION(series.keyframe.compression).name}",
            "a TIFF without compression, or with deflate",
            "pip install 'unpool[codecs]', or save the file uncompressed",
        ) from error

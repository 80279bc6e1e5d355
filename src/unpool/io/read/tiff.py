"""TIFF through tifffile: any number of channels, 8, 16 and 32 bits."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION

from unpool.errors import DataError
from unpool.io.read.exif import tiff_orientation
from unpool.io.read.raster import Header, Raster, broken, check_size, decoding
from unpool.wording import size_text

# tifffile logs the faults of a file, which the DataError names too; without a handler they go to the terminal
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAX_UNNAMED_CHANNELS = 16
"""The most pages of a stack whose leading axis has no name and is taken as channels."""


GDAL_NODATA = 42113
"""The TIFF tag in which GDAL writes the value of missing data, as text."""


class _Layout(NamedTuple):
    """The axes of a picture.

    Attributes
    ----------
    channel_axis: the number of the channels' axis once axes of length 1 are left out; None where there is one channel.
    """

    rows: int
    columns: int
    channels: int
    channel_axis: int | None


class TiffPicture(NamedTuple):
    """The one picture of an open TIFF.

    Attributes
    ----------
    series: its pages.
    channel_axis: the number of the channels' axis once axes of length 1 are left out; None where there is one channel.
    palette: RGB colours by index, uint8 (entries, 3); None where the file has none.
    """

    series: tifffile.TiffPageSeries
    channel_axis: int | None
    header: Header
    palette: NDArray[np.uint8] | None


def tiff_header(file: BinaryIO, path: Path) -> Header:
    """Read the header of a TIFF file, of any size. Raises DataError."""
    with decoding(path), tifffile.TiffFile(file, name=str(path)) as tiff:
        return tiff_picture(tiff, path).header


def tiff_raster(file: BinaryIO, path: Path) -> Raster:
    """Decode a TIFF file. Raises DataError."""
    with decoding(path), tifffile.TiffFile(file, name=str(path)) as tiff:
        return decode_picture(tiff_picture(tiff, path), path)


def tiff_picture(tiff: tifffile.TiffFile, path: Path) -> TiffPicture:
    """Find the one picture in an open TIFF, at its full size. Raises DataError where there is none, or several."""
    series = _only_series(tiff, path)
    layout = _layout(series, path)
    header = _header(series, layout)
    palette = None
    if header.form == "palette":
        palette = (np.asarray(series.keyframe.colormap).T >> 8).astype(np.uint8)
    return TiffPicture(series, layout.channel_axis, header, palette)


def decode_picture(picture: TiffPicture, path: Path) -> Raster:
    """Decode all of a TIFF's picture. Raises DataError."""
    series, header = picture.series, picture.header
    check_size(path, header.rows, header.columns, header.channels)
    check_complete(series, path)
    with naming_the_codec(series, path):
        pixels = np.asarray(series.asarray(maxworkers=1)).reshape(
            [size for size, axis in zip(series.shape, series.axes, strict=True) if size != 1 or axis in "YX"]
        )
    if picture.channel_axis is not None:
        pixels = np.moveaxis(pixels, picture.channel_axis, 2)
    return Raster(header, pixels, picture.palette)


def _only_series(tiff: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    full_size = [series for series in tiff.series if not series.keyframe.is_reduced]
    if len(full_size) != 1:
        raise DataError(
            f"{path}: {len(full_size)} pictures of different sizes or kinds",
            "one picture in each file",
            "save each page as a picture of its own",
        )
    return full_size[0]


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
    return DataError(
        f"{path}: a stack of {size_text(series.shape)} (axes {series.axes})",
        f"one picture of rows, columns and channels (up to {MAX_UNNAMED_CHANNELS} unnamed pages are channels)",
        "save each page as a picture of its own",
    )


def _header(series: tifffile.TiffPageSeries, layout: _Layout) -> Header:
    page = series.keyframe
    return Header(
        rows=layout.rows,
        columns=layout.columns,
        channels=layout.channels,
        dtype=str(np.dtype(series.dtype)),
        bits=int(page.bitspersample),
        form=_form(page, layout),
        exif_orientation=tiff_orientation(page),
        lossy=page.compression in (6, 7),
        white_is_zero=int(page.photometric) == 0,
        missing=_missing(page),
    )


def _missing(page: Any) -> float | None:
    """Return the value that GDAL declares as missing data, as 32-bit floating point; None for NaN and for none."""
    tag = page.tags.get(GDAL_NODATA)
    try:
        with np.errstate(over="ignore"):
            value = float(np.float32(str(tag.value).strip("\0 "))) if tag is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


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
    """Raise DataError where the file ends before its pixels do; tifffile would fill them with zeros."""
    for page in series.pages:
        if page is None:
            raise broken(path, "a page is missing")
        size = page.parent.filehandle.size
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
            if offset + count > size:
                raise broken(path, "the file is cut off")


@contextmanager
def naming_the_codec(series: tifffile.TiffPageSeries, path: Path) -> Iterator[None]:
    """Raise a DataError that names the compression where its decoder is not installed."""
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

"""The one picture in a TIFF, and its header, through tifffile: any number of channels and bits."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite, nan, prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import PHOTOMETRIC

from unpool.errors import DataError
from unpool.io.placement import GDAL_NODATA, Placement, tiff_placement
from unpool.io.read.exif import tiff_orientation
from unpool.io.read.raster import Header, broken, check_size, decoding
from unpool.io.read.tiff_coding import JPEG
from unpool.io.read.tiff_directories import MAX_DIRECTORIES, OneFile, check_directories
from unpool.shapes import Size
from unpool.wording import count_text, first_of, size_text

MAX_UNNAMED_CHANNELS = 16
"""The most pages of a stack whose leading axis has no name and is taken as channels."""

MAX_ANNOUNCED = 1 << 20
"""The most bytes of pixels that a byte of a file may announce.

A block that was never written takes 8 bytes or more of the file. So blocks of usual size stay below 400,000, and
compressed data stays below 30,000.
"""

_CHANNELS, _UNNAMED = "CSE", "IQ"
"""tifffile's letters of axes that are channels (E is the wavelength), and of axes that the file does not name."""

_PHOTOMETRIC = frozenset({0, 1, 2, 3, 4, 5, 6})
"""How samples become colours: white or black is zero, RGB, palette, mask, inks, and YCbCr, which only JPEG undoes."""


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
    palette: RGB colours by index, uint8 (entries, 3); None where the file has none.
    """

    series: tifffile.TiffPageSeries
    header: Header
    palette: NDArray[np.uint8] | None
    placement: Placement


class TiffStack(NamedTuple):
    """A TIFF as a stack: pictures of one size and kind, which are its pages.

    Attributes
    ----------
    picture: the file, with the header of a page.
    pages: for each page, the numbers of its planes in the file, in the order of its channels.
    """

    picture: TiffPicture
    pages: tuple[tuple[int, ...], ...]


def tiff_header(file: BinaryIO, path: Path) -> Header:
    """Read the header of a TIFF file, of any size. Raises DataError."""
    return tiff_picture(file, path).header


def tiff_picture(file: BinaryIO, path: Path) -> TiffPicture:
    """Find the one picture in a TIFF, at its full size. Raises DataError where there is none, or several.

    Parameters
    ----------
    file: stays open as long as pages are read.
    """
    with decoding(path):
        tiff = _opened(file, path)
        series = _only_series(tiff, path)
        return _picture(tiff, series, _layout(series, path), path)


def tiff_stack(file: BinaryIO, path: Path) -> TiffStack | None:
    """Find the pages of a TIFF that can be read as a stack; None where it has one page. Raises DataError.

    The pages lie along all axes but rows, columns, samples and, where there is another one, the axis of channels. So
    six pages are six pictures here, and six channels for ``tiff_picture``: only the mask shows which are meant.
    """
    with decoding(path):
        tiff = _opened(file, path)
        series = _only_series(tiff, path)
        found = _pages(series)
        if found is None or len(found[0]) < 2:
            return None
        return TiffStack(_picture(tiff, series, found[1], path), found[0])


def _opened(file: BinaryIO, path: Path) -> tifffile.TiffFile:
    alone = OneFile(file)
    check_directories(alone, path)
    tiff = tifffile.TiffFile(cast(BinaryIO, alone), name=str(path))
    if tiff.is_ome:
        _check_ome(tiff.ome_metadata or "", path)
    return tiff


def _picture(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, layout: _Layout, path: Path) -> TiffPicture:
    """Return a picture of this layout, once its pages and blocks are known to be in the file."""
    header, size = _header(series, layout, path), tiff.filehandle.size
    check_size(path, header, (1, 1))
    if prod(series.shape) * np.dtype(header.dtype).itemsize > MAX_ANNOUNCED * size:
        shown = size_text((header.rows, header.columns))
        raise broken(path, f"it announces {shown} pixels and has {size:,} bytes")
    _check_pages(series, header, path)
    palette = _palette(series.keyframe) if header.form == "palette" else None
    placement = tiff_placement(tiff, series, header.missing)
    if placement.geography and header.form in ("rgba", "grey-alpha"):
        placement = replace(placement, transparent=True)
    return TiffPicture(series, header, palette, placement)


def _pages(series: tifffile.TiffPageSeries) -> tuple[tuple[tuple[int, ...], ...], _Layout] | None:
    """Return the planes of each page, and the layout of a page; None where the axes are none of a stack."""
    kept = [
        (axis, size) for axis, size in zip(series.axes.upper(), series.shape, strict=True) if size > 1 or axis in "YX"
    ]
    axes = "".join(axis for axis, _ in kept)
    front, _, behind = axes.partition("YX")
    if axes.count("YX") != 1 or behind not in ("", "S") or not front.strip("S"):
        return None
    named = "C" if len(front.replace("S", "")) > 1 else ""  # channels alone may be slices
    channels = [k for k, axis in enumerate(front) if axis in ("S", named)]
    sizes = [size for _, size in kept]
    planes = np.arange(prod(sizes[: len(front)])).reshape(sizes[: len(front)])
    planes = np.moveaxis(planes, channels, range(len(front) - len(channels), len(front)))
    count = prod(sizes[k] for k in channels)
    together = sizes[-1] if behind else 1
    rows, columns = sizes[len(front)], sizes[len(front) + 1]
    layout = _Layout(rows, columns, count * together, None if count * together == 1 else 0)
    return tuple(tuple(map(int, page)) for page in planes.reshape(-1, count)), layout


def _check_ome(text: str, path: Path) -> None:
    """Raise DataError where OME's description of the pages names other files, or more planes than a file can have."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise broken(path, "its OME metadata declares entities")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - it declares no entities
    except ElementTree.ParseError:
        return  # tifffile leaves it out too
    places = [element for element in root.iter() if element.tag.endswith("UUID")]
    own = root.get("UUID")
    others = {
        name
        for place in places
        if (name := place.get("FileName", "")).lower() != path.name.lower() and (own is None or place.text != own)
    }
    if others:
        raise DataError(
            f"{path}: an OME-TIFF with pages in other files ({first_of(sorted(others))})",
            "a picture in one file",
            "save the picture as one file",
        )
    for element in root.iter():
        sizes = [int(element.get(name, 1)) for name in ("SizeC", "SizeZ", "SizeT")]
        counts = [int(element.get(name, 0)) for name in ("IFD", "PlaneCount", "NumPlanes")]
        if max(prod(sizes), *sizes, *counts) > MAX_DIRECTORIES or min(*sizes, *counts) < 0:
            raise broken(path, f"its OME metadata announces {prod(sizes):,} planes")


def _only_series(tiff: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    """Return the series of the picture: neither smaller copies nor GDAL's masks of valid pixels are pictures.

    Of a scanned slide it is the scan, not the thumbnail and the photographs of the label and the whole glass.
    """
    pictures = [series for series in tiff.series if not series.keyframe.is_reduced and not series.keyframe.is_mask]
    if tiff.is_svs or tiff.is_ndpi:
        pictures = [series for series in pictures if series.name == "Baseline"] or pictures
    if len(pictures) != 1:
        raise DataError(
            f"{path}: {len(pictures)} pictures of different sizes or kinds",
            "one picture in each file",
            "save each page as a picture of its own",
        )
    return pictures[0]


def _layout(series: tifffile.TiffPageSeries, path: Path) -> _Layout:
    names = series.axes.upper()
    axes = "".join(axis for axis, size in zip(names, series.shape, strict=True) if size != 1 or axis in "YX")
    sizes = dict(zip(names, series.shape, strict=True))
    others = axes.replace("Y", "").replace("X", "")
    if axes.count("Y") != 1 or axes.count("X") != 1 or len(others) > 1 or axes.index("Y") > axes.index("X"):
        raise _stack(path, series)
    if not others:
        return _Layout(sizes["Y"], sizes["X"], 1, None)
    unnamed = others in _UNNAMED and axes[0] == others and sizes[others] <= MAX_UNNAMED_CHANNELS
    if others not in _CHANNELS and not unnamed:
        raise _stack(path, series)
    return _Layout(sizes["Y"], sizes["X"], sizes[others], axes.index(others))


def _stack(path: Path, series: tifffile.TiffPageSeries) -> DataError:
    return DataError(
        f"{path}: a stack of {size_text(series.shape)} (axes {series.axes})",
        f"one picture: rows, columns and channels; up to {MAX_UNNAMED_CHANNELS} pages without a name are taken as "
        "channels, slices in depth (Z) and frames in time (T) are not; a stack has a mask of as many pages",
        "save each page as a picture of its own, or the mask as a file of as many pages",
    )


def _check_pages(series: tifffile.TiffPageSeries, header: Header, path: Path) -> None:
    """Raise DataError where pages of a picture are missing, in other files or unlike the first, or lack blocks."""
    frame = series.keyframe
    planes, rest = divmod(prod(series.shape), prod(frame.shaped))
    together = frame.is_final and series.is_truncated  # one page describes all, which lie behind each other
    flat = frame.shaped[1:4] == (1, header.rows, header.columns)
    if not flat or rest or (planes != len(series.pages) and not together):
        raise broken(path, f"its pages are no picture of {size_text(series.shape)}")
    for page in series.pages:
        if page is None or page.parent is not frame.parent:
            raise broken(path, "a page is missing, or in another file")
        if page is not frame and not getattr(page, "is_virtual", False) and page.aspage().hash != frame.hash:
            raise broken(path, "its pages are not stored alike")
        _check_blocks(page, planes if together else 1, path)


def _check_blocks(page: Any, planes: int, path: Path) -> None:
    """Raise DataError where a page lists too few blocks, or the file ends before they do."""
    frame, size = page.keyframe, page.parent.filehandle.size
    separate, _, rows, columns, _ = frame.shaped
    if frame.is_final:
        bytes_of_page = prod(frame.shaped) * frame.dtype.itemsize
        if sum(page.databytecounts) < bytes_of_page:
            raise broken(path, f"its strips have {sum(page.databytecounts):,} of {bytes_of_page:,} bytes")
        blocks = [(page.dataoffsets[0], planes * bytes_of_page), (page.dataoffsets[-1], page.databytecounts[-1])]
    else:
        height, width = block_size(frame)
        if min(height, width) < 1:
            raise broken(path, f"tiles or strips of {size_text((height, width))} pixels")
        needed = -(-rows // height) * -(-columns // width) * separate
        listed = min(len(page.dataoffsets), len(page.databytecounts))
        if listed < needed:
            raise broken(path, f"it announces {needed:,} tiles or strips, and lists {listed:,}")
        blocks = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if any(offset + count > size for offset, count in blocks):
        raise broken(path, "the file is cut off")


def block_size(frame: Any) -> Size:
    """Return the rows and columns of a tile or strip of a page."""
    if frame.is_tiled:
        return int(frame.tilelength), int(frame.tilewidth)
    return min(int(frame.rowsperstrip), int(frame.imagelength)), int(frame.imagewidth)


def _header(series: tifffile.TiffPageSeries, layout: _Layout, path: Path) -> Header:
    page = series.keyframe
    if page.dtype is None or series.dtype.kind not in "buif" or not isinstance(page.bitspersample, int):
        complex_numbers = page.sampleformat in (5, 6)
        raise DataError(
            f"{path}: {'complex' if complex_numbers else 'unknown'} numbers of {page.bitspersample} bits",
            "whole numbers 0 to 65535, or floating point",
            "save the picture with 8 or 16 bits, or as 32-bit floating point",
        )
    return Header(
        rows=layout.rows,
        columns=layout.columns,
        channels=layout.channels,
        dtype=str(np.dtype(series.dtype)),
        bits=int(page.bitspersample),
        form=_form(page, layout, path),
        exif_orientation=tiff_orientation(page),
        lossy=page.compression in JPEG,
        white_is_zero=int(page.photometric) == 0,
        missing=_missing(page),
    )


def _missing(page: Any) -> float | None:
    """Return the value that GDAL declares as missing data, as 32-bit floating point; None for NaN and for none."""
    tag = page.tags.get(GDAL_NODATA)
    try:
        with np.errstate(over="ignore"):
            value = float(np.float32(str(tag.value).strip("\0 "))) if tag is not None else nan
    except ValueError:
        return None
    return value if isfinite(value) else None


def _form(page: Any, layout: _Layout, path: Path) -> str:
    photometric = _photometric(page, path)
    alpha = any(int(extra) in (1, 2) for extra in page.extrasamples)
    colour = photometric in (2, 6)
    if photometric == 3:
        return _palette_form(page, layout, path)
    if layout.channels == 1:
        return "one-bit" if page.bitspersample == 1 else "grey"
    if photometric == 5 and layout.channels == 4:
        return "cmyk"
    if colour and layout.channels == 3:
        return "rgb"
    if colour and layout.channels == 4 and alpha:
        return "rgba"
    if photometric in (0, 1) and layout.channels == 2 and alpha:
        return "grey-alpha"
    return "channels"


def _photometric(page: Any, path: Path) -> int:
    """Return the number of how samples become colours. Raises DataError where nobody here knows how."""
    photometric = int(page.photometric)
    if page.tags.get(262) is None and page.compression not in JPEG:
        raise broken(
            path, "it does not state whether 0 is black or white: its tag PhotometricInterpretation is missing"
        )
    if photometric not in _PHOTOMETRIC or (photometric == 6 and page.compression not in JPEG | {34927, 50001}):
        names = {number.value: number.name for number in PHOTOMETRIC}
        raise DataError(
            f"{path}: colours stored as {names.get(photometric, photometric)}",
            "greys, a palette, or RGB",
            "save the picture as RGB",
        )
    return photometric


def _palette_form(page: Any, layout: _Layout, path: Path) -> str:
    colours = 0 if page.colormap is None else len(np.transpose(page.colormap))
    whole = page.dtype.kind in "bu" and page.bitspersample <= 16
    if not whole or layout.channels != 1 or colours != 1 << page.bitspersample:
        raise DataError(
            f"{path}: a palette of {colours} colours for {count_text(layout.channels, 'channel')} of {page.dtype} "
            f"({page.bitspersample} bits)",
            "one channel of whole numbers of up to 16 bits, and a colour for each of them",
            "save a picture as RGB, and a mask as a single-channel PNG of class ids",
        )
    return "palette"


def _palette(page: Any) -> NDArray[np.uint8]:
    colours: NDArray[np.uint16] = np.transpose(page.colormap)
    # some programs write colours of 8 bits, as libtiff assumes where none is larger
    return (colours if colours.max() < 256 else colours >> 8).astype(np.uint8)

"""PNG, JPEG, BMP, GIF and WebP through Pillow.

The file classes are opened directly: ``Image.open`` would apply Pillow's own pixel limit, which belongs to the program
that uses this package. The bound here is ``MAX_BYTES``, against which the header is checked.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from unpool.errors import DataError
from unpool.io.placement import Placement, resolution_placement
from unpool.io.png_chunks import PNG_MARK, check_announced, check_complete, read_chunks
from unpool.io.read.exif import exif_orientation
from unpool.io.read.png_16_bit import decode_16_bit_png
from unpool.io.read.raster import Header, Raster, broken, check_size, decoding
from unpool.io.read.stored_picture import StoredPicture, check_allowed, decoded_picture
from unpool.io.read.webp import HEAD_BYTES, is_animated, webp_size
from unpool.shapes import Region


class _JpegFile(JpegImageFile):
    """A JPEG whose EXIF Pillow does not parse. Pillow would look for the resolution only, and warn of damaged data."""

    def getexif(self) -> Image.Exif:
        return Image.Exif()


INCH, CENTIMETRE = 2, 3
"""TIFF's numbers of units of length."""

STRIP_BYTES = 1 << 22
"""Bytes of pixels that are taken from Pillow at a time."""

MOST_SCANS = 100
"""The most scans of a JPEG. Progressive ones have about 10; in a few bytes each, a file may have thousands."""

RUN_PIXELS = 1 << 26
"""The most pixels of a BMP in run-length codes, with 256 rows that a code may skip: Pillow fills them one by one."""

GIF_RATIO = 2731
"""The most pixels that a byte of a GIF can hold: a code of 12 bits stands for at most 4096."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""What follows the codes of a scan: a segment, with its length; or the end."""

_READERS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (PNG_MARK, PngImageFile),
    (b"\xff\xd8\xff", _JpegFile),
    (b"BM", BmpImageFile),
    (b"GIF8", GifImageFile),
    (b"RIFF", WebPImageFile),
)
_FORMS = {
    "1": ("one-bit", 1, 1),
    "L": ("grey", 1, 8),
    "I;16": ("grey", 1, 16),
    "LA": ("grey-alpha", 2, 8),
    "P": ("palette", 1, 8),
    "RGB": ("rgb", 3, 8),
    "RGBA": ("rgba", 4, 8),
    "CMYK": ("cmyk", 4, 8),
}
_16_BIT_FORMS = {2: ("rgb", 3), 4: ("grey-alpha", 2), 6: ("rgba", 4)}
"""PNG colour types of several channels; of 16 bits Pillow keeps the upper 8."""


def bitmap_header(file: BinaryIO, path: Path) -> Header:
    """Read the header of a file that is no TIFF, of any size. Raises DataError."""
    with decoding(path):
        return _header(_open(file, path), file, path)


def bitmap_placement(file: BinaryIO, path: Path, header: Header) -> Placement:
    """Read the resolution of a file that is no TIFF; one with an EXIF orientation has none, as its axes change."""
    with decoding(path):
        return _placement(_open(file, path), file, header)


def bitmap_raster(file: BinaryIO, path: Path) -> Raster:
    """Decode a file that is no TIFF. Raises DataError."""
    with decoding(path):
        image = _open(file, path)
        header = _header(image, file, path)
        _check_decoding(image, header, file, path)
        if _is_deep(header):
            return Raster(header, _decoded_16_bit(file, path, header))
        palette = _loaded(image, file)
        return Raster(header, _pixels(image), palette)


def open_bitmap(file: BinaryIO, path: Path, cache: int, allowed: float) -> StoredPicture:
    """Open a file that is no TIFF and has no windows: it is decoded here, and held once.

    Parameters
    ----------
    cache, allowed: bytes that decoding may take: the larger of the two.

    Raises
    ------
    DataError: the file is broken or too large, or decoding it takes more than is allowed.
    """
    with decoding(path):
        image = _open(file, path)
        header = _header(image, file, path)
        _check_decoding(image, header, file, path)
        check_allowed(path, str(image.format), _decoding_bytes(image, header), cache, allowed)
        placement = _placement(image, file, header)
        if _is_deep(header):
            return decoded_picture(Raster(header, _decoded_16_bit(file, path, header)), placement)
        palette = _loaded(image, file)
        held = _held(image)

    def read(region: Region) -> NDArray[Any]:
        (top, bottom), (left, right) = [(side.start, side.stop) for side in region]
        return np.asarray(held.crop((left, top, right, bottom)))

    size, held_bytes = (header.rows, header.columns), header.rows * header.columns * header.pixel_bytes
    return StoredPicture(header, read, size, held_bytes, palette, in_memory=True, placement=placement)


def _pixels(image: ImageFile) -> NDArray[Any]:
    """Return all pixels; strip by strip, because Pillow makes two more copies of what is converted at a time."""
    columns, rows = image.size
    first = np.asarray(image.crop((0, 0, columns, 1)))
    pixels = np.empty((rows, *first.shape[1:]), first.dtype)
    height = max(1, STRIP_BYTES // first.nbytes)
    for top in range(0, rows, height):
        bottom = min(top + height, rows)
        pixels[top:bottom] = np.asarray(image.crop((0, top, columns, bottom)))
    return pixels


def _held(image: ImageFile) -> Image.Image:
    """Return a decoded picture without its decoder and file, which may keep copies of their own."""
    return image._new(image.im)


def _decoding_bytes(image: ImageFile, header: Header) -> int:
    """Return the bytes that decoding takes. Pillow has 4 for a pixel of several channels, and decoders add theirs."""
    if _is_deep(header):
        pixel = 6 * header.pixel_bytes
    elif isinstance(image, WebPImageFile):
        pixel = 16
    else:
        pixel = 4 if header.channels > 1 else max(1, header.bits // 8)
        pixel += 2 * header.channels if "progressive" in image.info else 0  # its coefficients
    return header.rows * header.columns * pixel


def _is_deep(header: Header) -> bool:
    """Return whether pixels are decoded here, because Pillow keeps 8 bits of each channel."""
    return header.bits == 16 and header.channels > 1


def _check_decoding(image: ImageFile, header: Header, file: BinaryIO, path: Path) -> None:
    """Raise DataError where decoding would take too much memory or time."""
    check_size(path, header)
    if image.tile and image.tile[0][0] == "bmp_rle" and (header.rows + 256) * header.columns > RUN_PIXELS:
        raise DataError(
            f"{path}: a BMP of {header.rows} x {header.columns} pixels in run-length codes",
            f"a file without such codes above {RUN_PIXELS >> 20} megapixels",
            "save it as a PNG or TIFF",
        )
    if isinstance(image, GifImageFile) and header.rows * header.columns > GIF_RATIO * _size(file):
        raise broken(path, f"{header.rows} x {header.columns} pixels are announced, which its bytes cannot hold")
    if isinstance(image, JpegImageFile) and _scans(file) > MOST_SCANS:
        raise broken(path, f"a JPEG of more than {MOST_SCANS} scans, each of which takes the time of a picture")


def _size(file: BinaryIO) -> int:
    place, size = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(place)
    return size


def _scans(file: BinaryIO) -> int:
    """Count the scans of a JPEG behind its head; stop above the most that are decoded."""
    start = file.tell()
    data, place, count = file.read(), 0, 1
    while count <= MOST_SCANS and (marker := _JPEG_MARKER.search(data, place)) and marker[0] != b"\xff\xd9":
        count += marker[0] == b"\xff\xda"
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    file.seek(start)
    return count


def _open(file: BinaryIO, path: Path) -> ImageFile:
    start = file.read(HEAD_BYTES)
    file.seek(0)
    if start.startswith(b"RIFF"):
        _check_webp(start, path)
    for mark, reader in _READERS:
        if start.startswith(mark) and (mark != b"RIFF" or start[8:12] == b"WEBP"):
            return reader(file, str(path))
    raise broken(path, "its first bytes are those of no known format")


def _header(image: ImageFile, file: BinaryIO, path: Path) -> Header:
    columns, rows = image.size
    if getattr(image, "is_animated", False):
        raise _animation(path)
    if image.mode not in _FORMS:
        raise broken(path, f"pixels of the unknown kind {image.mode}")
    form, channels, bits = _FORMS[image.mode]
    exif = image.info.get("exif", b"")
    if isinstance(image, PngImageFile):
        chunks = read_chunks(file, b"IHDR", b"eXIf")
        exif = chunks.get(b"eXIf", exif)
        check_announced(file, chunks[b"IHDR"])
        depth, colour_type = chunks[b"IHDR"][8:10]
        bits = depth
        if depth == 16 and colour_type in _16_BIT_FORMS:
            form, channels = _16_BIT_FORMS[colour_type]
    return Header(
        rows=rows,
        columns=columns,
        channels=channels,
        dtype="uint16" if bits == 16 else "uint8",
        bits=bits,
        form=form,
        exif_orientation=exif_orientation(exif),
        lossy=isinstance(image, JpegImageFile) or (isinstance(image, WebPImageFile) and not _lossless_webp(file)),
    )


def _placement(image: ImageFile, file: BinaryIO, header: Header) -> Placement:
    """Return the resolution that a PNG, JPEG or BMP states in a unit of length."""
    if header.exif_orientation != 1:
        return Placement()
    if isinstance(image, PngImageFile):
        size = read_chunks(file, b"pHYs").get(b"pHYs", b"")
        if len(size) == 9 and size[8] == 1:
            across, down = (int.from_bytes(side, "big") / 100 for side in (size[:4], size[4:8]))
            return resolution_placement(across, down, CENTIMETRE)
    if isinstance(image, JpegImageFile) and image.info.get("jfif_unit") in (1, 2):
        across, down = image.info["jfif_density"]
        return resolution_placement(across, down, INCH if image.info["jfif_unit"] == 1 else CENTIMETRE)
    if isinstance(image, BmpImageFile) and "dpi" in image.info:
        across, down = image.info["dpi"]
        return resolution_placement(across, down, INCH)
    return Placement()


def _animation(path: Path) -> DataError:
    return DataError(f"{path}: an animation", "one picture in each file", "save each frame as a picture of its own")


def _check_webp(start: bytes, path: Path) -> None:
    """Check what a WebP's first chunk announces, because Pillow makes room for all pixels when it opens the file."""
    if is_animated(start):
        raise _animation(path)
    rows, columns = webp_size(start)
    check_size(path, Header(rows, columns, 4, "uint8", 8, "rgba"))


def _lossless_webp(file: BinaryIO) -> bool:
    place = file.tell()
    file.seek(0)
    start = file.read(4096)
    file.seek(place)
    return b"VP8L" in start


def _loaded(image: ImageFile, file: BinaryIO) -> NDArray[np.uint8] | None:
    """Decode a picture, and return its palette; None where it has none. Raises ValueError where a PNG lacks rows."""
    head = read_chunks(file, b"IHDR")[b"IHDR"] if isinstance(image, PngImageFile) else b""
    image.load()
    columns, rows = image.size
    if head and (
        head[12] or not np.asarray(image.crop((0, rows - 1, columns, rows))).any()
    ):  # a missing last row is black
        check_complete(file, head)
    if image.mode != "P":
        return None
    return np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)


def _decoded_16_bit(file: BinaryIO, path: Path, header: Header) -> NDArray[Any]:
    file.seek(0)
    chunks = read_chunks(file, b"IHDR", b"IDAT")
    if not chunks[b"IHDR"][12]:
        return decode_16_bit_png(chunks.get(b"IDAT", b""), header.rows, header.columns, header.channels)
    try:
        import imagecodecs  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise DataError(
            f"{path}: an interlaced PNG with several channels of 16 bits",
            "a PNG without interlacing, or a TIFF",
            "pip install 'unpool[codecs]', or save the picture without interlacing",
        ) from error
    file.seek(0)
    pixels: NDArray[Any] = imagecodecs.png_decode(file.read())
    return pixels

"""PNG, JPEG, BMP, GIF and WebP through Pillow.

The file classes are opened directly: ``Image.open`` would apply Pillow's own pixel limit, which belongs to the program
that uses this package. The bound here is ``MAX_BYTES``, against which the header is checked.
"""

from __future__ import annotations

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
from unpool.io.png_chunks import PNG_MARK, read_chunks
from unpool.io.read.exif import exif_orientation
from unpool.io.read.png_16_bit import decode_16_bit_png
from unpool.io.read.raster import Header, Raster, broken, check_size, decoding


class _JpegFile(JpegImageFile):
    """A JPEG whose EXIF Pillow does not parse. Pillow would look for the resolution only, and warn of damaged data."""

    def getexif(self) -> Image.Exif:
        return Image.Exif()


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


def bitmap_raster(file: BinaryIO, path: Path) -> Raster:
    """Decode a file that is no TIFF. Raises DataError."""
    with decoding(path):
        image = _open(file, path)
        header = _header(image, file, path)
        check_size(path, header)
        if header.bits == 16 and header.channels > 1:
            return Raster(header, _decoded_16_bit(file, path, header))
        palette = _palette(image) if header.form == "palette" else None
        return Raster(header, np.array(image), palette)


def _open(file: BinaryIO, path: Path) -> ImageFile:
    start = file.read(12)
    file.seek(0)
    for mark, reader in _READERS:
        if start.startswith(mark) and (mark != b"RIFF" or start.endswith(b"WEBP")):
            return reader(file, str(path))
    raise broken(path, "its first bytes are those of no known format")


def _header(image: ImageFile, file: BinaryIO, path: Path) -> Header:
    columns, rows = image.size
    if getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{path}: an animation", "one picture in each file", "save each frame as a picture of its own")
    if image.mode not in _FORMS:
        raise broken(path, f"pixels of the unknown kind {image.mode}")
    form, channels, bits = _FORMS[image.mode]
    exif = image.info.get("exif", b"")
    if isinstance(image, PngImageFile):
        chunks = read_chunks(file, b"IHDR", b"eXIf")
        exif = chunks.get(b"eXIf", exif)
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


def _lossless_webp(file: BinaryIO) -> bool:
    place = file.tell()
    file.seek(0)
    start = file.read(4096)
    file.seek(place)
    return b"VP8L" in start


def _palette(image: ImageFile) -> NDArray[np.uint8]:
    image.load()
    colours = image.getpalette("RGB") or []
    return np.array(colours, dtype=np.uint8).reshape(-1, 3)


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

"""Small pictures and masks for tests of pairing: noise for pictures, plain boxes and discs for masks."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS, COLUMNS = 24, 32


def saved(path: Path, pixels: NDArray[np.uint8], mode: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


def picture(path: Path, mode: str = "") -> Path:
    """Save a picture of noise, another one for every path."""
    noise = np.random.default_rng(crc32(str(path).encode())).integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)
    return saved(path, noise, mode)


def box(top: int, left: int, rows: int = 5, columns: int = 6, value: int = 255) -> NDArray[np.uint8]:
    """Return a mask with one box."""
    pixels = np.zeros((ROWS, COLUMNS), np.uint8)
    pixels[top : top + rows, left : left + columns] = value
    return pixels


def disc() -> NDArray[np.uint8]:
    """Return a mask of a disc in the middle, 10 pixels in radius."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    return np.where((rows - 12) ** 2 + (columns - 16) ** 2 < 100, np.uint8(255), np.uint8(0))


def made_files(root: Path, pictures: list[str], masks: list[str], count: int = 4) -> Path:
    """Save ``count`` files of each pattern, in which ``{}`` is a number: pictures, and masks with a box."""
    for k in range(count):
        for name in pictures:
            picture(root / name.format(k))
        for place, name in enumerate(masks):
            saved(root / name.format(k), box(2 + 3 * place, 3 + k))
    return root

"""The files beside a picture that place it on the earth (world file, projection, GDAL's file), and their copies.

A world file has six numbers: size of a pixel, rotation, and the place of the first pixel. Its suffix follows that of
the picture (``.pgw``, ``.jgw``, ``.tfw``), or is ``.wld``. GDAL's file ``x.png.aux.xml`` holds statistics of the
picture too, which are not those of its mask, so only its projection and its place are taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from unpool.errors import DataError
from unpool.io.files import write_bytes

LARGEST_PLACE_FILE = 1 << 20
"""The most bytes of a file that is taken; they have a few hundred."""

_PLACE = re.compile(r"<(SRS|GeoTransform)\b[^<>]*>[^<>]*</\1>")


@dataclass(frozen=True)
class PlaceFile:
    """A file beside a picture that places it on the earth.

    Attributes
    ----------
    kind: ``world`` file, ``wld`` (a world file for any suffix), ``projection`` or ``gdal``.
    content: what a copy holds.
    """

    source: Path
    kind: Literal["world", "wld", "projection", "gdal"]
    content: bytes

    def beside(self, path: Path) -> Path:
        """Return the path of the copy that belongs to a picture file, by the rule of its suffix."""
        if self.kind == "gdal":
            return path.with_name(f"{path.name}.aux.xml")
        suffix = path.suffix[1:]
        world = f".{suffix[0]}{suffix[-1]}w"
        return path.with_suffix({"world": world, "wld": ".wld", "projection": ".prj"}[self.kind])

    def write(self, path: Path) -> None:
        """Write a copy, atomically. Raises RunError."""
        write_bytes(path, self.content)


def place_files(picture: Path) -> tuple[PlaceFile, ...]:
    """Return the files beside a picture that place it on the earth.

    Raises
    ------
    DataError: a file has the name of a world file, and does not hold six numbers.
    """
    if picture.is_dir() or not picture.suffix:
        return ()
    return tuple(_found(picture))


def _found(picture: Path) -> Iterator[PlaceFile]:
    suffix = picture.suffix[1:].lower()
    usual = dict.fromkeys((f"{suffix[0]}{suffix[-1]}w", f"{suffix}w"))
    world = _first(picture.with_suffix(f".{each}") for each in (*usual, "wld"))
    if world is not None and (content := _content(world)):
        _require_six_numbers(world, content)
        yield PlaceFile(world, "wld" if world.suffix.lower() == ".wld" else "world", content)
    projection = _first([picture.with_suffix(".prj")])
    if projection is not None and (content := _content(projection)):
        yield PlaceFile(projection, "projection", content)
    gdal = picture.with_name(f"{picture.name}.aux.xml")
    if os.path.isfile(gdal):  # False for a name that is too long, where Path.is_file raises an error
        lines = [f"  {found[0]}\n" for found in _PLACE.finditer(_content(gdal).decode("utf-8", "replace"))]
        if lines:
            yield PlaceFile(gdal, "gdal", "".join(["<PAMDataset>\n", *lines, "</PAMDataset>\n"]).encode())


def _first(paths: Iterator[Path] | list[Path]) -> Path | None:
    """Return the first file that there is, with its suffix in small letters or in capitals."""
    both = (each for path in paths for each in (path, path.with_suffix(path.suffix.upper())))
    return next((path for path in both if os.path.isfile(path)), None)


def _content(path: Path) -> bytes:
    """Return the bytes of a small file; none of a large one, or of one that cannot be read."""
    with suppress(OSError):
        if path.stat().st_size <= LARGEST_PLACE_FILE:
            return path.read_bytes()
    return b""


def _require_six_numbers(path: Path, content: bytes) -> None:
    words = content.decode("utf-8", "replace").replace(",", ".").split()
    try:
        six = len(words) >= 6 and all(isfinite(float(word)) for word in words[:6])
    except ValueError:
        six = False
    if not six:
        raise DataError(
            f"{path}: not the six numbers of a world file",
            "the size of a pixel, two rotations and the place of the first pixel, a number a line",
            f"export the world file again, or move it away: the masks of {path.stem} are then without a place",
        )

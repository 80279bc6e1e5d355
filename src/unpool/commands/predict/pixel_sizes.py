"""The pixel size of each picture for its measurements, and the notes about sizes that cannot be used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from unpool.io.pixel_size import PixelSize, StatedSize, stated_pixel_size
from unpool.io.place_files import PlaceFile
from unpool.io.read.windows import PictureFile

SAME = 0.01
"""Share by which a size that a person gives may differ from that of the file without a note."""


class PixelSizes:
    """The sizes of pixels: the one that a person gives, or what each file states.

    Parameters
    ----------
    given: for all pictures; None for what each file states.
    """

    def __init__(self, given: PixelSize | None) -> None:
        self._given = given
        self._noted: set[str] = set()
        self._note = ""

    def of(self, path: Path, picture: PictureFile, place: Sequence[PlaceFile] = ()) -> PixelSize | None:
        """Return the size of a picture's pixels; None where it is not known.

        Parameters
        ----------
        place: the files beside the picture that place it on the earth. A resolution is none of the ground then.
        """
        stated, placement = stated_pixel_size(path, picture.placement), picture.placement
        by_world_file = any(file.kind in ("world", "wld") for file in place)
        if by_world_file and placement.space is None and not placement.geography:
            stated = StatedSize(None, "its world file does not state the unit of its map")
        kind, sentence = self._remark(stated)
        if sentence and kind not in self._noted:
            self._noted.add(kind)
            self._note = f"{path}: {sentence}"
        return self._given or stated.size

    def new_note(self) -> str:
        """Return the note on the last picture, if it is the first of its kind; an empty text for none."""
        note, self._note = self._note, ""
        return note

    def _remark(self, stated: StatedSize) -> tuple[str, str]:
        """Return a kind of remark and the remark; empty texts for none."""
        given = self._given
        if given is None:
            repair = "measurements are in pixels; --pixel-size adds those in its unit, as 0.65um or 0.5m"
            return stated.reason, f"{stated.reason}: {repair}" if stated.reason else ""
        if stated.size is None or _alike(stated.size, given):
            return "", ""
        return "differs", f"it states pixels of {stated.size.describe()}; --pixel-size {given.describe()} is taken"


def _alike(one: PixelSize, other: PixelSize) -> bool:
    sides = zip(one[:2], other[:2], strict=True)
    return one.unit == other.unit and all(math.isclose(*pair, rel_tol=SAME) for pair in sides)

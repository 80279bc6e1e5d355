"""The pixel size of each picture for its measurements, and the notes about sizes that cannot be used."""

from __future__ import annotations

import math
from pathlib import Path

from unpool.io.pixel_size import PixelSize, StatedSize, stated_pixel_size
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

    def of(self, path: Path, picture: PictureFile) -> PixelSize | None:
        """Return the size of a picture's pixels; None where it is not known."""
        stated = stated_pixel_size(path, picture.placement)
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
            repair = "measurements are in pixels; --pixel-size 0.65um adds those in micrometres"
            return stated.reason, f"{stated.reason}: {repair}" if stated.reason else ""
        if stated.size is None or _alike(stated.size, given):
            return "", ""
        return "differs", f"it states pixels of {stated.size.describe()}; --pixel-size {given.describe()} is taken"


def _alike(one: PixelSize, other: PixelSize) -> bool:
    sides = zip(one[:2], other[:2], strict=True)
    return one.unit == other.unit and all(math.isclose(*pair, rel_tol=SAME) for pair in sides)

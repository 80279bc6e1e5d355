"""The form of a picture that is written by bands of rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from unpool.class_table import Colour
from unpool.io.placement import Placement


@dataclass(frozen=True)
class BandForm:
    """The size, pixel type, colours and placement of a picture that is written by bands.

    Attributes
    ----------
    rows, columns, channels: of the picture.
    dtype: uint8, uint16 or float32.
    palette: RGB colours by value, for uint8 of one channel.
    placement: facts of the source picture that the file keeps: resolution, place on the earth, physical size, and
        smaller copies (each a half of the one before) where the source has any.
    """

    rows: int
    columns: int
    channels: int = 1
    dtype: str = "uint8"
    palette: tuple[Colour, ...] | None = None
    placement: Placement = field(default_factory=Placement)

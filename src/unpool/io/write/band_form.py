"""What a picture that is written by bands looks like."""

from __future__ import annotations

from dataclasses import dataclass, field

from unpool.class_table import Colour
from unpool.io.placement import Placement


@dataclass(frozen=True)
class BandForm:
    """What is written by bands.

    Attributes
    ----------
    rows, columns, channels: of the whole picture.
    dtype: uint8, uint16 or float32.
    palette: RGB colours by value, for uint8 of one channel.
    placement: what is kept of the picture it was made from: resolution, place on the earth, physical size, and
        smaller copies (each a half of the one before) where that had any.
    """

    rows: int
    columns: int
    channels: int = 1
    dtype: str = "uint8"
    palette: tuple[Colour, ...] | None = None
    placement: Placement = field(default_factory=Placement)

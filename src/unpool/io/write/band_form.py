"""The form of a picture that is written by bands of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

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
    rgb: the three channels are colours. A TIFF stores other channels one after the other, as greys.
    one_bit: the values are 0 and 1, and are stored in one bit each.
    missing: the value of pixels without data, which a TIFF declares; None where it declares none.
    names: of the channels; empty where they have none.
    """

    rows: int
    columns: int
    channels: int = 1
    dtype: str = "uint8"
    palette: tuple[Colour, ...] | None = None
    placement: Placement = field(default_factory=Placement)
    rgb: bool = False
    one_bit: bool = False
    missing: float | None = None
    names: tuple[str, ...] = ()


class RowSource(Protocol):
    """The rows of a picture (rows, columns, channels) that a writer of a format takes."""

    def read(self, height: int, step: int = 1, channel: int | None = None) -> Iterator[NDArray[Any]]:
        """Yield every ``step``-th row and column from the top, ``height`` rows at a time; fewer at the end.

        Parameters
        ----------
        channel: the only channel that is read; None for all.
        """

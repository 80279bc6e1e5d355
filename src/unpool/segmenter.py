"""What travels together: a network, its normalisation and its class table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.class_table import ClassTable
from unpool.nets.network import Network
from unpool.normalisation import Normalisation
from unpool.orientation import UPRIGHT, Orientation
from unpool.shapes import Pixels, Region, Size
from unpool.tiling import extent, mirrored


class Frame(NamedTuple):
    """The input that a picture is laid into.

    Attributes
    ----------
    size: rows and columns of the input, a legal size.
    before: rows and columns of the input above and left of the picture.
    offset: where the picture's first pixel is in the network's output.
    """

    size: Size
    before: Size
    offset: Size


@dataclass(frozen=True)
class Segmenter:
    """Everything needed to turn a picture into class ids.

    Attributes
    ----------
    net: the network's name, as in ``unpool.nets.named.NAMED_NETS``.
    """

    net: str
    network: Network
    normalisation: Normalisation
    classes: ClassTable

    def frame(self, size: Size) -> Frame:
        """The smallest input whose output covers a picture of (rows, columns).

        A network that loses pixels at the border gets them from beyond the picture (the overlap-tile of U-Net); what
        is missing to a legal size is added at the bottom and right.
        """
        rows, columns = (self.network.structure.input_for(side) for side in size)
        return Frame(
            (rows.size, columns.size),
            (max(rows.margin, 0), max(columns.margin, 0)),
            (max(-rows.margin, 0), max(-columns.margin, 0)),
        )

    def prepare(self, image: Pixels, source: str, window: Region | None = None, turn: Orientation = UPRIGHT) -> Tensor:
        """A picture, or a window of it, as the network takes it: what ``window`` reads, ``normal``."""
        return self.normal(self.window(image, window, turn), source)

    def window(self, image: Pixels, window: Region | None = None, turn: Orientation = UPRIGHT) -> NDArray[Any]:
        """A window of a picture's frame as it was stored: (rows', columns', channels); beyond its edges it is mirrored.

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in; one rectangle of it is read.
        window: rows and columns of the turned picture's frame; all by default.
        """
        size = turn.size((image.shape[0], image.shape[1]))
        frame = self.frame(size)
        rows, columns = (
            mirrored(slice(part.start - before, part.stop - before), length)
            for part, before, length in zip(window or extent(frame.size), frame.before, size, strict=True)
        )
        return turn.pixels(image, rows, columns)

    def normal(self, pixels: NDArray[Any], source: str) -> Tensor:
        """Stored pixels (rows, columns, channels) as the network takes them: float32 (1, channels', rows, columns).

        Parameters
        ----------
        source: the file's name, for messages.

        Raises
        ------
        DataError: channels or pixel type do not fit the model.
        """
        normal = self.normalisation.apply(pixels, source)
        return torch.from_numpy(np.ascontiguousarray(normal)).movedim(-1, 0)[None]

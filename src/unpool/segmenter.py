"""The segmenter: a network with its normalisation and its class table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.appearance.seen import SeenPictures
from unpool.class_table import ClassTable
from unpool.nets.network import Network
from unpool.normalisation import Normalisation
from unpool.orientation import UPRIGHT, Orientation
from unpool.shapes import Pixels, Region, Size
from unpool.tiling import extent, mirrored


class Frame(NamedTuple):
    """The network's input for a picture, which is extended by mirroring.

    Attributes
    ----------
    size: rows and columns of the input, a legal size.
    before: rows above and columns left of the picture, in the input.
    offset: row and column of the picture's first pixel, in the output.
    """

    size: Size
    before: Size
    offset: Size


@dataclass(frozen=True)
class Segmenter:
    """A network, its normalisation and its class table: all that class ids of a picture are computed with.

    Attributes
    ----------
    net: name of the network, as in ``unpool.nets.named.NAMED_NETS``.
    network: it has an output for each class, and where it learned borders of objects, one more for these.
    seen: the appearance of the training pictures, which new pictures are compared with; None where it is not known.
    borders: width in pixels of the borders of objects that the network learned, see ``unpool.data.borders``; 0 where
        it learned none.
    """

    net: str
    network: Network
    normalisation: Normalisation
    classes: ClassTable
    seen: SeenPictures | None = None
    borders: int = 0

    @property
    def outputs(self) -> int:
        """Number of the network's outputs: the classes, and the borders of objects where it learned them."""
        return len(self.classes) + (self.borders > 0)

    def class_logits(self, logits: Tensor, axis: int = 0) -> Tensor:
        """Return the logits of the classes, of which the last one has the probability of its borders too.

        Parameters
        ----------
        logits: of the network; ``axis`` is that of its outputs.
        """
        if not self.borders:
            return logits
        last = logits.narrow(axis, len(self.classes) - 1, 2).logsumexp(axis, keepdim=True)
        return torch.cat([logits.narrow(axis, 0, len(self.classes) - 1), last], axis)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probability of each class, and behind them that of borders where the network learned them.

        The probability of borders is also a part of that of the last class, the objects'.

        Parameters
        ----------
        logits: of the network, (outputs, rows, columns).
        """
        probabilities = logits.softmax(dim=0)
        if self.borders:
            probabilities[-2] += probabilities[-1]
        return probabilities

    def frame(self, size: Size) -> Frame:
        """Return the smallest input whose output covers a picture of (rows, columns).

        A network without padding loses pixels at the border; the input is extended by as many on each side (the
        overlap-tile strategy of U-Net). Pixels that are missing to a legal size are added at the bottom and right.
        """
        rows, columns = (self.network.structure.input_for(side) for side in size)
        return Frame(
            (rows.size, columns.size),
            (max(rows.margin, 0), max(columns.margin, 0)),
            (max(-rows.margin, 0), max(-columns.margin, 0)),
        )

    def prepare(
        self, image: Pixels, source: str, window: Region | None = None, orientation: Orientation = UPRIGHT
    ) -> Tensor:
        """Read a window and return it as the network's input: float32 (1, channels', rows, columns).

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in; one rectangle of it is read.
        source: the file's name, for messages.
        window: rows and columns of the oriented picture's frame; all by default.

        Raises
        ------
        DataError: channels or pixel type do not fit the model.
        """
        return self.for_picture(image, source).normal(self.window(image, window, orientation), source)

    def for_picture(self, image: Pixels, source: str) -> Segmenter:
        """Return the segmenter whose ``normal`` takes the windows of this picture.

        That is itself, unless each picture is normalised by its own mean and deviation.

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in, as a whole.
        source: the file's name, for messages.

        Raises
        ------
        DataError: channels do not fit the model.
        """
        normalisation = self.normalisation.of_picture(image, source)
        return self if normalisation is self.normalisation else replace(self, normalisation=normalisation)

    def window(self, image: Pixels, window: Region | None = None, orientation: Orientation = UPRIGHT) -> NDArray[Any]:
        """Return a window of a picture's frame, mirrored beyond the picture's edges: (rows', columns', channels).

        Only the window is rotated, and later normalised: no picture is in memory as a whole in such a form.

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in; one rectangle of it is read.
        window: rows and columns of the oriented picture's frame; all by default.
        """
        size = orientation.size((image.shape[0], image.shape[1]))
        frame = self.frame(size)
        rows, columns = (
            mirrored(slice(part.start - before, part.stop - before), length)
            for part, before, length in zip(window or extent(frame.size), frame.before, size, strict=True)
        )
        return orientation.pixels(image, rows, columns)

    def normal(self, pixels: NDArray[Any], source: str) -> Tensor:
        """Return pixels as the network's input: normalised, float32 (1, channels', rows, columns).

        Parameters
        ----------
        pixels: (rows, columns, channels) in the pixel type they were stored in; of a segmenter ``for_picture`` where
            each picture is normalised by its own constants.
        source: the file's name, for messages.

        Raises
        ------
        DataError: channels or pixel type do not fit the model.
        """
        normal = self.normalisation.apply(pixels, source)
        return torch.from_numpy(np.ascontiguousarray(normal)).movedim(-1, 0)[None]

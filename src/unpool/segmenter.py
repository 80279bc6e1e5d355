"""What travels together: a network, its normalisation and its class table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.classes import ClassTable
from unpool.nets import Network, fit
from unpool.normalisation import Normalisation


class Prepared(NamedTuple):
    """A picture as the network takes it.

    ``inputs`` is float32 (1, channels, rows', columns'); the picture's first pixel is ``offset`` (rows, columns) into
    the network's output.
    """

    inputs: Tensor
    offset: tuple[int, int]


@dataclass(frozen=True)
class Segmenter:
    """Everything needed to turn a picture into class ids.

    Attributes
    ----------
    net: the network's name, as in ``unpool.nets.NAMED_NETS``.
    """

    net: str
    network: Network
    normalisation: Normalisation
    classes: ClassTable

    def prepare(self, image: NDArray[Any], source: str) -> Prepared:
        """Normalise a picture and extend it to an input whose output covers it.

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in.
        source: the file's name, for messages.

        A network that loses pixels at the border gets them from beyond the picture, mirrored (the overlap-tile of
        U-Net); what is missing to a legal size is mirrored at the bottom and right.

        Raises
        ------
        DataError: channels or pixel type do not fit the model.
        """
        normal = self.normalisation.apply(image, source)
        fits = [fit(self.network.structure, side) for side in image.shape[:2]]
        sides = []
        for side, (size, margin) in zip(image.shape[:2], fits, strict=True):
            before = max(margin, 0)
            sides.append((before, size - side - before))
        extended = mirrored(normal, sides[0], sides[1])
        inputs = torch.from_numpy(np.ascontiguousarray(extended)).movedim(-1, 0)[None]
        return Prepared(inputs, (max(-fits[0].margin, 0), max(-fits[1].margin, 0)))


def mirrored(image: NDArray[np.float32], rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.float32]:
    """Extend (rows, columns, channels) by pixels (before, after), mirrored about its edges as often as needed."""
    for axis, sides in enumerate((rows, columns)):
        pads = [(0, 0)] * 3
        pads[axis] = sides
        image = np.pad(image, pads, mode="reflect" if image.shape[axis] > 1 else "edge") if any(sides) else image
    return image

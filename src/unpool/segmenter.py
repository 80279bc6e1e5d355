"""What travels together: a network, its normalisation and its class table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.classes import ClassTable
from unpool.nets import EncoderDecoder, legal_size
from unpool.normalisation import Normalisation


@dataclass(frozen=True)
class Segmenter:
    """Everything needed to turn a picture into class ids.

    Attributes
    ----------
    net: the network's name, as in ``unpool.nets.NAMED_NETS``.
    """

    net: str
    network: EncoderDecoder
    normalisation: Normalisation
    classes: ClassTable

    def prepare(self, image: NDArray[Any], source: str) -> Tensor:
        """Normalise a picture and pad it to a legal size.

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in.
        source: the file's name, for messages.

        Returns
        -------
        float32 (1, channels, rows', columns'), mirrored at the bottom and right up to the nearest legal size.

        Raises
        ------
        DataError: channels or pixel type do not fit the model.
        """
        normal = self.normalisation.apply(image, source)
        missing = [legal_size(self.network.structure, side) - side for side in image.shape[:2]]
        if any(missing):
            normal = mirrored_at_end(normal, missing[0], missing[1])
        return torch.from_numpy(np.ascontiguousarray(normal)).movedim(-1, 0)[None]


def mirrored_at_end(image: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Extend (rows, columns, channels) at the bottom and right by mirroring, as often as a small picture needs."""
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="reflect" if min(image.shape[:2]) > 1 else "edge")

"""One pair as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import ClassTable, Labels
from unpool.data.weight_maps import Emphasis, emphasis_map
from unpool.errors import DataError
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask


@dataclass(frozen=True)
class Pair:
    """A picture and its mask.

    Attributes
    ----------
    name: unique in its folder: the split, sub-folders and stem of the picture, as ``train/0001TP_006690``.
    split: ``train``, ``val`` or ``test`` where the folder says so.
    """

    name: str
    image: Path
    mask: Path
    split: str | None


@dataclass(frozen=True)
class Sample:
    """A picture with its labels.

    Attributes
    ----------
    image: (rows, columns, channels) in the stored pixel type: uint8, uint16 or float32.
    labels: uint8 (rows, columns) class ids, ``IGNORE_ID`` where a pixel counts nowhere.
    instances: int32 (rows, columns) object numbers with 0 for background, for a table of kind ``instances``.
    emphasis: float16 (rows, columns) weights beside those of the classes, see ``weight_maps``; None where there are
        none.
    """

    name: str
    image: NDArray[Any]
    labels: Labels
    instances: NDArray[np.int32] | None
    emphasis: NDArray[np.float16] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        arrays = (self.image, self.labels, self.instances, self.emphasis)
        return sum(array.nbytes for array in arrays if array is not None)


def read_sample(pair: Pair, table: ClassTable, emphasis: Emphasis | None = None) -> Sample:
    """Read a pair, and compute its emphasis where one is asked for.

    Raises
    ------
    DataError: a file is broken, the sizes differ, or the mask holds a value of no class.
    """
    image = read_image(pair.image)
    mask = read_mask(pair.mask, table.kind)
    if image.shape[:2] != mask.shape[:2]:
        raise DataError(
            f"{pair.image} is {image.shape[0]} x {image.shape[1]} and {pair.mask} is "
            f"{mask.shape[0]} x {mask.shape[1]} (rows x columns)",
            "a picture and a mask of one size",
            "make the mask anew at the picture's size",
        )
    labels = table.encode(mask, str(pair.mask))
    instances = mask.astype(np.int32) if table.kind == "instances" else None
    weights = emphasis_map(labels, instances, emphasis).astype(np.float16) if emphasis else None
    return Sample(pair.name, image, labels, instances, weights)

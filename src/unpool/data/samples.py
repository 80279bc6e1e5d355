"""One pair as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.classes import ClassTable, Labels
from unpool.data.folder import Pair
from unpool.errors import DataError
from unpool.io import read_image, read_mask


@dataclass(frozen=True)
class Sample:
    """A picture with its labels.

    Attributes
    ----------
    image: (rows, columns, channels) in the stored pixel type: uint8, uint16 or float32.
    labels: uint8 (rows, columns) class ids, ``IGNORE_ID`` where a pixel counts nowhere.
    instances: int32 (rows, columns) object numbers with 0 for background, for a table of kind ``instances``.
    """

    name: str
    image: NDArray[Any]
    labels: Labels
    instances: NDArray[np.int32] | None


def read_sample(pair: Pair, table: ClassTable) -> Sample:
    """Read a pair.

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
    return Sample(pair.name, image, labels, instances)

"""Pairs (a picture file and its mask file), and samples (the same as arrays)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID, ClassTable, Labels
from unpool.data.borders import with_borders
from unpool.data.field_of_view import inside_view
from unpool.data.weight_maps import Emphasis, emphasis_map
from unpool.errors import DataError
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.wording import size_text


@dataclass(frozen=True)
class Pair:
    """A picture file and its mask file.

    Attributes
    ----------
    name: unique in its folder: the split, sub-folders and stem of the picture, such as ``train/0001TP_006690``.
    split: ``train``, ``val`` or ``test`` where the folder gives it; otherwise None.
    field_of_view: a mask of the pixels that count, see ``unpool.data.field_of_view``; None where all do.
    """

    name: str
    image: Path
    mask: Path
    split: str | None
    field_of_view: Path | None = None


@dataclass(frozen=True)
class Sample:
    """A picture with its labels.

    Attributes
    ----------
    image: (rows, columns, channels) in the stored pixel type: uint8, uint16 or float32.
    labels: uint8 (rows, columns): class ids, or ``IGNORE_ID`` where a pixel counts nowhere. Where a network learns
        borders, the label behind the last class is that of borders, see ``unpool.data.borders``.
    instances: int32 (rows, columns): object numbers, 0 for background; None unless the table is of kind
        ``instances``.
    emphasis: float16 (rows, columns): weights added to those of the classes, see ``unpool.data.weight_maps``; None
        without emphasis.
    """

    name: str
    image: NDArray[Any]
    labels: Labels
    instances: NDArray[np.int32] | None
    emphasis: NDArray[np.float16] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.image, self.labels, self.instances, self.emphasis)
        return sum(array.nbytes for array in arrays if array is not None)


def read_sample(pair: Pair, table: ClassTable, emphasis: Emphasis | None = None, borders: int = 0) -> Sample:
    """Read a pair, and compute its emphasis if one is given.

    Parameters
    ----------
    borders: width in pixels of the borders of objects in the labels, of a table of object numbers; 0 for none.

    Raises
    ------
    DataError: a file is broken, the sizes differ, or the mask holds a value that is in no class.
    """
    image = read_image(pair.image)
    mask = read_mask(pair.mask, table.kind)
    if image.shape[:2] != mask.shape[:2]:
        raise DataError(
            f"{pair.image} is {size_text(image.shape[:2])} and {pair.mask} is {size_text(mask.shape[:2])} "
            "(rows x columns)",
            "a picture and a mask of one size",
            "draw or export the mask again at the picture's size",
        )
    outside = None if pair.field_of_view is None else ~inside_view(pair.field_of_view, image.shape[:2])
    if outside is not None:
        mask = np.where(outside if mask.ndim == 2 else outside[..., np.newaxis], table.values[0][0], mask)
    labels = table.encode(mask, str(pair.mask))
    if outside is not None:
        labels[outside] = IGNORE_ID
    instances = mask.astype(np.int32) if table.kind == "instances" else None
    weights = emphasis_map(labels, instances, emphasis).astype(np.float16) if emphasis else None
    if borders and instances is not None:
        labels = with_borders(labels, instances, borders)
    return Sample(pair.name, image, labels, instances, weights)

"""The field of view of a picture: the pixels that a camera shows; the others are ignored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.io.read.masks import read_mask
from unpool.shapes import Size
from unpool.wording import size_text


def inside_view(path: Path, size: Size | None = None) -> NDArray[np.bool_]:
    """Read which pixels (rows, columns) are in a field of view: those above half of the file's largest value.

    Parameters
    ----------
    size: rows and columns of the picture; None for any.

    Raises
    ------
    DataError: the file is broken, or has another size than the picture.
    """
    values = read_mask(path, "instances")
    if size is not None and values.shape != tuple(size):
        raise DataError(
            f"{path}: a field of view of {size_text(values.shape)} for a picture of {size_text(size)} (rows x columns)",
            "a field of view with the size of its picture",
            "export it again at the picture's size, or move it out of the folder",
        )
    return values > int(values.max()) // 2

"""The tile that fits: how a predictor cuts one picture under its memory limit."""

from __future__ import annotations

from math import inf
from typing import Any, Protocol

import numpy as np

from unpool.io.read.windows import PictureFile
from unpool.prediction.blending import summed_bytes
from unpool.prediction.memory import WindowMemory
from unpool.prediction.predictor import Predictor
from unpool.prediction.tile_plan import TileBytes, plan_tiles
from unpool.shapes import Pixels, Size

READING = 4
"""Copies of a window in the picture's pixel type: it and the next one, each while it is read and put in order."""

NORMAL = 12
"""Bytes for every value of a window while it is normalised, where the window is not computed by rows."""

AVERAGING = 36
"""Bytes for every pixel and class while runs are averaged or compared: nine float32 arrays of probabilities."""


class TypedPixels(Pixels, Protocol):
    """A picture that can be read by windows, with its pixel type."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, uint16 or float32."""


def fitting_tile(predictor: Predictor, picture: PictureFile, source: str, band_bytes: float) -> Size:
    """Return rows and columns of the tiles that a picture is cut into, under the predictor's memory limit.

    Parameters
    ----------
    source: the picture's name, for messages.
    band_bytes: bytes held for every pixel of a band, in addition to the network's feature maps.

    Raises
    ------
    RunError: not even the smallest tile fits.
    """
    size, limit = picture.shape[:2], predictor.memory
    fits = size[0] <= predictor.tile[0] and size[1] <= predictor.tile[1]
    if limit is None or (fits and not limit.strict):
        return predictor.tile
    summed = summed_bytes(predictor.segmenter.outputs, sampled=predictor.averaging.samples > 0)
    cost = TileBytes(picture_memory(predictor, picture), band_bytes, summed)
    room = limit.left(predictor.machine) - (0 if picture.in_memory else picture.cached_bytes)
    structure = predictor.segmenter.network.structure
    return plan_tiles(structure, cost, size, room, source, _rows_kept(picture)).tile


def picture_memory(predictor: Predictor, image: TypedPixels, *, at_once: bool = False) -> WindowMemory:
    """Return the bytes that a window of a picture takes.

    Parameters
    ----------
    at_once: whether the window is computed in one piece even where the network could compute it by rows.
    """
    channels, averaged = image.shape[2], at_once or not predictor.averaging.once
    window = READING * image.dtype.itemsize * channels + AVERAGING * predictor.segmenter.outputs * averaged
    if predictor.by_rows and not at_once:
        return predictor.window_memory._replace(window=window)
    return predictor.window_memory._replace(window=window + NORMAL * channels, piece=inf)


def pixels_at_once(predictor: Predictor, image: TypedPixels) -> float:
    """Return the pixels of a picture that may be computed in one piece under the memory limit."""
    if predictor.memory is None or predictor.looks_at_everything:
        return inf
    memory = picture_memory(predictor, image, at_once=True)
    left = predictor.memory.left(predictor.machine)
    return max(left - memory.fixed, 0) / (memory.of(1, 1) - memory.fixed)


def _rows_kept(picture: PictureFile) -> int | None:
    """Return the most rows that a window may have without reading rows twice; None where there is no such limit."""
    rows, columns, channels = picture.shape
    if picture.in_memory or picture.block[1] < columns or picture.block[0] >= rows:
        return None
    return max(picture.cached_bytes // (columns * channels * picture.dtype.itemsize) - picture.block[0], 1)

"""The tile plan: the tiles that compute the fewest pixels in the memory given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from unpool.errors import RunError
from unpool.nets.network import NetworkStructure
from unpool.prediction.blending import overlapping
from unpool.prediction.memory import WindowMemory
from unpool.shapes import Size
from unpool.tiling import multiple_above
from unpool.wording import bytes_text, size_text

SIDES = (32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
"""Rows and columns that a tile may have, made multiples of the network's stride."""

WIDE = (*SIDES, 3072, 4096, 6144, 8192)
"""Columns that a tile may have; as many rows would be much to lose where prediction is interrupted."""


class TileBytes(NamedTuple):
    """Bytes that a row of tiles takes.

    Attributes
    ----------
    window: for one window's feature maps and logits.
    band: for every pixel of the row of tiles, in addition to the window.
    blended: for every pixel of the row of tiles where tiles are blended, in addition to both.
    """

    window: WindowMemory
    band: float
    blended: float = 0.0


@dataclass(frozen=True)
class TilePlan:
    """A tile and its cost.

    Attributes
    ----------
    tile: rows and columns.
    window: rows and columns of the largest window.
    bytes: the most that a row of tiles is expected to take.
    overhead: pixels computed for each pixel of the picture.
    """

    tile: Size
    window: Size
    bytes: float
    overhead: float


def plan_tiles(
    structure: NetworkStructure,
    cost: TileBytes,
    picture: Size,
    room: float,
    source: str,
    most_rows: int | None = None,
) -> TilePlan:
    """Return the tiles that compute the fewest pixels among those that fit.

    Parameters
    ----------
    picture: rows and columns.
    room: bytes that a row of tiles may take.
    source: the picture's name, for messages.
    most_rows: of a window; the picture's reader would read higher ones several times. Ignored where no tile keeps it.

    Raises
    ------
    RunError: not even the smallest tile fits.
    """
    plans = [_plan(structure, cost, picture, tile) for tile in _candidates(structure, picture)]
    fitting = [plan for plan in plans if plan.bytes <= room]
    if not fitting:
        least = min(plans, key=lambda plan: plan.bytes)
        lacking = math.ceil((least.bytes - max(room, 0)) / 1e7) * 1e7
        raise RunError(
            f"{source}: a tile of {size_text(least.tile)} pixels takes about {bytes_text(least.bytes)}, "
            f"{bytes_text(max(room, 0))} are left of the memory that prediction may take",
            "enough memory for one row of the smallest tiles",
            f"give {bytes_text(lacking)} more with --memory, request fewer outputs, or use a narrower network",
        )
    low = [plan for plan in fitting if most_rows is None or plan.window[0] <= most_rows]
    return min(low or fitting, key=lambda plan: (plan.overhead, plan.bytes))


def _candidates(structure: NetworkStructure, picture: Size) -> Iterator[Size]:
    sides = [
        sorted({min(multiple_above(side, structure.stride), length) for side in each})
        for each, length in zip((SIDES, WIDE), picture, strict=True)
    ]
    if structure.looks_at_everything:  # only the picture in one piece is exact
        sides = [sorted({*each, length}) for each, length in zip(sides, picture, strict=True)]
    if structure.halo is None:  # such a network cannot be tiled
        sides = [[length] for length in picture]
    for rows in sides[0]:
        for columns in sides[1]:
            yield rows, columns


def _plan(structure: NetworkStructure, cost: TileBytes, picture: Size, tile: Size) -> TilePlan:
    window = _window(structure, tile[0], picture[0]), _window(structure, tile[1], picture[1])
    rows, band = min(tile[0], picture[0]), cost.band
    computed = math.prod(_computed(structure, side, length) for side, length in zip(tile, picture, strict=True))
    if structure.looks_at_everything and (tile[0] < picture[0] or tile[1] < picture[1]):
        overlap = overlapping(picture, tile, structure.stride)
        computed, band = len(overlap.rows) * len(overlap.columns) * math.prod(window), band + cost.blended
    total = cost.window.of(*window) + band * rows * picture[1]
    return TilePlan(tile, window, total, computed / math.prod(picture))


def _computed(structure: NetworkStructure, side: int, length: int) -> int:
    """Return the pixels of all windows along an axis."""
    full, rest = divmod(length, side)
    return full * _window(structure, side, length) + (_window(structure, rest, length) if rest else 0)


def _window(structure: NetworkStructure, side: int, length: int) -> int:
    """Return the most pixels, along an axis, of a window for a tile of ``side`` pixels."""
    halo = structure.halo
    before, after = (halo.before, halo.after) if halo else (0, 0)
    stride = structure.stride
    inner = multiple_above(side, stride) + multiple_above(before, stride) + multiple_above(after, stride)
    return min(inner, structure.input_for(length).size)

"""How a large picture is cut: the tiles that cost least in the memory given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from unpool.errors import RunError
from unpool.nets.sizes import AnyStructure, context, fit, looks_at_everything
from unpool.prediction.blending import overlapping
from unpool.prediction.memory import WindowMemory
from unpool.shapes import Size
from unpool.tiling import multiple_above

SIDES = (32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
"""Rows and columns a tile may have, made multiples of the network's stride."""

WIDE = (*SIDES, 3072, 4096, 6144, 8192)
"""Columns it may have; more rows would be much to lose where prediction is interrupted."""


@dataclass(frozen=True)
class TilePlan:
    """Rows and columns kept of each tile, and what a tile costs.

    Attributes
    ----------
    tile: rows and columns kept; ``window``: of the largest input.
    bytes: expected at most, with the row of results.
    overhead: pixels computed for each pixel of the picture.
    """

    tile: Size
    window: Size
    bytes: float
    overhead: float


def plan_tiles(
    structure: AnyStructure,
    held: WindowMemory,
    beside: float,
    picture: Size,
    room: float,
    source: str,
    most_rows: int | None = None,
    blended: float = 0.0,
) -> TilePlan:
    """The tiles that compute the fewest pixels among those that fit.

    Parameters
    ----------
    beside: bytes held for every pixel of a row of tiles beside the network's maps.
    picture: rows and columns.
    room: bytes that a row of tiles may take.
    source: the picture's name, for messages.
    most_rows: of a window, where higher ones would be read from the disk again and again; kept to if any tile can.
    blended: bytes held besides for every pixel of a row of tiles where tiles are blended.

    Raises
    ------
    RunError: not even the smallest tile fits.
    """
    plans = [_plan(structure, held, beside, blended, picture, tile) for tile in _candidates(structure, picture)]
    fitting = [plan for plan in plans if plan.bytes <= room]
    if not fitting:
        least = min(plans, key=lambda plan: plan.bytes)
        raise RunError(
            f"{source}: a tile of {least.tile[0]} x {least.tile[1]} pixels takes about {least.bytes / 1e6:.0f} MB, "
            f"{max(room, 0) / 1e6:.0f} MB are left of the memory that prediction may take",
            "room for one row of the smallest tiles",
            "give more --memory, ask for fewer outputs, or use a narrower network",
        )
    low = [plan for plan in fitting if most_rows is None or plan.window[0] <= most_rows]
    return min(low or fitting, key=lambda plan: (plan.overhead, plan.bytes))


def _candidates(structure: AnyStructure, picture: Size) -> Iterator[Size]:
    sides = [
        sorted({min(multiple_above(side, structure.stride), length) for side in each})
        for each, length in zip((SIDES, WIDE), picture, strict=True)
    ]
    if looks_at_everything(structure):  # only the whole is exact
        sides = [sorted({*each, length}) for each, length in zip(sides, picture, strict=True)]
    if context(structure) is None:  # such a network answers for whole pictures only
        sides = [[length] for length in picture]
    for rows in sides[0]:
        for columns in sides[1]:
            yield rows, columns


def _plan(
    structure: AnyStructure, held: WindowMemory, beside: float, blended: float, picture: Size, tile: Size
) -> TilePlan:
    window = _window(structure, tile[0], picture[0]), _window(structure, tile[1], picture[1])
    rows = min(tile[0], picture[0])
    computed = math.prod(_computed(structure, side, length) for side, length in zip(tile, picture, strict=True))
    if looks_at_everything(structure) and (tile[0] < picture[0] or tile[1] < picture[1]):
        overlap = overlapping(picture, tile, structure.stride)
        computed, beside = len(overlap.rows) * len(overlap.columns) * math.prod(window), beside + blended
    total = held.of(*window) + beside * rows * picture[1]
    return TilePlan(tile, window, total, computed / math.prod(picture))


def _computed(structure: AnyStructure, side: int, length: int) -> int:
    """Pixels of all windows along an axis."""
    whole, rest = divmod(length, side)
    return whole * _window(structure, side, length) + (_window(structure, rest, length) if rest else 0)


def _window(structure: AnyStructure, side: int, length: int) -> int:
    """How long a window is that computes ``side`` pixels along an axis, at most."""
    seen = context(structure)
    before, after = (seen.before, seen.after) if seen else (0, 0)
    stride = structure.stride
    inner = multiple_above(side, stride) + multiple_above(before, stride) + multiple_above(after, stride)
    return min(inner, fit(structure, length).size)

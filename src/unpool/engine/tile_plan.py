"""How a large picture is cut: the tiles that cost least in the memory given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from unpool.engine.held_memory import HeldMemory
from unpool.errors import RunError
from unpool.nets import AnyStructure, context
from unpool.tiling import Size, multiple_above

SIDES = (32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
"""Rows and columns a tile may have, made multiples of the network's stride."""


@dataclass(frozen=True)
class Band:
    """What is held for every pixel of a row of tiles beside the network's maps.

    Attributes
    ----------
    pixel: bytes of the results of one pixel.
    read: bytes of one pixel as it is stored, where only whole rows of the picture can be read; else 0.
    """

    pixel: float
    read: float = 0.0


@dataclass(frozen=True)
class TilePlan:
    """Rows and columns kept of each tile, and what a tile costs.

    Attributes
    ----------
    tile: rows and columns kept.
    bytes: expected at most, with the row of results.
    overhead: pixels computed for each pixel of the picture.
    """

    tile: Size
    bytes: float
    overhead: float


def plan_tiles(
    structure: AnyStructure, held: HeldMemory, band: Band, picture: Size, room: float, source: str
) -> TilePlan:
    """The tiles that compute the fewest pixels among those that fit.

    Parameters
    ----------
    picture: rows and columns.
    room: bytes that a row of tiles may take.
    source: the picture's name, for messages.

    Raises
    ------
    RunError: not even the smallest tile fits.
    """
    plans = [_plan(structure, held, band, picture, tile) for tile in _candidates(structure, picture)]
    fitting = [plan for plan in plans if plan.bytes <= room]
    if not fitting:
        least = min(plans, key=lambda plan: plan.bytes)
        raise RunError(
            f"{source}: a tile of {least.tile[0]} x {least.tile[1]} pixels takes about {least.bytes / 1e6:.0f} MB, "
            f"{max(room, 0) / 1e6:.0f} MB are left of the memory that prediction may take",
            "room for one row of the smallest tiles",
            "give more --memory, ask for fewer outputs, or use a narrower network",
        )
    return min(fitting, key=lambda plan: (plan.overhead, plan.bytes))


def _candidates(structure: AnyStructure, picture: Size) -> Iterator[Size]:
    sides = [sorted({min(multiple_above(side, structure.stride), length) for side in SIDES}) for length in picture]
    if context(structure) is None:  # such a network answers for whole pictures only
        sides = [[length] for length in picture]
    for rows in sides[0]:
        for columns in sides[1]:
            yield rows, columns


def _plan(structure: AnyStructure, held: HeldMemory, band: Band, picture: Size, tile: Size) -> TilePlan:
    window = [_window(structure, side, length) for side, length in zip(tile, picture, strict=True)]
    rows = min(tile[0], picture[0])
    total = held.of(*window) + band.pixel * rows * picture[1] + band.read * window[0] * picture[1]
    tiles = math.ceil(picture[0] / tile[0]) * math.ceil(picture[1] / tile[1])
    return TilePlan(tile, total, tiles * math.prod(window) / math.prod(picture))


def _window(structure: AnyStructure, side: int, length: int) -> int:
    """How long a window is that computes ``side`` pixels along an axis, at most."""
    seen = context(structure)
    before, after = (seen.before, seen.after) if seen else (0, 0)
    stride = structure.stride
    inner = multiple_above(side, stride) + multiple_above(before, stride) + multiple_above(after, stride)
    whole = multiple_above(length + before + after, stride)
    return min(inner, whole)

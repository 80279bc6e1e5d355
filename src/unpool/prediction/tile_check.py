"""Whether a network computes in tiles what it computes whole, measured on a part of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np
import torch

from unpool.machine.device import Machine
from unpool.nets.sizes import AnyStructure, context, fit, looks_at_everything
from unpool.prediction.averaging import ONCE, Averaging
from unpool.prediction.predictor import TILE, answer, pieces
from unpool.prediction.result import most_probable
from unpool.segmenter import Segmenter
from unpool.shapes import Pixels, Size
from unpool.tiling import multiple_above

ROUNDING, REDUCED_ROUNDING = 1e-4, 0.01
"""What tiles that should be exact may differ by: in float32 any probability; in reduced arithmetic the share of class
ids, because there another of two maxima may be the larger one, and then a probability changes by any amount."""


@dataclass(frozen=True)
class Mismatch:
    """How far tiles are from the whole on a sample of a picture.

    Attributes
    ----------
    sample, tile: rows and columns of the sample, and of the tiles it was cut into.
    exact: whether the tiles should equal the whole; otherwise they were blended.
    reduced: whether convolutions ran in bfloat16, or in the TensorFloat-32 that CUDA takes for float32.
    largest, mean: difference of a probability, over all pixels and classes.
    share: of the pixels, those whose class ids differ.
    """

    sample: Size
    tile: Size
    exact: bool
    reduced: bool
    largest: float
    mean: float
    share: float

    @property
    def holds(self) -> bool | None:
        """Whether tiles equal the whole but for rounding; None where nobody expects it."""
        if not self.exact:
            return None
        return self.share <= REDUCED_ROUNDING if self.reduced else self.largest <= ROUNDING

    @property
    def allowed(self) -> str:
        """What is expected of tiles that are exact, and what ``holds`` asks for."""
        if self.reduced:
            return f"rounding; in reduced arithmetic {REDUCED_ROUNDING:.0%} of the class ids may differ"
        return f"rounding, about 1e-06; in float32 a probability may differ by {ROUNDING:.0e}"

    def __str__(self) -> str:
        rows, columns = self.sample
        return (
            f"on {rows} x {columns} pixels of it, computed whole and in tiles of {self.tile[0]} x {self.tile[1]}, the "
            f"probabilities differ by at most {self.largest:.1e}, on average by {self.mean:.1e}, and {self.share:.2%} "
            "of the class ids differ"
        )


def tile_mismatch(
    segmenter: Segmenter,
    image: Pixels,
    source: str,
    machine: Machine,
    tile: Size = TILE,
    averaging: Averaging = ONCE,
    most: float = inf,
) -> Mismatch | None:
    """Compute the middle of a picture at once and in tiles, and compare. Errors as in ``pieces``.

    The sample is not larger than a tile of the picture with all that it reads, and is cut into tiles of about half its
    sides; dropout is not sampled, because its units depend on the tile.

    Parameters
    ----------
    tile: what the picture is cut into.
    most: pixels that may be computed at once, all maps whole.

    Returns
    -------
    None where the network is never cut, or the picture is too small to be.
    """
    structure = segmenter.network.structure
    size = (int(image.shape[0]), int(image.shape[1]))
    if context(structure) is None:
        return None
    sample, cut = zip(*_sides(structure, size, tile, most), strict=True)
    if cut[0] >= sample[0] and cut[1] >= sample[1]:
        return None
    rows, columns = (
        slice((length - side) // 2, (length + side) // 2) for length, side in zip(size, sample, strict=True)
    )
    pixels, averaging = image[rows, columns], replace(averaging, samples=0)
    whole = answer(segmenter, pixels, source, replace(machine, by_rows=False), sample, averaging, whole=True)
    assert whole.probabilities is not None
    largest, total, changed = 0.0, 0.0, 0
    for piece in pieces(segmenter, pixels, source, machine, cut, averaging):
        part = (piece.rows, piece.columns)
        apart = np.abs(piece.logits.softmax(dim=0).numpy() - whole.probabilities[:, *part])
        largest = max(largest, float(apart.max()))
        total += float(apart.sum(dtype=np.float64))
        changed += int(np.count_nonzero(most_probable(piece) != whole.prediction[part]))
    return Mismatch(
        sample, cut, not looks_at_everything(structure), _reduced(machine),
        largest, total / whole.probabilities.size, changed / whole.prediction.size,
    )  # fmt: skip


def _reduced(machine: Machine) -> bool:
    return machine.reduced or (machine.device.type == "cuda" and torch.backends.cudnn.allow_tf32)


def _sides(structure: AnyStructure, picture: Size, tile: Size, most: float) -> Iterator[tuple[int, int]]:
    """Along each axis the sample's length and its tiles'; an axis that ``tile`` leaves whole, alone, stays whole."""
    cut = [side < length for length, side in zip(picture, tile, strict=True)]
    alone = [length for length, divided in zip(picture, cut, strict=True) if not divided]
    longest = min(most / alone[0] if len(alone) == 1 else sqrt(most), max(picture))
    for length, side, divided in zip(picture, tile, cut, strict=True):
        if any(cut) and not divided:
            yield length, length
            continue
        spare = _spare(structure, side)
        sample = min(length, side + spare, int(longest))
        # tiles must read less than the sample, and be few
        yield sample, multiple_above(max((sample - spare) // 2, -(-sample // 3)), structure.stride)


def _spare(structure: AnyStructure, side: int) -> int:
    """By how much a window that is computed whole may be longer than a tile and take no more than the tile's does."""
    seen = context(structure)
    assert seen is not None
    return max(seen.before + seen.after - (fit(structure, side).size - side), 0)

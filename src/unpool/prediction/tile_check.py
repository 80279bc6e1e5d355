"""The tile check: whether tiles equal the picture in one piece, measured on a part of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import torch

from unpool.machine.device import Machine
from unpool.nets.network import NetworkStructure
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import PROBABILITIES, most_probable
from unpool.prediction.tile_choice import TypedPixels, pixels_at_once
from unpool.shapes import Size
from unpool.tiling import multiple_above
from unpool.wording import size_text

ROUNDING = 1e-4
"""Largest difference of a probability between exact tiles and the picture in one piece, in float32."""

CHANGED_CLASSES = 0.01
"""Largest share of class ids that may differ in reduced arithmetic, or where a network unpools. There rounding may
choose the other of two close maxima, and then a probability changes by any amount."""


@dataclass(frozen=True)
class Mismatch:
    """The difference between tiles and the picture in one piece, on a sample of the picture.

    Attributes
    ----------
    sample: rows and columns of the part of the picture that is compared.
    tile: rows and columns of the tiles that the sample is cut into.
    exact: whether the tiles should equal the picture in one piece; otherwise they are blended.
    reduced: whether convolutions ran in bfloat16, or in the TensorFloat-32 that CUDA takes for float32.
    unpools: whether the network unpools, so that rounding can move a value to another pixel.
    largest: largest difference of a probability, over all pixels and classes.
    mean: mean difference of a probability, over all pixels and classes.
    share: share of the pixels whose class ids differ.
    """

    sample: Size
    tile: Size
    exact: bool
    reduced: bool
    unpools: bool
    largest: float
    mean: float
    share: float

    @property
    def holds(self) -> bool | None:
        """Whether tiles equal the picture in one piece, up to rounding; None for tiles that are blended."""
        if not self.exact:
            return None
        if self.reduced or self.unpools:
            return self.share <= CHANGED_CLASSES
        return self.largest <= ROUNDING

    @property
    def allowed(self) -> str:
        """The difference that exact tiles may have, in words."""
        if self.reduced:
            return (
                f"at most {CHANGED_CLASSES:.0%} other class ids in reduced arithmetic; rounding usually changes fewer"
            )
        if self.unpools:
            return (
                f"at most {CHANGED_CLASSES:.0%} other class ids in a network that unpools, because rounding may choose "
                "another of two equal maxima"
            )
        return f"at most {ROUNDING:.0e} in float32; rounding is usually about 1e-06"

    def __str__(self) -> str:
        return (
            f"on {size_text(self.sample)} pixels of it, computed in one piece and in tiles of {size_text(self.tile)}, "
            f"the probabilities differ by at most {self.largest:.1e}, on average by {self.mean:.1e}, and "
            f"{self.share:.2%} of the class ids differ"
        )


def tile_mismatch(predictor: Predictor, image: TypedPixels, source: str) -> Mismatch | None:
    """Predict the middle of a picture in one piece and in tiles, and compare the two.

    The sample is no larger than a window of the picture. Its tiles have about half its sides, so that they read less
    than the sample. Blended tiles therefore differ more here than on the picture. Dropout is not sampled, because the
    dropped units depend on the tile.

    Parameters
    ----------
    image: (rows, columns, channels) in the pixel type it was stored in.
    source: the file's name, for messages.

    Returns
    -------
    None where the network cannot be tiled, or the picture is too small to be cut.

    Raises
    ------
    DataError: channels or pixel type do not fit the model.
    RunError: the network's output is not finite.
    """
    if not predictor.can_tile:
        return None
    structure, size = predictor.segmenter.network.structure, (int(image.shape[0]), int(image.shape[1]))
    most = pixels_at_once(predictor, image)
    sample, tile = zip(*_sides(structure, size, predictor.tile, most), strict=True)
    if tile[0] >= sample[0] and tile[1] >= sample[1]:
        return None
    rows, columns = (
        slice((length - side) // 2, (length + side) // 2) for length, side in zip(size, sample, strict=True)
    )
    pixels = image[rows, columns]
    steady = predictor.with_averaging(replace(predictor.averaging, samples=0))
    whole = steady.at_once(sample).predict(pixels, source, PROBABILITIES)
    assert whole.probabilities is not None
    largest, total, changed = 0.0, 0.0, 0
    for part in steady.with_tile(tile).tiles(pixels, source):
        place = (part.rows, part.columns)
        apart = np.abs(part.logits.softmax(dim=0).numpy() - whole.probabilities[:, *place])
        largest = max(largest, float(apart.max()))
        total += float(apart.sum(dtype=np.float64))
        changed += int(np.count_nonzero(most_probable(part) != whole.prediction[place]))
    return Mismatch(
        sample, tile, not predictor.looks_at_everything, _reduced(predictor.machine), structure.unpools,
        largest, total / whole.probabilities.size, changed / whole.prediction.size,
    )  # fmt: skip


def _reduced(machine: Machine) -> bool:
    return machine.reduced or (machine.device.type == "cuda" and torch.backends.cudnn.allow_tf32)


def _sides(structure: NetworkStructure, picture: Size, tile: Size, most: float) -> Iterator[tuple[int, int]]:
    """Yield the length of the sample and of its tiles, along each axis.

    Where tiles cut the picture along one axis only, the sample is as long as the picture along the other.
    """
    cut = [side < length for length, side in zip(picture, tile, strict=True)]
    uncut = [length for length, divided in zip(picture, cut, strict=True) if not divided]
    longest = min(most / uncut[0] if len(uncut) == 1 else sqrt(most), max(picture))
    for length, side, divided in zip(picture, tile, cut, strict=True):
        if any(cut) and not divided:
            yield length, length
            continue
        spare = _spare(structure, side)
        sample = min(length, side + spare, int(longest))
        # windows must be smaller than the sample, and few
        yield sample, multiple_above(max((sample - spare) // 2, -(-sample // 3)), structure.stride)


def _spare(structure: NetworkStructure, side: int) -> int:
    """Return by how much a sample may be longer than a tile without being longer than the tile's window."""
    halo = structure.halo
    assert halo is not None
    return max(halo.before + halo.after - (structure.input_for(side).size - side), 0)

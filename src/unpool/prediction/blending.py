"""Blending: overlapping tiles and their weighted mean, for networks that normalise over a whole window.

Group and instance normalisation take mean and deviation over the whole window, so no halo makes tiles equal the picture
in one piece: neighbouring tiles differ, and seams show between them. Here tiles overlap by half of their sides, and
each is weighted by a Gaussian about its centre, with a deviation of an eighth of its side, as in nnU-Net (Isensee et
al. 2021).

A Gaussian in two axes is the product of one Gaussian in each, and tiles lie on a grid. So each axis has its own
weights, normalised to sum to 1 at every pixel. The smallest weight, at a tile's edge, is e^-8 of the largest. So no
weights are summed up, and nothing is divided by them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unpool.shapes import Region, Size
from unpool.tiling import multiple_above

DEVIATION = 1 / 8
"""Standard deviation of the Gaussian, as a share of a tile's side."""

Means = tuple[Tensor, ...]
"""The maps that are blended, each float32 (K, rows, columns): mean probabilities, and their variance if sampled."""


@dataclass(frozen=True)
class OverlappingTiles:
    """A grid of overlapping tiles.

    Attributes
    ----------
    rows, columns: spans of the tiles' rows and columns, in the order of their starts; they cover the picture.
    """

    rows: tuple[slice, ...]
    columns: tuple[slice, ...]

    def row_parts(self) -> list[slice]:
        """Return the rows of the picture that are finished with each row of tiles."""
        return _parts(self.rows)

    def needed(self, rows: range) -> range:
        """Return the rows of tiles that overlap the parts of the picture finished with some rows of tiles.

        All of them are computed again, so those parts are, bit for bit, the same as in the blended picture.
        """
        if not rows:
            return rows
        top = self.rows[min(rows)].start
        return range(next(number for number, span in enumerate(self.rows) if span.stop > top), max(rows) + 1)

    def regions(self, rows: range) -> Iterator[Region]:
        """Yield the tiles of all ``needed`` rows, row by row."""
        for number in self.needed(rows):
            for columns in self.columns:
                yield self.rows[number], columns


def summed_bytes(classes: int, *, sampled: bool) -> float:
    """Return the bytes of ``blend`` for every pixel of a row of tiles: the sums, and a copy of one class's sum."""
    return 4.0 * (classes * (2 if sampled else 1) + 1)


def overlapping(picture: Size, tile: Size, stride: int) -> OverlappingTiles:
    """Return tiles of ``tile`` pixels, rounded up to the stride; neighbours overlap by half, or by one stride less."""
    rows, columns = (
        tuple(_spans(length, multiple_above(side, stride), stride)) for length, side in zip(picture, tile, strict=True)
    )
    return OverlappingTiles(rows, columns)


def blend(overlap: OverlappingTiles, tiles: Iterable[Means], rows: range) -> Iterator[tuple[Region, Means]]:
    """Yield the weighted mean of tiles, part by part from the top; no more than a row of tiles is in memory.

    Parameters
    ----------
    tiles: the maps of each tile of ``overlap.regions(rows)``.
    rows: numbers of the rows of tiles whose finished parts of the picture are yielded.
    """
    row_weights, column_weights = axis_weights(overlap.rows), axis_weights(overlap.columns)
    row_parts, column_parts = _parts(overlap.rows), _parts(overlap.columns)
    height, width = max(span.stop - span.start for span in overlap.rows), overlap.columns[-1].stop
    remaining = iter(tiles)
    sums: Means = ()
    for number in overlap.needed(rows):
        row_weight = row_weights[number][:, None]
        for columns, column_weight in zip(overlap.columns, column_weights, strict=True):
            tile = next(remaining)
            sums = sums or tuple(torch.zeros(len(maps), height, width) for maps in tile)
            for total, maps in zip(sums, tile, strict=True):
                total[:, : len(row_weight), columns].addcmul_(maps, row_weight * column_weight)
        part = row_parts[number]
        done = part.stop - part.start
        if number in rows:
            for columns in column_parts:
                yield (part, columns), tuple(total[:, :done, columns].clone() for total in sums)
        _move_up(sums, done)


def axis_weights(spans: Sequence[slice]) -> list[Tensor]:
    """Return each span's weights, float32 (length,); at every pixel the weights of all spans sum to 1."""
    weights = [_gaussian(span.stop - span.start) for span in spans]
    total = torch.zeros(spans[-1].stop, dtype=torch.float64)
    for span, weight in zip(spans, weights, strict=True):
        total[span] += weight
    return [(weight / total[span]).float() for span, weight in zip(spans, weights, strict=True)]


def _gaussian(length: int) -> Tensor:
    away = (torch.arange(length, dtype=torch.float64) - (length - 1) / 2) / (DEVIATION * length)
    return torch.exp(-(away**2) / 2)


def _spans(length: int, side: int, stride: int) -> Iterator[slice]:
    """Yield evenly spaced spans of ``side`` pixels that begin at multiples of the stride; the last may be shorter."""
    steps = math.ceil(max(length - side, 0) / max(side / 2, stride))
    for step in range(steps + 1):
        start = multiple_above((length - side) * step // steps, stride) if steps else 0
        yield slice(start, min(start + side, length))


def _parts(spans: Sequence[slice]) -> list[slice]:
    """Return an axis cut where spans begin."""
    ends = [*(span.start for span in spans[1:]), spans[-1].stop]
    return [slice(span.start, end) for span, end in zip(spans, ends, strict=True)]


def _move_up(sums: Means, done: int) -> None:
    """Drop the first rows of sums; class by class, because moving makes a copy."""
    for total in sums:
        for each in total:
            each[: len(each) - done] = each[done:].clone()
            each[len(each) - done :] = 0

"""Overlapping tiles and their weighted mean, for networks whose answer for a tile depends on the tile.

Group and instance normalisation take mean and deviation over all that the network is given, so no halo makes tiles
equal the whole: neighbours disagree, and cut side by side they show seams. Here tiles overlap by half of their sides,
and each counts by a Gaussian about its centre, with a deviation of an eighth of its side, as in nnU-Net (Isensee et al.
2021).

A Gaussian of two axes is the product of one of each, and tiles lie on a grid. So each axis has its own shares, which
sum to 1 at every pixel, and nothing is left to divide by: the weakest, at a tile's edge, is e^-8 of the strongest.
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
"""Of the Gaussian, in sides of a tile."""

Means = tuple[Tensor, ...]
"""What is blended: float32 (K, rows, columns) each."""


@dataclass(frozen=True)
class OverlappingTiles:
    """Overlapping tiles: each of the rows with each of the columns.

    Attributes
    ----------
    rows, columns: spans in the order of their starts; together they cover the picture.
    """

    rows: tuple[slice, ...]
    columns: tuple[slice, ...]

    def row_parts(self) -> list[slice]:
        """The rows of the picture that are done with each row of tiles."""
        return _parts(self.rows)

    def needed(self, rows: range) -> range:
        """The rows of tiles that these rows' own parts of the picture take something from."""
        if not rows:
            return rows
        top = self.rows[min(rows)].start
        return range(next(number for number, span in enumerate(self.rows) if span.stop > top), max(rows) + 1)

    def regions(self, rows: range) -> Iterator[Region]:
        """The tiles of ``needed`` rows, row by row."""
        for number in self.needed(rows):
            for columns in self.columns:
                yield self.rows[number], columns


def summed_bytes(classes: int, *, sampled: bool) -> float:
    """Bytes that ``blend`` holds for every pixel of a row of tiles: its sums, and one class of them that is moved."""
    return 4.0 * (classes * (2 if sampled else 1) + 1)


def overlapping(picture: Size, tile: Size, stride: int) -> OverlappingTiles:
    """Tiles of ``tile`` pixels, rounded up to the stride, of which neighbours share half, or less by one stride."""
    rows, columns = (
        tuple(_spans(length, multiple_above(side, stride), stride)) for length, side in zip(picture, tile, strict=True)
    )
    return OverlappingTiles(rows, columns)


def blend(overlap: OverlappingTiles, answers: Iterable[Means], rows: range) -> Iterator[tuple[Region, Means]]:
    """The weighted mean of tiles, part by part from the top; no more than a row of tiles is held.

    Parameters
    ----------
    answers: of each tile of ``overlap.regions(rows)``.
    rows: only the parts of the picture that are done with these rows of tiles.
    """
    row_shares, column_shares = shares(overlap.rows), shares(overlap.columns)
    row_parts, column_parts = _parts(overlap.rows), _parts(overlap.columns)
    height, width = max(span.stop - span.start for span in overlap.rows), overlap.columns[-1].stop
    waiting = iter(answers)
    held: Means = ()
    for number in overlap.needed(rows):
        share = row_shares[number][:, None]
        for columns, along in zip(overlap.columns, column_shares, strict=True):
            answer = next(waiting)
            held = held or tuple(torch.zeros(len(maps), height, width) for maps in answer)
            for sums, maps in zip(held, answer, strict=True):
                sums[:, : len(share), columns].addcmul_(maps, share * along)
        part = row_parts[number]
        done = part.stop - part.start
        if number in rows:
            for columns in column_parts:
                yield (part, columns), tuple(sums[:, :done, columns].clone() for sums in held)
        _move_up(held, done)


def shares(spans: Sequence[slice]) -> list[Tensor]:
    """What each span counts at its pixels, float32 (length,); where spans meet, their shares sum to 1."""
    weights = [_gaussian(span.stop - span.start) for span in spans]
    total = torch.zeros(spans[-1].stop, dtype=torch.float64)
    for span, weight in zip(spans, weights, strict=True):
        total[span] += weight
    return [(weight / total[span]).float() for span, weight in zip(spans, weights, strict=True)]


def _gaussian(length: int) -> Tensor:
    away = (torch.arange(length, dtype=torch.float64) - (length - 1) / 2) / (DEVIATION * length)
    return torch.exp(-(away**2) / 2)


def _spans(length: int, side: int, stride: int) -> Iterator[slice]:
    """Spans of ``side`` pixels, evenly apart, beginning at multiples of the stride; the last one may be shorter."""
    steps = math.ceil(max(length - side, 0) / max(side / 2, stride))
    for step in range(steps + 1):
        start = multiple_above((length - side) * step // steps, stride) if steps else 0
        yield slice(start, min(start + side, length))


def _parts(spans: Sequence[slice]) -> list[slice]:
    """An axis cut where spans begin."""
    ends = [*(span.start for span in spans[1:]), spans[-1].stop]
    return [slice(span.start, end) for span, end in zip(spans, ends, strict=True)]


def _move_up(held: Means, done: int) -> None:
    """Drop the first rows of sums; class by class, because what is moved is copied in between."""
    for sums in held:
        for each in sums:
            each[: len(each) - done] = each[done:].clone()
            each[len(each) - done :] = 0

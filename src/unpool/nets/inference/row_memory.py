"""The memory that a network takes when it runs by rows, from a run with rows that have a size and no numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from unpool.nets.inference.rows import FeatureMapRows, RowSpan, Shape, Step, Stream
from unpool.nets.inference.streaming import LAYERS


class _Tally:
    """A count of the bytes that are held now, and of the most that were held at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def add(self, held: int) -> None:
        self.now += held
        self.most = max(self.most, self.now)


class _Rows:
    """Rows (1, C, rows, W) without numbers, which count in the tally until nothing refers to them.

    A part of them holds all of them, as a view of a tensor does.
    """

    def __init__(self, shape: Shape, itemsize: int, tally: _Tally, whole: Self | None = None) -> None:
        self.shape, self.itemsize, self.tally, self.whole = shape, itemsize, tally, whole
        self.dtype = torch.float32
        self.bytes = 0 if whole is not None else prod(shape) * itemsize
        tally.add(self.bytes)

    def __del__(self) -> None:
        self.tally.add(-self.bytes)

    def __getitem__(self, part: tuple[slice, slice, slice]) -> _Rows:
        rows = len(range(*part[2].indices(self.shape[2])))
        return _Rows(_with_rows(self.shape, rows), self.itemsize, self.tally, self.whole or self)

    def clone(self) -> _Rows:
        return _Rows(self.shape, self.itemsize, self.tally)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: tuple[Sequence[_Rows]], kwargs: dict[str, int]
    ) -> _Rows:
        assert function is torch.cat
        first = args[0][0]
        return _Rows(_with_rows(first.shape, sum(rows.shape[2] for rows in args[0])), first.itemsize, first.tally)


def most_row_bytes(network: nn.Module, channels: int, size: tuple[int, int], rows: int) -> int:
    """Return the most bytes of feature maps that ``unpool.nets.inference.streaming.streamed`` holds at once.

    Weights, picture, and memory within a layer other than its input and output do not count. This takes about a
    hundredth of a second.

    Parameters
    ----------
    size: rows and columns of the picture.
    rows: of the logits, computed at a time.
    """
    stream, tally = Stream(LAYERS), _Tally()
    picture = _Rows((1, channels, *size), 0, tally)
    logits: FeatureMapRows = network(FeatureMapRows.of(cast(Tensor, picture), stream))
    for step in stream.steps:
        step.makes = _weightless(step, tally)
    for _ in stream.rows(logits, RowSpan(0, logits.shape[2]), rows):
        pass
    return tally.most


def _weightless(step: Step, tally: _Tally) -> Callable[[Sequence[Tensor], RowSpan, RowSpan], Sequence[Tensor]]:
    def makes(_: Sequence[Tensor], wanted: RowSpan, __: RowSpan) -> Sequence[Tensor]:
        shapes = [(_with_rows(outcome.shape, wanted.stop - wanted.start), outcome.dtype) for outcome in step.outcomes]
        return [cast(Tensor, _Rows(shape, dtype.itemsize, tally)) for shape, dtype in shapes]

    return makes


def _with_rows(shape: Shape, rows: int) -> Shape:
    return shape[0], shape[1], rows, shape[3]

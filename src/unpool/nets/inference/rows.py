"""Maps of which only some rows exist at a time, and the steps that make them.

A network's ``forward`` runs on ``FeatureMapRows`` as it does on tensors (torch's protocol for types of one's own,
``__torch_function__``), and each layer becomes a ``Step`` that is only remembered. Then rows of the last maps are asked
for, from the top: each step asks its sources for the rows that it reads, and they let go of those that nobody will read
again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

AGAIN = 1 / 12
"""Share of its rows that a layer may make a second time; where it would be more, they are kept and copied instead."""

FAR = 1 << 20
"""A row away from all edges."""

Shape: TypeAlias = tuple[int, int, int, int]


class RowSpan(NamedTuple):
    """Rows from ``start`` on, before ``stop``."""

    start: int
    stop: int

    def within(self, rows: int) -> RowSpan:
        """Those of them that maps of so many rows have."""
        return RowSpan(min(max(self.start, 0), rows), max(min(self.stop, rows), 0))


Reads: TypeAlias = Callable[[RowSpan], RowSpan]
Makes: TypeAlias = Callable[[Sequence[Tensor], RowSpan, RowSpan], Sequence[Tensor]]


@dataclass(frozen=True)
class Stream:
    """One run of a network by rows.

    Attributes
    ----------
    layers: what stands for each function of torch.
    steps: in the order in which ``forward`` took them.
    """

    layers: Mapping[Callable[..., Any], Callable[..., Any]]
    steps: list[Step] = field(default_factory=list)

    def rows(self, answer: FeatureMapRows, wanted: RowSpan, at_once: int) -> Iterator[Tensor]:
        """Rows of the last maps, at most so many at a time; afterwards nothing is held.

        Steps and maps refer to each other, and what they hold would wait for a collection of garbage.
        """
        self._settle(answer, wanted.start, min(at_once / answer.shape[2], 1))
        try:
            for start in range(*wanted, at_once):
                stop = min(start + at_once, wanted.stop)
                yield answer.rows(None, RowSpan(start, stop), stop)
        finally:
            for step in self.steps:
                for maps in (*step.sources, *step.outcomes):
                    maps.forget()

    def _settle(self, answer: FeatureMapRows, first: int, share: float) -> None:
        """Connect all that the answer is made from, of whose rows so large a share is made at a time."""
        answer.read_by(None, first)
        # Each layer asks the one before it within its own call, a few calls deep.
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + 10 * len(self.steps)))
        for step in reversed(self.steps):
            if any(outcome.marks for outcome in step.outcomes):
                step.settle(share)


class Step:
    """One layer: which rows of its sources it reads, and how it makes rows of its outcomes from them.

    Parameters
    ----------
    reads: the rows of every source, perhaps beyond its ends, that rows of the outcomes are made from; both ends of what
        is read may only go down the maps as those of what is wanted do.
    makes: rows of the outcomes, from the rows that the sources have of those read, the rows wanted, and the rows read.
    outcomes: shape and type of each.
    """

    def __init__(
        self, sources: Sequence[FeatureMapRows], reads: Reads, makes: Makes, *outcomes: tuple[Shape, torch.dtype]
    ) -> None:
        self.sources, self.reads, self.makes = sources, reads, makes
        stream = sources[0].stream
        # What comes out of a long way asks most of what comes out of a short one, which then is there already.
        self._latest_first = sorted(sources, key=lambda source: -source.number)
        stream.steps.append(self)
        self.outcomes = [FeatureMapRows(stream, shape, dtype, self) for shape, dtype in outcomes]

    def rows(self, wanted: RowSpan, later: int) -> Sequence[Tensor]:
        """Rows of the outcomes; none before ``later`` will be wanted again."""
        read, still = self.reads(wanted), self.reads(RowSpan(later, later + 1)).start
        given = {source: source.rows(self, read.within(source.shape[2]), still) for source in self._latest_first}
        return self.makes([given[source] for source in self.sources], wanted, read)

    def settle(self, share: float) -> None:
        """Choose what is kept of the outcomes, whose readers have chosen, and become a reader of the sources."""
        first = min(outcome.first for outcome in self.outcomes)
        for outcome in self.outcomes:
            outcome.first = first
            outcome.piece = max(1, round(share * outcome.shape[2]))
            outcome.again = max((reader.reads_again() for reader in outcome.marks if reader), default=0)
            alone = len(outcome.marks) == len(self.outcomes) == 1
            outcome.kept = not alone or outcome.again > AGAIN * outcome.piece
        for source in self.sources:
            source.read_by(self, self.reads(RowSpan(first, first + 1)).start)

    def reads_again(self) -> int:
        """How many of the rows that it reads for a piece it will read for the next one too."""
        made = self.outcomes[0]
        piece = RowSpan(FAR, FAR + made.piece + (0 if made.kept else made.again))
        following = self.reads(RowSpan(FAR + made.piece, FAR + made.piece + 1))
        return max(self.reads(piece).stop - following.start, 0)


class FeatureMapRows:
    """Maps (1, C, H, W) of which only some rows exist at a time; a tensor to what networks are made of.

    Attributes
    ----------
    shape, dtype: as of the tensor it stands for.
    step: what makes it, which has this ``number``; None for the picture, which is whole.
    kept: whether rows are made once and held until all have read them; else they are made when they are asked for.
    piece: rows made at a time.
    again: rows that would be made again for each piece.
    first: the first row that anyone reads.
    marks: the first row that each reader has still to read; None is who takes the answer.
    """

    def __init__(self, stream: Stream, shape: Shape, dtype: torch.dtype, step: Step | None) -> None:
        self.stream, self.shape, self.dtype, self.step, self.number = stream, shape, dtype, step, len(stream.steps)
        self.kept, self.piece, self.again, self.first = True, shape[2], 0, shape[2]
        self.marks: dict[Step | None, int] = {}
        self._held: list[tuple[RowSpan, Tensor]] = []
        self._done = 0

    @classmethod
    def of(cls, picture: Tensor, stream: Stream) -> FeatureMapRows:
        """A picture (1, C, H, W), all of whose rows are there."""
        images, channels, rows, columns = picture.shape
        maps = cls(stream, (images, channels, rows, columns), picture.dtype, None)
        maps._held, maps._done = [(RowSpan(0, rows), picture)], rows
        return maps

    def read_by(self, reader: Step | None, first: int) -> None:
        """Be read by another one, from a row on."""
        self.marks[reader] = 0
        self.first = min(self.first, max(first, 0))

    def rows(self, reader: Step | None, wanted: RowSpan, later: int) -> Tensor:
        """Rows for one of the readers, which will not ask for any before ``later`` again."""
        if not self.kept:
            assert self.step is not None
            return self.step.rows(wanted, later)[0]
        self._done = max(self._done, self.first)
        missing = wanted.stop - self._done
        pieces = max(round(missing / self.piece), 1)
        for number in range(1, pieces + 1 if missing > 0 else 1):
            self._make(RowSpan(self._done, wanted.stop - missing + missing * number // pieces))
        rows = _among(self._held, wanted)
        if self.step is not None:
            self.marks[reader] = later
            self._held = _from(min(self.marks.values()), self._held)
        return rows

    def forget(self) -> None:
        """Hold nothing any more."""
        self._held = []

    def _make(self, span: RowSpan) -> None:
        assert self.step is not None
        for outcome, rows in zip(self.step.outcomes, self.step.rows(span, span.stop), strict=True):
            outcome._held.append((span, rows))
            outcome._done = span.stop

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    def dim(self) -> int:
        """How many axes."""
        return len(self.shape)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        first = args[0] if isinstance(args[0], FeatureMapRows) else args[0][0]
        layer = first.stream.layers.get(function)
        return NotImplemented if layer is None else layer(*args, **(kwargs or {}))

    def __getitem__(self, part: tuple[slice, ...]) -> FeatureMapRows:
        return self.stream.layers[Tensor.__getitem__](self, part)  # type: ignore[no-any-return]

    def __add__(self, other: FeatureMapRows | Tensor) -> FeatureMapRows:
        return self.stream.layers[torch.add](self, other)  # type: ignore[no-any-return]

    def __mul__(self, factor: float) -> FeatureMapRows:
        return self.stream.layers[torch.mul](self, factor)  # type: ignore[no-any-return]

    def add_(self, other: Tensor) -> FeatureMapRows:
        """As of a tensor."""
        return self.stream.layers[Tensor.add_](self, other)  # type: ignore[no-any-return]


def _among(held: Sequence[tuple[RowSpan, Tensor]], wanted: RowSpan) -> Tensor:
    """The rows wanted, of those held."""
    parts = [
        rows[:, :, max(wanted.start - span.start, 0) : wanted.stop - span.start]
        for span, rows in held
        if span.start < wanted.stop and wanted.start < span.stop
    ]
    if not parts:
        return held[0][1][:, :, :0]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _from(mark: int, held: Sequence[tuple[RowSpan, Tensor]]) -> list[tuple[RowSpan, Tensor]]:
    """What is held without the rows before ``mark``, as far as that frees memory."""
    left = [(span, rows) for span, rows in held if span.stop > mark]
    if left and 2 * mark >= sum(left[0][0]):
        span, rows = left[0]
        left[0] = RowSpan(mark, span.stop), rows[:, :, mark - span.start :].clone()  # a view would hold all of them
    return left

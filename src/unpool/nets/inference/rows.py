"""Feature maps that hold only some of their rows at a time, and the steps that compute them.

How a network runs by rows:

1. The network's ``forward`` is called with a ``FeatureMapRows`` in the place of the picture. torch sends every function
   that gets one to ``FeatureMapRows.__torch_function__``, which computes nothing: it adds a ``Step`` to the ``Stream``
   and returns the ``FeatureMapRows`` that this step will give. So the network becomes a list of steps.
2. Every step chooses whether its results are kept, or computed again each time (``Step.settle``).
3. The caller takes rows of the logits, from the top. Each step takes the rows that it reads from its sources, and these
   take theirs, up to the picture. Rows are kept until all readers have read them, and are then dropped.

A function of torch without a layer by rows is refused with torch's TypeError, so no network gives wrong logits by rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

AGAIN = 1 / 12
"""Largest share of a piece of rows that may be computed a second time for the next piece.

Above it, a layer keeps its rows and copies them.
"""

FAR = 1 << 20
"""Number of a row far from all edges."""

Shape: TypeAlias = tuple[int, int, int, int]


class RowSpan(NamedTuple):
    """Rows from ``start`` to ``stop`` - 1."""

    start: int
    stop: int

    def within(self, rows: int) -> RowSpan:
        """Return the part of them that exists in maps with this number of rows."""
        return RowSpan(min(max(self.start, 0), rows), max(min(self.stop, rows), 0))


Reads: TypeAlias = Callable[[RowSpan], RowSpan]
Makes: TypeAlias = Callable[[Sequence[Tensor], RowSpan, RowSpan], Sequence[Tensor]]


@dataclass(frozen=True)
class Stream:
    """One run of a network by rows.

    Attributes
    ----------
    layers: for each function of torch, the function that takes its place.
    steps: in the order in which ``forward`` called them.
    """

    layers: Mapping[Callable[..., Any], Callable[..., Any]]
    steps: list[Step] = field(default_factory=list)

    def rows(self, logits: FeatureMapRows, wanted: RowSpan, at_once: int) -> Iterator[Tensor]:
        """Yield the wanted rows of the last maps, at most ``at_once`` at a time; then drop all rows.

        Steps and maps refer to each other, so their rows would otherwise stay until Python collects garbage.
        """
        self._settle(logits, wanted.start, min(at_once / logits.shape[2], 1))
        try:
            for start in range(*wanted, at_once):
                stop = min(start + at_once, wanted.stop)
                yield logits.rows(None, RowSpan(start, stop), stop)
        finally:
            for step in self.steps:
                for maps in (*step.sources, *step.outcomes):
                    maps.drop_rows()

    def _settle(self, logits: FeatureMapRows, first: int, share: float) -> None:
        """Settle all steps that the logits need; ``share`` of the logits' rows is computed at a time."""
        logits.read_by(None, first)
        # Each layer takes rows from the one before within its own call, a few calls deep.
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + 10 * len(self.steps)))
        for step in reversed(self.steps):
            if any(outcome.marks for outcome in step.outcomes):
                step.settle(share)


class Step:
    """One layer: the rows of its sources that it reads, and how it computes rows of its outcomes from them.

    Parameters
    ----------
    reads: gives the rows of every source, perhaps beyond its ends, that the given rows of the outcomes are computed
        from. From the top of the outcomes to their bottom, neither end of these rows may go up again.
    makes: computes rows of the outcomes, from the rows read that exist in each source, the rows wanted and the rows
        read.
    outcomes: shape and dtype of each.
    """

    def __init__(
        self, sources: Sequence[FeatureMapRows], reads: Reads, makes: Makes, *outcomes: tuple[Shape, torch.dtype]
    ) -> None:
        self.sources, self.reads, self.makes = sources, reads, makes
        stream = sources[0].stream
        # The source that was made last is computed from the others: taking its rows first computes most of theirs.
        self._latest_first = sorted(sources, key=lambda source: -source.number)
        stream.steps.append(self)
        self.outcomes = [FeatureMapRows(stream, shape, dtype, self) for shape, dtype in outcomes]

    def rows(self, wanted: RowSpan, later: int) -> Sequence[Tensor]:
        """Return the wanted rows of all outcomes; no row before ``later`` will be wanted again."""
        read, read_later = self.reads(wanted), self.reads(RowSpan(later, later + 1)).start
        taken = {source: source.rows(self, read.within(source.shape[2]), read_later) for source in self._latest_first}
        return self.makes([taken[source] for source in self.sources], wanted, read)

    def settle(self, share: float) -> None:
        """Choose whether the outcomes are kept, and become a reader of the sources. The readers have chosen before."""
        first = min(outcome.first for outcome in self.outcomes)
        for outcome in self.outcomes:
            outcome.first = first
            outcome.piece = max(1, round(share * outcome.shape[2]))
            outcome.again = max((reader.reads_again() for reader in outcome.marks if reader), default=0)
            shared = len(outcome.marks) > 1 or len(self.outcomes) > 1
            outcome.kept = shared or outcome.again > AGAIN * outcome.piece
        for source in self.sources:
            source.read_by(self, self.reads(RowSpan(first, first + 1)).start)

    def reads_again(self) -> int:
        """Return how many of the rows that this step reads for one piece it reads for the next piece too."""
        made = self.outcomes[0]
        piece = RowSpan(FAR, FAR + made.piece + (0 if made.kept else made.again))
        following = self.reads(RowSpan(FAR + made.piece, FAR + made.piece + 1))
        return max(self.reads(piece).stop - following.start, 0)


class FeatureMapRows:
    """Feature maps (1, C, H, W) of which only some rows exist at a time; a network's modules take them as a tensor.

    Attributes
    ----------
    shape, dtype: of the tensor that these maps stand for.
    step: the step that computes them; None for the picture, of which all rows exist.
    number: steps before them.
    kept: whether rows are computed once and kept until all readers have read them; otherwise they are computed each
        time a reader takes them.
    piece: rows computed at a time.
    again: rows that are computed again for each piece if they are not kept.
    first: the first row that any reader reads.
    marks: the row from which each reader still reads, 0 at first; the reader None is the caller that takes the logits.
    """

    def __init__(self, stream: Stream, shape: Shape, dtype: torch.dtype, step: Step | None) -> None:
        self.stream, self.shape, self.dtype, self.step, self.number = stream, shape, dtype, step, len(stream.steps)
        self.kept, self.piece, self.again, self.first = True, shape[2], 0, shape[2]
        self.marks: dict[Step | None, int] = {}
        self._held: list[tuple[RowSpan, Tensor]] = []
        self._done = 0

    @classmethod
    def of(cls, picture: Tensor, stream: Stream) -> FeatureMapRows:
        """Return a picture (1, C, H, W), of which all rows exist."""
        images, channels, rows, columns = picture.shape
        maps = cls(stream, (images, channels, rows, columns), picture.dtype, None)
        maps._held, maps._done = [(RowSpan(0, rows), picture)], rows
        return maps

    def read_by(self, reader: Step | None, first: int) -> None:
        """Add a reader, which reads from row ``first`` on."""
        self.marks[reader] = 0
        self.first = min(self.first, max(first, 0))

    def rows(self, reader: Step | None, wanted: RowSpan, later: int) -> Tensor:
        """Return rows for one of the readers, which will not read any row before ``later`` again."""
        if not self.kept:
            assert self.step is not None
            return self.step.rows(wanted, later)[0]
        self._done = max(self._done, self.first)
        missing = wanted.stop - self._done
        pieces = max(round(missing / self.piece), 1)  # of nearly equal height
        for number in range(1, pieces + 1 if missing > 0 else 1):
            self._make(RowSpan(self._done, wanted.stop - missing + missing * number // pieces))
        rows = _rows_of(self._held, wanted)
        if self.step is not None:
            self.marks[reader] = later
            self._held = _rows_from(min(self.marks.values()), self._held)
        return rows

    def drop_rows(self) -> None:
        """Drop all rows."""
        self._held = []

    def _make(self, span: RowSpan) -> None:
        assert self.step is not None
        for outcome, rows in zip(self.step.outcomes, self.step.rows(span, span.stop), strict=True):
            outcome._held.append((span, rows))
            outcome._done = span.stop

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def dim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        first = args[0] if isinstance(args[0], FeatureMapRows) else args[0][0]  # torch.cat takes a list
        layer = first.stream.layers.get(function)
        return NotImplemented if layer is None else layer(*args, **(kwargs or {}))

    def __getitem__(self, part: tuple[slice, ...]) -> FeatureMapRows:
        return self.stream.layers[Tensor.__getitem__](self, part)  # type: ignore[no-any-return]

    def __add__(self, other: FeatureMapRows | Tensor) -> FeatureMapRows:
        return self.stream.layers[torch.add](self, other)  # type: ignore[no-any-return]

    def __mul__(self, factor: float) -> FeatureMapRows:
        return self.stream.layers[torch.mul](self, factor)  # type: ignore[no-any-return]

    def add_(self, other: Tensor) -> FeatureMapRows:
        """Add in place, as ``Tensor.add_``."""
        return self.stream.layers[Tensor.add_](self, other)  # type: ignore[no-any-return]


def _rows_of(held: Sequence[tuple[RowSpan, Tensor]], wanted: RowSpan) -> Tensor:
    """Return the wanted rows from those that are held."""
    parts = [
        rows[:, :, max(wanted.start - span.start, 0) : wanted.stop - span.start]
        for span, rows in held
        if span.start < wanted.stop and wanted.start < span.stop
    ]
    if not parts:
        return held[0][1][:, :, :0]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _rows_from(mark: int, held: Sequence[tuple[RowSpan, Tensor]]) -> list[tuple[RowSpan, Tensor]]:
    """Return the held rows without those before ``mark``, as far as that frees memory."""
    kept = [(span, rows) for span, rows in held if span.stop > mark]
    if kept and 2 * mark >= sum(kept[0][0]):  # the mark is past the middle of the first span
        span, rows = kept[0]
        kept[0] = RowSpan(mark, span.stop), rows[:, :, mark - span.start :].clone()  # a view would hold all of them
    return kept

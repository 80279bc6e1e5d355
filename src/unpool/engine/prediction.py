"""From a picture to class ids: the one path that validation, testing and prediction all take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.classes import Labels
from unpool.engine.averaging import ONCE, Averaging, dropping, mean_of, require_dropout, sample_seed
from unpool.engine.machine import Machine
from unpool.errors import RunError
from unpool.nets import context, legal_size
from unpool.segmenter import Frame, Segmenter
from unpool.tiling import Reach, Region, Size, Tile, extent, regions, tile_of
from unpool.turning import Pixels, Turn

TILE = (1024, 1024)
"""Rows and columns kept of a tile; a picture that is not larger is computed whole."""


@dataclass(frozen=True)
class Piece:
    """The network's answer for one part of a picture.

    Attributes
    ----------
    rows, columns: where the part lies in the picture.
    logits: float32 (K, rows, columns), on the CPU; where answers were averaged, the logarithm of the mean probability,
        whose softmax, argmax and cross-entropy are those of the mean.
    variance: float32 (K, rows, columns) of the answers' probabilities; None where dropout was not sampled.
    """

    rows: slice
    columns: slice
    logits: Tensor
    variance: Tensor | None = None


@torch.inference_mode()
def pieces(
    segmenter: Segmenter,
    image: Pixels,
    source: str,
    machine: Machine,
    tile: Size = TILE,
    averaging: Averaging = ONCE,
    rows: range | None = None,
) -> Iterator[Piece]:
    """Run the network over a picture, tile by tile; the parts cover it once.

    While the network answers for one window, the next one is read.

    Parameters
    ----------
    image: (rows, columns, channels) in the pixel type it was stored in.
    source: the file's name, for messages.
    tile: rows and columns kept of a tile, rounded up to the network's stride. A picture that is not larger is computed
        whole, and so is any by a network that cannot answer for parts.
    averaging: which answers each part's answer is the mean of.
    rows: only the rows of tiles of these numbers, see ``tile_rows``; all by default.

    Raises
    ------
    DataError: channels or pixel type do not fit the model.
    RunError: the network gave numbers that are not finite.
    UsageError: dropout is to be sampled and there is none.
    """
    assert not segmenter.network.training, "prediction with batch statistics would depend on the batch"
    require_dropout(segmenter, averaging)
    size = (int(image.shape[0]), int(image.shape[1]))
    reach = _reach(segmenter, size, tile)
    kept = (
        list(regions(size, tile, reach.stride, rows)) if reach else [extent(size)][: 1 if rows is None else len(rows)]
    )
    parts = [_Part(region, turn, size, segmenter, reach) for region in kept for turn in averaging.turns]
    windows = _read_ahead(lambda part: segmenter.prepare(image, source, part.tile.window, part.turn), parts)
    for region in kept:
        turned = islice(windows, len(averaging.turns))
        answers = (
            answer for part, window in turned for answer in _answers(segmenter, part, window, machine, averaging)
        )
        if averaging.answers == 1 and not averaging.samples:
            logits = next(answers)
            _require_finite(logits, source)
            yield Piece(*region, logits)
            continue
        mean, variance = mean_of(answers)
        _require_finite(mean, source)
        logits = mean.clamp_min(torch.finfo(mean.dtype).tiny).log()
        yield Piece(*region, logits, variance if averaging.samples else None)


def tile_rows(segmenter: Segmenter, size: Size, tile: Size) -> list[slice]:
    """The rows of the picture in each row of tiles that ``pieces`` computes."""
    reach = _reach(segmenter, size, tile)
    return [region[0] for region in regions((size[0], 1), (tile[0], 1), reach.stride)] if reach else [slice(0, size[0])]


class _Part:
    """A region in one of its turns, and the window that answers for it."""

    def __init__(self, kept: Region, turn: Turn, size: Size, segmenter: Segmenter, reach: Reach | None) -> None:
        self.kept, self.turn = kept, turn
        self.tile = _tile(turn.region(kept, size), segmenter.frame(turn.size(size)), reach)


def _read_ahead(read: Callable[[_Part], Tensor], parts: Iterable[_Part]) -> Iterator[tuple[_Part, Tensor]]:
    """Each part with its window, of which the next one is read in a thread while this one is worked on."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[tuple[_Part, Future[Tensor]]] = deque()
        for part in parts:
            waiting.append((part, thread.submit(read, part)))
            if len(waiting) > 1:
                ready, window = waiting.popleft()
                yield ready, window.result()
        for ready, window in waiting:
            yield ready, window.result()


def _answers(
    segmenter: Segmenter, part: _Part, window: Tensor, machine: Machine, averaging: Averaging
) -> Iterator[Tensor]:
    """Logits (K, rows, columns) of one region in one of its turns, for every sample, turned back, on the CPU."""
    network, image = segmenter.network, machine.put(window)
    for sample in range(max(averaging.samples, 1)):
        seed = sample_seed(averaging, sample, part.turn, part.kept)
        with machine.arithmetic(), dropping(network, machine, seed) if averaging.samples else nullcontext():
            logits = network(image)
        rows, columns = part.tile.inside
        yield _turned_back(logits[0, :, rows, columns].float().cpu(), part.turn)


def _reach(segmenter: Segmenter, picture: Size, tile: Size) -> Reach | None:
    """What tiles read around themselves; None where the picture is computed whole."""
    structure = segmenter.network.structure
    seen = context(structure)
    if seen is None or (picture[0] <= tile[0] and picture[1] <= tile[1]):
        return None
    return Reach(seen.before, seen.after, structure.stride, lambda side: legal_size(structure, side))


def _tile(kept: Region, frame: Frame, reach: Reach | None) -> Tile:
    if reach:
        return tile_of(kept, frame.size, reach)
    rows, columns = (slice(side.start + by, side.stop + by) for side, by in zip(kept, frame.offset, strict=True))
    return Tile(extent(frame.size), kept, (rows, columns))


def _turned_back(logits: Tensor, turn: Turn) -> Tensor:
    """An answer (K, rows, columns) for a turned picture, as one for the picture as it is."""
    reversed_ = [axis for axis, turned in ((1, turn.rows), (2, turn.columns)) if turned]
    logits = logits.flip(reversed_) if reversed_ else logits
    return logits.transpose(1, 2) if turn.exchanged else logits


def _require_finite(logits: Tensor, source: str) -> None:
    if not torch.isfinite(logits).all():
        raise RunError(
            f"{source}: the network's output is not finite",
            "finite numbers",
            "try --precision float32; if it stays, the model was damaged in training",
        )


@dataclass(frozen=True)
class Answer:
    """What the network says of a picture or of some of its rows, put together from its pieces.

    Attributes
    ----------
    top: the first of its rows in the picture; ``classes``: how many there are.
    prediction: uint8 class ids (rows, columns).
    confidence: float32 (rows, columns), the predicted class's probability; None where it is not wanted.
    probabilities: float32 (K, rows, columns), summing to 1; None where they are not wanted.
    variance: float32 (K, rows, columns), of each class's probability over the answers that were averaged; None where it
        is not wanted.
    """

    prediction: Labels
    confidence: NDArray[np.float32] | None
    probabilities: NDArray[np.float32] | None
    variance: NDArray[np.float32] | None = None
    top: int = 0
    classes: int = 0

    @classmethod
    def empty(
        cls, classes: int, size: Size, *, confidence: bool = False, whole: bool = False, variance: bool = False,
        top: int = 0,
    ) -> Answer:  # fmt: skip
        """An answer to be filled, of (rows, columns) from row ``top`` on; ``whole`` keeps the probabilities."""
        return cls(
            np.empty(size, dtype=np.uint8),
            np.empty(size, dtype=np.float32) if confidence else None,
            np.empty((classes, *size), dtype=np.float32) if whole else None,
            np.empty((classes, *size), dtype=np.float32) if variance else None,
            top,
            classes,
        )

    def emptied(self, rows: slice) -> Answer:
        """An answer to be filled, of other rows of the picture, that says what this one says."""
        return Answer.empty(
            self.classes,
            (rows.stop - rows.start, self.prediction.shape[1]),
            confidence=self.confidence is not None,
            whole=self.probabilities is not None,
            variance=self.variance is not None,
            top=rows.start,
        )

    def arrays(self) -> list[NDArray[Any]]:
        """What it holds, in one order; the arrays themselves."""
        found = (self.prediction, self.confidence, self.probabilities, self.variance)
        return [each for each in found if each is not None]

    def take(self, piece: Piece) -> None:
        """Fill in what a piece says."""
        rows, columns = slice(piece.rows.start - self.top, piece.rows.stop - self.top), piece.columns
        self.prediction[rows, columns] = most_probable(piece)
        if self.variance is not None and piece.variance is not None:
            self.variance[:, rows, columns] = piece.variance.numpy()
        if self.confidence is None and self.probabilities is None:
            return
        likely = piece.logits.softmax(dim=0)
        if self.confidence is not None:
            self.confidence[rows, columns] = likely.amax(dim=0).numpy()
        if self.probabilities is not None:
            self.probabilities[:, rows, columns] = likely.numpy()

    @property
    def uncertainty(self) -> NDArray[np.float32]:
        """float32 (maps, rows, columns): the variance of each class, or without it 1 - confidence, one map."""
        if self.variance is not None:
            return self.variance
        assert self.confidence is not None
        return 1 - self.confidence[None]


def answer(
    segmenter: Segmenter,
    image: Pixels,
    source: str,
    machine: Machine,
    tile: Size = TILE,
    averaging: Averaging = ONCE,
    *,
    uncertainty: bool = False,
    whole: bool = False,
) -> Answer:
    """What the network says of a picture. Parameters and errors as in ``pieces``.

    Parameters
    ----------
    uncertainty: whether ``Answer.uncertainty`` is wanted.
    whole: whether the probabilities are.
    """
    rows = slice(0, image.shape[0])
    return _filled(
        segmenter, image, rows, pieces(segmenter, image, source, machine, tile, averaging), averaging,
        uncertainty=uncertainty, whole=whole,
    )  # fmt: skip


def bands(
    segmenter: Segmenter,
    image: Pixels,
    source: str,
    machine: Machine,
    tile: Size = TILE,
    averaging: Averaging = ONCE,
    rows: range | None = None,
    *,
    uncertainty: bool = False,
    whole: bool = False,
) -> Iterator[Answer]:
    """The same, a row of tiles at a time from the top: nothing larger is held. Parameters as in ``pieces``."""
    spans = tile_rows(segmenter, (image.shape[0], image.shape[1]), tile)
    found = groupby(pieces(segmenter, image, source, machine, tile, averaging, rows), lambda piece: piece.rows.start)
    for span, (_, parts) in zip(spans if rows is None else [spans[number] for number in rows], found, strict=True):
        yield _filled(segmenter, image, span, parts, averaging, uncertainty=uncertainty, whole=whole)


def _filled(
    segmenter: Segmenter,
    image: Pixels,
    rows: slice,
    parts: Iterable[Piece],
    averaging: Averaging,
    *,
    uncertainty: bool,
    whole: bool,
) -> Answer:
    found = empty_answer(segmenter, rows, image.shape[1], averaging, uncertainty=uncertainty, whole=whole)
    for piece in parts:
        found.take(piece)
    return found


def empty_answer(
    segmenter: Segmenter, rows: slice, columns: int, averaging: Averaging, *, uncertainty: bool, whole: bool
) -> Answer:
    """An answer for some rows of a picture, to be filled; ``uncertainty`` and ``whole`` as in ``answer``."""
    return Answer.empty(
        len(segmenter.classes),
        (rows.stop - rows.start, columns),
        confidence=uncertainty,
        whole=whole,
        variance=uncertainty and averaging.samples > 0,
        top=rows.start,
    )


def predict(
    segmenter: Segmenter,
    image: Pixels,
    source: str,
    machine: Machine,
    tile: Size = TILE,
    averaging: Averaging = ONCE,
) -> Labels:
    """The most probable class of every pixel: uint8 class ids (rows, columns). Errors as in ``pieces``."""
    return answer(segmenter, image, source, machine, tile, averaging).prediction


def predict_probabilities(
    segmenter: Segmenter,
    image: Pixels,
    source: str,
    machine: Machine,
    tile: Size = TILE,
    averaging: Averaging = ONCE,
) -> NDArray[np.float32]:
    """The probability of every class: float32 (K, rows, columns), summing to 1. Errors as in ``pieces``."""
    probabilities = answer(segmenter, image, source, machine, tile, averaging, whole=True).probabilities
    assert probabilities is not None
    return probabilities


def most_probable(piece: Piece) -> Labels:
    """Class ids of a piece, uint8 (rows, columns); the lower id where two classes tie."""
    labels: Labels = piece.logits.max(dim=0).indices.to(torch.uint8).numpy()  # five times as fast as argmax
    return labels

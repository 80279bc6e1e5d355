"""From a picture to class ids: the one path that validation, testing and prediction all take."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.class_table import Labels
from unpool.errors import RunError
from unpool.machine.device import Machine
from unpool.nets.inference.folding import folded
from unpool.nets.inference.streaming import streamed
from unpool.nets.sizes import context, legal_size, looks_at_everything
from unpool.orientation import UPRIGHT, Orientation
from unpool.prediction.averaging import ONCE, Averaging, dropping, mean_of, require_dropout, sample_seed
from unpool.prediction.blending import Means, blend, overlapping
from unpool.prediction.result import Prediction, TileLogits
from unpool.segmenter import Frame, Segmenter
from unpool.shapes import Pixels, Region, Size
from unpool.tiling import Reach, Tile, extent, regions, tile_of

TILE = (1024, 1024)
"""Rows and columns kept of a tile; a picture that is not larger is one tile."""


def ready(segmenter: Segmenter, machine: Machine) -> Segmenter:
    """The same for prediction on a machine: its network there, folded and rounded."""
    network = folded(segmenter.network, torch.bfloat16 if machine.reduced else None)
    machine.place(network)
    return replace(segmenter, network=network)


@torch.inference_mode()
def pieces(
    segmenter: Segmenter,
    image: Pixels,
    source: str,
    machine: Machine,
    tile: Size = TILE,
    averaging: Averaging = ONCE,
    rows: range | None = None,
) -> Iterator[TileLogits]:
    """Run the network over a picture, tile by tile, and over large tiles by rows; the parts cover the picture once.

    Tiles of a network that looks at everything it is given overlap and are blended, see ``unpool.prediction.blending``.
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
    if reach and looks_at_everything(segmenter.network.structure):
        overlap = overlapping(size, tile, reach.stride)
        numbers = range(len(overlap.rows)) if rows is None else rows
        tiles = list(overlap.regions(numbers))
        answered = _answered(segmenter, image, source, machine, averaging, reach, tiles)
        for region, maps in blend(overlap, (_mean(answers, averaging) for _, answers in answered), numbers):
            yield _mean_piece(region, maps, source)
        return
    kept = (
        list(regions(size, tile, reach.stride, rows)) if reach else [extent(size)][: 1 if rows is None else len(rows)]
    )
    for region, answers in _answered(segmenter, image, source, machine, averaging, reach, kept):
        if averaging.once:
            top, columns = region[0].start, region[1]
            for logits in next(answers):
                _require_finite(logits, source)
                yield TileLogits(slice(top, top + logits.shape[1]), columns, logits)
                top += logits.shape[1]
        else:
            yield _mean_piece(region, _mean(answers, averaging), source)


def tile_rows(segmenter: Segmenter, size: Size, tile: Size) -> list[slice]:
    """The rows of the picture that are done with each row of tiles that ``pieces`` computes."""
    reach = _reach(segmenter, size, tile)
    if reach is None:
        return [slice(0, size[0])]
    if looks_at_everything(segmenter.network.structure):
        return overlapping(size, tile, reach.stride).row_parts()
    return [region[0] for region in regions((size[0], 1), (tile[0], 1), reach.stride)]


def blends(segmenter: Segmenter, size: Size, tile: Size) -> bool:
    """Whether ``pieces`` blends the tiles of a picture, so that its answer depends on them."""
    return _reach(segmenter, size, tile) is not None and looks_at_everything(segmenter.network.structure)


def _answered(
    segmenter: Segmenter,
    image: Pixels,
    source: str,
    machine: Machine,
    averaging: Averaging,
    reach: Reach | None,
    kept: Sequence[Region],
) -> Iterator[tuple[Region, Iterator[Iterator[Tensor]]]]:
    """Each region with the logits of its answers, each from the top, to be taken before the next region is."""
    size = (int(image.shape[0]), int(image.shape[1]))
    parts = [_Part(region, turn, size, segmenter, reach) for region in kept for turn in averaging.turns]
    windows = _read_ahead(lambda part: segmenter.window(image, part.tile.window, part.turn), parts)
    for region in kept:
        turned = islice(windows, len(averaging.turns))
        yield (
            region,
            (each for part, window in turned for each in _answers(segmenter, part, window, source, machine, averaging)),
        )


def _mean(answers: Iterator[Iterator[Tensor]], averaging: Averaging) -> Means:
    """The mean probabilities, and the variance where dropout was sampled."""
    whole = map(_put_together, answers)
    if averaging.once:
        return (next(whole).softmax(dim=0),)
    return tuple(mean_of(whole))[: 2 if averaging.samples else 1]


def _put_together(rows: Iterator[Tensor]) -> Tensor:
    """An answer (K, rows, columns) from rows of it; what came first is let go of with the list."""
    parts = list(rows)
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _mean_piece(region: Region, maps: Means, source: str) -> TileLogits:
    mean, *variance = maps
    _require_finite(mean, source)
    return TileLogits(*region, mean.clamp_min(torch.finfo(mean.dtype).tiny).log(), *variance)


class _Part:
    """A region in one of its turns, and the window that answers for it."""

    def __init__(self, kept: Region, turn: Orientation, size: Size, segmenter: Segmenter, reach: Reach | None) -> None:
        self.kept, self.turn = kept, turn
        self.tile = _tile(turn.region(kept, size), segmenter.frame(turn.size(size)), reach)


def _read_ahead(read: Callable[[_Part], NDArray[Any]], parts: Iterable[_Part]) -> Iterator[tuple[_Part, NDArray[Any]]]:
    """Each part with its window, of which the next one is read in a thread while this one is worked on."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[tuple[_Part, Future[NDArray[Any]]]] = deque()
        for part in parts:
            waiting.append((part, thread.submit(read, part)))
            if len(waiting) > 1:
                now, window = waiting.popleft()
                yield now, window.result()
        for now, window in waiting:
            yield now, window.result()


def _answers(
    segmenter: Segmenter, part: _Part, window: NDArray[Any], source: str, machine: Machine, averaging: Averaging
) -> Iterator[Iterator[Tensor]]:
    """Logits (K, rows, columns) of one region in one of its turns, from the top, for every sample, on the CPU."""
    rows, columns = part.tile.inside
    image = machine.put(segmenter.normal(window, source)) if averaging.samples else None
    for sample in range(averaging.samples):
        seed = sample_seed(averaging, sample, part.turn, part.kept)
        with machine.arithmetic(), dropping(segmenter.network, machine, seed):
            logits = segmenter.network(image)
        yield _laid_back(iter([logits[0, :, rows, columns].float().cpu()]), part.turn)
    if not averaging.samples:
        pieces = _logits(segmenter, window, source, machine, rows)
        found = (logits[0, :, :, columns].float().cpu() for logits in pieces)
        yield _laid_back(found, part.turn)


def _logits(
    segmenter: Segmenter, window: NDArray[Any], source: str, machine: Machine, wanted: slice
) -> Iterator[Tensor]:
    """Rows of the answer (1, K, rows, W') for stored pixels, by pieces where it is large and the network can."""
    network = segmenter.network
    native = window.astype(window.dtype.newbyteorder("="), copy=False)
    pixels = torch.from_numpy(native).movedim(-1, 0)[None]

    def prepare(rows: Tensor) -> Tensor:
        return machine.put(segmenter.normal(rows[0].movedim(0, -1).numpy(), source))

    rows = machine.rows_at_once(window.shape[1], network.structure.stride)
    at_once = looks_at_everything(network.structure) or window.shape[0] < 2 * rows

    def whole() -> Iterator[Tensor]:
        yield network(prepare(pixels))[:, :, wanted]

    found = whole() if at_once else streamed(network, pixels, rows, wanted, prepare)
    while True:
        with machine.arithmetic():  # not around the yield: it would be in force in the caller
            piece = next(found, None)
        if piece is None:
            return
        yield piece


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


def _laid_back(rows: Iterator[Tensor], turn: Orientation) -> Iterator[Tensor]:
    """Rows (K, rows, columns) of an answer for a turned picture, as rows of one for the picture as it is."""
    if turn == UPRIGHT:
        yield from rows
        return
    logits = _put_together(rows)
    reversed_ = [axis for axis, turned in ((1, turn.rows), (2, turn.columns)) if turned]
    logits = logits.flip(reversed_) if reversed_ else logits
    yield logits.transpose(1, 2) if turn.exchanged else logits


def _require_finite(logits: Tensor, source: str) -> None:
    if not torch.isfinite(logits).all():
        raise RunError(
            f"{source}: the network's output is not finite",
            "finite numbers",
            "try --precision float32; if it stays, the model was damaged in training",
        )


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
) -> Prediction:
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
) -> Iterator[Prediction]:
    """The same, a row of tiles at a time from the top: nothing larger is held. Parameters as in ``pieces``."""
    spans = tile_rows(segmenter, (image.shape[0], image.shape[1]), tile)
    tops = [span.start for span in spans]
    done = pieces(segmenter, image, source, machine, tile, averaging, rows)
    found = groupby(done, lambda piece: bisect_right(tops, piece.rows.start))
    for span, (_, parts) in zip(spans if rows is None else [spans[number] for number in rows], found, strict=True):
        yield _filled(segmenter, image, span, parts, averaging, uncertainty=uncertainty, whole=whole)


def _filled(
    segmenter: Segmenter,
    image: Pixels,
    rows: slice,
    parts: Iterable[TileLogits],
    averaging: Averaging,
    *,
    uncertainty: bool,
    whole: bool,
) -> Prediction:
    found = empty_answer(segmenter, rows, image.shape[1], averaging, uncertainty=uncertainty, whole=whole)
    for piece in parts:
        found.take(piece)
    return found


def empty_answer(
    segmenter: Segmenter, rows: slice, columns: int, averaging: Averaging, *, uncertainty: bool, whole: bool
) -> Prediction:
    """An answer for some rows of a picture, to be filled; ``uncertainty`` and ``whole`` as in ``answer``."""
    return Prediction.empty(
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

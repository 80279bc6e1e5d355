"""From a picture to class ids: the one path that validation, testing and prediction all take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
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
from unpool.turning import Turn

TILE = 1024
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
    image: NDArray[Any],
    source: str,
    machine: Machine,
    tile: int = TILE,
    averaging: Averaging = ONCE,
) -> Iterator[Piece]:
    """Run the network over a picture, tile by tile; the parts cover it once.

    Parameters
    ----------
    image: (rows, columns, channels) in the pixel type it was stored in.
    source: the file's name, for messages.
    averaging: which answers each part's answer is the mean of.

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
    for kept in regions(size, (tile, tile), reach.stride) if reach else [extent(size)]:
        answers = _answers(segmenter, image, source, machine, kept, reach, averaging)
        if averaging.answers == 1 and not averaging.samples:
            yield Piece(*kept, next(answers))
            continue
        mean, variance = mean_of(answers)
        logits = mean.clamp_min(torch.finfo(mean.dtype).tiny).log()
        yield Piece(*kept, logits, variance if averaging.samples else None)


def _answers(
    segmenter: Segmenter,
    image: NDArray[Any],
    source: str,
    machine: Machine,
    kept: Region,
    reach: Reach | None,
    averaging: Averaging,
) -> Iterator[Tensor]:
    """Logits (K, rows, columns) of one region, for every turn and every sample, on the CPU."""
    network, size = segmenter.network, (int(image.shape[0]), int(image.shape[1]))
    for turn in averaging.turns:
        frame = segmenter.frame(turn.size(size))
        part = _tile(turn.region(kept, size), frame, reach)
        window = machine.put(segmenter.prepare(image, source, part.window, turn))
        for sample in range(max(averaging.samples, 1)):
            seed = sample_seed(averaging, sample, turn, kept)
            with machine.arithmetic(), dropping(network, machine, seed) if averaging.samples else nullcontext():
                logits = network(window)
            logits = logits[0, :, part.inside[0], part.inside[1]].float().cpu()
            _require_finite(logits, source)
            yield _turned_back(logits, turn)


def _reach(segmenter: Segmenter, picture: Size, tile: int) -> Reach | None:
    """What tiles read around themselves; None where the picture is computed whole."""
    structure = segmenter.network.structure
    seen = context(structure)
    if seen is None or max(picture) <= tile:
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
    """What the network says of a whole picture, put together from its pieces.

    Attributes
    ----------
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

    @classmethod
    def empty(
        cls, classes: int, size: Size, *, confidence: bool = False, whole: bool = False, variance: bool = False
    ) -> Answer:
        """An answer to be filled, of a picture of (rows, columns); ``whole`` keeps the probabilities."""
        return cls(
            np.empty(size, dtype=np.uint8),
            np.empty(size, dtype=np.float32) if confidence else None,
            np.empty((classes, *size), dtype=np.float32) if whole else None,
            np.empty((classes, *size), dtype=np.float32) if variance else None,
        )

    def take(self, piece: Piece) -> None:
        """Fill in what a piece says."""
        self.prediction[piece.rows, piece.columns] = most_probable(piece)
        if self.variance is not None and piece.variance is not None:
            self.variance[:, piece.rows, piece.columns] = piece.variance.numpy()
        if self.confidence is None and self.probabilities is None:
            return
        likely = piece.logits.softmax(dim=0)
        if self.confidence is not None:
            self.confidence[piece.rows, piece.columns] = likely.amax(dim=0).numpy()
        if self.probabilities is not None:
            self.probabilities[:, piece.rows, piece.columns] = likely.numpy()

    @property
    def uncertainty(self) -> NDArray[np.float32]:
        """float32 (maps, rows, columns): the variance of each class, or without it 1 - confidence, one map."""
        if self.variance is not None:
            return self.variance
        assert self.confidence is not None
        return 1 - self.confidence[None]


def answer(
    segmenter: Segmenter,
    image: NDArray[Any],
    source: str,
    machine: Machine,
    tile: int = TILE,
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
    found = Answer.empty(
        len(segmenter.classes),
        (image.shape[0], image.shape[1]),
        confidence=uncertainty,
        whole=whole,
        variance=uncertainty and averaging.samples > 0,
    )
    for piece in pieces(segmenter, image, source, machine, tile, averaging):
        found.take(piece)
    return found


def predict(
    segmenter: Segmenter,
    image: NDArray[Any],
    source: str,
    machine: Machine,
    tile: int = TILE,
    averaging: Averaging = ONCE,
) -> Labels:
    """The most probable class of every pixel: uint8 class ids (rows, columns). Errors as in ``pieces``."""
    return answer(segmenter, image, source, machine, tile, averaging).prediction


def predict_probabilities(
    segmenter: Segmenter,
    image: NDArray[Any],
    source: str,
    machine: Machine,
    tile: int = TILE,
    averaging: Averaging = ONCE,
) -> NDArray[np.float32]:
    """The probability of every class: float32 (K, rows, columns), summing to 1. Errors as in ``pieces``."""
    probabilities = answer(segmenter, image, source, machine, tile, averaging, whole=True).probabilities
    assert probabilities is not None
    return probabilities


def most_probable(piece: Piece) -> Labels:
    """Class ids of a piece, uint8 (rows, columns); the lower id where two classes tie."""
    labels: Labels = piece.logits.argmax(dim=0).to(torch.uint8).numpy()
    return labels

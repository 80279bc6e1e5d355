"""From a picture to class ids: the one path that validation, testing and prediction all take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.classes import Labels
from unpool.engine.machine import Machine
from unpool.errors import RunError
from unpool.nets import context, legal_size
from unpool.segmenter import Segmenter
from unpool.tiling import Reach, Size, Tile, tiles

TILE = 1024
"""Rows and columns kept of a tile; a picture that is not larger is computed whole."""


@dataclass(frozen=True)
class Piece:
    """The network's answer for one part of a picture.

    Attributes
    ----------
    rows, columns: where the part lies in the picture.
    logits: float32 (K, rows, columns), on the CPU.
    """

    rows: slice
    columns: slice
    logits: Tensor


@torch.inference_mode()
def pieces(
    segmenter: Segmenter, image: NDArray[Any], source: str, machine: Machine, tile: int = TILE
) -> Iterator[Piece]:
    """Run the network over a picture, tile by tile; the parts cover it once.

    Parameters
    ----------
    image: (rows, columns, channels) in the pixel type it was stored in.
    source: the file's name, for messages.

    Raises
    ------
    DataError: channels or pixel type do not fit the model.
    RunError: the network gave numbers that are not finite.
    """
    assert not segmenter.network.training, "prediction with batch statistics would depend on the batch"
    rows, columns = int(image.shape[0]), int(image.shape[1])
    inputs, offset = segmenter.prepare(image, source)
    given = (int(inputs.shape[2]), int(inputs.shape[3]))
    for part in _parts(segmenter, (rows, columns), given, offset, tile):
        window = machine.put(inputs[:, :, part.window[0], part.window[1]])
        with machine.arithmetic():
            logits = segmenter.network(window)
        logits = logits[0, :, part.inside[0], part.inside[1]].float().cpu()
        if not torch.isfinite(logits).all():
            raise RunError(
                f"{source}: the network's output is not finite",
                "finite numbers",
                "try --precision float32; if it stays, the model was damaged in training",
            )
        yield Piece(part.kept[0], part.kept[1], logits)


def _parts(segmenter: Segmenter, picture: Size, given: Size, offset: Size, tile: int) -> Iterator[Tile]:
    structure = segmenter.network.structure
    seen = context(structure)
    if seen is None or max(picture) <= tile:
        whole = (slice(0, picture[0]), slice(0, picture[1]))
        inside = (slice(offset[0], offset[0] + picture[0]), slice(offset[1], offset[1] + picture[1]))
        yield Tile((slice(0, given[0]), slice(0, given[1])), whole, inside)
        return
    reach = Reach(seen.before, seen.after, structure.stride, lambda side: legal_size(structure, side))
    yield from tiles(picture, given, (tile, tile), reach)


@dataclass(frozen=True)
class Answer:
    """What the network says of a whole picture, put together from its pieces.

    Attributes
    ----------
    prediction: uint8 class ids (rows, columns).
    confidence: float32 (rows, columns), the predicted class's probability; None where it is not wanted.
    probabilities: float32 (K, rows, columns), summing to 1; None where they are not wanted.
    """

    prediction: Labels
    confidence: NDArray[np.float32] | None
    probabilities: NDArray[np.float32] | None

    @classmethod
    def empty(cls, classes: int, size: Size, *, confidence: bool = False, whole: bool = False) -> Answer:
        """An answer to be filled, of a picture of (rows, columns); ``whole`` keeps the probabilities."""
        return cls(
            np.empty(size, dtype=np.uint8),
            np.empty(size, dtype=np.float32) if confidence else None,
            np.empty((classes, *size), dtype=np.float32) if whole else None,
        )

    def take(self, piece: Piece) -> None:
        """Fill in what a piece says."""
        self.prediction[piece.rows, piece.columns] = most_probable(piece)
        if self.confidence is None and self.probabilities is None:
            return
        likely = piece.logits.softmax(dim=0)
        if self.confidence is not None:
            self.confidence[piece.rows, piece.columns] = likely.amax(dim=0).numpy()
        if self.probabilities is not None:
            self.probabilities[:, piece.rows, piece.columns] = likely.numpy()


def predict(segmenter: Segmenter, image: NDArray[Any], source: str, machine: Machine, tile: int = TILE) -> Labels:
    """The most probable class of every pixel: uint8 class ids (rows, columns). Errors as in ``pieces``."""
    return _answer(segmenter, image, source, machine, tile, whole=False).prediction


def predict_probabilities(
    segmenter: Segmenter, image: NDArray[Any], source: str, machine: Machine, tile: int = TILE
) -> NDArray[np.float32]:
    """The probability of every class: float32 (K, rows, columns), summing to 1. Errors as in ``pieces``."""
    probabilities = _answer(segmenter, image, source, machine, tile, whole=True).probabilities
    assert probabilities is not None
    return probabilities


def _answer(
    segmenter: Segmenter, image: NDArray[Any], source: str, machine: Machine, tile: int, *, whole: bool
) -> Answer:
    answer = Answer.empty(len(segmenter.classes), (image.shape[0], image.shape[1]), whole=whole)
    for piece in pieces(segmenter, image, source, machine, tile):
        answer.take(piece)
    return answer


def most_probable(piece: Piece) -> Labels:
    """Class ids of a piece, uint8 (rows, columns); the lower id where two classes tie."""
    labels: Labels = piece.logits.argmax(dim=0).to(torch.uint8).numpy()
    return labels

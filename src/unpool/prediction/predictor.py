"""The predictor: from a picture to class ids, for validation, testing and prediction alike."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, islice
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.errors import RunError
from unpool.machine.device import Machine
from unpool.nets.network import Network
from unpool.prediction.averaging import ONCE, Averaging, mean_of, require_dropout
from unpool.prediction.blending import Means, blend, overlapping
from unpool.prediction.halo import Halo, halo_of
from unpool.prediction.memory import WindowMemory
from unpool.prediction.memory_limit import MemoryLimit
from unpool.prediction.network_output import PlacedNetwork, RunLogits
from unpool.prediction.result import CLASS_IDS, PROBABILITIES, Kept, Prediction, TileLogits
from unpool.prediction.windows import join_rows, read_windows
from unpool.segmenter import Segmenter
from unpool.shapes import Pixels, Region, Size
from unpool.tiling import extent, regions

TILE = (1024, 1024)
"""Rows and columns of a tile; a picture that is not larger is one tile."""


@dataclass(frozen=True)
class Predictor:
    """A segmenter on a machine, which predicts pictures of any size.

    The network is folded, rounded and placed at the first use, in a copy: the segmenter stays as it was trained.

    Attributes
    ----------
    segmenter: its network is in evaluation mode.
    tile: rows and columns of a tile, rounded up to the network's stride. A picture that is not larger is predicted at
        once, and so is every picture if the network cannot be tiled.
    averaging: the orientations and dropout samples that each prediction is the mean of.
    memory: the limit under which ``unpool.prediction.tile_choice`` chooses tiles; None where it always takes ``tile``.

    Raises
    ------
    UsageError: dropout is to be sampled and the network has none.
    """

    segmenter: Segmenter
    machine: Machine
    tile: Size = TILE
    averaging: Averaging = ONCE
    memory: MemoryLimit | None = None

    def __post_init__(self) -> None:
        assert not self.segmenter.network.training, "prediction with batch statistics would depend on the batch"
        require_dropout(self.segmenter, self.averaging)

    def predict(self, image: Pixels, source: str, keep: Kept = CLASS_IDS) -> Prediction:
        """Predict a picture.

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in.
        source: the file's name, for messages.
        keep: the maps to keep in addition to the class ids.

        Raises
        ------
        DataError: channels or pixel type do not fit the model.
        RunError: the network's output is not finite.
        """
        return self._filled(slice(0, image.shape[0]), image.shape[1], self.tiles(image, source), keep)

    def probabilities(self, image: Pixels, source: str) -> NDArray[np.float32]:
        """Return the probability of every class: float32 (K, rows, columns), summing to 1.

        Parameters and errors are those of ``Predictor.predict``.
        """
        probabilities = self.predict(image, source, PROBABILITIES).probabilities
        assert probabilities is not None
        return probabilities

    def bands(
        self, image: Pixels, source: str, rows: range | None = None, keep: Kept = CLASS_IDS
    ) -> Iterator[Prediction]:
        """Yield the prediction of each row of tiles, from the top, so that no more than a band is in memory.

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in.
        source: the file's name, for messages.
        rows: numbers of the rows of tiles to predict, see ``tile_rows``; all by default.
        keep: the maps to keep in addition to the class ids.

        Raises
        ------
        DataError: channels or pixel type do not fit the model.
        RunError: the network's output is not finite.
        """
        spans = self.tile_rows((image.shape[0], image.shape[1]))
        tops = [span.start for span in spans]
        bands = groupby(self.tiles(image, source, rows), lambda tile: bisect_right(tops, tile.rows.start))
        for span, (_, tiles) in zip(spans if rows is None else [spans[k] for k in rows], bands, strict=True):
            yield self._filled(span, image.shape[1], tiles, keep)

    @torch.inference_mode()
    def tiles(self, image: Pixels, source: str, rows: range | None = None) -> Iterator[TileLogits]:
        """Yield the logits of a picture tile by tile, and of large tiles by rows; together they cover it once.

        Tiles of a network that ``looks_at_everything`` overlap and are blended. While the network computes a window,
        the next one is read.

        Parameters
        ----------
        image: (rows, columns, channels) in the pixel type it was stored in.
        source: the file's name, for messages.
        rows: numbers of the rows of tiles to compute, see ``tile_rows``; all by default.

        Raises
        ------
        DataError: channels or pixel type do not fit the model.
        RunError: the network's output is not finite.
        """
        size = (int(image.shape[0]), int(image.shape[1]))
        halo = self._halo(size)
        if self.blends(size):
            overlap = overlapping(size, self.tile, self._stride)
            numbers = range(len(overlap.rows)) if rows is None else rows
            means = self._means(image, source, list(overlap.regions(numbers)), halo)
            for region, maps in blend(overlap, means, numbers):
                yield self._mean_logits(region, maps, source)
            return
        if halo is None:
            kept = [extent(size)][: 1 if rows is None else len(rows)]
        else:
            kept = list(regions(size, self.tile, halo.stride, rows))
        if self.averaging.once:
            yield from self._plain_logits(self._runs(image, source, kept, halo), source)
            return
        means = self._means(image, source, kept, halo)
        for region in kept:
            yield self._mean_logits(region, next(means), source)

    def tile_rows(self, size: Size) -> list[slice]:
        """Return the rows of a picture of (rows, columns) that are finished with each row of tiles."""
        if self._halo(size) is None:
            return [slice(0, size[0])]
        if self.blends(size):
            return overlapping(size, self.tile, self._stride).row_parts()
        return [region[0] for region in regions((size[0], 1), (self.tile[0], 1), self._stride)]

    def blends(self, size: Size) -> bool:
        """Return whether tiles of a picture of (rows, columns) are blended, so that its prediction depends on them."""
        return self.looks_at_everything and self._halo(size) is not None

    @property
    def can_tile(self) -> bool:
        """Whether the network can predict a picture in tiles."""
        return halo_of(self.segmenter.network.structure) is not None

    @property
    def looks_at_everything(self) -> bool:
        """Whether the network normalises over all pixels of a window, so that tiles differ from the picture."""
        return self.segmenter.network.structure.looks_at_everything

    @property
    def by_rows(self) -> bool:
        """Whether the network can compute a large window some rows at a time."""
        return not (self.averaging.samples or self.looks_at_everything)

    @property
    def network(self) -> Network:
        """The folded copy of the network, on the machine."""
        return self._placed.segmenter.network

    @property
    def window_memory(self) -> WindowMemory:
        """Bytes that the logits of a window take."""
        return self._placed.memory

    def alone(self) -> Self:
        """Return a predictor that holds the folded network only, not the network as it was trained.

        In bfloat16 the two have weights of their own: 4 bytes per parameter are then freed with the trained network.
        """
        return self._with(segmenter=self._placed.segmenter)

    def with_tile(self, tile: Size) -> Self:
        """Return a predictor with tiles of (rows, columns), and the same folded network."""
        return self._with(tile=tile)

    def with_averaging(self, averaging: Averaging) -> Self:
        """Return a predictor with an averaging, and the same folded network.

        Raises
        ------
        UsageError: dropout is to be sampled and the network has none.
        """
        return self._with(averaging=averaging)

    def at_once(self, size: Size) -> Self:
        """Return a predictor that computes pictures up to (rows, columns) in one piece: not in tiles, not by rows."""
        return self._with(tile=size, machine=replace(self.machine, by_rows=False))

    def empty(self, rows: slice, columns: int, keep: Kept) -> Prediction:
        """Return a prediction of some rows of a picture, to be filled."""
        keep = keep._replace(variance=keep.variance and self.averaging.samples > 0)
        return Prediction.empty(len(self.segmenter.classes), (rows.stop - rows.start, columns), keep, rows.start)

    def _filled(self, rows: slice, columns: int, tiles: Iterable[TileLogits], keep: Kept) -> Prediction:
        prediction = self.empty(rows, columns, keep)
        for tile in tiles:
            prediction.fill(tile)
        return prediction

    def _halo(self, size: Size) -> Halo | None:
        """Return the halo of a picture's tiles; None where the picture is predicted in one piece."""
        if size[0] <= self.tile[0] and size[1] <= self.tile[1]:
            return None
        return halo_of(self.segmenter.network.structure)

    @property
    def _stride(self) -> int:
        return self.segmenter.network.structure.stride

    @cached_property
    def _placed(self) -> PlacedNetwork:
        with torch.inference_mode(mode=False):  # weights made in inference mode could not be used outside it
            return PlacedNetwork.of(self.segmenter, self.machine)

    def _with(self, **changes: Any) -> Self:
        changed = replace(self, **changes)
        machine = changed.machine
        placed = self._placed if machine == self.machine else replace(self._placed, machine=machine)
        changed.__dict__["_placed"] = placed  # where cached_property keeps it, so that nothing is folded twice
        return changed

    def _runs(self, image: Pixels, source: str, kept: Sequence[Region], halo: Halo | None) -> Iterator[RunLogits]:
        """Yield ``averaging.runs`` runs for each region."""
        placed = self._placed.for_picture(image, source)
        for window in read_windows(self.segmenter, image, kept, self.averaging.orientations, halo):
            yield from placed.runs(window, source, self.averaging)

    def _means(self, image: Pixels, source: str, kept: Sequence[Region], halo: Halo | None) -> Iterator[Means]:
        """Yield the mean ``Segmenter.probabilities`` of each region; with dropout samples their variance too."""
        runs = self._runs(image, source, kept, halo)
        for _ in kept:
            logits = (join_rows(run.parts) for run in islice(runs, self.averaging.runs))
            if self.averaging.once:
                yield (self.segmenter.probabilities(next(logits)),)
            else:
                mean = mean_of(logits, self.segmenter.probabilities)
                yield tuple(mean)[: 2 if self.averaging.samples else 1]

    def _plain_logits(self, runs: Iterator[RunLogits], source: str) -> Iterator[TileLogits]:
        borders = self.segmenter.borders > 0
        for run in runs:
            top, columns = run.region[0].start, run.region[1]
            for logits in run.parts:
                _require_finite(logits, source)
                rows = slice(top, top + logits.shape[1])
                border = logits.softmax(dim=0)[-1] if borders else None
                yield TileLogits(rows, columns, self.segmenter.class_logits(logits), border=border)
                top += logits.shape[1]

    def _mean_logits(self, region: Region, maps: Means, source: str) -> TileLogits:
        mean, *variances = maps
        _require_finite(mean, source)
        classes = len(self.segmenter.classes)
        variance = variances[0][:classes] if variances else None
        border = mean[classes] if self.segmenter.borders else None
        logits = mean[:classes].clamp_min(torch.finfo(mean.dtype).tiny).log()
        return TileLogits(*region, logits, variance, border)


def _require_finite(logits: Tensor, source: str) -> None:
    if not torch.isfinite(logits).all():
        raise RunError(
            f"{source}: the network's output is not finite",
            "finite numbers",
            "try --precision float32; if the error stays, the training damaged the model",
        )

"""The logits of one window: from the network in one piece, some rows at a time, or as samples of dropout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor

from unpool.machine.device import Machine
from unpool.nets.inference.folding import folded
from unpool.nets.inference.streaming import streamed
from unpool.prediction.averaging import Averaging, dropping, sample_seed
from unpool.prediction.memory import WindowMemory, window_memory
from unpool.prediction.windows import WindowPixels, as_stored
from unpool.segmenter import Segmenter
from unpool.shapes import Pixels, Region


class RunLogits(NamedTuple):
    """The logits of one tile from one run of the network.

    Attributes
    ----------
    region: the tile's rows and columns in the picture as stored.
    parts: float32 (K, rows, columns) on the CPU, some rows at a time, from the top. Take all parts before the next run:
        the network computes them when they are taken.
    """

    region: Region
    parts: Iterator[Tensor]


@dataclass(frozen=True)
class PlacedNetwork:
    """A network on a machine, with batch normalisation folded and weights in the machine's number type.

    Attributes
    ----------
    segmenter: its network is a folded copy, placed on the machine.
    """

    segmenter: Segmenter
    machine: Machine

    @classmethod
    def of(cls, segmenter: Segmenter, machine: Machine) -> Self:
        """Copy, fold and place the network of a trained segmenter, which stays as it is; round weights for bfloat16."""
        network = folded(segmenter.network, torch.bfloat16 if machine.reduced else None)
        machine.place(network)
        return cls(replace(segmenter, network=network), machine)

    @cached_property
    def memory(self) -> WindowMemory:
        """Bytes that computing the logits of a window takes."""
        return window_memory(self.segmenter.network, self.machine)

    def for_picture(self, image: Pixels, source: str) -> PlacedNetwork:
        """Return the network that takes the windows of this picture, see ``Segmenter.for_picture``.

        Raises
        ------
        DataError: channels do not fit the model.
        """
        segmenter = self.segmenter.for_picture(image, source)
        return self if segmenter is self.segmenter else replace(self, segmenter=segmenter)

    def runs(self, window: WindowPixels, source: str, averaging: Averaging) -> Iterator[RunLogits]:
        """Yield the logits of each dropout sample of a window, or those of one run where dropout is not sampled.

        Raises
        ------
        DataError: channels or pixel type do not fit the model.
        """
        columns = window.inside[1]
        outputs = self._samples(window, source, averaging) if averaging.samples else iter([self._rows(window, source)])
        for output in outputs:
            parts = (part[0, :, :, columns].float().cpu() for part in output)
            yield RunLogits(window.region, as_stored(parts, window.orientation))

    def _samples(self, window: WindowPixels, source: str, averaging: Averaging) -> Iterator[Iterator[Tensor]]:
        inputs = self.machine.put(self.segmenter.normal(window.pixels, source))
        for sample in range(averaging.samples):
            seed = sample_seed(averaging, sample, window.orientation, window.region)
            with self.machine.arithmetic(), dropping(self.segmenter.network, self.machine, seed):
                logits = self.segmenter.network(inputs)
            yield iter([logits[:, :, window.inside[0]]])

    def _rows(self, window: WindowPixels, source: str) -> Iterator[Tensor]:
        """Yield the tile's rows of the window's logits: in one piece, or some rows at a time for a large window."""
        network, kept = self.segmenter.network, window.inside[0]
        # torch takes arrays in the machine's own byte order only.
        native = window.pixels.astype(window.pixels.dtype.newbyteorder("="), copy=False)
        pixels = torch.from_numpy(native).movedim(-1, 0)[None]

        def prepare(stored: Tensor) -> Tensor:
            return self.machine.put(self.segmenter.normal(stored[0].movedim(0, -1).numpy(), source))

        portion = self.machine.rows_at_once(pixels.shape[3], network.structure.stride)
        # Computing by rows pays from two portions on.
        at_once = network.structure.looks_at_everything or pixels.shape[2] < 2 * portion

        def one_run() -> Iterator[Tensor]:
            yield network(prepare(pixels))[:, :, kept]

        parts = one_run() if at_once else streamed(network, pixels, portion, kept, prepare)
        while True:
            with self.machine.arithmetic():  # not around the yield: bfloat16 would then hold in the caller too
                part = next(parts, None)
            if part is None:
                return
            yield part

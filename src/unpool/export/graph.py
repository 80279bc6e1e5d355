"""A segmenter as one module that takes raw pixels of any size, which is what is exported."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from unpool.errors import UsageError
from unpool.nets.network import SizeRule
from unpool.segmenter import Segmenter

Output = Literal["classes", "probabilities"]
ExportPrecision = Literal["float32", "float16", "int8"]


class Portable(nn.Module):
    """Normalisation, mirroring to a legal size, the network, and the answer for the picture's own pixels.

    Parameters
    ----------
    segmenter: its network is copied.
    pixels: the pixel type whose normalisation constants are taken: ``uint8``, ``uint16`` or ``float32``.
    output: ``classes`` gives uint8 class ids (N, rows, columns), ``probabilities`` float32 (N, K, rows, columns).
    half: whether the network computes in float16; what is around it computes in float32.

    Input (N, channels, rows, columns) of raw pixel values, of any number type. It computes what ``Segmenter.prepare``
    and the network compute, with operations that know no size before they run.

    Raises
    ------
    UsageError: the sizes that the network takes follow no simple rule.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, segmenter: Segmenter, pixels: str, output: Output, *, half: bool = False) -> None:
        super().__init__()
        self.rule = _rule(segmenter)
        self.output = output
        self.number = torch.float16 if half else torch.float32
        self.network = copy.deepcopy(segmenter.network).to(self.number)
        constants = segmenter.normalisation.constants[pixels]
        self.register_buffer("mean", torch.tensor(constants.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(constants.std)[:, None, None])
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """The answer for a batch; see the class."""
        logits = self.logits(pixels)
        return logits.argmax(dim=1).to(torch.uint8) if self.output == "classes" else logits.softmax(dim=1)

    def logits(self, pixels: Tensor) -> Tensor:
        """float32 (N, K, rows, columns)."""
        sides = pixels.shape[2:]
        maps = (pixels.float() - self.mean) / self.std
        if self.rule == SizeRule(1, 1, 0):
            return self._computed(maps)
        before, after = max(self.rule.lost // 2, 0), max(-(self.rule.lost // 2), 0)
        for axis, side in enumerate(sides, start=2):
            maps = maps.index_select(axis, mirror(torch.arange(self.rule.input_for(side)) - before, side))
        maps = self._computed(maps)
        for axis, side in enumerate(sides, start=2):
            maps = maps.index_select(axis, torch.arange(side) + after)
        return maps

    def _computed(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.network(maps.to(self.number))
        return logits.float()


def mirror(places: Tensor, side: int) -> Tensor:
    """Places on an axis, int64, brought into 0 … side - 1 by mirroring about its ends as often as needed."""
    period = torch.full((1,), 2 * side - 2)
    folded = places.remainder(period.clamp(min=1))
    return torch.minimum(folded, period - folded)


def recorded(portable: Portable, segmenter: Segmenter, number: torch.dtype) -> torch.export.ExportedProgram:
    """The module as a graph of torch operations, for every batch and size.

    Parameters
    ----------
    number: type of the pixels that the graph will take.
    """
    stride = segmenter.network.structure.stride
    example = torch.zeros(2, segmenter.network.in_channels, 3 * stride + 5, 4 * stride + 7, dtype=number)
    free = torch.export.Dim.DYNAMIC
    return torch.export.export(portable, (example,), dynamic_shapes=({0: free, 2: free, 3: free},), strict=False)


def _rule(segmenter: Segmenter) -> SizeRule:
    rule = segmenter.network.structure.size_rule()
    if rule is None:
        raise UsageError(
            "a network whose legal sizes follow no simple rule",
            "one that takes every size, or sizes a fixed step apart",
            "train one with padding=same, or one whose pooling rounds down",
        )
    return rule

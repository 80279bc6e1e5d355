"""The module that is exported: a segmenter that takes raw pixels of any size."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from unpool.errors import UsageError
from unpool.nets.network import SizeRule
from unpool.segmenter import Segmenter

ExportOutput = Literal["classes", "probabilities"]
ExportPrecision = Literal["float32", "float16", "int8"]


class ExportModule(nn.Module):
    """Normalisation, mirroring to a legal size, the network, and the crop to the size of the picture, in one module.

    Parameters
    ----------
    segmenter: the model; its network is copied.
    pixels: the pixel type, which chooses the normalisation constants: ``uint8``, ``uint16`` or ``float32``.
    output: ``classes`` gives uint8 class ids (N, rows, columns), ``probabilities`` float32 (N, K, rows, columns).
    half: whether the network computes in float16; normalisation and output are float32 either way.

    Where each picture is normalised by its own constants, they are computed in the graph from the input: it has to be a
    whole picture.

    The input is a batch (N, channels, rows, columns) of raw pixel values, of any number type. The module computes the
    same as ``Segmenter.prepare`` and the network, with operations that take their sizes from the input.

    Raises
    ------
    UsageError: the legal sizes of the network follow no simple rule.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, segmenter: Segmenter, pixels: str, output: ExportOutput, *, half: bool = False) -> None:
        super().__init__()
        self.rule = _size_rule(segmenter)
        self.output = output
        self.class_logits = segmenter.class_logits
        self.dtype = torch.float16 if half else torch.float32
        self.network = copy.deepcopy(segmenter.network).to(self.dtype)
        constants = segmenter.normalisation.constants[pixels]
        self.by_picture = segmenter.normalisation.by == "picture"
        self.whole_numbers = pixels != "float32"
        self.register_buffer("mean", torch.tensor(constants.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(constants.std)[:, None, None])
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Return class ids or probabilities of a batch, as the class describes."""
        logits = self.logits(pixels)
        return logits.argmax(dim=1).to(torch.uint8) if self.output == "classes" else logits.softmax(dim=1)

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits of a batch, float32 (N, K, rows, columns)."""
        sides = pixels.shape[2:]
        maps = self._normal(pixels.float())
        if self.rule == SizeRule(1, 1, 0):
            return self._network_logits(maps)
        before, after = max(self.rule.lost // 2, 0), max(-(self.rule.lost // 2), 0)
        for axis, side in enumerate(sides, start=2):
            maps = maps.index_select(axis, mirrored_positions(torch.arange(self.rule.input_for(side)) - before, side))
        maps = self._network_logits(maps)
        for axis, side in enumerate(sides, start=2):
            maps = maps.index_select(axis, torch.arange(side) + after)
        return maps

    def _normal(self, pixels: Tensor) -> Tensor:
        if not self.by_picture:
            return (pixels - self.mean) / self.std
        mean = _picture_mean(pixels)
        apart = pixels - mean
        smallest = torch.ones_like(mean) if self.whole_numbers else (mean.abs() * 1e-6).clamp(min=1e-12)
        return apart / torch.maximum(_picture_mean(apart.square()).sqrt(), smallest)

    def _network_logits(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.network(maps.to(self.dtype))
        return self.class_logits(logits.float(), 1)


def _picture_mean(values: Tensor) -> Tensor:
    """Return the mean over each picture of a batch, (N, channels, 1, 1)."""
    # The mean of the means of rows loses less in float32 than one sum over all pixels.
    return values.mean(dim=3, keepdim=True).mean(dim=2, keepdim=True)


def mirrored_positions(positions: Tensor, side: int) -> Tensor:
    """Return positions on an axis, int64, mirrored at its two ends until they lie in 0 … side - 1."""
    period = torch.full((1,), 2 * side - 2)
    folded = positions.remainder(period.clamp(min=1))
    return torch.minimum(folded, period - folded)


def trace_program(module: ExportModule, dtype: torch.dtype) -> torch.export.ExportedProgram:
    """Return the module as a graph of torch operations, for any batch and any size.

    Parameters
    ----------
    dtype: number type of the input.
    """
    network = module.network
    stride = network.structure.stride
    example = torch.zeros(2, network.in_channels, 3 * stride + 5, 4 * stride + 7, dtype=dtype)
    free = torch.export.Dim.DYNAMIC
    return torch.export.export(module, (example,), dynamic_shapes=({0: free, 2: free, 3: free},), strict=False)


def _size_rule(segmenter: Segmenter) -> SizeRule:
    rule = segmenter.network.structure.size_rule()
    if rule is None:
        raise UsageError(
            "a network whose legal sizes follow no simple rule",
            "a network that takes every size, or sizes a fixed step apart",
            "train one with --set padding=same, or with --set pooling_rounding=floor",
        )
    return rule

"""One module that runs any ``Structure``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unpool.errors import UsageError
from unpool.geometry import padding_of
from unpool.nets.sizes import legal_size, output_size
from unpool.nets.structure import GROUPS, Structure


class Crossing(NamedTuple):
    """What one encoder stage sends across to its decoder stage."""

    maps: Tensor  # (N, width, H, W): the stage's output before pooling
    positions: Tensor | None  # (N, width, H/2, W/2): where each maximum was, for unpooling


class EncoderDecoder(nn.Module):
    """An encoder-decoder network for semantic segmentation.

    Parameters
    ----------
    structure: the network's structure.
    in_channels: channels of the picture.
    classes: number of classes, the channels of the output.

    Input float (N, in_channels, H, W); output logits (N, classes, H', W') with H' = H and W' = W for same padding.
    Convolutions begin as in He et al., arXiv 1502.01852 (normal, variance 2 / fan-in), biases at 0.
    """

    def __init__(self, structure: Structure, in_channels: int, classes: int) -> None:
        super().__init__()
        self.structure = structure
        self.in_channels = in_channels
        self.classes = classes
        self.input_norm = (
            # Caffe divides alpha by the window, as torch does (SegNet-Basic: size 5, alpha 1e-4, beta 0.75).
            nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0) if structure.input_norm == "lrn" else nn.Identity()
        )
        self.encoder = nn.ModuleList()
        channels = in_channels
        for width in structure.widths:
            self.encoder.append(_encoder_convolutions(structure, channels, width))
            channels = width
        self.bottom: nn.Module = nn.Identity()
        if structure.bottom:
            self.bottom = _encoder_convolutions(structure, channels, structure.bottom)
            channels = structure.bottom
        self.decoder = nn.ModuleList()
        for width, out in zip(reversed(structure.widths), reversed(structure.stage_outputs()), strict=True):
            self.decoder.append(DecoderStage(structure, channels, width, out))
            channels = out
        self.dropout = nn.Dropout2d(structure.dropout)
        self.head = nn.Conv2d(channels, classes, 1)
        self.apply(_he_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch. Raises UsageError for a size that cannot be halved at every pooling."""
        self._require_legal(image)
        maps = self.input_norm(image)
        crossings: list[Crossing] = []
        for convolutions in self.encoder:
            maps = convolutions(maps)
            if len(crossings) == len(self.encoder) - 1:
                maps = self.dropout(maps)
            pooled, positions = self._pool(maps)
            crossings.append(Crossing(maps, positions))
            maps = pooled
        maps = self.dropout(self.bottom(maps)) if self.structure.bottom else maps
        for stage, crossing in zip(self.decoder, reversed(crossings), strict=True):
            maps = stage(maps, crossing)
        logits: Tensor = self.head(maps)
        return logits

    def _pool(self, maps: Tensor) -> tuple[Tensor, Tensor | None]:
        ceil = self.structure.pooling_rounding == "ceil"
        if self.structure.up == "unpool":
            pooled, positions = F.max_pool2d(maps, 2, ceil_mode=ceil, return_indices=True)
            return pooled, positions
        return F.max_pool2d(maps, 2, ceil_mode=ceil), None

    def _require_legal(self, image: Tensor) -> None:
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise UsageError(
                f"a network input of shape {tuple(image.shape)}",
                f"(N, {self.in_channels}, rows, columns)",
                "give a batch of pictures with the channels the network was made for",
            )
        rows, columns = int(image.shape[2]), int(image.shape[3])
        if output_size(self.structure, rows) is None or output_size(self.structure, columns) is None:
            nearest = tuple(legal_size(self.structure, side) for side in (rows, columns))
            raise UsageError(
                f"a picture of {rows} x {columns} pixels",
                "a size this network can halve at every pooling",
                f"pad the picture to {nearest[0]} x {nearest[1]}",
            )


class DecoderStage(nn.Module):
    """Double the size, fuse what crosses from the encoder, convolve."""

    def __init__(self, structure: Structure, below: int, width: int, out: int) -> None:
        super().__init__()
        self.up = structure.up
        self.skip = structure.skip
        self.grow: nn.Module = nn.Identity()
        if structure.up == "transposed":
            self.grow = nn.ConvTranspose2d(below, width, 2, stride=2)
        elif structure.up in ("bilinear", "nearest") and below != width:
            self.grow = nn.Conv2d(below, width, 1)
        fused = 2 * width if structure.skip == "concat" else width
        widths = [width] * (structure.decoder_convolutions - 1) + [out]
        self.convolutions = _convolutions(structure, fused, widths, relu=structure.decoder_relu)

    def forward(self, maps: Tensor, crossing: Crossing) -> Tensor:
        """Maps from below (N, below, H, W) and what crossed at twice the size, to (N, out, 2H, 2W)."""
        maps = self._grow(maps, crossing)
        if self.skip == "add":
            maps = maps + centre_crop(crossing.maps, maps)
        elif self.skip == "concat":
            maps = torch.cat([centre_crop(crossing.maps, maps), maps], dim=1)
        convolved: Tensor = self.convolutions(maps)
        return convolved

    def _grow(self, maps: Tensor, crossing: Crossing) -> Tensor:
        if self.up == "unpool":
            assert crossing.positions is not None
            return F.max_unpool2d(maps, crossing.positions, (2, 2), output_size=list(crossing.maps.shape[2:]))
        if self.up == "bilinear":
            maps = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        elif self.up == "nearest":
            maps = F.interpolate(maps, scale_factor=2, mode="nearest")
        grown: Tensor = self.grow(maps)
        return grown


def centre_crop(maps: Tensor, like: Tensor) -> Tensor:
    """Crop (N, C, H, W) at the centre to the rows and columns of ``like``."""
    rows, columns = like.shape[2:]
    top, left = (maps.shape[2] - rows) // 2, (maps.shape[3] - columns) // 2
    return maps[:, :, top : top + rows, left : left + columns]


def _encoder_convolutions(structure: Structure, channels: int, width: int) -> nn.Sequential:
    return _convolutions(structure, channels, [width] * structure.encoder_convolutions, relu=structure.encoder_relu)


def _convolutions(structure: Structure, channels: int, widths: list[int], *, relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    pad = padding_of(structure.padding, structure.kernel)
    for width in widths:
        layers.append(nn.Conv2d(channels, width, structure.kernel, padding=pad, bias=structure.bias))
        if structure.norm != "none":
            layers.append(_norm(structure.norm, width))
        if relu:
            layers.append(nn.ReLU(inplace=True))
        channels = width
    return nn.Sequential(*layers)


def _norm(norm: str, width: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(width)
    if norm == "group":
        return nn.GroupNorm(GROUPS, width)
    return nn.InstanceNorm2d(width, affine=True)


def _he_initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)

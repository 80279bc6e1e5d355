"""One module that runs any ``Structure``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unpool.geometry import Rounding
from unpool.nets.blocks import (
    ScoreConvolution,
    UpConvolution,
    bilinear_start,
    convolutions,
    crop_to,
    he_initialise,
    require_input,
)
from unpool.nets.pooling import Positions, max_pool, max_pool_plain, max_unpool
from unpool.nets.sizes import legal_size
from unpool.nets.structure import Structure, decoder_maps


class SkipConnection(NamedTuple):
    """What one encoder stage sends across to its decoder stage.

    ``maps`` (N, C, H, W) for a sum or concatenation, else None; ``positions`` of the maxima for unpooling, else
    None; ``size`` (rows, columns) before pooling.
    """

    maps: Tensor | None
    positions: Positions | None
    size: tuple[int, int]


class EncoderDecoder(nn.Module):
    """An encoder-decoder network for semantic segmentation.

    Parameters
    ----------
    structure: the network's structure.
    in_channels: channels of the picture.
    classes: number of classes, the channels of the output.

    Input float (N, in_channels, H, W); output logits (N, classes, H', W'), with the sizes of ``unpool.nets.sizes``.
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
        for stage in range(1, structure.depth + 1):
            self.encoder.append(EncoderStage(structure, stage, channels))
            channels = structure.widths[stage - 1]
        self.bottom: nn.Module = nn.Identity()
        if structure.bottom:
            self.bottom = _bottom(structure, channels)
            channels = structure.bottom_width
        self.squeeze: nn.Module = nn.Identity()
        if structure.squeeze:
            self.squeeze = ScoreConvolution(channels, classes, 1)
            channels = classes
        self.decoder = nn.ModuleList()
        for stage in range(structure.depth, 0, -1):
            decoder_stage = DecoderStage(structure, stage, channels, classes)
            self.decoder.append(decoder_stage)
            channels = decoder_stage.out_channels
        self.head: nn.Module = nn.Identity()
        if not structure.squeeze:
            padding = structure.head_kernel // 2
            self.head = ScoreConvolution(channels, classes, structure.head_kernel, padding=padding)
        self.apply(he_initialise)
        if structure.up_start == "bilinear":
            for module in self.modules():
                if isinstance(module, nn.ConvTranspose2d):
                    bilinear_start(module.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch. Raises UsageError for a size that cannot be halved at every pooling."""
        require_input(image, self.in_channels, lambda side: legal_size(self.structure, side))
        maps = self.input_norm(image)
        crossings: list[SkipConnection] = []
        for stage in self.encoder:
            maps, crossing = stage(maps)
            crossings.append(crossing)
        maps = self.squeeze(self.bottom(maps))
        for stage in self.decoder:
            maps = stage(maps, crossings)
        logits: Tensor = self.head(maps)
        return logits


class EncoderStage(nn.Module):
    """Convolve, then pool."""

    def __init__(self, structure: Structure, stage: int, channels: int) -> None:
        super().__init__()
        self.structure = structure
        width = structure.widths[stage - 1]
        self.convolutions = convolutions(
            structure, channels, [width] * structure.encoder_count(stage),
            padding=structure.padding, relu=structure.encoder_relu,
        )  # fmt: skip
        self.dropout = _dropout(structure, f"encoder{stage}")
        self.pool = MaxPooling(structure.pooling_rounding, positions=structure.up == "unpool")
        self.pool_dropout = _dropout(structure, f"pool{stage}")

    def forward(self, maps: Tensor) -> tuple[Tensor, SkipConnection]:
        """(N, C, H, W) to the pooled maps (N, width, H/2, W/2) and what crosses."""
        given = self.structure
        convolved = self.dropout(self.convolutions(maps))
        pooled, positions = self.pool(convolved)
        across = None
        if given.skip in ("add", "concat"):
            across = convolved if given.skip_from == "convolved" else maps  # its input is what was pooled above
        size = (convolved.shape[2], convolved.shape[3])
        return self.pool_dropout(pooled), SkipConnection(across, positions, size)


class DecoderStage(nn.Module):
    """Double the size, take in what crosses, convolve.

    A decoder stage never grows beyond the encoder stage it mirrors; where the sizes of the two sides differ, the
    larger one is cropped at the centre.
    """

    def __init__(self, structure: Structure, stage: int, below: int, classes: int) -> None:
        super().__init__()
        maps = decoder_maps(structure, stage, below, classes)
        self.up = UpSampling(structure, below, maps.grown)
        join = Merge(structure, maps.across, maps.crossing) if structure.joins_at(stage) else None
        self.join_before = join if structure.join == "before" else None
        self.convolutions = convolutions(
            structure, maps.fused, maps.convolved,
            padding=structure.padding_in_decoder(), relu=structure.decoder_relu, depthwise=structure.decoder_depthwise,
        )  # fmt: skip
        self.dropout = _dropout(structure, f"decoder{stage}")
        self.join_after = join if structure.join == "after" else None
        self.out_channels = maps.out

    def forward(self, maps: Tensor, crossings: list[SkipConnection]) -> Tensor:
        """Maps from below (N, below, H, W) and the last crossing, of twice the size, to (N, out, 2H, 2W).

        The crossing is taken off the list, and no maps are held that are not needed any more: prediction takes a third
        less memory.
        """
        crossing = crossings.pop()
        maps = crop_to(self.up(maps, crossing), crossing.size)
        if self.join_before is not None:
            maps = self.join_before(maps, crossing)
        if self.join_after is None:
            del crossing
        for layer in layers_of(self.convolutions):
            maps = layer(maps)
        maps = self.dropout(maps)
        if self.join_after is not None:
            maps = self.join_after(maps, crossing)
        return maps


def layers_of(module: nn.Module) -> Iterable[nn.Module]:
    """The modules of a sequence, or the one there is."""
    return module if isinstance(module, nn.Sequential) else (module,)


class MaxPooling(nn.Module):
    """2x2 max-pooling with stride 2, and where each maximum was, if the decoder asks for it."""

    def __init__(self, rounding: Rounding, *, positions: bool) -> None:
        super().__init__()
        self.rounding: Rounding = rounding
        self.positions = positions

    def forward(self, maps: Tensor) -> tuple[Tensor, Positions | None]:
        """(N, C, H, W) to (N, C, H/2, W/2) and the positions."""
        return max_pool(maps, self.rounding) if self.positions else (max_pool_plain(maps, self.rounding), None)


class UpSampling(nn.Module):
    """Twice the size: unpooling, an up-convolution, or interpolation with a 1x1 convolution where the maps change."""

    def __init__(self, structure: Structure, below: int, grown: int) -> None:
        super().__init__()
        self.up = structure.up
        self.convolution: nn.Module = nn.Identity()
        if structure.up == "transposed":
            kernel = structure.up_kernel
            padding, missing = (kernel - 1) // 2, kernel % 2  # so that the size doubles exactly
            self.convolution = UpConvolution(below, grown, kernel, 2, padding, missing, bias=structure.up_bias)
        elif structure.up != "unpool" and below != grown:
            self.convolution = nn.Conv2d(below, grown, 1)
        self.relu = nn.ReLU(inplace=True) if structure.up_relu else nn.Identity()

    def forward(self, maps: Tensor, crossing: SkipConnection) -> Tensor:
        """(N, below, H, W) to (N, grown, 2H, 2W)."""
        if self.up == "unpool":
            assert crossing.positions is not None
            return max_unpool(maps, crossing.positions)
        if self.up == "bilinear":
            maps = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        elif self.up == "nearest":
            maps = F.interpolate(maps, scale_factor=2, mode="nearest")
        grown: Tensor = self.relu(self.convolution(maps))
        return grown


class Merge(nn.Module):
    """Add or concatenate what crosses; the larger side is cropped at the centre."""

    def __init__(self, structure: Structure, across: int, crossing: int) -> None:
        super().__init__()
        self.skip = structure.skip
        self.order = structure.concat_order
        self.squeeze: nn.Module = ScoreConvolution(across, crossing, 1) if structure.squeeze else nn.Identity()

    def forward(self, maps: Tensor, crossing: SkipConnection) -> Tensor:
        """Maps (N, C, H, W) with those of the crossing: (N, C or the sum of both, H, W)."""
        assert crossing.maps is not None
        across = crop_to(self.squeeze(crossing.maps), maps.shape[2:])
        maps = crop_to(maps, across.shape[2:])
        if self.skip == "add":
            return maps + across
        return torch.cat([across, maps] if self.order == "skip" else [maps, across], dim=1)


def _bottom(structure: Structure, channels: int) -> nn.Module:
    block = convolutions(
        structure, channels, [structure.bottom_width] * structure.encoder_count(structure.depth + 1),
        padding=structure.padding, relu=structure.encoder_relu,
    )  # fmt: skip
    return nn.Sequential(block, _dropout(structure, "bottom"))


def _dropout(structure: Structure, place: str) -> nn.Module:
    return nn.Dropout(structure.dropout) if place in structure.dropout_after else nn.Identity()

"""The module that runs any ``unpool.nets.structure.Structure``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unpool.geometry import Border, centre_crop
from unpool.nets.blocks import (
    MaxPooling,
    ScoreConvolution,
    SkipMerge,
    UpConvolution,
    UpSampling,
    bilinear_start,
    convolutions,
    crop_to,
    he_initialise,
    score_start,
    strided_stem,
)
from unpool.nets.explain.layer_names import layer_name
from unpool.nets.explain.records import LayerPart, LayerPlace
from unpool.nets.network import Network
from unpool.nets.pooling import PoolingIndices
from unpool.nets.structure import Structure


class SkipConnection(NamedTuple):
    """The part of an encoder stage that its decoder stage receives.

    Attributes
    ----------
    maps: (N, C, H, W) to add or concatenate; None if the network does neither.
    indices: pooling indices for unpooling; None if the network does not unpool.
    size: rows and columns before pooling.
    """

    maps: Tensor | None
    indices: PoolingIndices | None
    size: tuple[int, int]


class EncoderDecoder(Network):
    """An encoder-decoder network.

    The encoder halves the size at each stage, the decoder doubles it again; here with two stages, as a U::

        image -> encoder 1 ------------- skip ------------> decoder 1 -> head -> logits
                     |                                          ^
                     +-> encoder 2 ----- skip ----> decoder 2 --+
                             |                          ^
                             +-------> bottom ----------+

    A strided stem halves the size before encoder 1, and its head doubles it.
    """

    structure: Structure

    def __init__(self, structure: Structure, in_channels: int, classes: int) -> None:
        super().__init__(structure, in_channels, classes)
        self.input_norm = (
            # Caffe divides alpha by the window, as torch does (SegNet-Basic: size 5, alpha 1e-4, beta 0.75).
            nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0) if structure.input_norm == "lrn" else nn.Identity()
        )
        self.stem: nn.Module = nn.Identity()
        channels = in_channels
        if structure.stem == "strided":
            self.stem = strided_stem(structure, channels)
            channels = structure.width
        self.encoder = nn.ModuleList()
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
        if structure.stem == "strided":
            self.head = UpConvolution(channels, classes, 2, 2)
        elif not structure.squeeze:
            padding = structure.head_kernel // 2
            self.head = ScoreConvolution(channels, classes, structure.head_kernel, padding=padding)
        self.apply(he_initialise)
        if structure.up_start == "bilinear":
            for module in self.decoder.modules():
                if isinstance(module, nn.ConvTranspose2d):
                    bilinear_start(module.weight)
        if isinstance(self.head, UpConvolution):
            score_start(self.head.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of a batch. Raises UsageError for a batch that the network cannot take."""
        self.require_input(image)
        maps = self.input_norm(image)  # (N, in_channels, H, W)
        maps = self.stem(maps)  # -> (N, width, H/2, W/2), in networks with a stem
        skips: list[SkipConnection] = []
        for stage in self.encoder:  # down the left side of the U
            maps, skip = stage(maps)  # (N, C, H, W) -> (N, width, H/2, W/2)
            skips.append(skip)
        maps = self.bottom(maps)  # -> (N, bottom_width, H/stride, W/stride)
        maps = self.squeeze(maps)  # -> the same size, one map a class, in networks that squeeze
        for stage in self.decoder:  # up the right side, which takes the last skip connection first
            maps = stage(maps, skips)  # (N, C, H, W) -> (N, width, 2H, 2W)
        logits: Tensor = self.head(maps)  # -> (N, classes, H', W')
        return logits

    def place_of(self, path: str) -> LayerPlace:
        """Return where the layer with this module path stands in the network."""
        room, _, rest = path.partition(".")
        depth, number = self.structure.depth, int(rest.partition(".")[0] or 0) if room in ("encoder", "decoder") else 0
        reduces = path.endswith("squeeze")
        part: LayerPart = "squeeze" if reduces else "up-convolution" if ".up." in path else "convolution"
        match room:
            case "input_norm" | "encoder":
                return LayerPlace("encoder", number + 1, part)
            case "stem":
                return LayerPlace("encoder", 1, "stem")
            case "bottom" | "squeeze":
                return LayerPlace("bottom", depth + 1, part)
            case "decoder":
                stage = depth - number
                return LayerPlace("decoder", stage, part, self.structure.skip_origins[stage] if reduces else "")
            case _:
                return LayerPlace("head", 1, "classifier")

    def paper_name(self, path: str, part: LayerPart, index: int = 0) -> str:
        """Return the name of a layer in the manner of the paper that the structure resembles."""
        return layer_name(self.structure, self.place_of(path), part, index)


class EncoderStage(nn.Module):
    """A stage of the encoder: convolutions, then max-pooling."""

    def __init__(self, structure: Structure, stage: int, channels: int) -> None:
        super().__init__()
        self.structure = structure
        width = structure.widths[stage - 1]
        self.convolutions = convolutions(
            structure, channels, [width] * structure.encoder_count(stage),
            padding=structure.padding, relu=structure.encoder_relu,
        )  # fmt: skip
        self.dropout = _dropout(structure, f"encoder{stage}")
        self.pool = MaxPooling(structure.pooling_rounding, keeps_indices=structure.unpools)
        self.pool_dropout = _dropout(structure, f"pool{stage}")

    def forward(self, maps: Tensor) -> tuple[Tensor, SkipConnection]:
        """Return the pooled maps and the skip connection of this stage."""
        convolved = self.dropout(self.convolutions(maps))  # (N, C, H, W) -> (N, width, H, W)
        pooled, indices = self.pool(convolved)  # -> (N, width, H/2, W/2)
        sent = None
        if self.structure.keeps_maps:  # of this stage, or pooled by the stage above, which is this stage's input
            sent = convolved if self.structure.skip_from == "convolved" else maps
        size = (convolved.shape[2], convolved.shape[3])
        return self.pool_dropout(pooled), SkipConnection(sent, indices, size)


class DecoderStage(nn.Module):
    """A stage of the decoder: upsampling, the skip connection, then convolutions.

    Its maps never grow beyond the encoder stage that it mirrors. Where the sizes of the two differ, the larger maps
    are cropped at the centre.

    Parameters
    ----------
    below: feature maps of the stage below.
    """

    def __init__(self, structure: Structure, stage: int, below: int, classes: int) -> None:
        super().__init__()
        maps = structure.decoder_maps(stage, below, classes)
        self.up = UpSampling(structure, below, maps.grown)
        merge = Merge(structure, maps.encoder, maps.skip) if structure.joins_at(stage) else None
        self.join_before = merge if structure.join == "before" else None
        self.convolutions = convolutions(
            structure, maps.fused, maps.convolved,
            padding=structure.decoder_pads, relu=structure.decoder_relu, depthwise=structure.decoder_depthwise,
        )  # fmt: skip
        self.dropout = _dropout(structure, f"decoder{stage}")
        self.join_after = merge if structure.join == "after" else None
        self.out_channels = maps.out

    def forward(self, maps: Tensor, skips: list[SkipConnection]) -> Tensor:
        """Return the maps of this stage, twice the size of those from below.

        The last skip connection is taken off the list, and maps are dropped as soon as they have been used: prediction
        then takes a third less memory.
        """
        skip = skips.pop()
        maps = self.up(maps, skip.indices)  # (N, below, H, W) -> (N, grown, 2H, 2W)
        maps = crop_to(maps, skip.size)  # -> at most the size before pooling
        if self.join_before is not None:
            maps = self.join_before(maps, skip.maps)  # -> (N, fused, 2H, 2W)
        if self.join_after is None:
            del skip
        for layer in layers_of(self.convolutions):
            maps = layer(maps)  # -> (N, width, 2H, 2W)
        maps = self.dropout(maps)
        if self.join_after is not None:
            maps = self.join_after(maps, skip.maps)  # -> the same shape
        return maps


def layers_of(module: nn.Module) -> Iterable[nn.Module]:
    """Return the modules of an ``nn.Sequential``, or another module as the only one."""
    return module if isinstance(module, nn.Sequential) else (module,)


class Merge(SkipMerge):
    """A sum or concatenation with the maps of the skip connection; the larger maps are cropped at the centre.

    Parameters
    ----------
    encoder, skip: feature maps of the skip connection, before and after the 1x1 convolution of a squeeze.
    """

    def __init__(self, structure: Structure, encoder: int, skip: int) -> None:
        super().__init__()
        self.how = "add" if structure.skip == "add" else "concat"
        self.order = structure.concat_order
        self.squeeze: nn.Module = ScoreConvolution(encoder, skip, 1) if structure.squeeze else nn.Identity()

    def forward(self, maps: Tensor, sent: Tensor) -> Tensor:
        """Merge (N, C, H, W) with the encoder's maps: (N, C or the sum of both, H, W)."""
        sent = crop_to(self.squeeze(sent), maps.shape[2:])
        maps = crop_to(maps, sent.shape[2:])
        if self.how == "add":
            return maps + sent
        return torch.cat([sent, maps] if self.order == "skip" else [maps, sent], dim=1)

    def crop(self, size: int, merged: int) -> Border:
        """Return the pixels cut from ``size`` pixels of a skip connection, along one axis, to merge ``merged``."""
        return centre_crop(size, merged)


def _bottom(structure: Structure, channels: int) -> nn.Module:
    block = convolutions(
        structure, channels, [structure.bottom_width] * structure.encoder_count(structure.depth + 1),
        padding=structure.padding, relu=structure.encoder_relu,
    )  # fmt: skip
    return nn.Sequential(block, _dropout(structure, "bottom"))


def _dropout(structure: Structure, place: str) -> nn.Module:
    return nn.Dropout(structure.dropout) if place in structure.dropout_after else nn.Identity()

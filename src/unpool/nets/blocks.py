"""Modules that the networks are built of, and how their weights begin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unpool.convolution.operation import convolve, up_convolve
from unpool.geometry import Border, Padding, Rounding, padding_of
from unpool.nets.batch_norm import BatchNorm
from unpool.nets.pooling import PoolingIndices, max_pool, max_pool_plain, max_unpool
from unpool.nets.structure import Structure
from unpool.nets.structure_rules import GROUPS


class Residual(nn.Module):
    """FusionNet's block: a convolution, a sum around the inner ones, a convolution (Quan et al., arXiv 1612.05360)."""

    def __init__(self, first: nn.Module, inner: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.inner = inner
        self.last = last

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, C', H, W)."""
        maps = self.first(maps)
        convolved: Tensor = self.last(maps + self.inner(maps))
        return convolved


class Convolution(nn.Conv2d):
    """A convolution that is computed in the way that is fastest here, see ``unpool.convolution``."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros" or isinstance(self.padding, str):
            return cast(Tensor, super()._conv_forward(input, weight, bias))
        return convolve(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class UpConvolution(nn.ConvTranspose2d):
    """A transposed convolution that adds its bias in a second operation.

    On the CPU in bfloat16, torch sums the bias's gradient ten times slower within the convolution than after it.
    """

    stride: tuple[int, int]
    padding: tuple[int, int]
    output_padding: tuple[int, int]

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve (N, C, H, W) to (N, C', H', W')."""
        maps = up_convolve(input, self.weight, None, self.stride, self.padding, self.output_padding)
        return maps if self.bias is None else maps.add_(self.bias.to(maps.dtype)[:, None, None])


class ScoreConvolution(Convolution):
    """A convolution to one map a class, which adds its bias in a second operation.

    oneDNN's backward pass in bfloat16 writes beyond the bias's gradient where maps are few and inputs many (4096 to 2
    and to 11, torch 2.13 on a CPU with AMX): it damages the heap, and the process dies, at once or later.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, classes, H', W')."""
        scores: Tensor = self._conv_forward(input, self.weight, None)
        return scores if self.bias is None else scores + self.bias.to(scores.dtype)[:, None, None]


class MaxPooling(nn.Module):
    """2x2 max-pooling with stride 2.

    Parameters
    ----------
    keeps_indices: whether the decoder needs the pooling indices.
    """

    def __init__(self, rounding: Rounding, *, keeps_indices: bool) -> None:
        super().__init__()
        self.rounding: Rounding = rounding
        self.keeps_indices = keeps_indices

    def forward(self, maps: Tensor) -> tuple[Tensor, PoolingIndices | None]:
        """Pool (N, C, H, W) to (N, C, H/2, W/2), with the pooling indices if they are kept."""
        return max_pool(maps, self.rounding) if self.keeps_indices else (max_pool_plain(maps, self.rounding), None)


class UpSampling(nn.Module):
    """Twice the size: unpooling, an up-convolution, or interpolation.

    A 1x1 convolution follows an interpolation that changes the number of maps.

    Parameters
    ----------
    below, grown: numbers of feature maps before and after.
    """

    def __init__(self, structure: Structure, below: int, grown: int) -> None:
        super().__init__()
        self.up = structure.up
        self.convolution: nn.Module = nn.Identity()
        if structure.up == "transposed":
            kernel = structure.up_kernel
            padding, missing = (kernel - 1) // 2, kernel % 2  # so that the size doubles exactly
            self.convolution = UpConvolution(below, grown, kernel, 2, padding, missing, bias=structure.up_bias)
        elif structure.up != "unpool" and below != grown:
            self.convolution = Convolution(below, grown, 1)
        self.relu = nn.ReLU(inplace=True) if structure.up_relu else nn.Identity()

    def forward(self, maps: Tensor, indices: PoolingIndices | None) -> Tensor:
        """Enlarge (N, below, H, W) to (N, grown, 2H, 2W)."""
        if self.up == "unpool":
            assert indices is not None
            return max_unpool(maps, indices)
        if self.up == "bilinear":
            maps = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        elif self.up == "nearest":
            maps = F.interpolate(maps, scale_factor=2, mode="nearest")
        grown: Tensor = self.relu(self.convolution(maps))
        return grown


class SkipMerge(nn.Module, ABC):
    """A module that adds or concatenates maps of a skip connection (second input) to the decoder's (first input)."""

    how: Literal["add", "concat"]

    @abstractmethod
    def crop(self, size: int, merged: int) -> Border:
        """Return the pixels cut from ``size`` pixels of a skip connection, along one axis, to merge ``merged``."""


def convolutions(
    structure: Structure, channels: int, widths: Sequence[int], *, padding: Padding, relu: bool, depthwise: bool = False
) -> nn.Module:
    """Build the convolutions of one stage, each with its normalisation and ReLU.

    Parameters
    ----------
    channels: feature maps that enter the stage.
    widths: feature maps after each convolution.
    """
    layers: list[nn.Sequential] = []
    for width in widths:
        layers.append(_convolution(structure, channels, width, padding, relu=relu, depthwise=depthwise))
        channels = width
    if structure.block == "residual" and layers:
        return Residual(layers[0], nn.Sequential(*layers[1:-1]), layers[-1])
    return nn.Sequential(*layers)


def strided_stem(structure: Structure, channels: int) -> nn.Module:
    """Build the convolution that halves the size of the picture, with its normalisation and ReLU."""
    convolution = Convolution(channels, structure.width, 2, stride=2, bias=structure.bias)
    return _followed(convolution, structure, relu=structure.encoder_relu)


def crop_to(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Crop (N, C, H, W) at the centre to at most ``size`` (rows, columns)."""
    pairs = zip(maps.shape[2:], size, strict=True)
    rows, columns = (torch.sym_min(have, want) for have, want in pairs)  # type: ignore[no-untyped-call]
    top, left = (maps.shape[2] - rows) // 2, (maps.shape[3] - columns) // 2
    return maps[:, :, top : top + rows, left : left + columns]


def bilinear_kernel(size: int) -> Tensor:
    """Return the weights, float32 (size, size), with which a deconvolution interpolates linearly.

    Its stride is (size + 1) // 2. The filter along one axis is 1 - |x - centre| / stride, as in FCN's release.
    """
    stride = (size + 1) // 2
    centre = stride - 1 if size % 2 else stride - 0.5
    side = 1 - (torch.arange(size, dtype=torch.float32) - centre).abs() / stride
    return side[:, None] * side[None, :]


def bilinear_start(weight: Tensor) -> None:
    """Fill a transposed convolution's weight (in, out, k, k) with bilinear interpolation of each map by itself.

    A weight without numbers stays as it is.
    """
    if weight.is_meta:
        return
    own = torch.arange(min(weight.shape[:2]))
    with torch.no_grad():
        weight.zero_()
        weight[own, own] = bilinear_kernel(weight.shape[-1]).to(weight)


def score_start(weight: Tensor) -> None:
    """Draw a transposed convolution's weight (in, out, k, k) of stride k by He's rule, the same for all k x k pixels.

    Each output reads ``in`` values there. torch counts ``out * k * k`` of them, which are few for few classes: the
    first logits would be large. With weights of their own, the pixels would begin as a checkerboard, which is still
    seen after a short training (Aitken et al., arXiv 1707.02937). A weight without numbers stays as it is.
    """
    if not weight.is_meta:
        drawn = torch.empty_like(weight[:, :, :1, :1])
        with torch.no_grad():
            weight.copy_(nn.init.normal_(drawn, std=(2 / weight.shape[0]) ** 0.5).expand_as(weight))


def he_initialise(module: nn.Module) -> None:
    """Draw normal weights of variance 2 / fan-in and set biases to 0 (He et al., arXiv 1502.01852).

    Nothing is drawn for weights without numbers: drawing them would import torch's compiler, which takes a second.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _convolution(
    structure: Structure, channels: int, width: int, padding: Padding, *, relu: bool, depthwise: bool
) -> nn.Sequential:
    convolution = Convolution(
        channels,
        width,
        structure.kernel,
        padding=padding_of(padding, structure.kernel),
        bias=structure.bias,
        groups=width if depthwise else 1,
    )
    return _followed(convolution, structure, relu=relu)


def _followed(convolution: Convolution, structure: Structure, *, relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = [convolution]
    width = convolution.out_channels
    if structure.norm == "batch":
        layers.append(BatchNorm(width))
    elif structure.norm == "group":
        layers.append(nn.GroupNorm(GROUPS, width))
    elif structure.norm == "instance":
        layers.append(nn.InstanceNorm2d(width, affine=True))
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)

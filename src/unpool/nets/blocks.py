"""Groups of convolutions, and how sizes meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unpool.errors import UsageError
from unpool.geometry import Padding, padding_of
from unpool.nets.structure import GROUPS, Structure


class Residual(nn.Module):
    """FusionNet's block: a convolution, a sum around the inner ones, a convolution (Quan et al., arXiv 1612.05360)."""

    def __init__(self, first: nn.Module, inner: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.inner = inner
        self.last = last

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        maps = self.first(maps)
        convolved: Tensor = self.last(maps + self.inner(maps))
        return convolved


class UpConvolution(nn.ConvTranspose2d):
    """A transposed convolution that adds its bias by itself.

    torch sums the bias's gradient ten times slower within the convolution than after it, on the CPU in bfloat16.
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, H, W) to (N, C', H', W')."""
        maps = F.conv_transpose2d(input, self.weight, None, self.stride, self.padding, self.output_padding)  # type: ignore[arg-type]
        return maps if self.bias is None else maps.add_(self.bias.to(maps.dtype)[:, None, None])


class ScoreConvolution(nn.Conv2d):
    """A convolution to as many maps as there are classes, which adds its bias by itself.

    oneDNN's backward pass in bfloat16 writes beyond the bias's gradient where maps are few and inputs many (4096 to 2
    and to 11, torch 2.13 on a CPU with AMX): the heap is damaged and the process dies, now or later.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes, H', W')."""
        scores: Tensor = self._conv_forward(input, self.weight, None)
        return scores if self.bias is None else scores + self.bias.to(scores.dtype)[:, None, None]


def convolutions(
    structure: Structure, channels: int, widths: Sequence[int], *, padding: Padding, relu: bool, depthwise: bool = False
) -> nn.Module:
    """The convolutions of one stage, each with its norm and ReLU."""
    layers: list[nn.Sequential] = []
    for width in widths:
        layers.append(_convolution(structure, channels, width, padding, relu=relu, depthwise=depthwise))
        channels = width
    if structure.block == "residual" and layers:
        return Residual(layers[0], nn.Sequential(*layers[1:-1]), layers[-1])
    return nn.Sequential(*layers)


def require_input(image: Tensor, in_channels: int, legal: Callable[[int], int]) -> None:
    """Refuse a batch that a network cannot take; ``legal`` gives the nearest size at or above one that it can.

    Raises
    ------
    UsageError: the shape or the channels are wrong, or a size cannot be halved at every pooling.
    """
    if image.ndim != 4 or image.shape[1] != in_channels:
        raise UsageError(
            f"a network input of shape {tuple(image.shape)}",
            f"(N, {in_channels}, rows, columns)",
            "give a batch of pictures with the channels the network was made for",
        )
    if torch.compiler.is_exporting():
        return  # sizes are symbols there, and the graph before the network makes them legal
    rows, columns = int(image.shape[2]), int(image.shape[3])
    nearest = (legal(rows), legal(columns))
    if nearest != (rows, columns):
        raise UsageError(
            f"a picture of {rows} x {columns} pixels",
            "a size that every layer of this network can take",
            f"pad the picture to {nearest[0]} x {nearest[1]}",
        )


def crop_to(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Crop (N, C, H, W) at the centre to at most ``size`` (rows, columns)."""
    pairs = zip(maps.shape[2:], size, strict=True)
    rows, columns = (torch.sym_min(have, want) for have, want in pairs)  # type: ignore[no-untyped-call]
    top, left = (maps.shape[2] - rows) // 2, (maps.shape[3] - columns) // 2
    return maps[:, :, top : top + rows, left : left + columns]


def bilinear_kernel(size: int) -> Tensor:
    """The weights, float32 (size, size), with which a deconvolution of stride (size + 1) // 2 interpolates linearly.

    One-dimensional filter: 1 - |x - centre| / stride, as FCN's release fills it.
    """
    stride = (size + 1) // 2
    centre = stride - 1 if size % 2 else stride - 0.5
    side = 1 - (torch.arange(size, dtype=torch.float32) - centre).abs() / stride
    return side[:, None] * side[None, :]


def bilinear_start(weight: Tensor) -> None:
    """Fill a transposed convolution's weight (in, out, k, k) with bilinear interpolation, map by map."""
    own = torch.arange(min(weight.shape[:2]))
    with torch.no_grad():
        weight.zero_()
        weight[own, own] = bilinear_kernel(weight.shape[-1]).to(weight)


def he_initialise(module: nn.Module) -> None:
    """He et al., arXiv 1502.01852: normal weights of variance 2 / fan-in, biases 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _convolution(
    structure: Structure, channels: int, width: int, padding: Padding, *, relu: bool, depthwise: bool
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(
            channels,
            width,
            structure.kernel,
            padding=padding_of(padding, structure.kernel),
            bias=structure.bias,
            groups=width if depthwise else 1,
        )
    ]
    if structure.norm == "batch":
        layers.append(nn.BatchNorm2d(width))
    elif structure.norm == "group":
        layers.append(nn.GroupNorm(GROUPS, width))
    elif structure.norm == "instance":
        layers.append(nn.InstanceNorm2d(width, affine=True))
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)

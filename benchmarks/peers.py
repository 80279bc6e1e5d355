"""U-Nets of other projects with their training steps, to compare ours with.

The plain U-Net is written out here as most repositories have it; MONAI's and nnU-Net's come from their packages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, Optimizer, RMSprop

DEPTH = 4
"""Poolings; the widest stage has ``16 * width`` feature maps."""


class Peer(NamedTuple):
    """A network and the settings of its training step.

    Attributes
    ----------
    build: makes the network from the numbers of channels, classes and feature maps of the first stage.
    optimiser: makes the optimiser from the parameters.
    clip: largest gradient norm.
    package: the package to install with pip; empty for none.
    """

    name: str
    build: Callable[[int, int, int], nn.Module]
    optimiser: Callable[[Iterable[nn.Parameter]], Optimizer]
    clip: float
    package: str = ""


class PlainUNet(nn.Module):
    """Pairs of 3x3 convolutions with batch normalisation and ReLU, 2x2 up-convolutions, concatenated skips.

    31,037,698 parameters from 3 channels to 2 classes at width 64. Input float (N, in_channels, H, W) with sides that
    are multiples of 16; output logits (N, classes, H, W).
    """

    def __init__(self, in_channels: int, classes: int, width: int) -> None:
        super().__init__()
        widths = [width << stage for stage in range(DEPTH + 1)]
        mirrored = widths[-2::-1]
        self.down = nn.ModuleList(_two_convolutions(*ends) for ends in pairwise([in_channels, *widths]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * maps, maps, 2, stride=2) for maps in mirrored)
        self.join = nn.ModuleList(_two_convolutions(2 * maps, maps) for maps in mirrored)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of a batch."""
        maps = self.down[0](image)
        skips = []
        for convolutions in self.down[1:]:
            skips.append(maps)
            maps = convolutions(self.pool(maps))
        for up, convolutions in zip(self.up, self.join, strict=True):
            maps = convolutions(torch.cat([skips.pop(), up(maps)], dim=1))
        logits: Tensor = self.head(maps)
        return logits


def _two_convolutions(channels: int, maps: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, maps, 3, padding=1, bias=False),
        nn.BatchNorm2d(maps),
        nn.ReLU(inplace=True),
        nn.Conv2d(maps, maps, 3, padding=1, bias=False),
        nn.BatchNorm2d(maps),
        nn.ReLU(inplace=True),
    )


def plain_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return cross-entropy plus soft Dice of logits (N, K, H, W) and int64 labels (N, H, W), in torch's operations."""
    logits = logits.float()
    probabilities = logits.softmax(dim=1)
    truth = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
    both = (probabilities * truth).sum((0, 2, 3))
    either = (probabilities + truth).sum((0, 2, 3))
    return F.cross_entropy(logits, labels) + 1 - ((2 * both + 1) / (either + 1)).mean()


def monai_unet(in_channels: int, classes: int, width: int) -> nn.Module:
    """Return MONAI's BasicUNet; its last up-convolution does not halve the maps. Raises ImportError."""
    nets = import_module("monai.networks.nets")
    widths = tuple(width << stage for stage in range(DEPTH + 1))
    network: nn.Module = nets.BasicUNet(
        spatial_dims=2, in_channels=in_channels, out_channels=classes, features=(*widths, width)
    )
    return network


def nnunet(in_channels: int, classes: int, width: int) -> nn.Module:
    """Return nnU-Net's plain U-Net as its planner sets it, without deep supervision. Raises ImportError.

    Widths are ours; the planner takes 32 to 512 maps. Strided convolutions replace pooling.
    """
    unet = import_module("dynamic_network_architectures.architectures.unet")
    network: nn.Module = unet.PlainConvUNet(
        input_channels=in_channels,
        n_stages=DEPTH + 1,
        features_per_stage=[width << stage for stage in range(DEPTH + 1)],
        conv_op=nn.Conv2d,
        kernel_sizes=3,
        strides=[1] + [2] * DEPTH,
        n_conv_per_stage=2,
        num_classes=classes,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    return network


def rmsprop(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return RMSprop with momentum, as repositories of the plain U-Net use it."""
    return RMSprop(parameters, lr=1e-5, weight_decay=1e-8, momentum=0.9)


def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return Adam; MONAI has no default."""
    return Adam(parameters, lr=1e-3)


def nesterov(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return SGD as nnU-Net's trainer sets it."""
    return SGD(parameters, lr=1e-2, momentum=0.99, nesterov=True, weight_decay=3e-5)


PLAIN = Peer("plain U-Net", PlainUNet, rmsprop, 1.0)
PACKAGED = (
    Peer("MONAI BasicUNet", monai_unet, adam, 1.0, "monai"),
    Peer("nnU-Net PlainConvUNet", nnunet, nesterov, 12.0, "dynamic-network-architectures"),
)

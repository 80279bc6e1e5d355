"""U-Nets of other projects with their training steps and their plain training loops, to compare ours with.

The plain U-Net is written out here as most repositories have it; the others come from their packages. A ``Peer`` is a
step that is timed; a ``Recipe`` is a whole training, whose model is scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from unpool.class_table import IGNORE_ID

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


PlainLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Float32 logits (N, outputs, H, W) and int64 labels (N, H, W) to a loss."""


class Recipe(NamedTuple):
    """A peer's training as a plain loop: its network, its loss, its optimiser and what a step is.

    Attributes
    ----------
    key, title: its name in commands, and in tables.
    build: makes the network from the numbers of channels, outputs and feature maps of the first stage.
    width: feature maps of the first stage; a network of fixed widths does not read it.
    optimiser: makes the optimiser from the parameters.
    loss: makes the loss from the number of classes.
    about: what a reader has to know of it, such as where it departs from its source.
    package, module: the package to install with pip and what to import of it; empty for none.
    schedule: the factor of the learning rate at a share 0..1 of the time.
    clip: largest gradient norm; 0 for none.
    batch: crops of a step.
    normal: what pictures are shifted and scaled by: 255 (unit), the training pictures' mean and deviation (set), or
        the picture's own (picture).
    single: whether two classes are one output.
    ignores: whether the loss leaves ignored pixels out.
    tuned: whether it computes channels-last, and in bfloat16 where that is faster.
    """

    key: str
    title: str
    build: Callable[[int, int, int], nn.Module]
    width: int
    optimiser: Callable[[Iterable[nn.Parameter]], Optimizer]
    loss: Callable[[int], PlainLoss]
    about: str
    package: str = ""
    module: str = ""
    schedule: Callable[[float], float] = lambda _: 1.0
    clip: float = 0.0
    batch: int = 8
    normal: Literal["unit", "set", "picture"] = "unit"
    single: bool = False
    ignores: bool = False
    tuned: bool = False


def smp_unet(in_channels: int, outputs: int, _: int) -> nn.Module:
    """Return SMP's U-Net with a ResNet-34 from random weights. Raises ImportError."""
    smp: Any = import_module("segmentation_models_pytorch")
    network: nn.Module = smp.Unet("resnet34", encoder_weights=None, in_channels=in_channels, classes=outputs)
    return network


def smp_loss(classes: int) -> PlainLoss:
    """Return SMP's Dice loss plus cross-entropy; of one output where there are two classes."""
    losses: Any = import_module("segmentation_models_pytorch.losses")
    if classes > 2:
        dice = losses.DiceLoss("multiclass", ignore_index=IGNORE_ID)
        entropy = nn.CrossEntropyLoss(ignore_index=IGNORE_ID)
        return lambda logits, labels: dice(logits, labels) + entropy(logits, labels)
    one = losses.DiceLoss("binary", ignore_index=IGNORE_ID)
    binary = losses.SoftBCEWithLogitsLoss(ignore_index=IGNORE_ID)
    return lambda logits, labels: one(logits, labels[:, None]) + binary(logits, labels[:, None].float())


def monai_basic(in_channels: int, outputs: int, _: int) -> nn.Module:
    """Return MONAI's BasicUNet with its own widths, 32 to 256 maps. Raises ImportError."""
    nets: Any = import_module("monai.networks.nets")
    network: nn.Module = nets.BasicUNet(spatial_dims=2, in_channels=in_channels, out_channels=outputs)
    return network


def monai_loss(_: int) -> PlainLoss:
    """Return MONAI's Dice loss plus cross-entropy, of all classes."""
    losses: Any = import_module("monai.losses")
    loss: Callable[[Tensor, Tensor], Tensor] = losses.DiceCELoss(to_onehot_y=True, softmax=True)
    return lambda logits, labels: loss(logits, labels[:, None])


def rmsprop_of_milesial(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return RMSprop as the present training program of milesial's repository sets it."""
    return RMSprop(parameters, lr=1e-5, weight_decay=1e-8, momentum=0.999)


def adamw(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return AdamW with its default weight decay."""
    return AdamW(parameters, lr=1e-3)


def one_cycle(share: float) -> float:
    """Return the factor of torch's OneCycleLR: from 1/25 to 1 in three tenths of the time, then to 0, by cosines."""
    if share < 0.3:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * share / 0.3)) / 2
    return (1 + math.cos(math.pi * min((share - 0.3) / 0.7, 1))) / 2


def poly(share: float) -> float:
    """Return the factor of nnU-Net's schedule."""
    return math.pow(1 - min(share, 1), 0.9)


SMP = "segmentation-models-pytorch"
RECIPES = {
    recipe.key: recipe
    for recipe in (
        Recipe(
            "smp-tuned", "SMP U-Net ResNet-34, engineered", smp_unet, 0, adamw, smp_loss,
            "AdamW with one cycle up to 0.001, channels-last, bfloat16 where a step is faster in it, pictures "
            "normalised by the training set, Dice plus cross-entropy, gradient norm up to 1",
            SMP, "segmentation_models_pytorch", one_cycle, clip=1.0, normal="set", single=True, ignores=True,
            tuned=True,
        ),
        Recipe(
            "smp", "SMP U-Net ResNet-34, as its README", smp_unet, 0, adam, smp_loss,
            "float32, Adam at 0.001, pictures scaled to 0..1, Dice plus cross-entropy",
            SMP, "segmentation_models_pytorch", single=True, ignores=True,
        ),
        Recipe(
            "monai", "MONAI BasicUNet", monai_basic, 0, adam, monai_loss,
            "float32, its own widths of 32 to 256 maps, Adam at 0.001, DiceCELoss, pictures scaled to 0..1",
            "monai", "monai",
        ),
        Recipe(
            "milesial", "milesial's U-Net", PlainUNet, 64, rmsprop_of_milesial, lambda _: plain_loss,
            "float32, 64 to 1024 maps (bilinear=False), RMSprop at 0.00001 with momentum 0.999, one crop a step (its "
            "default), cross-entropy plus Dice, gradient norm up to 1; crops in place of its resizing by half, and a "
            "constant learning rate, because nothing is validated here",
            clip=1.0, batch=1,
        ),
        Recipe(
            "nnunet-network", "nnU-Net's PlainConvUNet in a plain loop", nnunet, 32, nesterov, lambda _: plain_loss,
            "float32, 32 to 512 maps, SGD at 0.01 with Nesterov momentum 0.99 and the poly schedule, gradient norm up "
            "to 12, each picture by its own mean and deviation; without nnU-Net's planning, augmentation, deep "
            "supervision and folds",
            "dynamic-network-architectures", "dynamic_network_architectures", poly, clip=12.0, normal="picture",
        ),
    )
}  # fmt: skip
"""The recipes by their keys. nnU-Net itself is left out: it trains 1,000 epochs of 250 steps, and its planning and
background workers do not fit minutes on two cores."""

"""Fully convolutional networks: FCN-32s, FCN-16s and FCN-8s on the layers of VGG16.

A classifier is made to answer everywhere: its fully connected layers become convolutions, a 1x1 convolution scores
the classes every 32 pixels, and bilinear deconvolution brings the scores back to the picture's size. FCN-16s and
FCN-8s add scores of pool4 and pool3 on the way up. The skips are summed after crops that follow from 100 pixels of
padding, which is why these networks are not values of ``Structure``.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from unpool.geometry import Grid, Layer, Transposed, Window, crop_offset, grid, reads
from unpool.nets.blocks import ScoreConvolution, bilinear_kernel, require_input
from unpool.nets.pooling import max_pool_plain

CITATION = (
    "Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation. CVPR 2015, arXiv 1411.4038; "
    "released voc-fcn32s, voc-fcn16s, voc-fcn8s, voc-fcn8s-atonce"
)

DEPARTURES = (
    "the VGG16 layers begin with He's random values instead of weights learned on ImageNet; the paper calls training "
    "from scratch not feasible; norm=batch, which is not in the paper, is offered to help it",
    "the picture is normalised by the training set's mean and deviation instead of BGR minus "
    "(104.00699, 116.66877, 122.67892)",
    "all deconvolutions stay bilinear, as released; the paper learns all but the last, which upsampling=learned does",
    "FCN-16s and FCN-8s do not by themselves begin from the next coarser network, as the paper's do; "
    "the recipe fcn-2015 does, and the setting start",
    "biases learn at the rate of the weights; the release doubles their rate",
)

TRUNK = (
    ("conv1_1", "conv1_2"),
    ("conv2_1", "conv2_2"),
    ("conv3_1", "conv3_2", "conv3_3"),
    ("conv4_1", "conv4_2", "conv4_3"),
    ("conv5_1", "conv5_2", "conv5_3"),
)
"""The 3x3 convolutions of VGG16; a 2x2 max-pooling follows each row."""

POOL4_SCALE, POOL3_SCALE = 0.01, 0.0001
"""What at-once training multiplies pool4 and pool3 by, so that no stage's scores drown the others."""


class FCNStructure(BaseModel):
    """What a fully convolutional network is made of; image channels and classes come from the data.

    Attributes
    ----------
    prediction_stride: pixels between the scores that the last deconvolution spreads: 32 (FCN-32s), 16 or 8.
    at_once: multiply pool4 by 0.01 and pool3 by 0.0001 before scoring, so that FCN-8s can be trained in one go
        instead of from FCN-16s.
    width: feature maps of the first stage; the others have 2, 4, 8 and 8 times as many, fc6 and fc7 64 times.
    dropout: share of values set to 0 after fc6 and after fc7.
    upsampling: ``fixed`` keeps every deconvolution bilinear (released); ``learned`` begins bilinear and learns all
        but the last (paper).
    padding: zeros around the picture in the first convolution; 100 lets pictures of every size through.
    norm: what follows each convolution before its ReLU; the paper has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fcn"] = "fcn"
    prediction_stride: Literal[32, 16, 8] = 8
    at_once: bool = False
    width: int = Field(64, ge=1, le=512)
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    upsampling: Literal["fixed", "learned"] = "fixed"
    padding: int = Field(100, le=512)
    norm: Literal["none", "batch"] = "none"

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.at_once and self.prediction_stride != 8:
            raise ValueError(f"at_once scales pool4 and pool3 of FCN-8s, not FCN-{self.prediction_stride}s; set it off")
        if self.upsampling == "learned" and self.prediction_stride == 32:
            raise ValueError("FCN-32s has only the last deconvolution, which the paper keeps; set upsampling=fixed")
        least = 65 + self.prediction_stride // 2  # there the last deconvolution begins with the picture
        if self.padding < least:
            raise ValueError(f"padding {self.padding} leaves the output short of the picture; set padding={least}")
        return self

    @property
    def stride(self) -> int:
        """Pixels of the picture between neighbouring pixels of pool5."""
        return 1 << len(TRUNK)

    @property
    def widths(self) -> tuple[int, ...]:
        """Feature maps of the five stages."""
        return tuple(self.width * times for times in (1, 2, 4, 8, 8))

    def padding_of(self, convolution: str) -> int:
        """Zeros on each side of a convolution of the trunk, by name."""
        return self.padding if convolution == "conv1_1" else 1

    @property
    def fc_width(self) -> int:
        """Feature maps of fc6 and fc7: 4096 for VGG16."""
        return 64 * self.width


FCN_32S = FCNStructure(prediction_stride=32)
FCN_16S = FCNStructure(prediction_stride=16)
FCN_8S = FCNStructure(prediction_stride=8)
FCN_8S_AT_ONCE = FCNStructure(prediction_stride=8, at_once=True)


def fcn_legal_size(structure: FCNStructure, size: int) -> int:
    """The smallest size at or above ``size`` that the network can run on: with padding 100, any from 1 upwards.

    fc6 needs 7 pixels of pool5, so more than 6 x 32 pixels after the first convolution.
    """
    return max(size, 1, 6 * structure.stride + 1 - 2 * (structure.padding - 1))


def fcn_output_size(structure: FCNStructure, size: int) -> int | None:
    """The output's size along one axis, which is the input's, or None where the network cannot run."""
    return size if size == fcn_legal_size(structure, size) else None


def fcn_crops(structure: FCNStructure) -> tuple[int, ...]:
    """Pixels cut above and left of pool4's scores, of pool3's scores and of the output, as far as there are such.

    They lay each map on the one it is added to, the output on the picture: 19; 5, 27; 5, 9, 31 in the paper's nets.
    """
    pools = list(accumulate(_way_down(structure), lambda above, layers: grid(layers, above), initial=Grid()))
    score = grid([FC6], pools[5])
    *doublings, last = _way_up(structure)
    crops = []
    for pool, doubling in zip((4, 3), doublings, strict=False):
        score = grid([doubling], score)
        crops.append(crop_offset(pools[pool], score))
    return (*crops, crop_offset(grid([last], score), Grid()))


def fcn_halo(structure: FCNStructure) -> int:
    """Pixels around an aligned block of output that its computation reads, on the wider side.

    The walk goes from the output back to the picture through fc6, which sees all that the skips see.
    """
    down = [layer for stage in _way_down(structure) for layer in stage]
    crop, last = fcn_crops(structure)[-1], structure.stride - 1
    seen = reads([*down, FC6, *_way_up(structure)], (crop, crop + last))
    return max(-seen[0], seen[1] - last)


FC6 = Window(7)
"""The first fully connected layer as a convolution, along one axis; fc7 and the scores are 1x1."""


def _way_down(structure: FCNStructure) -> list[list[Layer]]:
    """The layers of each stage along one axis, its pooling at the end."""
    stages: list[list[Layer]] = []
    for names in TRUNK:
        pads = [structure.padding_of(name) for name in names]
        stages.append([*(Window(3, before=pad, after=pad) for pad in pads), Window(2, 2, rounding="ceil")])
    return stages


def _way_up(structure: FCNStructure) -> list[Layer]:
    """The deconvolutions along one axis: two-fold ones to the prediction stride, then the last."""
    doublings = (structure.stride // structure.prediction_stride).bit_length() - 1
    return [Transposed(Window(2 * stride, stride)) for stride in [2] * doublings + [structure.prediction_stride]]


class FCN(nn.Module):
    """FCN-32s, FCN-16s or FCN-8s; layers have the names of the released networks.

    Parameters
    ----------
    structure: the network's structure.
    in_channels: channels of the picture.
    classes: number of classes, the channels of the output.

    Input float (N, in_channels, H, W); output logits (N, classes, H, W). Scores begin at 0 and with them the output;
    the other convolutions begin as in He et al., arXiv 1502.01852 (normal, variance 2 / fan-in), biases at 0.
    """

    def __init__(self, structure: FCNStructure, in_channels: int, classes: int) -> None:
        super().__init__()
        self.structure = structure
        self.in_channels = in_channels
        self.classes = classes
        self.crops = fcn_crops(structure)
        self.norms = nn.ModuleDict()
        channels = in_channels
        for names, width in zip(TRUNK, structure.widths, strict=True):
            for name in names:
                self._add_convolution(name, channels, width, 3, structure.padding_of(name))
                channels = width
        self._add_convolution("fc6", channels, structure.fc_width, 7, 0)
        self._add_convolution("fc7", structure.fc_width, structure.fc_width, 1, 0)
        self.drop6 = nn.Dropout(structure.dropout)
        self.drop7 = nn.Dropout(structure.dropout)
        self.score_fr = _score(structure.fc_width, classes)
        self._add_way_up()

    def _add_convolution(self, name: str, channels: int, width: int, kernel: int, padding: int) -> None:
        plain = self.structure.norm == "none"
        convolution = nn.Conv2d(channels, width, kernel, padding=padding, bias=plain)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_in", nonlinearity="relu")
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
        self.add_module(name, convolution)
        if not plain:
            self.norms[name] = nn.BatchNorm2d(width)

    def _add_way_up(self) -> None:
        classes, stride = self.classes, self.structure.prediction_stride
        learned = self.structure.upsampling == "learned"
        if stride == 32:
            self.upscore = bilinear_deconvolution(classes, 32)
            return
        self.upscore2 = bilinear_deconvolution(classes, 2, learned=learned)
        self.score_pool4 = _score(self.structure.widths[3], classes)
        if stride == 16:
            self.upscore16 = bilinear_deconvolution(classes, 16)
            return
        self.upscore_pool4 = bilinear_deconvolution(classes, 2, learned=learned)
        self.score_pool3 = _score(self.structure.widths[2], classes)
        self.upscore8 = bilinear_deconvolution(classes, 8)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch. Raises UsageError for other channels or a size below the smallest legal one."""
        require_input(image, self.in_channels, lambda side: fcn_legal_size(self.structure, side))
        pool1 = self._convolve_and_pool(1, image)
        pool2 = self._convolve_and_pool(2, pool1)
        pool3 = self._convolve_and_pool(3, pool2)
        pool4 = self._convolve_and_pool(4, pool3)
        pool5 = self._convolve_and_pool(5, pool4)
        fc6 = self.drop6(self._convolve("fc6", pool5))
        fc7 = self.drop7(self._convolve("fc7", fc6))
        score = self.score_fr(fc7)
        if self.structure.at_once:
            pool4, pool3 = pool4 * POOL4_SCALE, pool3 * POOL3_SCALE
        if self.structure.prediction_stride == 32:
            return cropped(self.upscore(score), image, self.crops[0])
        score = self.upscore2(score)
        score = score + cropped(self.score_pool4(pool4), score, self.crops[0])
        if self.structure.prediction_stride == 16:
            return cropped(self.upscore16(score), image, self.crops[1])
        score = self.upscore_pool4(score)
        score = score + cropped(self.score_pool3(pool3), score, self.crops[1])
        return cropped(self.upscore8(score), image, self.crops[2])

    def _convolve_and_pool(self, stage: int, maps: Tensor) -> Tensor:
        for name in TRUNK[stage - 1]:
            maps = self._convolve(name, maps)
        return max_pool_plain(maps, "ceil")

    def _convolve(self, name: str, maps: Tensor) -> Tensor:
        maps = getattr(self, name)(maps)
        if name in self.norms:
            maps = self.norms[name](maps)
        return F.relu(maps, inplace=True)


def _score(channels: int, classes: int) -> ScoreConvolution:
    layer = ScoreConvolution(channels, classes, 1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def cropped(maps: Tensor, like: Tensor, offset: int) -> Tensor:
    """Cut (N, C, H, W) to the rows and columns of ``like``, leaving ``offset`` pixels above and left."""
    rows, columns = like.shape[2:]
    return maps[:, :, offset : offset + rows, offset : offset + columns]


def bilinear_deconvolution(classes: int, stride: int, *, learned: bool = False) -> nn.ConvTranspose2d:
    """A deconvolution that begins as bilinear interpolation of each class by itself; fixed unless ``learned``.

    The weight holds a kernel for every pair of classes, as released, with zeros off the diagonal (32-fold and 21
    classes: 1.8 million numbers). One group a class would do the same with a 21st of them, if nothing is learned.
    """
    layer = nn.ConvTranspose2d(classes, classes, 2 * stride, stride=stride, bias=False)
    own = torch.arange(classes)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[own, own] = bilinear_kernel(2 * stride)
    layer.weight.requires_grad_(learned)
    return layer

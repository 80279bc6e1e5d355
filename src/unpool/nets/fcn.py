"""Fully convolutional networks: FCN-32s, FCN-16s and FCN-8s on the layers of VGG16.

A classifier answers at every place of a picture: its fully connected layers become convolutions, a 1x1 convolution
scores the classes every 32 pixels, and bilinear deconvolutions bring the scores back to the picture's size. FCN-16s
and FCN-8s add scores of pool4 and pool3 on the way up. The maps are cropped before each sum, by pixels that follow
from the 100 pixels of padding; for that reason these networks are not values of ``unpool.nets.structure.Structure``.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from unpool.errors import ObjectionError
from unpool.geometry import Border, Grid, Layer, Transposed, Window, crop_offset, grid, reads
from unpool.meaning import Meaning
from unpool.nets.batch_norm import BatchNorm
from unpool.nets.blocks import Convolution, MaxPooling, ScoreConvolution, SkipMerge, bilinear_start, he_initialise
from unpool.nets.explain.records import LayerPart, LayerPlace
from unpool.nets.network import Network, NetworkStructure

CITATION = (
    "Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation. CVPR 2015, arXiv 1411.4038; "
    "released voc-fcn32s, voc-fcn16s, voc-fcn8s, voc-fcn8s-atonce"
)

DEPARTURES = (
    "the VGG16 layers begin with He's random values instead of weights learned on ImageNet; the paper calls training "
    "from scratch not feasible; norm=batch, which is not in the paper, is offered to help it",
    "the picture is normalised by the training set's mean and deviation, or by its own, instead of BGR minus "
    "(104.00699, 116.66877, 122.67892)",
    "all deconvolutions stay bilinear, as released; the paper learns all but the last, which upsampling=learned does",
    "FCN-16s and FCN-8s begin from random values; the paper's begin from the next coarser network, as the recipe "
    "fcn-2015 and the setting start do",
    "biases learn at the rate of the weights; the release doubles their rate",
)

TRUNK = (
    ("conv1_1", "conv1_2"),
    ("conv2_1", "conv2_2"),
    ("conv3_1", "conv3_2", "conv3_3"),
    ("conv4_1", "conv4_2", "conv4_3"),
    ("conv5_1", "conv5_2", "conv5_3"),
)
"""Names of VGG16's 3x3 convolutions; a 2x2 max-pooling follows each row."""

POOL4_SCALE, POOL3_SCALE = 0.01, 0.0001
"""Factors of pool4 and pool3 in at-once training, so that the scores of no stage outweigh the others."""

PLACES: dict[str, LayerPlace] = {
    **{name: LayerPlace("encoder", stage) for stage, names in enumerate(TRUNK, 1) for name in names},
    **{f"pool{stage}": LayerPlace("encoder", stage) for stage in range(1, len(TRUNK) + 1)},
    **dict.fromkeys(("fc6", "fc7", "score_fr"), LayerPlace("bottom", len(TRUNK) + 1)),
    **dict.fromkeys(("upscore2", "fuse_pool4"), LayerPlace("decoder", 4)),
    **dict.fromkeys(("upscore_pool4", "fuse_pool3"), LayerPlace("decoder", 3)),
    "score_pool4": LayerPlace("decoder", 4, origin="pool4"),
    "score_pool3": LayerPlace("decoder", 3, origin="pool3"),
    **dict.fromkeys(("upscore", "upscore16", "upscore8"), LayerPlace("head", 1)),
}
"""Places of the layers, by their module paths."""


def least_padding(prediction_stride: int) -> int:
    """Return the padding with which the last deconvolution begins where the picture does."""
    return 65 + prediction_stride // 2


FC6 = Window(7)
"""The first fully connected layer as a convolution, along one axis; fc7 and the scores are 1x1."""


class FCNStructure(NetworkStructure):
    """The structure of a fully convolutional network.

    ``unpool explain fcn-8s --settings`` shows the fields with their meanings.
    """

    kind: Literal["fcn"] = "fcn"
    prediction_stride: Annotated[
        Literal[32, 16, 8],
        Meaning(
            "pixels between the scores that the last deconvolution spreads",
            "lower strides add small scores of pool4 and pool3; their time and memory are few of all",
            {
                32: "FCN-32s: the scores of fc7 alone",
                16: "FCN-16s: with the scores of pool4",
                8: "FCN-8s: with the scores of pool4 and pool3, for the finest outlines",
            },
        ),
    ] = 8
    at_once: Annotated[
        bool,
        Meaning(
            "whether pool4 is multiplied by 0.01 and pool3 by 0.0001 before scoring, so that FCN-8s can be trained at "
            "once instead of from FCN-16s",
            "nothing in a step; training in stages takes three trainings",
        ),
    ] = False
    width: Annotated[
        int,
        Meaning(
            "feature maps of the first stage; the others have 2, 4, 8 and 8 times as many, fc6 and fc7 64 times",
            "parameters grow with its square (134 million at 64), time nearly so",
        ),
    ] = Field(64, ge=1, le=512)
    dropout: Annotated[
        float,
        Meaning(
            "share of values that are set to 0 after fc6 and after fc7",
            "with dropout, --samples can average over random answers, each of which takes a prediction",
        ),
    ] = Field(0.5, ge=0.0, lt=1.0)
    upsampling: Annotated[
        Literal["fixed", "learned"],
        Meaning(
            "whether the deconvolutions are trained",
            "few parameters",
            {
                "fixed": "every deconvolution stays bilinear, as released",
                "learned": "all but the last begin bilinear and are learned, as in the paper",
            },
        ),
    ] = "fixed"
    padding: Annotated[
        int,
        Meaning(
            "zeros around the picture in the first convolution; with 100 every size is legal",
            "the first stages compute 2 * padding more rows and columns, which is most of the time for small pictures",
        ),
    ] = Field(100, ge=0, le=512)
    norm: Annotated[
        Literal["none", "batch"],
        Meaning(
            "normalisation after each convolution, before its ReLU",
            "batch adds passes over the maps and memory to a training, and costs nothing in prediction",
            {
                "none": "none, as in the paper, which begins with weights learned on ImageNet",
                "batch": "by the mean and deviation over a batch, which helps a training from random weights",
            },
        ),
    ] = "none"

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        stride = self.prediction_stride
        if self.at_once and stride != 8:
            reason = f"FCN-{stride}s lacks what at_once scales in FCN-8s"
            raise ObjectionError(reason, {"prediction_stride": 8}, {"at_once": False})
        if self.upsampling == "learned" and stride == 32:
            reason = "FCN-32s has only the last deconvolution, which the paper keeps"
            raise ObjectionError(reason, {"prediction_stride": 16}, {"prediction_stride": 8}, {"upsampling": "fixed"})
        if self.padding < least_padding(stride):
            finer = [{"prediction_stride": each} for each in (16, 8) if self.padding >= least_padding(each)]
            reason = f"padding {self.padding} leaves the output short of the picture"
            raise ObjectionError(reason, *finer, {"padding": least_padding(stride)})
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
        """Return the zeros on each side of a convolution of the trunk, by its name."""
        return self.padding if convolution == "conv1_1" else 1

    @property
    def fc_width(self) -> int:
        """Feature maps of fc6 and fc7: 4096 for VGG16."""
        return 64 * self.width

    @property
    def detail(self) -> int:
        """Pixels of the picture between neighbours of the finest scores."""
        return self.prediction_stride

    @property
    def skip_origins(self) -> dict[int, str]:
        """Decoder stages that add scores of the encoder, with the pool that is scored."""
        return {stage: f"pool{stage}" for stage in (3, 4) if self.prediction_stride <= 1 << stage}

    @property
    def crops(self) -> tuple[int, ...]:
        """Pixels cut above and left of pool4's scores, of pool3's scores and of the output, as far as they exist.

        They align each map with the map that it is added to, and the output with the picture: 19; 5, 27; 5, 9, 31 in
        the paper's networks.
        """
        pools = list(accumulate(self._way_down(), lambda above, layers: grid(layers, above), initial=Grid()))
        score = grid([FC6], pools[5])
        *doublings, last = self._way_up()
        crops = []
        for pool, doubling in zip((4, 3), doublings, strict=False):
            score = grid([doubling], score)
            crops.append(crop_offset(pools[pool], score))
        return (*crops, crop_offset(grid([last], score), Grid()))

    @property
    def halo(self) -> Border:
        """Input pixels that an aligned block of output reads before its first and after its last pixel.

        The walk goes from the output back to the picture through fc6, which reads all that the skip connections read.
        Both sides are given the larger of the two numbers.
        """
        down = [layer for stage in self._way_down() for layer in stage]
        crop, last = self.crops[-1], self.stride - 1
        first_read, last_read = reads([*down, FC6, *self._way_up()], (crop, crop + last))
        widest = max(-first_read, last_read - last)
        return Border(widest, widest)

    def output_size(self, size: int) -> int | None:
        """Return the output size, which is the input's, or None where the network cannot run.

        fc6 needs 7 pixels of pool5, so the first convolution must give more than 6 x 32 pixels; with padding 100 every
        size does.
        """
        least = 6 * self.stride + 1 - 2 * (self.padding - 1)
        return size if size >= max(least, 1) else None

    def _way_down(self) -> list[list[Layer]]:
        """Return the layers of each stage along one axis, its pooling last."""
        stages: list[list[Layer]] = []
        for names in TRUNK:
            pads = [self.padding_of(name) for name in names]
            stages.append([*(Window(3, before=pad, after=pad) for pad in pads), Window(2, 2, rounding="ceil")])
        return stages

    def _way_up(self) -> list[Layer]:
        """Return the deconvolutions along one axis: doublings up to the prediction stride, then the last."""
        doublings = (self.stride // self.prediction_stride).bit_length() - 1
        return [Transposed(Window(2 * stride, stride)) for stride in [2] * doublings + [self.prediction_stride]]


FCN_32S = FCNStructure(prediction_stride=32)
FCN_16S = FCNStructure(prediction_stride=16)
FCN_8S = FCNStructure(prediction_stride=8)
FCN_8S_AT_ONCE = FCNStructure(prediction_stride=8, at_once=True)


class FCN(Network):
    """FCN-32s, FCN-16s or FCN-8s; the layers have the names of the released networks.

    The output has the picture's size. Scores begin at 0, and so does the output. The other convolutions begin as in He
    et al., arXiv 1502.01852 (normal, variance 2 / fan-in), biases at 0.
    """

    structure: FCNStructure

    def __init__(self, structure: FCNStructure, in_channels: int, classes: int) -> None:
        super().__init__(structure, in_channels, classes)
        self.crops = structure.crops
        self.relu = nn.ReLU(inplace=True)
        self.norms = nn.ModuleDict()
        channels = in_channels
        for names, width in zip(TRUNK, structure.widths, strict=True):
            for name in names:
                self._add_convolution(name, channels, width, 3, structure.padding_of(name))
                channels = width
        for stage in range(1, len(TRUNK) + 1):
            self.add_module(f"pool{stage}", MaxPooling("ceil", keeps_indices=False))
        self._add_convolution("fc6", channels, structure.fc_width, 7, 0)
        self._add_convolution("fc7", structure.fc_width, structure.fc_width, 1, 0)
        self.drop6 = nn.Dropout(structure.dropout)
        self.drop7 = nn.Dropout(structure.dropout)
        self.score_fr = _score(structure.fc_width, classes)
        self._add_way_up()

    def _add_convolution(self, name: str, channels: int, width: int, kernel: int, padding: int) -> None:
        plain = self.structure.norm == "none"
        convolution = Convolution(channels, width, kernel, padding=padding, bias=plain)
        he_initialise(convolution)
        self.add_module(name, convolution)
        if not plain:
            self.norms[name] = BatchNorm(width)

    def _add_way_up(self) -> None:
        classes, stride = self.classes, self.structure.prediction_stride
        learned = self.structure.upsampling == "learned"
        if stride == 32:
            self.upscore = bilinear_deconvolution(classes, 32)
            return
        self.upscore2 = bilinear_deconvolution(classes, 2, learned=learned)
        self.score_pool4 = _score(self.structure.widths[3], classes)
        self.fuse_pool4 = ScoreSum(self.crops[0])
        if stride == 16:
            self.upscore16 = bilinear_deconvolution(classes, 16)
            return
        self.upscore_pool4 = bilinear_deconvolution(classes, 2, learned=learned)
        self.score_pool3 = _score(self.structure.widths[2], classes)
        self.fuse_pool3 = ScoreSum(self.crops[1])
        self.upscore8 = bilinear_deconvolution(classes, 8)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of a batch. Raises UsageError for other channels or a size below the smallest legal one."""
        self.require_input(image)
        # Sizes with padding 100: h = H + 198 after conv1_1, and every pooling rounds up; columns likewise.
        pool1 = self._convolve_and_pool(1, image)  # (N, C, H, W) -> (N, 64, h/2, w/2)
        pool2 = self._convolve_and_pool(2, pool1)  # -> (N, 128, h/4, w/4)
        pool3 = self._convolve_and_pool(3, pool2)  # -> (N, 256, h/8, w/8)
        pool4 = self._convolve_and_pool(4, pool3)  # -> (N, 512, h/16, w/16)
        pool5 = self._convolve_and_pool(5, pool4)  # -> (N, 512, h/32, w/32)
        fc6 = self.drop6(self._convolve("fc6", pool5))  # -> (N, 4096, h/32 - 6, w/32 - 6)
        fc7 = self.drop7(self._convolve("fc7", fc6))  # -> the same shape
        score = self.score_fr(fc7)  # -> (N, classes, h/32 - 6, w/32 - 6)
        if self.structure.at_once:
            pool4, pool3 = pool4 * POOL4_SCALE, pool3 * POOL3_SCALE
        if self.structure.prediction_stride == 32:
            return cropped(self.upscore(score), image, self.crops[0])  # -> (N, classes, H, W)
        score = self.upscore2(score)  # -> twice the size, as pool4
        score = self.fuse_pool4(score, self.score_pool4(pool4))
        if self.structure.prediction_stride == 16:
            return cropped(self.upscore16(score), image, self.crops[1])  # -> (N, classes, H, W)
        score = self.upscore_pool4(score)  # -> twice the size, as pool3
        score = self.fuse_pool3(score, self.score_pool3(pool3))
        return cropped(self.upscore8(score), image, self.crops[2])  # -> (N, classes, H, W)

    def place_of(self, path: str) -> LayerPlace:
        """Return where the layer with this module path stands in the network."""
        return PLACES[path]

    def paper_name(self, path: str, part: LayerPart, index: int = 0) -> str:
        """Return the name in the release, which is the module's own."""
        return path

    def batch_norms(self) -> dict[str, str]:
        """Return the module path of each batch normalisation, with that of the convolution that it follows."""
        return {f"norms.{name}": name for name, norm in self.norms.items() if isinstance(norm, nn.BatchNorm2d)}

    def _convolve_and_pool(self, stage: int, maps: Tensor) -> Tensor:
        for name in TRUNK[stage - 1]:
            maps = self._convolve(name, maps)
        pooled: Tensor = getattr(self, f"pool{stage}")(maps)[0]
        return pooled

    def _convolve(self, name: str, maps: Tensor) -> Tensor:
        maps = getattr(self, name)(maps)
        if name in self.norms:
            maps = self.norms[name](maps)
        rectified: Tensor = self.relu(maps)
        return rectified


class ScoreSum(SkipMerge):
    """The sum of upsampled scores and the scores of a pool, which are cropped to lie on them.

    Parameters
    ----------
    offset: pixels cut above and left of the pool's scores.
    """

    how = "add"

    def __init__(self, offset: int) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, score: Tensor, pool_score: Tensor) -> Tensor:
        """Add (N, classes, H', W') to (N, classes, H, W), which is smaller."""
        return score + cropped(pool_score, score, self.offset)

    def crop(self, size: int, merged: int) -> Border:
        """Return the pixels cut from ``size`` pixels of a skip connection, along one axis, to merge ``merged``."""
        return Border(self.offset, size - merged - self.offset)


def _score(channels: int, classes: int) -> ScoreConvolution:
    layer = ScoreConvolution(channels, classes, 1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def cropped(maps: Tensor, like: Tensor, offset: int) -> Tensor:
    """Cut (N, C, H, W) to the rows and columns of ``like``, from ``offset`` pixels below and right of its corner on."""
    rows, columns = like.shape[2:]
    return maps[:, :, offset : offset + rows, offset : offset + columns]


def bilinear_deconvolution(classes: int, stride: int, *, learned: bool = False) -> nn.ConvTranspose2d:
    """Build a deconvolution that begins as bilinear interpolation of each class by itself.

    The weight has a kernel for every pair of classes, as released, with zeros off the diagonal (32-fold and 21
    classes: 1.8 million numbers). One group a class would do the same with a 21st of them, if nothing is learned.

    Parameters
    ----------
    learned: whether training changes the weight.
    """
    layer = nn.ConvTranspose2d(classes, classes, 2 * stride, stride=stride, bias=False)
    bilinear_start(layer.weight)
    layer.weight.requires_grad_(learned)
    return layer

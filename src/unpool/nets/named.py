"""The named networks: each is one structure, with its source and its departures from it.

A new named network is one entry of ``NAMED_NETS``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, NamedTuple

from unpool.errors import UsageError
from unpool.nets.families import network_of
from unpool.nets.fcn import CITATION as FCN_CITATION
from unpool.nets.fcn import DEPARTURES as FCN_DEPARTURES
from unpool.nets.fcn import FCN_8S, FCN_8S_AT_ONCE, FCN_16S, FCN_32S, FCNStructure
from unpool.nets.network import Network, NetworkStructure
from unpool.nets.structure import Structure
from unpool.shapes import Size


class PictureShape(NamedTuple):
    """Rows and columns of a picture, its channels, and the number of classes to find in it."""

    size: Size
    channels: int
    classes: int


@dataclass(frozen=True)
class NamedNet:
    """A network with a name.

    Attributes
    ----------
    summary: what the network is, in one line.
    citation: where the network is described.
    departures: differences from the source, one sentence each.
    picture: the picture of the source, on which the network is explained.
    """

    name: str
    structure: NetworkStructure
    summary: str
    citation: str
    departures: tuple[str, ...]
    picture: PictureShape


UNET_PICTURE = PictureShape((572, 572), 1, 2)
CAMVID_PICTURE = PictureShape((360, 480), 3, 11)
VOC_PICTURE = PictureShape((500, 500), 3, 21)

UNET_PAPER = "Ronneberger, Fischer, Brox: U-Net. MICCAI 2015, arXiv 1505.04597"
SEGNET_PAPER = "Badrinarayanan, Kendall, Cipolla: SegNet. PAMI 2017, arXiv 1511.00561"
BAYESIAN_PAPER = "Kendall, Badrinarayanan, Cipolla: Bayesian SegNet. BMVC 2017, arXiv 1511.02680"
FUSIONNET_PAPER = "Quan, Hildebrand, Jeong: FusionNet. Frontiers in Computer Science 2021, arXiv 1612.05360"

OUR_NORMALISATION = "pictures are normalised by the mean and deviation of the training set, or each by its own"
RUNNING_AVERAGE = "batch normalisation keeps a running average, where the release recomputes statistics after training"


def changed(structure: Structure, **changes: Any) -> Structure:
    """Return the structure with some choices changed, and checked again."""
    return Structure(**{**structure.model_dump(), **changes})


UNET_2015 = Structure(
    width=64, depth=4, bottom=True, kernel=3, padding="valid", norm="none",
    skip="concat", concat_order="skip", up="transposed", up_kernel=2,
    dropout=0.5, dropout_after=("encoder4", "bottom"),
)  # fmt: skip

UNET = changed(UNET_2015, width=32, padding="same", norm="batch", bias=False, dropout_after=())

SEGNET_BASIC = Structure(
    width=64, growth=1, depth=4, bottom=False, encoder_convolutions=1, decoder_convolutions=1, kernel=7,
    norm="batch", decoder_relu=False, input_norm="lrn", pooling_rounding="ceil", skip="index", up="unpool",
)  # fmt: skip

SEGNET = Structure(
    width=64, growth=2, widest=8, depth=5, bottom=False,
    encoder_convolutions=(2, 2, 3, 3, 3), decoder_convolutions=(1, 2, 3, 3, 3), kernel=3,
    norm="batch", pooling_rounding="ceil", skip="index", up="unpool", head_kernel=3,
)  # fmt: skip

FUSIONNET = Structure(
    width=64, depth=4, bottom=True, encoder_convolutions=5, decoder_convolutions=5, block="residual",
    norm="batch", bias=True, skip="add", up="transposed", up_kernel=3, head_kernel=3,
)  # fmt: skip

# SegNet, Table 1: one encoder, eight decoders.
FCN_BASIC = changed(
    SEGNET_BASIC, skip="add", skip_from="pooled", squeeze=True, up="transposed", up_kernel=8, up_bias=False,
    up_start="bilinear", decoder_convolutions=0,
)  # fmt: skip
FCN_BASIC_NO_REDUCTION = changed(FCN_BASIC, squeeze=False)


def _variant(name: str, structure: Structure, summary: str, *departures: str) -> NamedNet:
    """Return a decoder of SegNet's Table 1."""
    ours = (OUR_NORMALISATION, RUNNING_AVERAGE, *departures)
    return NamedNet(name, structure, summary, f"{SEGNET_PAPER}, Table 1", ours, CAMVID_PICTURE)


def _fcn(name: str, structure: FCNStructure, summary: str) -> NamedNet:
    return NamedNet(name, structure, summary, FCN_CITATION, FCN_DEPARTURES, VOC_PICTURE)


NAMED_NETS: dict[str, NamedNet] = {
    net.name: net
    for net in (
        NamedNet(
            "unet", UNET, "the practical U-Net: same padding, batch normalisation, 32 to 512 maps", UNET_PAPER,
            (
                "same padding instead of valid convolutions, so that the output has the picture's size",
                "batch normalisation after each 3x3 convolution, which then has no bias",
                "half the feature maps (32 to 512 instead of 64 to 1024), for machines without a GPU",
                "no dropout",
            ),
            PictureShape((512, 512), 1, 2),
        ),
        NamedNet(
            "unet-2015", UNET_2015, "U-Net as printed: valid convolutions, 572 to 388", UNET_PAPER,
            (
                "the paper puts dropout at the end of the contracting path and names no layer: it is where the release "
                "has it, after the last ReLU with 512 and with 1024 maps, so that the skip connection of 512 maps "
                "carries it",
                "the order of the concatenation is not printed: the skip connection comes first, as drawn",
                "the softmax is in the loss",
            ),
            UNET_PICTURE,
        ),
        NamedNet(
            "unet-2015-released", changed(UNET_2015, up_relu=True, up_halves_last=False, concat_order="up"),
            "U-Net as released for Caffe: ReLU after up-convolutions, 128 maps in the last",
            f"{UNET_PAPER}; release of 2 October 2015", ("the softmax is in the loss",),
            UNET_PICTURE,
        ),
        NamedNet(
            "segnet", SEGNET, "VGG16's 13 convolutions and their mirror, unpooling with indices",
            f"{SEGNET_PAPER}; released segnet_train",
            (OUR_NORMALISATION, RUNNING_AVERAGE,
             "the encoder starts from He's initialisation, not from ImageNet",
             "convolutions have biases as in the release; the paper has none"),
            CAMVID_PICTURE,
        ),
        NamedNet(
            "segnet-basic", SEGNET_BASIC, "four 7x7 stages of 64 maps, unpooling with indices, no ReLU in the decoder",
            f"{SEGNET_PAPER}; released segnet_basic_train",
            (OUR_NORMALISATION, RUNNING_AVERAGE, "convolutions have biases as in the release; the paper has none"),
            CAMVID_PICTURE,
        ),
        NamedNet(
            "bayesian-segnet",
            changed(SEGNET, dropout=0.5, dropout_after=("pool3", "pool4", "pool5", "decoder5", "decoder4", "decoder3")),
            "SegNet with dropout in the deepest stages", f"{BAYESIAN_PAPER}; released bayesian_segnet_train",
            (OUR_NORMALISATION, RUNNING_AVERAGE), CAMVID_PICTURE,
        ),
        NamedNet(
            "bayesian-segnet-basic",
            changed(SEGNET_BASIC, dropout=0.5, dropout_after=("pool3", "pool4", "decoder4", "decoder3")),
            "SegNet-Basic with dropout in the deepest stages",
            f"{BAYESIAN_PAPER}; released bayesian_segnet_basic_train",
            (OUR_NORMALISATION, RUNNING_AVERAGE), CAMVID_PICTURE,
        ),
        _variant(
            "segnet-basic-bilinear",
            changed(SEGNET_BASIC, skip="none", up="bilinear", decoder_convolutions=0),
            "Bilinear-Interpolation: nothing is learned in the decoder",
            "the paper does not give the place of the classifier: it comes last",
        ),
        _variant(
            "segnet-basic-encoder-addition", changed(SEGNET_BASIC, skip="add", join="after"),
            "SegNet-Basic-EncoderAddition: unpool, convolve, add the encoder's 64 maps",
        ),
        _variant(
            "segnet-basic-single-channel", changed(SEGNET_BASIC, decoder_depthwise=True),
            "SegNet-Basic-SingleChannelDecoder: each decoder filter reads its own map only",
        ),
        _variant("fcn-basic", FCN_BASIC, "FCN-Basic: encoder maps reduced to the classes, 8x8 up-convolutions, sums"),
        _variant("fcn-basic-no-addition", changed(FCN_BASIC, skip="none", skip_from="convolved"),
                 "FCN-Basic-NoAddition: no encoder maps are added"),
        _variant("fcn-basic-no-reduction", FCN_BASIC_NO_REDUCTION,
                 "FCN-Basic-NoDimReduction: 64 maps throughout, sums of 64 maps"),
        _variant("fcn-basic-no-addition-no-reduction",
                 changed(FCN_BASIC_NO_REDUCTION, skip="none", skip_from="convolved"),
                 "FCN-Basic-NoAddition-NoDimReduction: 64-map up-convolutions, no sums"),
        _fcn("fcn-32s", FCN_32S, "FCN on VGG16, upsampled 32 times"),
        _fcn("fcn-16s", FCN_16S, "FCN on VGG16, fused with pool4"),
        _fcn("fcn-8s", FCN_8S, "FCN on VGG16, fused with pool4 and pool3"),
        _fcn("fcn-8s-at-once", FCN_8S_AT_ONCE, "FCN-8s trained in one stage"),
        NamedNet(
            "fusionnet", FUSIONNET, "conv, residual of three, conv; summed skip connections", FUSIONNET_PAPER,
            (
                "the paper's loss and layer table could not be checked line by line: batch normalisation, ReLU and 3x3 "
                "up-convolutions are choices",
                "three convolutions in the residual block, between two others, follow a public implementation",
                "the output is one map per class with the softmax in the loss",
                "no Gaussian noise or mirrored boundary in the network",
            ),
            PictureShape((640, 640), 1, 2),
        ),
    )
}  # fmt: skip


def named_net(name: str, option: str = "--net") -> NamedNet:
    """Return a network by its name. Raises UsageError for an unknown name, with the nearest known one.

    Parameters
    ----------
    option: the words of the command line that come before the name, for the message.
    """
    if name in NAMED_NETS:
        return NAMED_NETS[name]
    near = difflib.get_close_matches(name, NAMED_NETS, n=1, cutoff=0.4)
    raise UsageError(
        f"no network is called '{name}'",
        f"one of {', '.join(NAMED_NETS)}",
        f"did you mean {option} {near[0]}?" if near else "choose one of these",
    )


def build(name: str, in_channels: int, classes: int) -> Network:
    """Build a named network as a plain ``nn.Module``, freshly initialised."""
    return network_of(named_net(name).structure, in_channels, classes)

"""The named networks: each is one value of ``Structure``, with its source and its departures."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from unpool.errors import UsageError
from unpool.nets.encoder_decoder import EncoderDecoder
from unpool.nets.structure import Structure


@dataclass(frozen=True)
class NamedNet:
    """A network with a name.

    Attributes
    ----------
    citation: where the network is described.
    departures: what differs from the source, one sentence each.
    """

    name: str
    structure: Structure
    citation: str
    departures: tuple[str, ...]


UNET = NamedNet(
    name="unet",
    structure=Structure(
        widths=(32, 64, 128, 256),
        bottom=512,
        encoder_convolutions=2,
        decoder_convolutions=2,
        kernel=3,
        padding="same",
        norm="batch",
        bias=False,
        skip="concat",
        up="transposed",
    ),
    citation="Ronneberger, Fischer, Brox: U-Net. MICCAI 2015, arXiv 1505.04597",
    departures=(
        "same padding instead of valid convolutions, so that the output has the picture's size",
        "batch normalisation after each 3x3 convolution, which then has no bias",
        "half the feature maps (32 to 512 instead of 64 to 1024), for machines without a GPU",
        "no dropout",
    ),
)

SEGNET_BASIC = NamedNet(
    name="segnet-basic",
    structure=Structure(
        widths=(64, 64, 64, 64),
        bottom=0,
        encoder_convolutions=1,
        decoder_convolutions=1,
        kernel=7,
        padding="same",
        norm="batch",
        decoder_relu=False,
        bias=True,
        input_norm="lrn",
        pooling_rounding="ceil",
        skip="index",
        up="unpool",
    ),
    citation="Badrinarayanan, Kendall, Cipolla: SegNet. PAMI 2017, arXiv 1511.00561; released SegNet-Basic",
    departures=(
        "the picture is normalised by the training set's mean and deviation before the local response normalisation",
        "batch normalisation keeps a running average instead of statistics recomputed over the training set",
    ),
)

NAMED_NETS = {net.name: net for net in (UNET, SEGNET_BASIC)}


def named_net(name: str) -> NamedNet:
    """Look a network up by name. Raises UsageError with the nearest name for an unknown one."""
    if name in NAMED_NETS:
        return NAMED_NETS[name]
    near = difflib.get_close_matches(name, NAMED_NETS, n=1, cutoff=0.4)
    raise UsageError(
        f"no network is called '{name}'",
        f"one of {', '.join(NAMED_NETS)}",
        f"did you mean --net {near[0]}?" if near else "choose one of these",
    )


def build(name: str, in_channels: int, classes: int) -> EncoderDecoder:
    """A named network as a plain ``nn.Module``, freshly initialised.

    >>> build("unet", in_channels=1, classes=2)  # doctest: +ELLIPSIS
    EncoderDecoder(...
    """
    return EncoderDecoder(named_net(name).structure, in_channels, classes)

"""SegNet's Table 1, one encoder with eight decoders: the paper's numbers of size, compared with our modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from unpool.nets.explain.records import Explanation
from unpool.nets.explain.words import sentence_case
from unpool.report.sections import Section, Table

TABLE_1_TITLE = "the eight decoders of SegNet's Table 1"


class Printed(NamedTuple):
    """A row of the paper's table.

    Attributes
    ----------
    title: name in the paper.
    millions, storage: parameters in millions and storage multiplier, as printed.
    why: how these numbers come about.
    """

    title: str
    millions: str
    storage: str
    why: str


PRINTED: dict[str, Printed] = {
    "segnet-basic-bilinear": Printed(
        "Bilinear-Interpolation", "0.625", "0",
        "The encoder's kernels are 3 x 64 x 49 + 3 x 64 x 64 x 49 = 611,520, a 1x1 classifier adds 704: 0.612. The "
        "file of 613,003 numbers is 2.45 MB, rounded 2.5; a quarter of this is 0.625.",
    ),
    "segnet-basic": Printed(
        "SegNet-Basic", "1.425", "1",
        "Twice four 7x7 layers and the classifier have 1,415,040 numbers in kernels: 1.415. With biases and norms the "
        "file is 5.67 MB, rounded 5.7; a quarter of this is 1.425. The indices of the first stage are 691,200 "
        "bytes; the paper's 0.17 MB is a quarter of that.",
    ),
    "segnet-basic-encoder-addition": Printed(
        "SegNet-Basic-EncoderAddition", "1.425", "64",
        "Sums have no parameters, so the count is SegNet-Basic's. The paper counts 64 maps of 180x240, as pooled "
        "(11.06 MB). A sum after the decoder's convolutions needs them at 360x480, as convolved: 44.24 MB, and the "
        "indices as well.",
    ),
    "segnet-basic-single-channel": Printed(
        "SegNet-Basic-SingleChannelDecoder", "0.625", "1",
        "Four decoders of 64 single-channel 7x7 filters have 12,544 numbers, with encoder and classifier 624,768: "
        "0.625, exactly.",
    ),
    "fcn-basic": Printed(
        "FCN-Basic", "0.65", "11",
        "Four 8x8 up-convolutions between 11 and 11 maps have 30,976 numbers, four 1x1 reductions from 64 to 11 maps "
        "2,816: with the encoder 645,312. The file is 2.58 MB, rounded 2.6; a quarter of this is 0.65. 11 "
        "maps of 180x240 are 1,900,800 bytes, the paper's 1.9 MB.",
    ),
    "fcn-basic-no-addition": Printed(
        "FCN-Basic-NoAddition", "0.65", "n/a",
        "One reduction instead of four: 643,200 in kernels, a file of 2.58 MB, rounded 2.6; a quarter of this is 0.65. "
        "Nothing is stored; the paper prints n/a.",
    ),
    "fcn-basic-no-reduction": Printed(
        "FCN-Basic-NoDimReduction", "1.625", "64",
        "Four 8x8 up-convolutions between 64 and 64 maps have 1,048,576 numbers, with encoder and classifier "
        "1,660,800: 1.66. The file would be 6.65 MB; the printed number needs 6.5. Rounding does not explain "
        "the difference: some kernel was smaller than in the text. 64 maps of 180x240 are 11,059,200 bytes, the "
        "paper's 11 MB.",
    ),
    "fcn-basic-no-addition-no-reduction": Printed(
        "FCN-Basic-NoAddition-NoDimReduction", "1.625", "0",
        "1,660,800 in kernels and the same unexplained difference, as in FCN-Basic-NoDimReduction.",
    ),
}  # fmt: skip


def table_1_sections(facts: Mapping[str, Explanation]) -> list[Section]:
    """Return the comparison.

    Parameters
    ----------
    facts: of every decoder by its name, for 3 channels, 11 classes and 360 x 480 pixels.
    """
    header = ("decoder", "paper, M", "kernels", "all", "paper, x", "bytes", "ratio")
    first = {name: first_stage_bytes(facts[name]) for name in PRINTED}
    one = first["segnet-basic"]
    rows = tuple(
        (
            name,
            printed.millions,
            f"{facts[name].kernels:,}",
            f"{facts[name].parameters:,}",
            printed.storage,
            f"{first[name]:,}",
            f"{first[name] / one:.3g}",
        )
        for name, printed in PRINTED.items()
    )
    return [
        Section(
            "",
            (
                f"{sentence_case(TABLE_1_TITLE)}, with one encoder of four 7x7 convolutions of 64 maps.",
                "Badrinarayanan, Kendall, Cipolla: SegNet. PAMI 2017, arXiv 1511.00561, Table 1. Pictures of 360x480 "
                "with 3 channels and 11 classes.",
            ),
        ),
        Section(
            "parameters and storage",
            (
                Table(header, rows),
                "paper, M: millions of parameters as printed. kernels: numbers in our convolution kernels. all: with "
                "biases and norms. paper, x: storage multiplier as printed. bytes: that our module stores of the first "
                "encoder stage for the decoder, in float32 or at 2 bits an index. ratio: bytes over those of "
                "segnet-basic.",
            ),
        ),
        Section(
            "where the figures come from",
            (
                "The printed parameters look like the size of the released weight file, in megabytes with one decimal, "
                "divided by 4 bytes: 5.7, 2.5, 2.6 and 6.5 MB give 1.425, 0.625, 0.65 and 1.625. Six of the eight rows "
                "agree with this.",
                "The printed storage is 1 : 11 : 64, relative to one map of 180x240 in float32, 172,800 bytes (0.17 "
                "MB): 11 such maps are 1.9 MB, 64 are 11 MB. The indices of the first stage are 64 x 180 x 240 windows "
                "at 2 bits, 691,200 bytes, which is 4 such maps and not one. Relative to these indices the ratios are "
                "1 : 2.75 : 16.",
                tuple(f"{name} ({printed.title}): {printed.why}" for name, printed in PRINTED.items()),
            ),
        ),
    ]


def first_stage_bytes(facts: Explanation) -> int:
    """Return the bytes that the first encoder stage sends to the decoder."""
    return sum(skip.stored_bytes for skip in facts.skips if skip.origin in ("encoder1", "pool1"))

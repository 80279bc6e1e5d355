"""A fully convolutional network in plain words."""

from __future__ import annotations

from unpool.nets.explain.records import Explanation
from unpool.nets.explain.words import SOFTMAX, Choices, NetworkWords, PaddingRow, listed
from unpool.nets.fcn import FCNStructure
from unpool.wording import all_of

FUSED = {
    32: "nothing",
    16: "scores of pool4, cropped and added",
    8: "scores of pool4 and pool3, cropped and added",
}
"""Skip connections by the prediction stride."""

UPSAMPLING_STEPS = {
    32: "One deconvolution of 64x64 with stride 32 brings them",
    16: "A deconvolution doubles their size and the scores of pool4 are added; a deconvolution of 32x32 with stride "
        "16 brings the sum",
    8: "A deconvolution doubles their size and the scores of pool4 are added; another doubles the size and the scores "
       "of pool3 are added; a deconvolution of 16x16 with stride 8 brings the sum",
}  # fmt: skip
"""Way of the scores to the picture's size, by the prediction stride."""


class FCNWords(NetworkWords[FCNStructure]):
    """A fully convolutional network in plain words."""

    def choices(self) -> Choices:
        """Return the choices that define the network."""
        structure = self.structure
        norm = "batch normalisation, " if structure.norm == "batch" else ""
        return Choices(
            encoder="5 stages of 2, 2, 3, 3, 3 convolutions 3x3",
            maps=listed(structure.widths),
            bottom=f"fc6 7x7 and fc7 1x1 of {structure.fc_width} maps, 1x1 scores",
            padding=f"{structure.padding} in the first convolution, same after it",
            after_convolution=f"{norm}ReLU",
            skips=FUSED[structure.prediction_stride],
            up=f"{structure.upsampling} bilinear deconvolutions, the last {structure.prediction_stride} times",
            decoder="no convolutions",
            dropout="after fc6, fc7",
        )

    def encoder(self, facts: Explanation) -> str:
        """Describe how the encoder makes the picture small and deep."""
        structure = self.structure
        return (
            "The encoder is the classifier VGG16 without its end: five stages of 3x3 convolutions with ReLU, each "
            f"followed by 2x2 max-pooling, with {structure.widths[0]} to {max(structure.widths)} feature maps. Its "
            f"fully connected layers are convolutions here, fc6 of 7x7 and fc7 of 1x1 with {structure.fc_width} maps, "
            "so that the network answers at every place and not once per picture. The first convolution pads the "
            f"picture with {structure.padding} zeros on each side. After five poolings, score_fr gives one map per "
            f"class, with a score every {structure.stride} pixels."
        )

    def decoder(self, facts: Explanation) -> str:
        """Describe how the decoder makes a map of classes from the smallest maps."""
        structure = self.structure
        kind = (
            "fixed bilinear interpolation" if structure.upsampling == "fixed" else "bilinear interpolation at the start"
        )
        return (
            "The decoder works on scores, one map per class, and not on feature maps. "
            f"{UPSAMPLING_STEPS[structure.prediction_stride]} "
            "to more than the picture's size, and it is cropped to the picture. "
            f"The deconvolutions are {kind}. {SOFTMAX}"
        )

    def skips(self, facts: Explanation) -> str:
        """Describe what the decoder learns from the encoder."""
        if not facts.skips:
            return (
                "There is no skip connection: scores stand 32 pixels apart, so details are lost. FCN-16s and FCN-8s "
                "exist for that reason."
            )
        *crops, last = self.structure.crops
        pools = all_of([skip.origin for skip in reversed(facts.skips)])
        return (
            f"1x1 convolutions score {pools}, which tell better where objects are, and less well what they are. The "
            "scores are cropped to lie on the upsampled ones, and added. The crops follow from the padding: "
            f"{listed(crops)} pixels above and left of the scores that are added, {last} of the output."
        )

    def skip_notes(self) -> tuple[str, ...]:
        """Return notes on how the table of skip connections counts."""
        return (
            "Counted as scores, one map per class. The pools are scored only when the decoder needs them, so "
            "prediction stores the pools until then.",
        )

    def padding(self) -> str:
        """Describe the rules behind ``padding_rows``."""
        return (
            f"The first convolution pads the picture with {self.structure.padding} zeros on each side. So fc6, which "
            "has no padding and needs 7x7 pixels of pool5, has enough of them for every picture, and the output covers "
            "the picture: with padding p, i pixels become i + 2p - 2 after conv1_1, are halved five times rounding up, "
            "and lose 6 in fc6. The output, stride times the scores, is then larger than the picture and is cropped to "
            "it."
        )

    def padding_rows(self, size: int) -> list[PaddingRow]:
        """Return a row for each padding that the network could have, for sizes near ``size``."""
        return [PaddingRow(f"{self.structure.padding} in conv1_1", "any", "the picture's", "0")]

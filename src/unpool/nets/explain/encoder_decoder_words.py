"""An encoder-decoder network in plain words."""

from __future__ import annotations

from unpool.geometry import Padding
from unpool.nets.explain.layer_names import has_unet_names
from unpool.nets.explain.records import Explanation
from unpool.nets.explain.words import SOFTMAX, Choices, NetworkWords, PaddingRow, listed, refusal
from unpool.nets.structure import Structure
from unpool.wording import all_of, size_text

NORMS = {
    "none": "",
    "batch": "batch normalisation",
    "group": "group normalisation",
    "instance": "instance normalisation",
}

UPS = {
    "unpool": "unpooling with the pooling indices",
    "bilinear": "bilinear interpolation",
    "nearest": "nearest-neighbour interpolation",
}

PADDINGS: tuple[tuple[str, Padding, Padding | None], ...] = (
    ("valid", "valid", None), ("same", "same", None), ("full", "full", None), ("valid, full", "valid", "full"),
)  # fmt: skip
"""Paddings of the table: name, in the encoder, in the decoder where it is another."""


class EncoderDecoderWords(NetworkWords[Structure]):
    """An encoder-decoder network in plain words, put together from the choices of its structure."""

    def choices(self) -> Choices:
        """Return the choices that define the network."""
        structure, kernel = self.structure, _square(self.structure.kernel)
        up = f"{_square(structure.up_kernel)} up-convolution" if structure.up == "transposed" else UPS[structure.up]
        count, decoder = structure.encoder_count(structure.depth + 1), self._decoder_counts()
        encoder = _counts(self._encoder_counts())
        return Choices(
            encoder=f"{self._short_stem()}{structure.depth} stages of {encoder} convolutions {kernel}{self._block()}",
            maps=listed(structure.widths),
            bottom=f"{count} convolutions of {structure.bottom_width} maps" if structure.bottom else "nothing",
            padding=structure.padding
            if structure.decoder_pads == structure.padding
            else f"{structure.padding}, in the decoder {structure.decoder_pads}",
            after_convolution=self._after_convolution(),
            skips=self._short_skips(),
            up=up,
            decoder=(f"{self._short_counts(decoder)}{self._block()}" if any(decoder) else "no convolutions")
            + (", a 2x2 up-convolution to the classes" if structure.stem == "strided" else ""),
            dropout=listed(f"after {place}" for place in structure.dropout_after) or "none",
        )

    def encoder(self, facts: Explanation) -> str:
        """Describe how the encoder makes the picture small and deep."""
        structure = self.structure
        lrn = "Local response normalisation comes first. " if structure.input_norm == "lrn" else ""
        followers = self._followers(self._encoder_counts(), relu=structure.encoder_relu) + self._residual()
        stages = (
            f"{lrn}{self._stem()}The encoder has {structure.depth} stages. {self._stage_convolutions()}, {followers}. "
            f"A stage ends with 2x2 max-pooling of stride 2, which halves the size{self._rounding()}. "
            f"{self._stage_maps()}"
        )
        lost = structure.kernel - 1
        border = {
            "valid": f" Without padding (valid) every convolution takes {lost} pixels from rows and from columns.",
            "same": " With a border of zeros (same padding) a convolution keeps the size.",
            "full": f" With full padding every convolution adds {lost} pixels to rows and to columns.",
        }[structure.padding]
        if not structure.bottom:
            first = "unpooling" if structure.unpools else "upsampling"
            return (
                f"{stages}{border} There is no convolution between the last pooling and the first {first}, and no "
                "layer is fully connected."
            )
        count = structure.encoder_count(structure.depth + 1)
        low = next(layer for layer in reversed(facts.layers) if layer.side == "bottom")
        return (
            f"{stages}{border} At the bottom, after the last pooling, {count} more convolutions make "
            f"{structure.bottom_width} maps of {size_text(low.size)}. No layer is fully connected."
        )

    def decoder(self, facts: Explanation) -> str:
        """Describe how the decoder makes a map of classes from the smallest maps."""
        return f"Each decoder stage doubles the size by {self._up()}. {self._convolves()} {self._head()} {SOFTMAX}"

    def skips(self, facts: Explanation) -> str:
        """Describe what the decoder learns from the encoder, and how many bytes that takes."""
        if not facts.skips:
            return (
                "There is no skip connection: the decoder has the deepest maps only, and must guess from them where "
                "objects are."
            )
        sentences = []
        if self.structure.unpools:
            sentences.append(
                "The encoder sends its pooling indices: for each 2x2 pooling window, which of its four pixels was the "
                "largest, in 2 bits. Unpooling puts each value back at that pixel and leaves zeros at the other three. "
                f"It has nothing to learn; {self._densified()}."
            )
        if self.structure.keeps_maps:
            sentences.append(self._sent_maps(facts))
        return " ".join(sentences) + f" For one picture that takes {facts.skip_bytes:,} bytes."

    def skip_notes(self) -> tuple[str, ...]:
        """Return notes on how the table of skip connections counts."""
        if not self.structure.squeeze:
            return ()
        return (
            "Maps are counted as in the paper, after the reduction to one map per class. In this module the decoder "
            "does the reduction, so prediction stores the maps before it.",
        )

    def layer_notes(self) -> tuple[str, ...]:
        """Return notes on the names of the layers."""
        if not has_unet_names(self.structure):
            return ()
        stem = " stem_d0a makes map a of stage 0 from the picture." if self.structure.stem == "strided" else ""
        return (
            "In a name, d means down, u means up, the number is the stage from 0, and a letter is the map within the "
            "stage: conv_d0a-b makes map b from map a in stage 0 on the way down. A second c (d3cc) means "
            f"cropped.{stem}",
        )

    def padding(self) -> str:
        """Describe the rules behind ``padding_rows``."""
        kernel = self.structure.kernel
        rounding = {
            "floor": "Pooling halves the size, so every stage needs an even size.",
            "ceil": "Pooling rounds up, so an odd size keeps its last pixel.",
        }[self.structure.pooling_rounding]
        if self.structure.stem == "strided":
            rounding += (
                " The stem halves the size of the picture, which must be even, and the last up-convolution doubles it: "
                "so the picture loses or gains two pixels where the maps lose or gain one."
            )
        return (
            f"A {_square(kernel)} convolution makes n pixels into n - {kernel - 1} (valid), n (same) or "
            f"n + {kernel - 1} (full). Where encoder and decoder differ, the table names both. {rounding} In the "
            "decoder no map grows beyond the encoder's maps of its stage: larger maps are cropped."
        )

    def padding_rows(self, size: int) -> list[PaddingRow]:
        """Return a row for each padding that the network could have, for sizes near ``size``."""
        rows = []
        for name, padding, decoder_padding in PADDINGS:
            changes = {"padding": padding, "decoder_padding": decoder_padding}
            try:
                other = Structure(**{**self.structure.model_dump(), **changes})
            except ValueError as error:
                rows.append(PaddingRow(name, "none", f"not possible: {refusal(error)}", ""))
                continue
            near = other.nearest_legal_sizes(size)
            outputs = [other.output_size(each) or 0 for each in near]
            lost = [f"{(each - out) / 2:g}" for each, out in zip(near, outputs, strict=True)]
            rows.append(
                PaddingRow(name, listed(near) or "none", listed(outputs) or "none", listed(dict.fromkeys(lost)))
            )
        return rows

    def _encoder_counts(self) -> tuple[int, ...]:
        return tuple(self.structure.encoder_count(stage) for stage in range(1, self.structure.depth + 1))

    def _decoder_counts(self) -> tuple[int, ...]:
        return tuple(self.structure.decoder_count(stage) for stage in range(self.structure.depth, 0, -1))

    def _block(self) -> str:
        return ", the inner ones residual" if self.structure.block == "residual" else ""

    def _residual(self) -> str:
        return ", with a sum around all but the first and last" if self.structure.block == "residual" else ""

    def _short_stem(self) -> str:
        return "a strided stem, then " if self.structure.stem == "strided" else ""

    def _stem(self) -> str:
        structure = self.structure
        if structure.stem == "none":
            return ""
        followers = self._followers((1,), relu=structure.encoder_relu)
        return (
            f"A stem, a 2x2 convolution of stride 2 to {structure.width} maps, {followers}, halves the size of the "
            "picture. "
        )

    def _rounding(self) -> str:
        return " and rounds up" if self.structure.pooling_rounding == "ceil" else ""

    def _after_convolution(self) -> str:
        structure, norm = self.structure, NORMS[self.structure.norm]
        both = listed(word for word in (norm, "ReLU" if structure.encoder_relu else "") if word) or "nothing"
        return (
            both if structure.encoder_relu == structure.decoder_relu else f"{both}; in the decoder {norm or 'nothing'}"
        )

    def _short_skips(self) -> str:
        structure = self.structure
        indices = "pooling indices, 2 bits each" if structure.unpools else ""
        reduced = " reduced to the classes" if structure.squeeze else ""
        crop = ", cropped and" if structure.padding != "same" else ","
        how = {"add": f"{reduced}{crop} added", "concat": f"{crop} concatenated"}.get(structure.skip)
        return all_of([part for part in (indices, f"feature maps{how}" if how else "") if part]) or "nothing"

    def _followers(self, counts: tuple[int, ...], *, relu: bool) -> str:
        words = [word for word in (NORMS[self.structure.norm], "ReLU" if relu else "") if word]
        each = "" if set(counts) == {1} else "each "
        return f"{each}followed by {all_of(words)}" if words else "followed by nothing"

    def _stage_convolutions(self) -> str:
        counts = self._encoder_counts()
        subject = "Each stage has" if len(set(counts)) == 1 else "The stages have"
        return f"{subject} {_convolutions(counts, self.structure.kernel)}"

    def _stage_maps(self) -> str:
        widths = self.structure.widths
        if len(set(widths)) == 1:
            return f"Each stage has {widths[0]} feature maps."
        return f"The stages have {listed(widths)} feature maps."

    def _short_counts(self, counts: tuple[int, ...]) -> str:
        order = "" if len(set(counts)) == 1 else ", from the bottom up"
        return f"{_counts(counts)} convolutions per stage{order}"

    def _up(self) -> str:
        structure = self.structure
        if structure.up != "transposed":
            return UPS[structure.up]
        start = ", which begins as bilinear interpolation" if structure.up_start == "bilinear" else ""
        relu = " and a ReLU" if structure.up_relu else ""
        halves = ", which halves the number of maps," if structure.growth == 2 and not structure.squeeze else ""
        article = "an" if structure.up_kernel in (8, 11) else "a"
        up = f"{article} {_square(structure.up_kernel)} up-convolution (transposed convolution) of stride 2"
        return f"{up}{start}{halves}{relu}".rstrip(",")

    def _convolves(self) -> str:
        structure, counts = self.structure, self._decoder_counts()
        if not any(counts):
            return "It has no other convolutions."
        seen = ", each filter reads its own map only" if structure.decoder_depthwise else ""
        followers = self._followers(counts, relu=structure.decoder_relu) + self._residual()
        subject = "It then has" if len(set(counts)) == 1 else "From the bottom up, the stages then have"
        return f"{subject} {_convolutions(counts, structure.kernel)}{seen}, {followers}."

    def _head(self) -> str:
        structure = self.structure
        last = f"A last {_square(structure.head_kernel)} convolution"
        if structure.stem == "strided":
            last = "A last 2x2 up-convolution of stride 2"
        if not structure.squeeze:
            return f"{last} without normalisation or ReLU gives one map per class."
        reduced = "It gives one map per class, because 1x1 convolutions have reduced the maps before."
        return f"{reduced} {last} doubles their size." if structure.stem == "strided" else reduced

    def _densified(self) -> str:
        if not self.structure.decoder_count(self.structure.depth):
            return "the maps stay sparse"
        kind = ", each with its own map only," if self.structure.decoder_depthwise else ""
        return f"the trainable convolutions that follow{kind} make the sparse maps dense"

    def _sent_maps(self, facts: Explanation) -> str:
        structure = self.structure
        maps = [skip for skip in facts.skips if skip.what == "maps"]
        if not maps:
            return "No decoder stage has the size of the encoder's maps."
        origin = "before its pooling" if structure.skip_from == "convolved" else "after the pooling above it"
        reduced = ", reduced to one map per class by a 1x1 convolution" if structure.squeeze else ""
        crops = ""
        if any(skip.is_cropped for skip in maps):
            sizes = listed(skip.crop_text for skip in reversed(maps))
            crops = (
                " They are larger than the decoder's maps, so they are cropped at the centre: from the bottom up, by "
                f"{sizes} pixels on each side."
            )
        joined = {
            "add": "added to the upsampled maps",
            "concat": "concatenated with the upsampled maps, so that the decoder's convolutions read both",
            "index": "",
        }[maps[0].joined]
        when = " after the stage's own convolutions" if structure.join == "after" else ""
        return (
            f"Each encoder stage sends its feature maps to its decoder stage, as they are {origin}{reduced}.{crops} "
            f"There they are {joined}{when}. The upsampled maps tell what is there, the encoder's maps tell where."
        )


def _square(side: int) -> str:
    return f"{side}x{side}"


def _counts(counts: tuple[int, ...]) -> str:
    return str(counts[0]) if len(set(counts)) == 1 else listed(counts)


def _convolutions(counts: tuple[int, ...], kernel: int) -> str:
    """Return numbers of convolutions with their kernel: ``one 7x7 convolution``, ``2, 3, 3 convolutions of 3x3``."""
    if len(set(counts)) > 1:
        return f"{listed(counts)} convolutions of {_square(kernel)}"
    words = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
    return f"{words.get(counts[0], str(counts[0]))} {_square(kernel)} convolution{'s' * (counts[0] > 1)}"

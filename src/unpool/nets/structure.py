"""The structure of an encoder-decoder network, as one frozen value.

Most segmentation networks have an encoder that shrinks the picture, a decoder that enlarges its maps again, and skip
connections that tell the decoder where the objects were. ``Structure`` names these choices;
``unpool.nets.encoder_decoder.EncoderDecoder`` runs any of them; the network of a paper is one value
(``unpool.nets.named``).
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from unpool.geometry import (
    BILINEAR,
    BLOCKS,
    Border,
    Layer,
    Padding,
    Rounding,
    Transposed,
    Window,
    padding_border,
    pooled_size,
    reads,
)
from unpool.meaning import LITTLE, Meaning
from unpool.nets.network import NetworkStructure
from unpool.nets.structure_rules import MOST_STAGES, objections

Count = Annotated[int, Field(ge=0, le=16)]
PerStage = Count | tuple[Count, ...]

PADDING_MEANINGS = {
    "same": "as many as keep the size",
    "valid": "none: each convolution loses kernel - 1 pixels of the size, and the output is smaller than the picture",
    "full": "twice as many as same: each convolution gains kernel - 1 pixels",
}

POOLING = Window(2, 2)
STEM = Window(2, 2)
UP_LAYERS: dict[str, Layer] = {"unpool": BLOCKS, "nearest": BLOCKS, "bilinear": BILINEAR}


class DecoderMaps(NamedTuple):
    """Numbers of feature maps on the way through a decoder stage.

    Attributes
    ----------
    encoder: of the skip connection, as the encoder made them.
    skip: of the skip connection when it is added or concatenated: ``encoder``, or one a class after the squeeze.
    grown: after upsampling.
    fused: after a join before the convolutions.
    convolved: after each convolution.
    """

    encoder: int
    skip: int
    grown: int
    fused: int
    convolved: tuple[int, ...]

    @property
    def out(self) -> int:
        """Feature maps that leave the stage."""
        return self.convolved[-1] if self.convolved else self.fused


class Structure(NetworkStructure):
    """The structure of an encoder-decoder network.

    Stages count from 1 at the picture downwards. A decoder stage has the number of the encoder stage that it mirrors.
    ``unpool explain --settings`` shows the fields with their meanings.
    """

    kind: Literal["encoder-decoder"] = "encoder-decoder"
    width: Annotated[
        int,
        Meaning(
            "feature maps of the first stage, and of a stem; stage i has width * growth**(i-1) of them",
            "parameters, and the time of large networks, grow with its square; the memory of a step in proportion",
        ),
    ] = Field(32, ge=1, le=4096)
    growth: Annotated[
        Literal[1, 2],
        Meaning(
            "factor of the feature maps from one stage to the next",
            "with 2 each stage has about four times the parameters of the one above, and as many operations",
            {1: "all stages have the width of the first", 2: "every stage has twice the maps of the one above"},
        ),
    ] = 2
    widest: Annotated[
        int,
        Meaning(
            "the most feature maps of a stage, in multiples of width",
            "a lower value leaves out most parameters of the deepest stages",
        ),
    ] = Field(64, ge=1, le=64)
    stem: Annotated[
        Literal["none", "strided"],
        Meaning(
            "what stands between the picture and the first stage, and its counterpart at the end",
            "a strided stem takes about a quarter of the time and memory, since every stage has a quarter of the "
            "pixels; it loses details below two pixels",
            {
                "none": "nothing: the first stage has the resolution of the picture, and a convolution gives the "
                "logits",
                "strided": "a 2x2 convolution of stride 2, which halves the resolution; a 2x2 transposed convolution "
                "of stride 2 gives the logits, at the picture's resolution",
            },
        ),
    ] = "none"
    depth: Annotated[
        int,
        Meaning(
            "stages of the encoder; a 2x2 max-pooling follows each, and the decoder mirrors them",
            "with pooling_rounding=floor the sides of tiles are multiples of 2**depth, or with a stem of 2**(depth+1); "
            "with growth=2 one more stage takes about four times the parameters",
        ),
    ] = Field(4, ge=1, le=MOST_STAGES)
    bottom: Annotated[
        bool,
        Meaning(
            "whether convolutions follow below the last pooling, with the width of one more stage and as many as the "
            "last stage of the encoder",
            "with growth=2 these convolutions hold most parameters of the encoder",
        ),
    ] = True
    encoder_convolutions: Annotated[
        PerStage,
        Meaning(
            "convolutions in each stage of the encoder: one number, or a list with one for each stage",
            "time, memory of a training and parameters grow with each",
        ),
    ] = 2
    decoder_convolutions: Annotated[
        PerStage,
        Meaning(
            "convolutions in each stage of the decoder: one number, or a list with one for each stage, the first stage "
            "being the one at the picture",
            "time, memory of a training and parameters grow with each",
        ),
    ] = 2
    kernel: Annotated[
        int,
        Meaning(
            "side of every convolution of the stages in pixels, odd",
            "parameters and operations grow with its square; the pixels read around a tile in proportion",
        ),
    ] = Field(3, ge=1, le=15)
    padding: Annotated[
        Padding,
        Meaning(
            "pixels that a convolution adds at the borders of its input",
            "valid reads a border of the picture for which there is no output; full computes more pixels than same",
            PADDING_MEANINGS,
        ),
    ] = "same"
    decoder_padding: Annotated[
        Padding | None,
        Meaning(
            "padding of the decoder's convolutions; without it, as padding",
            "a decoder that pads otherwise than the encoder cannot predict large pictures by tiles",
            PADDING_MEANINGS,
            "same",
        ),
    ] = None
    block: Annotated[
        Literal["plain", "residual"],
        Meaning(
            "how the convolutions of a stage follow each other",
            "a residual block needs 3 convolutions or more in a stage; the sum itself costs little",
            {
                "plain": "one after the other",
                "residual": "the first, then a sum around all but the last, then the last (FusionNet)",
            },
        ),
    ] = "plain"
    norm: Annotated[
        Literal["none", "batch", "group", "instance"],
        Meaning(
            "normalisation after each convolution",
            "each adds passes over the maps and memory to a training; in prediction batch costs nothing, and with "
            "group and instance the answer for a pixel depends on the tile that it is in",
            {
                "none": "no normalisation",
                "batch": "by the mean and deviation over a batch, and by running averages in prediction",
                "group": "by those of eighths of the maps of one input; widths are multiples of 8",
                "instance": "by those of each map of one input",
            },
        ),
    ] = "batch"
    encoder_relu: Annotated[bool, Meaning("whether a ReLU follows the convolutions of the encoder", LITTLE)] = True
    decoder_relu: Annotated[bool, Meaning("whether a ReLU follows the convolutions of the decoder", LITTLE)] = True
    up_relu: Annotated[bool, Meaning("whether a ReLU follows a transposed convolution", LITTLE)] = False
    bias: Annotated[
        bool,
        Meaning("whether the convolutions have a bias, which a batch normalisation after them makes useless", LITTLE),
    ] = True
    input_norm: Annotated[
        Literal["none", "lrn"],
        Meaning(
            "normalisation of the picture before the first convolution",
            LITTLE,
            {"none": "none beyond that of the training set", "lrn": "local response normalisation, as in SegNet-Basic"},
        ),
    ] = "none"
    pooling_rounding: Annotated[
        Rounding,
        Meaning(
            "what a pooling does with an odd last row or column",
            choices={
                "floor": "drops it; such sizes are not legal, and a prediction extends them to the next legal size",
                "ceil": "pools it by itself, as Caffe does; every size is legal, or with a stem every even size",
            },
        ),
    ] = "floor"
    skip: Annotated[
        Literal["none", "index", "add", "concat"],
        Meaning(
            "what the encoder sends to the decoder",
            "add and concat keep all maps of the encoder until the decoder has used them, index keeps 2 bits for each "
            "pooling window; concat widens the first convolution of each decoder stage",
            {
                "none": "nothing",
                "index": "the places of the maxima, for up=unpool",
                "add": "its feature maps, which are added",
                "concat": "its feature maps, which are put beside those of the decoder",
            },
        ),
    ] = "concat"
    skip_from: Annotated[
        Literal["convolved", "pooled"],
        Meaning(
            "which feature maps skip=add and skip=concat send; the larger side is cropped at the centre",
            "pooled sends narrower maps, of half the width with growth=2",
            {
                "convolved": "those after the convolutions of the stage",
                "pooled": "those that the stage receives, pooled by the stage above (FCN)",
            },
        ),
    ] = "convolved"
    join: Annotated[
        Literal["before", "after"],
        Meaning(
            "where the encoder's maps join the decoder",
            choices={
                "before": "before the convolutions of a stage",
                "after": "after them; only skip=add can",
            },
        ),
    ] = "before"
    concat_order: Annotated[
        Literal["skip", "up"],
        Meaning(
            "which maps come first in a concatenation",
            choices={"skip": "those of the encoder", "up": "the upsampled ones"},
        ),
    ] = "skip"
    squeeze: Annotated[
        bool,
        Meaning(
            "whether 1x1 convolutions reduce the encoder's maps and the decoder's input to one map a class (FCN's "
            "dimension reduction); the last stage of the decoder then gives the logits, or the maps from which a "
            "stem's transposed convolution makes them",
            "less: the decoder then computes one map a class",
        ),
    ] = False
    up: Annotated[
        Literal["unpool", "transposed", "bilinear", "nearest"],
        Meaning(
            "how a stage of the decoder doubles the size",
            "unpool keeps 2 bits for each pooling window in place of maps and has no parameters; transposed has "
            "parameters and takes time; bilinear and nearest have parameters only where they change the number of maps",
            {
                "unpool": "each value returns to the place of its maximum, with zeros elsewhere (SegNet)",
                "transposed": "a transposed convolution, which is learned (U-Net)",
                "bilinear": "linear interpolation; a 1x1 convolution follows where the number of maps changes",
                "nearest": "each pixel four times; a 1x1 convolution follows where the number of maps changes",
            },
        ),
    ] = "transposed"
    up_kernel: Annotated[
        int,
        Meaning("side in pixels of a transposed convolution", "its parameters and operations grow with its square"),
    ] = Field(2, ge=2, le=16)
    up_bias: Annotated[bool, Meaning("whether a transposed convolution has a bias", LITTLE)] = True
    up_start: Annotated[
        Literal["he", "bilinear"],
        Meaning(
            "first weights of the transposed convolutions in the decoder's stages",
            choices={"he": "random, by He's rule", "bilinear": "linear interpolation of each map"},
        ),
    ] = "he"
    up_halves_last: Annotated[
        bool,
        Meaning(
            "whether the last transposed convolution halves the number of maps as the others do",
            "without it, the stage with the most pixels has more maps: more memory and time",
        ),
    ] = True
    decoder_depthwise: Annotated[
        bool,
        Meaning(
            "whether each filter of the decoder sees one feature map only (SegNet's SingleChannelDecoder)",
            "far fewer parameters and operations in the decoder",
        ),
    ] = False
    dropout: Annotated[
        float,
        Meaning(
            "share of values that are set to 0 at the places of dropout_after",
            "with dropout, --samples can average over random answers, each of which takes a prediction",
        ),
    ] = Field(0.5, ge=0.0, lt=1.0)
    dropout_after: Annotated[
        tuple[str, ...],
        Meaning(
            "places of dropout: encoder4 (after the convolutions of stage 4), pool4, bottom, decoder4",
            LITTLE,
            example=["encoder4"],
        ),
    ] = ()
    head_kernel: Annotated[
        int,
        Meaning(
            "side in pixels of the last convolution, which gives the logits; odd, and 1 with a stem, whose transposed "
            "convolution stands in its place",
            "its parameters and operations, few of all, grow with its square",
        ),
    ] = Field(1, ge=1, le=15)

    @property
    def stride(self) -> int:
        """Pixels of the picture between neighbouring pixels below the last pooling."""
        return self.stem_stride << self.depth

    @property
    def stem_stride(self) -> int:
        """Pixels of the picture between neighbouring pixels of the first stage."""
        return 2 if self.stem == "strided" else 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Feature maps of each encoder stage."""
        return tuple(self._width(stage) for stage in range(1, self.depth + 1))

    @property
    def bottom_width(self) -> int:
        """Feature maps below the last pooling."""
        return self._width(self.depth + 1) if self.bottom else self.widths[-1]

    @property
    def decoder_pads(self) -> Padding:
        """Padding of the decoder's convolutions."""
        return self.decoder_padding or self.padding

    @property
    def detail(self) -> int:
        """Pixels of the picture between neighbours of the finest maps or pooling indices that reach the logits."""
        if self.skip == "none":
            return self.stride
        return self.stem_stride * (2 if self.skip_from == "pooled" else 1)

    @property
    def unpools(self) -> bool:
        """Whether the decoder uses pooling indices."""
        return self.up == "unpool"

    @property
    def keeps_maps(self) -> bool:
        """Whether skip connections carry feature maps."""
        return self.skip in ("add", "concat")

    @property
    def skip_origins(self) -> dict[int, str]:
        """Decoder stages that keep feature maps of the encoder, with the place where these leave the encoder."""
        if not self.keeps_maps:
            return {}
        # Stage 1 keeps the picture itself, or the stem's maps (pool0), although nothing is added there.
        return {
            stage: f"pool{stage - 1}" if self.skip_from == "pooled" else f"encoder{stage}"
            for stage in range(1, self.depth + 1)
        }

    @property
    def halo(self) -> Border | None:
        """Input pixels that an aligned block of output reads before its first and after its last pixel.

        The walk goes from the output back to the picture along the deepest path, which contains every other. ``full``
        padding shifts the maps against each other by crops: None.
        """
        if self.padding == "full" or self.decoder_pads != self.padding:
            return None
        last = self.stride - 1
        first_read, last_read = reads(self.deepest_path(), (0, last))
        return Border(max(-first_read, 0), max(last_read - last, 0))

    def encoder_count(self, stage: int) -> int:
        """Return the number of convolutions of an encoder stage; of the bottom for stage ``depth + 1``."""
        return _of_stage(self.encoder_convolutions, min(stage, self.depth))

    def decoder_count(self, stage: int) -> int:
        """Return the number of convolutions of a decoder stage."""
        return _of_stage(self.decoder_convolutions, stage)

    def joins_at(self, stage: int) -> bool:
        """Return whether a decoder stage adds or concatenates maps; no pooled maps have the size of stage 1."""
        return self.keeps_maps and not (self.skip_from == "pooled" and stage == 1)

    def output_size(self, size: int) -> int | None:
        """Return the output size for an input of ``size`` pixels, or None where the network cannot run."""
        least = 2 if self.looks_at_everything else 1  # a single pixel has no deviation to divide by
        if self.stem == "strided":
            if size % 2 or size < 2 * least:
                return None
            size = STEM.size(size)
        encoder_sizes: list[tuple[int, int]] = []  # of each stage: before its pooling, of the maps that it sends
        for stage in range(1, self.depth + 1):
            entered = size
            size = self._convolved(self.encoder_count(stage), self.padding, size)
            if size < least or (self.pooling_rounding == "floor" and size % 2):
                return None
            encoder_sizes.append((size, entered if self.skip_from == "pooled" else size))
            size = pooled_size(size, self.pooling_rounding)
        if self.bottom:
            size = self._convolved(self.encoder_count(self.depth + 1), self.padding, size)
        for stage in range(self.depth, 0, -1):
            if size < least:
                return None
            before_pooling, sent = encoder_sizes[stage - 1]
            size = min(2 * size, before_pooling)
            joins = self.joins_at(stage)
            if joins and self.join == "before":
                size = min(size, sent)
            size = self._convolved(self.decoder_count(stage), self.decoder_pads, size)
            if joins and self.join == "after":
                size = min(size, sent)
        return size * self.stem_stride if size >= least else None

    def deepest_path(self) -> list[Layer]:
        """Return the layers from the picture through the bottom to the logits; every other path reads less."""
        down: list[Layer] = []
        up: list[Layer] = [Window(self.head_kernel, 1, *padding_border("same", self.head_kernel))]
        if self.stem == "strided":
            down, up = [STEM], [BLOCKS]
        for stage in range(1, self.depth + 1):
            down += [*self._layers(self.encoder_count(stage), self.padding), POOLING]
            up = [self._up_layer(), *self._layers(self.decoder_count(stage), self.decoder_pads), *up]
        if self.bottom:
            down += self._layers(self.encoder_count(self.depth + 1), self.padding)
        return [*down, *up]

    def decoder_maps(self, stage: int, below: int, classes: int) -> DecoderMaps:
        """Return the numbers of feature maps of a decoder stage that gets ``below`` maps."""
        width = self.widths[stage - 1]
        encoder = self.widths[stage - 2] if self.skip_from == "pooled" and stage > 1 else width
        skip = classes if self.squeeze else encoder
        grown = classes if self.squeeze else width
        if self.skip == "add" and self.join == "before" and self.joins_at(stage) and not self.unpools:
            grown = skip
        if self.up == "transposed" and stage == 1 and not self.up_halves_last:
            grown = below
        concatenated = self.skip == "concat" and self.joins_at(stage)
        # Unpooling keeps the number of maps, so a stage ends with as many as the stage above pooled.
        out = self.widths[max(stage - 2, 0)] if self.unpools else width
        count = self.decoder_count(stage)
        convolved = (*[width] * (count - 1), out) if count else ()
        return DecoderMaps(encoder, skip, grown, grown + skip if concatenated else grown, convolved)

    def _up_layer(self) -> Layer:
        kernel = self.up_kernel
        return UP_LAYERS.get(self.up, Transposed(Window(kernel, 2, (kernel - 1) // 2, (kernel - 2) // 2)))

    def _layers(self, count: int, padding: Padding) -> list[Layer]:
        return [Window(self.kernel, 1, *padding_border(padding, self.kernel))] * count

    def _convolved(self, count: int, padding: Padding, size: int) -> int:
        for layer in self._layers(count, padding):
            size = layer.size(size)
        return size

    def _width(self, stage: int) -> int:
        times: int = self.growth ** (stage - 1)
        return self.width * min(times, self.widest)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for objection in objections(self):
            raise objection
        return self


def _of_stage(counts: PerStage, stage: int) -> int:
    return counts if isinstance(counts, int) else counts[stage - 1]

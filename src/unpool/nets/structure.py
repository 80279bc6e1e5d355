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
from unpool.nets.network import NetworkStructure
from unpool.nets.structure_rules import MOST_STAGES, objections

Count = Annotated[int, Field(ge=0, le=16)]
PerStage = Count | tuple[Count, ...]

POOLING = Window(2, 2)
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

    Attributes
    ----------
    width, growth, widest, depth: stage i of ``depth`` has ``width * growth**(i-1)`` feature maps, at most ``widest``
        times ``width``; a 2x2 max-pooling follows each stage.
    bottom: whether convolutions follow below the last pooling, with the width of one more stage.
    encoder_convolutions, decoder_convolutions: convolutions in each stage, one number or a tuple with one for each
        stage; the bottom has as many as the last encoder stage.
    kernel: side of every convolution, odd.
    padding: ``same`` keeps the size, ``valid`` loses ``kernel - 1`` pixels a convolution, ``full`` gains as many.
    decoder_padding: padding in the decoder; None: as ``padding``.
    block: ``plain`` convolutions in a row, or ``residual``: the first, then a sum around all but the last, then
        the last (FusionNet's conv, residual, conv).
    norm: normalisation after each convolution; ``group`` and ``instance`` look at the whole input, so that their
        answer depends on the tile.
    encoder_relu, decoder_relu, up_relu: whether a ReLU follows convolutions of the encoder, of the decoder, and
        up-convolutions.
    bias: whether the convolutions have a bias.
    input_norm: ``lrn`` puts local response normalisation before the first convolution.
    pooling_rounding: ``floor`` drops an odd last row, so odd sizes are not legal; ``ceil`` keeps it, as Caffe does.
    skip: skip connections: ``none``, ``index`` (pooling indices), ``add`` or ``concat`` (feature maps; the larger
        side is cropped at the centre).
    skip_from: feature maps of the skip connection: the stage's ``convolved`` ones, or the ``pooled`` ones of the
        stage above, which have the same size.
    join: whether feature maps are added or concatenated ``before`` or ``after`` the convolutions of a decoder stage.
    concat_order: which maps come first in a concatenation, those of the ``skip`` connection or the ``up``-sampled.
    squeeze: whether 1x1 convolutions reduce the skip connection and the decoder's input to one map a class (FCN's
        dimension reduction); the last decoder stage then gives the logits.
    up: how a decoder stage doubles the size.
    up_kernel: side of a ``transposed`` convolution, stride 2.
    up_bias: whether a transposed convolution has a bias.
    up_start: initial weights of a transposed convolution: ``he``, or ``bilinear`` interpolation.
    up_halves_last: whether the last up-convolution halves the number of maps as the others do.
    decoder_depthwise: whether decoder convolutions see one feature map each (SegNet's SingleChannelDecoder).
    dropout, dropout_after: share of values set to 0, and the places: ``encoder4``, ``pool4``, ``bottom``, ``decoder4``.
    head_kernel: side of the last convolution, which gives the logits.
    """

    kind: Literal["encoder-decoder"] = "encoder-decoder"
    width: int = Field(32, ge=1, le=4096)
    growth: Literal[1, 2] = 2
    widest: int = Field(64, ge=1, le=64)
    depth: int = Field(4, ge=1, le=MOST_STAGES)
    bottom: bool = True
    encoder_convolutions: PerStage = 2
    decoder_convolutions: PerStage = 2
    kernel: int = Field(3, ge=1, le=15)
    padding: Padding = "same"
    decoder_padding: Padding | None = None
    block: Literal["plain", "residual"] = "plain"
    norm: Literal["none", "batch", "group", "instance"] = "batch"
    encoder_relu: bool = True
    decoder_relu: bool = True
    up_relu: bool = False
    bias: bool = True
    input_norm: Literal["none", "lrn"] = "none"
    pooling_rounding: Rounding = "floor"
    skip: Literal["none", "index", "add", "concat"] = "concat"
    skip_from: Literal["convolved", "pooled"] = "convolved"
    join: Literal["before", "after"] = "before"
    concat_order: Literal["skip", "up"] = "skip"
    squeeze: bool = False
    up: Literal["unpool", "transposed", "bilinear", "nearest"] = "transposed"
    up_kernel: int = Field(2, ge=2, le=16)
    up_bias: bool = True
    up_start: Literal["he", "bilinear"] = "he"
    up_halves_last: bool = True
    decoder_depthwise: bool = False
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    dropout_after: tuple[str, ...] = ()
    head_kernel: int = Field(1, ge=1, le=15)

    @property
    def stride(self) -> int:
        """Pixels of the picture between neighbouring pixels below the last pooling."""
        return 1 << self.depth

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
        return 2 if self.skip_from == "pooled" else 1

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
        # Stage 1 keeps the picture itself (pool0), although nothing is added there.
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
        return size if size >= least else None

    def deepest_path(self) -> list[Layer]:
        """Return the layers from the picture through the bottom to the logits; every other path reads less."""
        down: list[Layer] = []
        up: list[Layer] = []
        for stage in range(1, self.depth + 1):
            down += [*self._layers(self.encoder_count(stage), self.padding), POOLING]
            up = [self._up_layer(), *self._layers(self.decoder_count(stage), self.decoder_pads), *up]
        if self.bottom:
            down += self._layers(self.encoder_count(self.depth + 1), self.padding)
        return [*down, *up, Window(self.head_kernel, 1, *padding_border("same", self.head_kernel))]

    def decoder_maps(self, stage: int, below: int, classes: int) -> DecoderMaps:
        """Return the numbers of feature maps of a decoder stage that gets ``below`` maps."""
        width = self.widths[stage - 1]
        encoder = self.widths[stage - 2] if self.skip_from == "pooled" and stage > 1 else width
        skip = classes if self.squeeze else encoder
        grown = classes if self.squeeze else width
        if self.skip == "add" and self.join == "before" and self.joins_at(stage):
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

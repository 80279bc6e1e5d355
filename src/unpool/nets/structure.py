"""The structure of an encoder-decoder network, as one frozen value.

Most segmentation networks are an encoder that shrinks, a decoder that grows back, and some way for the decoder to
learn where things were. ``Structure`` names those choices; ``EncoderDecoder`` runs any of them; a paper's network
is one value (see ``unpool.nets.named``).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from unpool.geometry import Padding, Rounding

Count = Annotated[int, Field(ge=0, le=16)]
PerStage = Count | tuple[Count, ...]

GROUPS = 8
"""Groups of ``norm='group'``."""

PLACE = re.compile(r"(encoder|pool|decoder)([1-9])|bottom")
"""A place for dropout: after a stage's convolutions, after its pooling, or after the bottom's convolutions."""


class Structure(BaseModel):
    """What a network is made of; image channels and classes come from the data.

    Stages count from 1 at the picture downwards; a decoder stage has the number of the encoder stage it mirrors.

    Attributes
    ----------
    width, growth, widest, depth: stage i of ``depth`` has ``width * growth**(i-1)`` feature maps, at most ``widest``
        times ``width``; a 2x2 max-pooling follows each stage.
    bottom: whether convolutions follow below the last pooling, with the next width.
    encoder_convolutions, decoder_convolutions: convolutions in each stage (a tuple gives each stage's own); the
        bottom has as many as the last encoder stage.
    kernel: side of every convolution, odd.
    padding: ``same`` keeps the size, ``valid`` loses ``kernel - 1`` pixels a convolution, ``full`` gains as many.
    decoder_padding: padding in the decoder, where it is another.
    block: ``plain`` convolutions in a row, or ``residual``: the first, then a sum around all but the last, then
        the last (FusionNet's conv, residual, conv).
    norm: what follows each convolution; ``group`` and ``instance`` look at the whole picture and so depend on tiles.
    encoder_relu, decoder_relu, up_relu: whether a ReLU follows convolutions of the encoder, of the decoder, and
        up-convolutions.
    bias: whether the convolutions have a bias.
    input_norm: ``lrn`` puts local response normalisation before the first convolution.
    pooling_rounding: ``floor`` drops an odd last row, so odd sizes are not legal; ``ceil`` keeps it, as Caffe does.
    skip: what crosses from encoder to decoder: ``none``, ``index`` (positions of the maxima), ``add`` or ``concat``
        (feature maps; the larger side is cropped at the centre).
    skip_from: which maps cross: the stage's ``convolved`` ones, or the ``pooled`` ones of the stage above, which
        have the same size.
    join: whether what crosses is added or concatenated ``before`` or ``after`` the decoder stage's convolutions.
    concat_order: which comes first in a concatenation, the ``skip`` or the ``up``-sampled maps.
    squeeze: 1x1 convolutions reduce to one map a class what crosses and what enters the decoder (FCN's dimension
        reduction); the last decoder stage then gives the logits.
    up: how a decoder stage doubles the size.
    up_kernel: side of a ``transposed`` convolution, stride 2.
    up_bias: whether a transposed convolution has a bias.
    up_start: initial weights of a transposed convolution: ``he``, or ``bilinear`` interpolation.
    up_halves_last: whether the last up-convolution halves the maps as the others do.
    decoder_depthwise: decoder convolutions see one feature map each (SegNet's SingleChannelDecoder).
    dropout, dropout_after: share of values set to 0, and the places: ``encoder4``, ``pool4``, ``bottom``, ``decoder4``.
    head_kernel: side of the last convolution, which gives the logits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["encoder-decoder"] = "encoder-decoder"
    width: int = Field(32, ge=1, le=4096)
    growth: Literal[1, 2] = 2
    widest: int = Field(64, ge=1, le=64)
    depth: int = Field(4, ge=1, le=8)
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

    def encoder_count(self, stage: int) -> int:
        """Convolutions of encoder stage ``stage``; of the bottom for ``depth + 1``."""
        return _of_stage(self.encoder_convolutions, min(stage, self.depth))

    def decoder_count(self, stage: int) -> int:
        """Convolutions of decoder stage ``stage``."""
        return _of_stage(self.decoder_convolutions, stage)

    def padding_in_decoder(self) -> Padding:
        """The padding of the decoder's convolutions."""
        return self.decoder_padding or self.padding

    def joins_at(self, stage: int) -> bool:
        """Whether maps cross to decoder stage ``stage``; above the first stage nothing was pooled."""
        return self.skip in ("add", "concat") and not (self.skip_from == "pooled" and stage == 1)

    def _width(self, stage: int) -> int:
        times: int = self.growth ** (stage - 1)
        return self.width * min(times, self.widest)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for reason in _objections(self):
            raise ValueError(reason)
        return self


class DecoderMaps(NamedTuple):
    """Feature maps on the way through a decoder stage."""

    across: int  # of what crosses, as the encoder made it
    crossing: int  # the same after squeezing
    grown: int  # after upsampling
    fused: int  # after a join before the convolutions
    convolved: tuple[int, ...]  # after each convolution

    @property
    def out(self) -> int:
        """Feature maps that leave the stage."""
        return self.convolved[-1] if self.convolved else self.fused


def decoder_maps(structure: Structure, stage: int, below: int, classes: int) -> DecoderMaps:
    """Count the feature maps of a decoder stage that gets ``below`` maps."""
    width = structure.widths[stage - 1]
    across = structure.widths[stage - 2] if structure.skip_from == "pooled" and stage > 1 else width
    crossing = classes if structure.squeeze else across
    grown = classes if structure.squeeze else width
    if structure.skip == "add" and structure.join == "before" and structure.joins_at(stage):
        grown = crossing
    if structure.up == "transposed" and stage == 1 and not structure.up_halves_last:
        grown = below
    joined = structure.skip == "concat" and structure.joins_at(stage)
    # Unpooling keeps the number of maps, so a stage ends with as many as the one above was pooled from.
    out = structure.widths[max(stage - 2, 0)] if structure.up == "unpool" else width
    count = structure.decoder_count(stage)
    convolved = (*[width] * (count - 1), out) if count else ()
    return DecoderMaps(across, crossing, grown, grown + crossing if joined else grown, convolved)


def _of_stage(counts: PerStage, stage: int) -> int:
    return counts if isinstance(counts, int) else counts[stage - 1]


def _objections(given: Structure) -> list[str]:
    """Why the choices do not fit together, each with what to set."""
    reasons = []
    if given.kernel % 2 == 0 or given.head_kernel % 2 == 0:
        reasons.append("a centred convolution needs an odd kernel; set kernel and head_kernel to odd numbers")
    for name in ("encoder_convolutions", "decoder_convolutions"):
        counts = getattr(given, name)
        if isinstance(counts, tuple) and len(counts) != given.depth:
            reasons.append(
                f"{name} has {len(counts)} stages, depth is {given.depth}; set {name} to one number or {given.depth}"
            )
    if reasons:
        return reasons
    counts = [given.encoder_count(stage) for stage in range(1, given.depth + 1)]
    if min(counts) < 1:
        reasons.append("every encoder stage needs a convolution; set encoder_convolutions to 1 or more")
    if given.block == "residual":
        counts += [count for stage in range(1, given.depth + 1) if (count := given.decoder_count(stage))]
        if min(counts) < 3:
            reasons.append("a residual block is conv, residual, conv; set the convolutions of a stage to 3 or more")
        if "same" not in (given.padding, given.padding_in_decoder()) or given.padding != given.padding_in_decoder():
            reasons.append("a residual sum needs equal sizes; set padding=same")
    if given.skip == "index" and given.up != "unpool":
        reasons.append(f"skip 'index' carries pooling positions, which up '{given.up}' cannot use; set up=unpool")
    if given.up == "unpool":
        reasons += _objections_to_unpooling(given)
    if given.skip_from == "pooled" and given.skip in ("none", "index"):
        reasons.append(f"skip '{given.skip}' carries no maps to choose from; set skip_from=convolved, or skip=add")
    if given.join == "after" and given.skip not in ("add",):
        reasons.append("only a sum can be joined after the convolutions; set skip=add, or join=before")
    if given.squeeze and (given.skip == "concat" or any(given.decoder_count(s) for s in range(1, given.depth + 1))):
        reasons.append("squeezed maps are summed and not convolved; set skip=add or none, and decoder_convolutions=0")
    if given.squeeze and given.up == "unpool":
        reasons.append("squeezed maps have lost the maps that positions belong to; set up=transposed or bilinear")
    if given.norm == "group" and any(w % GROUPS for w in (*given.widths, given.bottom_width)):
        reasons.append(f"norm 'group' needs widths that are multiples of {GROUPS}; set width to one")
    if not reasons:
        reasons += _objections_to_maps(given)
    for place in given.dropout_after:
        match = PLACE.fullmatch(place)
        if not match or (match[2] and int(match[2]) > given.depth) or (place == "bottom" and not given.bottom):
            reasons.append(
                f"no place '{place}' for dropout; set dropout_after to places such as encoder1, pool1, decoder1, bottom"
            )
    return reasons


def _objections_to_unpooling(given: Structure) -> list[str]:
    reasons = []
    if given.skip == "none":
        reasons.append("up 'unpool' needs the pooling positions; set skip=index, add or concat")
    if (given.padding, given.padding_in_decoder()) != ("same", "same"):
        reasons.append("up 'unpool' puts values back where they were pooled; set padding=same")
    return reasons


def _objections_to_maps(given: Structure) -> list[str]:
    """Where numbers of feature maps do not meet, walking up the decoder."""
    classes = 1
    below = classes if given.squeeze else given.bottom_width
    for stage in range(given.depth, 0, -1):
        maps = decoder_maps(given, stage, below, classes)
        if given.up == "unpool" and below != given.widths[stage - 1]:
            return [
                f"unpooling puts back as many maps as were pooled, but stage {stage} pooled "
                f"{given.widths[stage - 1]} and gets {below}; set growth=1, or bottom=false and "
                "decoder_convolutions to 1 or more"
            ]
        added = maps.grown if given.join == "before" else maps.out
        if given.skip == "add" and given.joins_at(stage) and added != maps.crossing:
            return [
                f"stage {stage} would add {maps.crossing} maps to {added}; set growth=1, skip=concat or join=before"
            ]
        if given.decoder_depthwise and any(width != maps.fused for width in maps.convolved):
            return [
                f"depthwise convolutions keep the number of maps, but stage {stage} gets {maps.fused} and gives "
                f"{maps.out}; set growth=1 and skip=index, add or none"
            ]
        below = maps.out
    return []

"""What a paper, or its released network, calls each layer.

U-Net's release names a layer after the maps it takes and makes (``conv_d0a-b``), SegNet's after VGG16 with the decoder
mirrored (``conv5_3``, ``conv5_3_D``), FusionNet's paper after the way (``down1``, ``bridge``, ``up1``). A structure of
no paper is named in the manner it resembles most. FCN's modules have the release's names already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unpool.nets.fcn import TRUNK, FCNStructure
from unpool.nets.sizes import AnyStructure
from unpool.nets.structure import Structure

Side = Literal["encoder", "bottom", "decoder", "head"]
LayerPart = Literal[
    "norm", "convolution", "pooling", "up", "up-convolution", "residual", "squeeze", "join", "classifier"
]


@dataclass(frozen=True)
class LayerPlace:
    """Where a layer stands: stages count from 1 at the picture; ``index`` counts convolutions of a stage from 1."""

    side: Side
    stage: int
    part: LayerPart
    index: int = 0


_FCN_PLACES: dict[str, tuple[Side, int]] = {
    **{name: ("encoder", stage) for stage, names in enumerate(TRUNK, 1) for name in names},
    **{f"pool{stage}": ("encoder", stage) for stage in range(1, len(TRUNK) + 1)},
    **dict.fromkeys(("fc6", "fc7", "score_fr"), ("bottom", len(TRUNK) + 1)),
    **dict.fromkeys(("upscore2", "score_pool4", "fuse_pool4"), ("decoder", 4)),
    **dict.fromkeys(("upscore_pool4", "score_pool3", "fuse_pool3"), ("decoder", 3)),
    **dict.fromkeys(("upscore", "upscore16", "upscore8"), ("head", 1)),
}


def place_of(structure: AnyStructure, path: str, part: LayerPart, index: int = 0) -> LayerPlace:
    """Where the module at ``path`` of the network stands."""
    if isinstance(structure, FCNStructure):
        return LayerPlace(*_FCN_PLACES[path], part, index)
    room, _, rest = path.partition(".")
    number = int(rest.partition(".")[0]) if room in ("encoder", "decoder") else 0
    places: dict[str, tuple[Side, int]] = {
        "input_norm": ("encoder", 1),
        "encoder": ("encoder", number + 1),
        "bottom": ("bottom", structure.depth + 1),
        "squeeze": ("bottom", structure.depth + 1),
        "decoder": ("decoder", structure.depth - number),
        "head": ("head", 1),
    }
    return LayerPlace(*places[room], part, index)


def paper_name(structure: AnyStructure, place: LayerPlace, path: str) -> str:
    """The name of a layer, in the manner of the paper that the structure resembles; FCN's modules have it already."""
    if isinstance(structure, FCNStructure):
        return path
    if structure.block == "residual":
        return _fusionnet_name(structure, place)
    if structure.growth == 1 or structure.up == "unpool":
        return _segnet_name(structure, place)
    return _unet_name(structure, place)


def _unet_name(structure: Structure, place: LayerPlace) -> str:
    """``d`` is down, ``u`` up; levels count from 0; letters count the maps of a level."""
    level, last = place.stage - 1, _letter(structure.encoder_count(place.stage))
    down = place.side in ("encoder", "bottom")
    match place.part:
        case "convolution" if down:
            return f"conv_d{level}{_letter(place.index - 1)}-{_letter(place.index)}"
        case "convolution":
            return f"conv_u{level}{_letter(place.index)}-{_letter(place.index + 1)}"
        case "pooling":
            return f"pool_d{level}{last}-{level + 1}a"
        case "up-convolution":
            return f"upconv_{_below(structure, place.stage)}_u{level}a"
        case "up":
            return f"up_{_below(structure, place.stage)}_u{level}a"
        case "join":
            word = "concat" if structure.skip == "concat" else "sum"
            return f"{word}_d{level}{last}c_u{level}a-b"
        case "squeeze":
            return f"reduce_d{level}{last}"
        case "classifier":
            return f"conv_u0{_letter(1 + structure.decoder_count(1))}-score"
        case _:
            return "norm_d0a"


def _below(structure: Structure, stage: int) -> str:
    """The last maps under a decoder stage."""
    if stage < structure.depth:
        return f"u{stage}{_letter(1 + structure.decoder_count(stage + 1))}"
    return f"d{stage}{_letter(structure.encoder_count(stage + 1) if structure.bottom else 0)}"


def _letter(number: int) -> str:
    return chr(ord("a") + number)


def _segnet_name(structure: Structure, place: LayerPlace) -> str:
    """Stages of one convolution are named as in SegNet-Basic, others as in SegNet on VGG16."""
    stage, several = place.stage, structure.encoder_count(place.stage) > 1
    match place.part:
        case "convolution" if place.side == "bottom":
            return f"conv{stage}_{place.index}"
        case "convolution" if place.side == "encoder":
            return f"conv{stage}_{place.index}" if several else f"conv{stage}"
        case "convolution":
            mirrored = max(structure.encoder_count(stage), structure.decoder_count(stage)) - place.index + 1
            return f"conv{stage}_{mirrored}_D" if several else f"conv_decode{stage}"
        case "pooling":
            return f"pool{stage}"
        case "up":
            return f"upsample{stage}"
        case "up-convolution":
            return f"deconv{stage}"
        case "join":
            return f"add{stage}" if structure.skip == "add" else f"concat{stage}"
        case "squeeze":
            return f"reduce{stage}"
        case "classifier":
            mirror = structure.decoder_count(1) == structure.encoder_count(1) - 1 > 0
            return "conv1_1_D" if mirror else "conv_classifier"
        case _:
            return "norm"


def _fusionnet_name(structure: Structure, place: LayerPlace) -> str:
    group = {"encoder": f"down{place.stage}", "bottom": "bridge", "decoder": f"up{place.stage}", "head": "out"}
    count = structure.decoder_count if place.side == "decoder" else structure.encoder_count
    own = group[place.side]
    match place.part:
        case "convolution" if place.index == 1:
            return f"{own}_conv1"
        case "convolution" if place.index == count(place.stage):
            return f"{own}_conv2"
        case "convolution":
            return f"{own}_res{place.index - 1}"
        case "residual":
            return f"{own}_sum"
        case "pooling":
            return f"pool{place.stage}"
        case "up-convolution":
            return f"deconv{place.stage}"
        case "up":
            return f"up{place.stage}"
        case "join":
            return f"merge{place.stage}"
        case "squeeze":
            return f"reduce{place.stage}"
        case "classifier":
            return "out"
        case _:
            return "norm"

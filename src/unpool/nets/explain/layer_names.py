"""Names that a paper or its release gives to the layers of an encoder-decoder network.

U-Net's release names a layer after the maps it takes and makes (``conv_d0a-b``), SegNet's after VGG16 with the decoder
mirrored (``conv5_3``, ``conv5_3_D``), FusionNet's paper after the way (``down1``, ``bridge``, ``up1``). A structure of
no paper gets names in the manner of the paper that it resembles most.
"""

from __future__ import annotations

from unpool.nets.explain.records import LayerPart, LayerPlace
from unpool.nets.structure import Structure


def layer_name(structure: Structure, place: LayerPlace, part: LayerPart, index: int) -> str:
    """Return the name of a layer; ``index`` is the number of a convolution within its stage, from 1."""
    if has_unet_names(structure):
        return _unet_name(structure, place, part, index)
    if structure.block == "residual":
        return _fusionnet_name(structure, place, part, index)
    return _segnet_name(structure, place, part, index)


def has_unet_names(structure: Structure) -> bool:
    """Return whether the layers are named as in U-Net's release."""
    return structure.block != "residual" and structure.growth != 1 and not structure.unpools


def _unet_name(structure: Structure, place: LayerPlace, part: LayerPart, index: int) -> str:
    """Return U-Net's name: ``d`` is down, ``u`` up; levels count from 0; letters count the maps of a level."""
    level, last = place.stage - 1, _letter(structure.encoder_count(place.stage))
    down = place.side in ("encoder", "bottom")
    match part:
        case "convolution" if down:
            return f"conv_d{level}{_letter(index - 1)}-{_letter(index)}"
        case "convolution":
            return f"conv_u{level}{_letter(index)}-{_letter(index + 1)}"
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
        case "stem":
            return "stem_d0a"
        case "classifier":
            up = "up" if structure.stem == "strided" else ""
            return f"{up}conv_u0{_letter(1 + structure.decoder_count(1))}-score"
        case _:
            return "norm_d0a"


def _below(structure: Structure, stage: int) -> str:
    """Return the name of the last maps below a decoder stage."""
    if stage < structure.depth:
        return f"u{stage}{_letter(1 + structure.decoder_count(stage + 1))}"
    return f"d{stage}{_letter(structure.encoder_count(stage + 1) if structure.bottom else 0)}"


def _letter(number: int) -> str:
    return chr(ord("a") + number)


def _segnet_name(structure: Structure, place: LayerPlace, part: LayerPart, index: int) -> str:
    """Return SegNet-Basic's name for stages of one convolution, and the name of SegNet on VGG16 for others."""
    stage, several = place.stage, structure.encoder_count(place.stage) > 1
    match part:
        case "convolution" if place.side == "bottom":
            return f"conv{stage}_{index}"
        case "convolution" if place.side == "encoder":
            return f"conv{stage}_{index}" if several else f"conv{stage}"
        case "convolution":
            mirrored = max(structure.encoder_count(stage), structure.decoder_count(stage)) - index + 1
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
        case "stem":
            return "stem"
        case "classifier" if structure.stem == "strided":
            return "deconv_classifier"
        case "classifier":
            mirror = structure.decoder_count(1) == structure.encoder_count(1) - 1 > 0
            return "conv1_1_D" if mirror else "conv_classifier"
        case _:
            return "norm"


def _fusionnet_name(structure: Structure, place: LayerPlace, part: LayerPart, index: int) -> str:
    group = {"encoder": f"down{place.stage}", "bottom": "bridge", "decoder": f"up{place.stage}", "head": "out"}
    count = structure.decoder_count if place.side == "decoder" else structure.encoder_count
    own = group[place.side]
    match part:
        case "convolution" if index == 1:
            return f"{own}_conv1"
        case "convolution" if index == count(place.stage):
            return f"{own}_conv2"
        case "convolution":
            return f"{own}_res{index - 1}"
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
        case "stem":
            return "stem"
        case "classifier":
            return "out"
        case _:
            return "norm"

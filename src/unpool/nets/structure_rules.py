"""Rules that the choices of an encoder-decoder structure obey together.

``tests/test_nets.py`` draws random structures. Each is refused here with the setting that repairs it, or it runs,
learns and tiles exactly; 200 of the latter are tested.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unpool.wording import count_text

if TYPE_CHECKING:
    from unpool.nets.structure import Structure

GROUPS = 8
"""Groups of ``norm='group'``."""

PLACE = re.compile(r"(encoder|pool|decoder)([1-9])|bottom")
"""A place for dropout: after a stage's convolutions, after its pooling, or after the bottom's convolutions."""


def objections(structure: Structure) -> list[str]:
    """Return why the choices do not fit together, each reason with the setting that repairs it."""
    reasons = []
    if structure.kernel % 2 == 0 or structure.head_kernel % 2 == 0:
        reasons.append("a centred convolution needs an odd kernel; set kernel and head_kernel to odd numbers")
    for name in ("encoder_convolutions", "decoder_convolutions"):
        counts = getattr(structure, name)
        if isinstance(counts, tuple) and len(counts) != structure.depth:
            reasons.append(
                f"{name} has numbers for {count_text(len(counts), 'stage')}, depth is {structure.depth}; "
                f"set {name} to one number or {structure.depth}"
            )
    if reasons:
        return reasons
    counts = [structure.encoder_count(stage) for stage in range(1, structure.depth + 1)]
    decoder_counts = [structure.decoder_count(stage) for stage in range(1, structure.depth + 1)]
    if min(counts) < 1:
        reasons.append("every encoder stage needs a convolution; set encoder_convolutions to 1 or more")
    if structure.block == "residual":
        counts += [count for count in decoder_counts if count]
        if min(counts) < 3:
            reasons.append("a residual block is conv, residual, conv; set the convolutions of a stage to 3 or more")
        if "same" not in (structure.padding, structure.decoder_pads) or structure.padding != structure.decoder_pads:
            reasons.append("a residual sum needs equal sizes; set padding=same")
    if structure.skip == "index" and not structure.unpools:
        reasons.append(f"skip 'index' carries pooling indices, which up '{structure.up}' cannot use; set up=unpool")
    if structure.unpools:
        reasons += _objections_to_unpooling(structure)
    if structure.skip_from == "pooled" and structure.skip in ("none", "index"):
        reasons.append(f"skip '{structure.skip}' carries no maps to choose from; set skip_from=convolved, or skip=add")
    if structure.join == "after" and structure.skip != "add":
        reasons.append("only a sum can be joined after the convolutions; set skip=add, or join=before")
    if structure.squeeze and (structure.skip == "concat" or any(decoder_counts)):
        reasons.append("squeezed maps are summed and not convolved; set skip=add or none, and decoder_convolutions=0")
    if structure.squeeze and structure.unpools:
        reasons.append("squeezed maps have lost the maps that pooling indices belong to; set up=transposed or bilinear")
    if structure.norm == "group" and any(w % GROUPS for w in (*structure.widths, structure.bottom_width)):
        reasons.append(f"norm 'group' needs widths that are multiples of {GROUPS}; set width to one")
    if not reasons:
        reasons += _objections_to_maps(structure)
    for place in structure.dropout_after:
        match = PLACE.fullmatch(place)
        if not match or (match[2] and int(match[2]) > structure.depth) or (place == "bottom" and not structure.bottom):
            reasons.append(
                f"no place '{place}' for dropout; set dropout_after to places such as encoder1, pool1, decoder1, bottom"
            )
    return reasons


def _objections_to_unpooling(structure: Structure) -> list[str]:
    reasons = []
    if structure.skip == "none":
        reasons.append("up 'unpool' needs pooling indices; set skip=index, add or concat")
    if (structure.padding, structure.decoder_pads) != ("same", "same"):
        reasons.append("unpooling needs the size that was pooled; set padding=same")
    return reasons


def _objections_to_maps(structure: Structure) -> list[str]:
    """Return where the numbers of feature maps do not agree, from the bottom of the decoder upwards."""
    classes = 1
    below = classes if structure.squeeze else structure.bottom_width
    for stage in range(structure.depth, 0, -1):
        maps = structure.decoder_maps(stage, below, classes)
        if structure.unpools and below != structure.widths[stage - 1]:
            return [
                f"unpooling puts back as many maps as were pooled, but stage {stage} pooled "
                f"{structure.widths[stage - 1]} and gets {below}; set growth=1, or bottom=false and "
                "decoder_convolutions to 1 or more"
            ]
        added = maps.grown if structure.join == "before" else maps.out
        if structure.skip == "add" and structure.joins_at(stage) and added != maps.skip:
            return [f"stage {stage} would add {maps.skip} maps to {added}; set growth=1, skip=concat or join=before"]
        if structure.decoder_depthwise and any(width != maps.fused for width in maps.convolved):
            return [
                f"depthwise convolutions keep the number of maps, but stage {stage} gets {maps.fused} and gives "
                f"{maps.out}; set growth=1 and skip=index, add or none"
            ]
        below = maps.out
    return []

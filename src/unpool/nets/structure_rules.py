"""Rules that the choices of an encoder-decoder structure obey together.

``tests/test_nets.py`` draws random structures. Each is refused here with the settings that repair it, or it runs,
learns and tiles exactly; 200 of the latter are tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from unpool.errors import ObjectionError
from unpool.wording import count_text

if TYPE_CHECKING:
    from unpool.nets.structure import PerStage, Structure

GROUPS = 8
"""Groups of ``norm='group'``."""

MOST_STAGES = 8

PLACE = re.compile(rf"(encoder|pool|decoder)([1-{MOST_STAGES}])|bottom")
"""A place for dropout: after a stage's convolutions, after its pooling, or after the bottom's convolutions."""

COUNTS = ("encoder_convolutions", "decoder_convolutions")

RESIDUAL_LEAST = 3
"""The fewest convolutions of a residual block: conv, residual, conv."""

INTERPOLATIONS = ({"up": "transposed"}, {"up": "bilinear"})
"""Changes to a decoder that needs no pooling indices."""


def objections(structure: Structure) -> Iterator[ObjectionError]:
    """Yield why the choices do not fit together; each objection takes for granted that those before are repaired."""
    yield from _objections_to_convolutions(structure)
    yield from _objections_to_skips(structure)
    if structure.norm == "group" and any(w % GROUPS for w in (*structure.widths, structure.bottom_width)):
        nearest = max(round(structure.width / GROUPS), 1) * GROUPS
        reason = f"norm 'group' needs widths that are multiples of {GROUPS}"
        yield ObjectionError(reason, {"width": nearest}, {"norm": "instance"}, {"norm": "batch"})
    yield from _objections_to_maps(structure)
    yield from _objections_to_dropout(structure)


def _objections_to_convolutions(structure: Structure) -> Iterator[ObjectionError]:
    for name in ("kernel", "head_kernel"):
        side = getattr(structure, name)
        if side % 2 == 0:
            yield ObjectionError(f"a centred convolution needs an odd kernel, {name} is {side}", {name: side + 1})
    if structure.stem == "strided" and structure.head_kernel != 1:
        reason = f"a strided stem has a 2x2 transposed convolution as its head, head_kernel is {structure.head_kernel}"
        yield ObjectionError(reason, {"head_kernel": 1}, {"stem": "none"})
    for name in COUNTS:
        counts = getattr(structure, name)
        if isinstance(counts, tuple) and len(counts) != structure.depth:
            stages = [*counts, *[counts[-1] if counts else 2] * structure.depth][: structure.depth]
            reason = f"{name} has numbers for {count_text(len(counts), 'stage')}, depth is {structure.depth}"
            deeper = [{"depth": len(counts)}] if 1 <= len(counts) <= MOST_STAGES else []
            yield ObjectionError(reason, {name: _short(stages)}, *deeper)
    at_least_one = _raised(structure.encoder_convolutions, 1)
    if at_least_one != _short(structure.encoder_convolutions):
        yield ObjectionError("every encoder stage needs a convolution", {"encoder_convolutions": at_least_one})
    if structure.block != "residual":
        return
    plain = {"block": "plain"}
    raised_to_block = {name: _raised(getattr(structure, name), RESIDUAL_LEAST, keep_none=True) for name in COUNTS}
    short = {name: counts for name, counts in raised_to_block.items() if counts != _short(getattr(structure, name))}
    if short:
        reason = f"a residual block is conv, residual, conv: {RESIDUAL_LEAST} convolutions or more in a stage"
        yield ObjectionError(reason, short, plain)
    if (structure.padding, structure.decoder_pads) != ("same", "same"):
        yield ObjectionError("a residual sum needs equal sizes", _same_padding(structure), plain)


def _objections_to_skips(structure: Structure) -> Iterator[ObjectionError]:
    skip, up = structure.skip, structure.up
    none, add, concat, index = ({"skip": value} for value in ("none", "add", "concat", "index"))
    if skip == "index" and not structure.unpools:
        reason = f"skip 'index' carries pooling indices, which up '{up}' cannot use"
        yield ObjectionError(reason, none, add, concat, {"up": "unpool"})
    if structure.unpools and skip == "none":
        yield ObjectionError("up 'unpool' needs pooling indices", index, add, concat, *INTERPOLATIONS)
    if structure.unpools and (structure.padding, structure.decoder_pads) != ("same", "same"):
        reason = "unpooling needs the size that was pooled"
        yield ObjectionError(reason, _same_padding(structure), *INTERPOLATIONS)
    if structure.skip_from == "pooled" and not structure.keeps_maps:
        reason = f"skip '{skip}' carries no maps to choose from"
        yield ObjectionError(reason, {"skip_from": "convolved"}, add, concat)
    if structure.join == "after" and skip != "add":
        yield ObjectionError("only a sum can be joined after the convolutions", add, {"join": "before"})
    unsqueezed = {"squeeze": False}
    if structure.squeeze and skip == "concat":
        yield ObjectionError("squeezed maps are summed, not concatenated", add, none, unsqueezed)
    if structure.squeeze and _short(structure.decoder_convolutions) != 0:
        yield ObjectionError("squeezed maps are not convolved", {"decoder_convolutions": 0}, unsqueezed)
    if structure.squeeze and structure.unpools:
        reason = "squeezed maps have lost the maps that pooling indices belong to"
        yield ObjectionError(reason, *INTERPOLATIONS, unsqueezed)


def _objections_to_maps(structure: Structure) -> Iterator[ObjectionError]:
    """Yield where the numbers of feature maps do not agree, from the bottom of the decoder upwards."""
    classes = 1
    below = classes if structure.squeeze else structure.bottom_width
    for stage in range(structure.depth, 0, -1):
        maps = structure.decoder_maps(stage, below, classes)
        if structure.unpools and below != structure.widths[stage - 1]:
            yield ObjectionError(
                f"unpooling puts back as many maps as were pooled, but stage {stage} pooled "
                f"{structure.widths[stage - 1]} and gets {below}",
                {"bottom": False} if stage == structure.depth else
                {"decoder_convolutions": _raised(structure.decoder_convolutions, 1)},
                {"growth": 1}, *INTERPOLATIONS,
            )  # fmt: skip
        added = maps.grown if structure.join == "before" else maps.out
        if structure.skip == "add" and structure.joins_at(stage) and added != maps.skip:
            yield ObjectionError(
                f"stage {stage} would add {maps.skip} maps to {added}",
                *_others(
                    structure, {"join": "before"}, {"up_halves_last": True}, {"growth": 1}, {"skip_from": "convolved"},
                ),
                {"skip": "concat"}, {"skip": "none"},
            )  # fmt: skip
        if structure.decoder_depthwise and any(width != maps.fused for width in maps.convolved):
            yield ObjectionError(
                f"depthwise convolutions keep the number of maps, but stage {stage} gets {maps.fused} and gives "
                f"{maps.out}",
                *_others(
                    structure, {"skip": "add"}, {"skip": "none"}, {"growth": 1}, {"up_halves_last": True},
                    {"skip_from": "convolved"}, {"decoder_depthwise": False},
                ),
            )  # fmt: skip
        below = maps.out


def _objections_to_dropout(structure: Structure) -> Iterator[ObjectionError]:
    places = {place: PLACE.fullmatch(place) for place in structure.dropout_after}
    wrong = {
        place: match
        for place, match in places.items()
        if not match or (int(match[2]) > structure.depth if match[2] else not structure.bottom)
    }
    for place, match in wrong.items():
        made: list[dict[str, Any]] = []
        if match:
            made = [{"depth": int(match[2])} if match[2] else {"bottom": True}]
        kept = tuple(each for each in structure.dropout_after if each not in wrong)
        yield ObjectionError(
            f"no place '{place}' for dropout; the places are encoder1, pool1, decoder1 and so on, and bottom",
            {"dropout_after": kept}, *made,
        )  # fmt: skip


def _others(structure: Structure, *changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return those changes that change something."""
    return [change for change in changes if any(getattr(structure, name) != value for name, value in change.items())]


def _same_padding(structure: Structure) -> dict[str, Any]:
    """Return the change to padding ``same`` in the encoder and the decoder."""
    change = {} if structure.padding == "same" else {"padding": "same"}
    return change if structure.decoder_padding in (None, "same") else {**change, "decoder_padding": "same"}


def _raised(counts: PerStage, least: int, *, keep_none: bool = False) -> PerStage:
    """Return numbers of convolutions that are raised to ``least``; with ``keep_none`` a stage without any stays so."""
    numbers = [counts] if isinstance(counts, int) else counts
    return _short([number if keep_none and number == 0 else max(number, least) for number in numbers])


def _short(counts: PerStage | list[int]) -> PerStage:
    """Return one number where that of all stages is the same."""
    if isinstance(counts, int):
        return counts
    return counts[0] if len(set(counts)) == 1 else tuple(counts)

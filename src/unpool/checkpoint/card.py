"""The card: the description of a model in its file, as JSON, and the versions of the card.

Version 1 had no size rule, licence, citation of its own or probe, and the first cards of version 2 had no appearance of
the training pictures and no form of the training masks. ``completed`` adds what follows from the rest, so that readers
find one form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from unpool.appearance.seen import SeenPictures
from unpool.checkpoint.probe import Probe
from unpool.class_table import ClassTable, MaskForm
from unpool.nets.named import NAMED_NETS
from unpool.nets.network import NetworkStructure
from unpool.normalisation import Normalisation
from unpool.segmenter import Segmenter

CARD_VERSION = 3
READ_VERSIONS = (1, 2, 3)

Card = dict[str, Any]

UNLIKE = 0.25
"""Difference of the channels' constants, in deviations, from which a model without a known appearance saw colours."""


def card_of(segmenter: Segmenter, story: Mapping[str, Any], licence: str | None, probe: Probe | None) -> Card:
    """Return the card of a model; the story is kept as it is."""
    card = {
        "version": CARD_VERSION,
        "net": segmenter.net,
        "structure": segmenter.network.structure.model_dump(mode="json"),
        "in_channels": segmenter.network.in_channels,
        "classes": segmenter.classes.to_card(),
        **({"borders": segmenter.borders} if segmenter.borders else {}),
        "mask_form": segmenter.classes.form.to_card() if segmenter.classes.form else None,
        "normalisation": segmenter.normalisation.to_card(),
        "appearance": segmenter.seen.to_card() if segmenter.seen else None,
        "licence": licence,
        "probe": probe.to_card() if probe else None,
        "story": dict(story),
    }
    return completed(card, segmenter.network.structure)


def completed(card: Mapping[str, Any], structure: NetworkStructure) -> Card:
    """Return a card with the keys that later versions added; None for values that do not follow from the rest."""
    net = NAMED_NETS.get(str(card["net"]))
    citation = net.citation if net else card["story"].get("citation") or None
    added = {"licence": None, "probe": None, "appearance": None, "mask_form": None, "citation": citation}
    normalisation = {"by": "set", **card["normalisation"]}
    return {**added, **card, "normalisation": normalisation, "size_rule": size_rule_card(structure)}


def classes_of(card: Mapping[str, Any]) -> ClassTable:
    """Return the class table of a card, with the form of the training masks where the card has it.

    Raises
    ------
    KeyError, TypeError, ValueError: the card has other data.
    """
    table, form = ClassTable.from_card(card["classes"]), card.get("mask_form")
    return table if form is None else replace(table, form=MaskForm.from_card(form))


def seen_of(card: Mapping[str, Any], normalisation: Normalisation) -> SeenPictures | None:
    """Return what the model saw; a card that does not say it may still show by its constants that it saw colours.

    Raises
    ------
    KeyError, TypeError, ValueError: the card has other data.
    """
    appearance = card.get("appearance")
    if appearance is not None:
        return SeenPictures.from_card(appearance)
    constants = normalisation.constants.values()
    in_colour = normalisation.channels == 3 and all(
        max(map(np.ptp, (each.mean, each.std))) > UNLIKE * max(each.std) for each in constants
    )
    return SeenPictures({}, (1.0, 1.0)) if in_colour else None


def size_rule_card(structure: NetworkStructure) -> dict[str, Any]:
    """Return the picture sizes that the network takes, in numbers and in words.

    ``smallest``, ``step`` and ``lost`` are those of ``unpool.nets.network.SizeRule``, None where there is no such rule.
    ``stride`` is in pixels. ``context`` is the halo of a tile, in pixels; None where no tile is exact.
    """
    rule, halo = structure.size_rule(), structure.halo
    numbers = rule._asdict() if rule else {"smallest": None, "step": None, "lost": None}
    return {
        **numbers,
        "stride": structure.stride,
        "context": halo._asdict() if halo else None,
        "words": _words(structure),
    }


def _words(structure: NetworkStructure) -> str:
    rule = structure.size_rule()
    if rule is None:
        return "pictures of every size, extended to the next size that the network can run on"
    if rule.lost > 0:
        return (
            f"pictures of every size; each side is extended by mirroring to the next of {rule.smallest}, "
            f"{rule.smallest + rule.step}, … pixels whose output, {rule.lost} pixels smaller, covers it"
        )
    if rule.step == 1:
        return "pictures of every size, as they are" + (f", from {rule.smallest} pixels on" * (rule.smallest > 1))
    return f"pictures of every size; sides are padded by mirroring to a multiple of {rule.step}"

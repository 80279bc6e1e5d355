"""Segmenters joined to one: what they must have in common, and the normalisation that each of them keeps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import torch

from unpool.appearance.seen import SeenPictures
from unpool.errors import UsageError
from unpool.nets.ensemble import MOST_MEMBERS, Ensemble, EnsembleStructure
from unpool.normalisation import Normalisation
from unpool.segmenter import Segmenter
from unpool.wording import all_of, count_text

ENSEMBLE = "ensemble"
"""The name of the network of every ensemble."""


def join_segmenters(segmenters: Mapping[str, Segmenter]) -> Segmenter:
    """Return the ensemble of segmenters; its probabilities are the mean of theirs.

    The ensemble has the class table of the first, and its normalisation for the pixel types that all of them know.

    The networks of the members become parts of the ensemble; they are not copied.

    Parameters
    ----------
    segmenters: by the names that messages have for them.

    Raises
    ------
    UsageError: there are too few or too many, one is an ensemble, or they do not fit together.
    """
    first, *_ = members = list(segmenters.values())
    _require_members(segmenters)
    for source, each in segmenters.items():
        _require_same_classes(source, each, first)
        _require_same_normalising(source, each, first)
    normalisation = _shared_normalisation(segmenters)
    network = _network(segmenters)
    for number, (source, each) in enumerate(segmenters.items()):
        change = normalisation.change_to(each.normalisation)
        if change is None:
            raise UsageError(
                f"{source}: constants of normalisation that differ from those of {next(iter(segmenters))} in another "
                f"way for each pixel type ({', '.join(normalisation.constants)})",
                "models that were trained on the same pictures, or on pictures of one pixel type",
                "leave this model out",
            )
        for own, values in zip((network.scale, network.shift), change, strict=True):
            own[number] = torch.tensor(values)[:, None, None]
    return Segmenter(ENSEMBLE, network, normalisation, first.classes, _seen(members), first.borders)


def _require_members(segmenters: Mapping[str, Segmenter]) -> None:
    if not 2 <= len(segmenters) <= MOST_MEMBERS:
        raise UsageError(
            f"an ensemble of {count_text(len(segmenters), 'model')}",
            f"from 2 to {MOST_MEMBERS} models",
            "give at least two models" if len(segmenters) < 2 else f"give at most {MOST_MEMBERS} models",
        )
    for source, each in segmenters.items():
        if isinstance(each.network, Ensemble):
            raise UsageError(
                f"{source}: an ensemble already", "models of one network each", "give the models that it was made of"
            )


def _require_same_classes(source: str, segmenter: Segmenter, first: Segmenter) -> None:
    own, wanted = segmenter.classes, first.classes
    if (own.kind, own.names, own.values, own.ignore) != (wanted.kind, wanted.names, wanted.values, wanted.ignore):
        raise UsageError(
            f"{source}: the classes {own.describe_values()} (masks of {own.kind})",
            f"those of the first model: {wanted.describe_values()} (masks of {wanted.kind})",
            "give models that were trained on the same classes",
        )
    if segmenter.borders != first.borders:
        own_borders, wanted_borders = (
            f"borders of {each.borders} pixels" if each.borders else "no borders" for each in (segmenter, first)
        )
        raise UsageError(
            f"{source}: a network that learned {own_borders} of objects",
            f"{wanted_borders}, as the first model",
            "give models that were trained with the same --set borders=…",
        )
    if segmenter.network.in_channels != first.network.in_channels:
        raise UsageError(
            f"{source}: a network for {count_text(segmenter.network.in_channels, 'channel')}",
            f"{count_text(first.network.in_channels, 'channel')}, as the first model",
            "give models that were trained on pictures of the same channels",
        )


def _require_same_normalising(source: str, segmenter: Segmenter, first: Segmenter) -> None:
    texts = {"set": "by the constants of its training pictures", "picture": "each by its own constants"}
    own, wanted = segmenter.normalisation.by, first.normalisation.by
    if own != wanted:
        raise UsageError(
            f"{source}: a network for pictures that are normalised {texts[own]}",
            f"pictures that are normalised {texts[wanted]}, as for the first model",
            "give models that were trained with the same --set normalisation=…",
        )


def _shared_normalisation(segmenters: Mapping[str, Segmenter]) -> Normalisation:
    """Return the normalisation of the first segmenter, for the pixel types that all of them know."""
    first, *others = (each.normalisation for each in segmenters.values())
    shared = [kind for kind in first.constants if all(kind in each.constants for each in others)]
    if not shared:
        kinds = {source: " and ".join(each.normalisation.constants) for source, each in segmenters.items()}
        raise UsageError(
            "no pixel type that every model knows: " + "; ".join(f"{source}: {kind}" for source, kind in kinds.items()),
            "models that were trained on pictures of one pixel type",
            "leave out the models of other pixel types",
        )
    return first.of_types(shared)


def _network(segmenters: Mapping[str, Segmenter]) -> Ensemble:
    networks = [each.network for each in segmenters.values()]
    try:
        structure = EnsembleStructure(members=tuple(network.structure for network in networks))
    except ValueError as error:
        paddings = all_of([f"{source} ({each.net})" for source, each in segmenters.items()])
        raise UsageError(
            f"no size of a picture for which {paddings} give outputs of one size",
            "networks that keep the size of the picture, or lose as much of it as each other",
            "leave out the networks that were trained with another padding",
        ) from error
    return Ensemble(structure, networks).eval()


def _seen(segmenters: list[Segmenter]) -> SeenPictures | None:
    """Return what all members have seen together; None where it is not known of one of them."""
    seen = [each.seen for each in segmenters if each.seen is not None]
    return reduce(SeenPictures.together, seen) if len(seen) == len(segmenters) else None

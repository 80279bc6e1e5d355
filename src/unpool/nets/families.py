"""The families of networks: the one table that building a network and reading a stored structure go through.

A new family is one file with its three classes, and one line of ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unpool.nets.encoder_decoder import EncoderDecoder
from unpool.nets.ensemble import Ensemble, EnsembleStructure
from unpool.nets.explain.encoder_decoder_words import EncoderDecoderWords
from unpool.nets.explain.ensemble_words import EnsembleWords
from unpool.nets.explain.fcn_words import FCNWords
from unpool.nets.explain.words import NetworkWords
from unpool.nets.fcn import FCN, FCNStructure
from unpool.nets.network import Network, NetworkStructure
from unpool.nets.structure import Structure


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes
    ----------
    structure: the class of its structures.
    network: builds the network of a structure, for a number of channels and of classes.
    words: the class of its descriptions in words.
    """

    structure: type[NetworkStructure]
    network: Callable[[Any, int, int], Network]
    words: type[NetworkWords[Any]]


def _ensemble(structure: EnsembleStructure, in_channels: int, classes: int) -> Ensemble:
    return Ensemble(structure, [network_of(member, in_channels, classes) for member in structure.members])


FAMILIES: dict[str, Family] = {
    "encoder-decoder": Family(Structure, EncoderDecoder, EncoderDecoderWords),
    "fcn": Family(FCNStructure, FCN, FCNWords),
    "ensemble": Family(EnsembleStructure, _ensemble, EnsembleWords),
}
"""Families by the ``kind`` of their structures."""


def structure_of(plain: Mapping[str, Any]) -> NetworkStructure:
    """Return the structure that ``model_dump`` wrote.

    Raises
    ------
    ValueError: no family has this ``kind``, or the family refuses the values (pydantic's ValidationError).
    AttributeError, KeyError, TypeError: members that are no structures.
    """
    kind = plain.get("kind", "encoder-decoder")
    if kind not in list(FAMILIES):  # what a file holds may be unhashable
        raise ValueError(f"kind '{kind}' is not one of {', '.join(FAMILIES)}")
    structure = FAMILIES[kind].structure
    if "members" in structure.model_fields:
        plain = {**plain, "members": [structure_of(member) for member in plain["members"]]}
    return structure(**plain)


def network_of(structure: NetworkStructure, in_channels: int, classes: int) -> Network:
    """Build the network of a structure, freshly initialised."""
    return FAMILIES[structure.kind].network(structure, in_channels, classes)


def words_of(structure: NetworkStructure) -> NetworkWords[Any]:
    """Return the description in words of a structure."""
    return FAMILIES[structure.kind].words(structure)

"""The families of networks: the one table that building a network and reading a stored structure go through.

A new family is one file with its three classes, and one line of ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unpool.nets.encoder_decoder import EncoderDecoder
from unpool.nets.explain.encoder_decoder_words import EncoderDecoderWords
from unpool.nets.explain.fcn_words import FCNWords
from unpool.nets.explain.words import NetworkWords
from unpool.nets.fcn import FCN, FCNStructure
from unpool.nets.network import Network, NetworkStructure
from unpool.nets.structure import Structure


@dataclass(frozen=True)
class Family:
    """A family of networks: the class of its structures, of its modules, and of their descriptions in words."""

    structure: type[NetworkStructure]
    network: type[Network]
    words: type[NetworkWords[Any]]


FAMILIES: dict[str, Family] = {
    "encoder-decoder": Family(Structure, EncoderDecoder, EncoderDecoderWords),
    "fcn": Family(FCNStructure, FCN, FCNWords),
}
"""Families by the ``kind`` of their structures."""


def structure_of(plain: Mapping[str, Any]) -> NetworkStructure:
    """Return the structure that ``model_dump`` wrote.

    Raises
    ------
    ValueError: no family has this ``kind``, or the family refuses the values (pydantic's ValidationError).
    """
    kind = plain.get("kind", "encoder-decoder")
    if kind not in list(FAMILIES):  # what a file holds may be unhashable
        raise ValueError(f"kind '{kind}' is not one of {', '.join(FAMILIES)}")
    return FAMILIES[kind].structure(**plain)


def network_of(structure: NetworkStructure, in_channels: int, classes: int) -> Network:
    """Build the network of a structure, freshly initialised."""
    return FAMILIES[structure.kind].network(structure, in_channels, classes)


def words_of(structure: NetworkStructure) -> NetworkWords[Any]:
    """Return the description in words of a structure."""
    return FAMILIES[structure.kind].words(structure)

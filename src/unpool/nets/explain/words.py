"""The words that every family of networks has for its page: the abstract description, and pieces of sentences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from unpool.nets.explain.records import Explanation
from unpool.nets.network import NetworkStructure

AnyStructure = TypeVar("AnyStructure", bound=NetworkStructure)

SOFTMAX = "The softmax over the classes, pixel by pixel, is in the loss and in prediction, not in the module."


class Choices(NamedTuple):
    """The choices that define a network, in a few words each, for a comparison of two networks."""

    encoder: str
    maps: str
    bottom: str
    padding: str
    after_convolution: str
    skips: str
    up: str
    decoder: str
    dropout: str


class PaddingRow(NamedTuple):
    """A padding with the legal sizes near a given one, their outputs, and the pixels lost on each side; or why not."""

    padding: str
    sizes: str
    outputs: str
    lost: str


class NetworkWords(ABC, Generic[AnyStructure]):
    """A network in plain words, put together from the choices of its structure."""

    def __init__(self, structure: AnyStructure) -> None:
        self.structure = structure

    @abstractmethod
    def choices(self) -> Choices:
        """Return the choices that define the network."""

    @abstractmethod
    def encoder(self, facts: Explanation) -> str:
        """Describe how the encoder makes the picture small and deep."""

    @abstractmethod
    def decoder(self, facts: Explanation) -> str:
        """Describe how the decoder makes a map of classes from the smallest maps."""

    @abstractmethod
    def skips(self, facts: Explanation) -> str:
        """Describe what the decoder learns from the encoder."""

    @abstractmethod
    def skip_notes(self) -> tuple[str, ...]:
        """Return notes on how the table of skip connections counts."""

    def layer_notes(self) -> tuple[str, ...]:
        """Return notes on the names of the layers."""
        return ()

    @abstractmethod
    def padding(self) -> str:
        """Describe the rules behind ``padding_rows``."""

    @abstractmethod
    def padding_rows(self, size: int) -> list[PaddingRow]:
        """Return a row for each padding that the network could have, for sizes near ``size``."""


def sentence_case(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def listed(parts: Iterable[object]) -> str:
    """Return parts separated by commas."""
    return ", ".join(map(str, parts))


def refusal(error: ValueError) -> str:
    """Return the reason for which a structure refused a choice, without pydantic's words around it."""
    lines = [line.strip() for line in str(error).splitlines()]
    reason = next((line for line in lines if line.startswith("Value error, ")), lines[0])
    return reason.removeprefix("Value error, ").partition(" [type=")[0].partition(";")[0]

"""A class that a person names, with its mask value or values and its colour where they are given."""

from __future__ import annotations

from dataclasses import dataclass

from unpool.class_table import Colour

IGNORED_NAMES = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled", "unknown", "unlabel"})
"""Names of classes that count nowhere, without ``_`` around them."""


@dataclass(frozen=True)
class NamedClass:
    """A class name, with its mask value and its colour where the person gives them.

    Attributes
    ----------
    top: the last value of a range of single values that begins with ``value``; None for one value.
    """

    name: str
    value: int | None = None
    colour: Colour | None = None
    top: int | None = None

    @property
    def bare(self) -> bool:
        """Whether the name has neither a value nor a colour."""
        return self.value is None and self.colour is None

    @property
    def ignored(self) -> bool:
        """Whether the name means that such pixels count nowhere."""
        return self.name.lower().strip("_") in IGNORED_NAMES

"""The meaning of a setting, written beside the field that it belongs to, and shown by ``unpool explain --settings``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LITTLE = "little time and memory"
"""The cost of a choice that a person need not think about."""


@dataclass(frozen=True)
class Meaning:
    """What a setting is, in words for the person who sets it; metadata of a field: ``Annotated[int, Meaning(...)]``.

    Attributes
    ----------
    text: what the setting is, a phrase.
    cost: what its values cost in time, memory or parameters, a phrase.
    choices: what each of its words or named numbers means, a phrase each; empty for other settings.
    example: a value for an assignment that works, where the default is none.
    """

    text: str
    cost: str = "nothing"
    choices: Mapping[Any, str] = field(default_factory=dict)
    example: Any = None

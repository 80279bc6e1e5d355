"""Shim."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Emphasis:
    """Shim."""

    kind: Literal["separation", "boundary"]
    strength: float
    sigma: float

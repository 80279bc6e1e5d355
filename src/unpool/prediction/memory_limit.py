"""The memory that prediction may take, and how much of it is left."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Self

from unpool.machine.device import Machine, free_memory
from unpool.machine.process_memory import resident_memory

DEFAULT_SHARE, DEFAULT_MOST = 0.5, 4e9
"""Memory that prediction takes by default: this share of the free memory, and at most this many bytes."""

CACHE_SHARE = 0.125
"""Share of the memory for decoded parts of the picture that is read."""


@dataclass(frozen=True)
class MemoryLimit:
    """The bytes that this process may hold while it predicts.

    Attributes
    ----------
    bytes: in all, with what Python and torch take.
    strict: whether the limit is a person's. Then tiles of every picture are planned; else only those of pictures that
        are larger than the predictor's tile.
    """

    bytes: float
    strict: bool

    @classmethod
    def of(cls, requested: float | None, machine: Machine, processes: int) -> Self:
        """Return the limit of the bytes that a person requests; None takes a share of the free memory.

        Parameters
        ----------
        processes: processes on this machine, which share its main memory.
        """
        if requested is not None:
            return cls(requested, strict=True)
        free = free_memory(machine, None, processes)
        return cls(min(DEFAULT_SHARE * (free or inf), DEFAULT_MOST), strict=False)

    def left(self, machine: Machine) -> float:
        """Return the bytes that pictures may still take; on a GPU the process's main memory does not count."""
        return self.bytes - ((resident_memory() or 0) if machine.device.type == "cpu" else 0)

    def for_one_piece(self, machine: Machine) -> float:
        """Return the bytes that a picture without windows may take; they are bounded if the limit is a person's."""
        return self.left(machine) if self.strict and machine.device.type == "cpu" else inf

"""What a running command says while it works; whoever drives it prints, draws or drops it.

A command is a generator: it yields events and returns its result. ``finish`` runs one to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from unpool.generators import result_of
from unpool.training.records import EpochRecord, StepRecord

Result = TypeVar("Result")


@dataclass(frozen=True)
class Message:
    """A line or a page of text for the person."""

    text: str


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` parts of some work are done."""

    what: str
    done: int
    total: int


Event: TypeAlias = Message | Progress | StepRecord | EpochRecord


def finish(command: Generator[Event, None, Result], show: Callable[[Event], object] | None = None) -> Result:
    """Run a command to its end and return its result.

    Parameters
    ----------
    show: called with each event; by default the events are dropped.
    """
    return result_of(command, show)

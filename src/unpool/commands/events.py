"""The events of a running command, which its caller prints, draws or drops.

A command is a generator: it yields events and returns its result. ``finish`` runs a command to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from unpool.training.records import EpochRecord, StepRecord

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Message:
    """A line or a page of text for the user."""

    text: str


@dataclass(frozen=True)
class Progress:
    """The state of some work: ``done`` of ``total`` parts are finished."""

    work: str
    done: int
    total: int


Event: TypeAlias = Message | Progress | StepRecord | EpochRecord


def finish(command: Generator[Event, None, _Result], listener: Callable[[Event], object] | None = None) -> _Result:
    """Run a command to its end and return its result.

    Parameters
    ----------
    listener: called with each event; None drops the events.
    """
    while True:
        try:
            event = next(command)
        except StopIteration as stop:
            result: _Result = stop.value
            return result
        if listener is not None:
            listener(event)

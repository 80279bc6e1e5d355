"""Generators that yield their progress and return a result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

_Step = TypeVar("_Step")
_Event = TypeVar("_Event")
_Result = TypeVar("_Result")


def mapped(
    generator: Generator[_Step, None, _Result], events_of: Callable[[_Step], Iterable[_Event]]
) -> Generator[_Event, None, _Result]:
    """Yield the events of every value that a generator yields, in their order, and return the generator's result."""
    while True:
        try:
            step = next(generator)
        except StopIteration as stop:
            result: _Result = stop.value
            return result
        yield from events_of(step)


def result_of(generator: Generator[_Step, None, _Result], show: Callable[[_Step], object] | None = None) -> _Result:
    """Run a generator to its end and return its result.

    Parameters
    ----------
    show: called with each value that the generator yields; by default the values are dropped.
    """
    while True:
        try:
            step = next(generator)
        except StopIteration as stop:
            result: _Result = stop.value
            return result
        if show is not None:
            show(step)

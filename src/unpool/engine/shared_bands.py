"""Rows of tiles of one picture, shared out among processes; the first one gets them all, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import torch

from unpool.engine.answers import Answer
from unpool.engine.processes import Processes
from unpool.errors import RunError, UnpoolError

Value = TypeVar("Value")


def bands_together(
    own: Iterator[Answer], rows: range, spans: Sequence[slice], empty: Callable[[slice], Answer], processes: Processes
) -> Iterator[Answer]:
    """The answers of all processes where this is the first one; nothing in the others, which compute and send theirs.

    Parameters
    ----------
    own: this process's answers, to the rows of tiles ``own_rows(rows, processes)``.
    rows: numbers of the rows of tiles; ``spans`` says where in the picture each of them lies.
    empty: an answer for some rows of the picture, to be filled.

    Raises
    ------
    UnpoolError: as ``own`` raises it.
    RunError: another process failed.
    """
    for start in range(rows.start, rows.stop, processes.count):
        step = own if start + processes.rank < rows.stop else iter(())
        answer = together_or_none(partial(next, step, None), processes)
        if answer is not None and not processes.first:
            for values in answer.arrays():
                processes.send(torch.from_numpy(values))
        if not processes.first:
            continue
        assert answer is not None
        yield answer
        for number in range(start + 1, min(start + processes.count, rows.stop)):
            received = empty(spans[number])
            for values in received.arrays():
                processes.receive(torch.from_numpy(values), number - start)
            yield received


def own_rows(rows: range, processes: Processes) -> range:
    """The rows of tiles that this process computes."""
    return range(rows.start + processes.rank, rows.stop, processes.count)


def together_or_none(action: Callable[[], Value], processes: Processes) -> Value:
    """Do something in all processes; all stop where one of them fails, so that none waits for another.

    Raises
    ------
    UnpoolError: as the action raises it.
    RunError: it failed in another process.
    """
    failure: UnpoolError | None = None
    try:
        value = action()
    except UnpoolError as error:
        failure = error
    failed = int(processes.sum_counts(torch.tensor([int(failure is not None)])))
    if failure is not None:
        raise failure
    if failed:
        raise RunError("another process could not go on", "rows of tiles from all of them", "see what it said")
    return value

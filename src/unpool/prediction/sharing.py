"""Rows of tiles of one picture, shared out among processes; the first one gets them all, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import torch

from unpool.errors import RunError, UnpoolError
from unpool.machine.device import Machine
from unpool.prediction.averaging import Averaging
from unpool.prediction.predictor import bands, empty_answer, tile_rows
from unpool.prediction.result import Prediction
from unpool.processes import Processes
from unpool.segmenter import Segmenter
from unpool.shapes import Pixels, Size

Value = TypeVar("Value")


def shared_bands(
    segmenter: Segmenter,
    image: Pixels,
    source: str,
    machine: Machine,
    tile: Size,
    averaging: Averaging,
    rows: range,
    processes: Processes,
    *,
    uncertainty: bool = False,
    whole: bool = False,
) -> Iterator[Prediction]:
    """``unpool.prediction.predictor.bands``, which processes share: the first one gets them all, the others none.

    Raises
    ------
    RunError: another process failed; other errors as in ``bands``.
    """
    size = int(image.shape[0]), int(image.shape[1])
    own = bands(
        segmenter, image, source, machine, tile, averaging, own_rows(rows, processes),
        uncertainty=uncertainty, whole=whole,
    )  # fmt: skip

    def empty(span: slice) -> Prediction:
        return empty_answer(segmenter, span, size[1], averaging, uncertainty=uncertainty, whole=whole)

    return bands_together(own, rows, tile_rows(segmenter, size, tile), empty, processes)


def bands_together(
    own: Iterator[Prediction],
    rows: range,
    spans: Sequence[slice],
    empty: Callable[[slice], Prediction],
    processes: Processes,
) -> Iterator[Prediction]:
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
    Exception: as the action raises it.
    RunError: it failed in another process, and why.
    """
    failure: Exception | None = None
    try:
        value = action()
    except Exception as error:
        failure = error
    failed = torch.zeros(processes.count, dtype=torch.int64)
    failed[processes.rank] = failure is not None
    (ranks,) = processes.sum_counts(failed).nonzero(as_tuple=True)
    if not len(ranks):
        return value
    told = _told(failure, int(ranks[0]), processes)
    raise failure or told


def _told(failure: Exception | None, rank: int, processes: Processes) -> RunError:
    """The failure of one process, as all others tell it."""
    parts = (f"{type(failure).__name__}: {failure}", "rows of tiles from all processes", "see what it said of it")
    if isinstance(failure, UnpoolError):
        parts = failure.found, failure.expected, failure.repair
    found, expected, repair = (processes.agree_text(part, rank) for part in parts)
    return RunError(f"process {rank}: {found}", expected, repair)

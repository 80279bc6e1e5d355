"""The rows of tiles of one picture, shared among processes; the first process gets all bands, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import torch

from unpool.errors import DataError, RunError, UnpoolError
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import CLASS_IDS, Kept, Prediction
from unpool.processes import Processes
from unpool.shapes import Pixels

_Value = TypeVar("_Value")


def shared_bands(
    predictor: Predictor,
    image: Pixels,
    source: str,
    rows: range,
    processes: Processes,
    keep: Kept = CLASS_IDS,
) -> Iterator[Prediction]:
    """Predict rows of tiles in all processes; yield all bands in the first process, and none in the others.

    Parameters
    ----------
    image: (rows, columns, channels) in the pixel type it was stored in.
    source: the file's name, for messages.
    rows: numbers of the rows of tiles, as ``Predictor.tile_rows`` numbers them.
    keep: the maps to keep in addition to the class ids.

    Raises
    ------
    DataError: channels or pixel type do not fit the model, in this process or in another.
    RunError: the network's output is not finite, or another process failed.
    """
    spans = predictor.tile_rows((int(image.shape[0]), int(image.shape[1])))
    own = predictor.bands(image, source, own_rows(rows, processes), keep)
    for start in range(rows.start, rows.stop, processes.count):
        step = own if start + processes.rank < rows.stop else iter(())
        band = together_or_none(partial(next, step, None), processes)
        if not processes.first:
            for values in band.arrays() if band is not None else ():
                processes.send(torch.from_numpy(values))
            continue
        assert band is not None
        yield band
        for number in range(start + 1, min(start + processes.count, rows.stop)):
            received = predictor.empty(spans[number], int(image.shape[1]), keep)
            for values in received.arrays():
                processes.receive(torch.from_numpy(values), number - start)
            yield received


def own_rows(rows: range, processes: Processes) -> range:
    """Return the rows of tiles that this process computes."""
    return range(rows.start + processes.rank, rows.stop, processes.count)


def together_or_none(action: Callable[[], _Value], processes: Processes) -> _Value:
    """Call a function in all processes; all stop where it fails in one of them, so that none waits for another.

    Raises
    ------
    Exception: as the action raises it.
    DataError, RunError: the action failed in another process; the message gives its reason.
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
    shared = _shared_failure(failure, int(ranks[0]), processes)
    raise failure or shared


def _shared_failure(failure: Exception | None, rank: int, processes: Processes) -> UnpoolError:
    """Return the failure of one process as an error for all of them: DataError where the data are wrong."""
    parts = (f"{type(failure).__name__}: {failure}", "rows of tiles from all processes", "see that process's messages")
    if isinstance(failure, UnpoolError):
        parts = failure.found, failure.expected, failure.repair
    found, expected, repair = (processes.agree_text(part, rank) for part in parts)
    of_data = processes.agree_text("yes" if isinstance(failure, DataError) else "no", rank) == "yes"
    return (DataError if of_data else RunError)(f"process {rank}: {found}", expected, repair)

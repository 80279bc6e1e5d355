"""Claims: which process does which task of a study, so that each task is done once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from unpool.errors import UsageError


class Claims(Protocol):
    """The claims of the processes that share a study.

    A task is a text. A process claims it, does it and finishes it with a result, which is plain JSON data.
    Every method of a shared study raises RunError or DataError where the place of the claims fails.
    """

    def claim(self, task: str) -> bool:
        """Take a task; return False where a process has it, this one included, or where it is finished."""
        ...

    def holds(self, task: str) -> bool:
        """Return whether this process still has a task that it claimed, as far as its last sign of life shows."""
        ...

    def working(self) -> AbstractContextManager[None]:
        """Give signs of life for the claimed tasks while the body runs; give back what is claimed when it ends."""
        ...

    def finish(self, task: str, result: Mapping[str, Any]) -> bool:
        """Store the result of a claimed task for all processes.

        Return False where the result does not count: this process was silent for long, the task was taken away, and
        another process does it or has finished it.
        """
        ...

    def give_back(self, task: str) -> None:
        """Let another process take a claimed task; a task that this process does not have changes nothing."""
        ...

    def results(self) -> dict[str, dict[str, Any]]:
        """Return the result of each finished task, of all processes. Do not change the results."""
        ...

    def workers(self) -> int:
        """Return how many processes have a task now."""
        ...


class Alone:
    """The claims of a study that one process does alone: they are kept in its memory."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._results: dict[str, dict[str, Any]] = {}

    def claim(self, task: str) -> bool:
        """Take a task; return False where it is taken or finished."""
        if task in self._held or task in self._results:
            return False
        self._held.add(task)
        return True

    def holds(self, task: str) -> bool:
        """Return whether a task is taken and not finished."""
        return task in self._held

    def working(self) -> AbstractContextManager[None]:
        """Return a context in which nothing is needed: no other process waits for signs of life."""
        return nullcontext()

    def finish(self, task: str, result: Mapping[str, Any]) -> bool:
        """Keep the result of a claimed task."""
        self._held.remove(task)
        self._results[task] = dict(result)
        return True

    def give_back(self, task: str) -> None:
        """Make a claimed task free again."""
        self._held.discard(task)

    def results(self) -> dict[str, dict[str, Any]]:
        """Return the result of each finished task."""
        return dict(self._results)

    def workers(self) -> int:
        """Return 1 while a task is taken, otherwise 0."""
        return int(bool(self._held))


def shared_claims(storage: str | None, folder: Path, study: str) -> Claims:
    """Return the claims of a study that several processes share.

    Parameters
    ----------
    storage: the address of a database, as SQLAlchemy takes it: ``postgresql://USER:PASSWORD@HOST/DATABASE``; None for
        the file ``claims.log`` in the folder.
    folder: the study's folder, which exists.
    study: the study's name, the same for all its processes.

    Raises
    ------
    UsageError: Optuna or the database's driver is not installed, or the address is wrong.
    DataError: the file is no file of claims, or damaged.
    RunError: the file or the database cannot be used.
    """
    try:
        from unpool.study.optuna_claims import OptunaClaims  # noqa: PLC0415 - takes 0.3 s, and not every study shares
    except ImportError as error:
        raise UsageError(
            f"optuna cannot be imported ({error})",
            "the extra unpool[search], by which several processes share a study",
            "pip install 'unpool[search]'",
        ) from error
    return OptunaClaims(storage, folder, study)

"""``runs``: all runs as a list, and one run in full. It does not import torch, so that the list appears immediately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.ledger.folders import FoundRun, FoundRuns, find_runs, run_named
from unpool.ledger.selection import RunFilter, RunOrder, select_runs
from unpool.ledger.text import command_line, folder_files, run_text, runs_text

DEFAULT_ROOT = Path("runs")
"""The folder into which ``unpool train`` puts runs without ``--out``."""


@dataclass(frozen=True)
class RunList:
    """The result of ``runs``: the selected runs, and records that could not be read."""

    found: FoundRuns

    @property
    def text(self) -> str:
        """A list with one line for each run."""
        return runs_text(self.found)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "runs": [run.to_json() for run in self.found.runs],
            "unreadable": [record.to_json() for record in self.found.unreadable],
        }


@dataclass(frozen=True)
class ShownRun:
    """The result of ``runs show``: one run and the runs that share its model.

    Attributes
    ----------
    tests: tests of the model that the run made.
    maker: the training that made a test's model, where it was found.
    """

    run: FoundRun
    tests: tuple[FoundRun, ...]
    maker: FoundRun | None

    @property
    def text(self) -> str:
        """A page with all facts of the run."""
        return run_text(self.run, self.tests, self.maker)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            **self.run.to_json(),
            "command": command_line(self.run.folder, self.run.record),
            "files": folder_files(self.run.folder),
            "tests": [test.to_json() for test in self.tests],
            "maker": self.maker.to_json() if self.maker else None,
        }


def list_runs(
    folders: Sequence[Path] = (),
    conditions: RunFilter | None = None,
    order: RunOrder = "created",
    *,
    reverse: bool = False,
) -> RunList:
    """List the runs in some folders and below them.

    Parameters
    ----------
    folders: the folder ``runs`` if there are none.

    Raises
    ------
    DataError: a folder is missing.
    UsageError: a condition is not ``key=value`` with a known key.
    """
    found = find_runs(list(folders) or [DEFAULT_ROOT])
    selected = select_runs(found.runs, conditions or RunFilter(), order, reverse=reverse)
    return RunList(FoundRuns(selected, found.unreadable))


def show_run(name: str, roots: Sequence[Path] = ()) -> ShownRun:
    """Return one run with the tests of its model, or with the training that made its model.

    Parameters
    ----------
    name: an id, its first letters, or a run's folder.
    roots: folders in which ids and related runs are searched; the folder ``runs`` if there are none.

    Raises
    ------
    UsageError: no run has this name, or several have it.
    DataError: the run's record cannot be read.
    """
    places = list(roots) or [DEFAULT_ROOT]
    run = run_named(name, places)
    near = run.folder if run.record.kind == "train" else run.folder.absolute().parent
    others = find_runs([near, *(place for place in places if place.is_dir())]).runs
    related = [each for each in others if _same_model(each, run) and each.record.kind != run.record.kind]
    tests = tuple(each for each in related if each.record.kind == "test")
    makers = [each for each in related if each.record.kind == "train"]
    return ShownRun(run, tests, makers[0] if makers else None)


def _same_model(one: FoundRun, other: FoundRun) -> bool:
    left, right = one.record.model, other.record.model
    return left is not None and right is not None and left.digest == right.digest

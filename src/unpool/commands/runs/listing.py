"""``runs``: all runs as a list, changes against scores, and one run in full.

It does not import torch, so that the list appears immediately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.ledger.folders import FoundRun, FoundRuns, find_runs, run_in, run_named
from unpool.ledger.lineage import Lineage
from unpool.ledger.notes import add_note
from unpool.ledger.run_list import runs_text
from unpool.ledger.run_page import run_text
from unpool.ledger.selection import RunFilter, RunOrder, select_runs
from unpool.ledger.text import command_line, folder_files
from unpool.ledger.variants import VariantTable, variant_table

USUAL_ROOTS = (Path("runs"), Path("studies"))
"""The folders into which ``unpool train`` and ``unpool study`` put runs without ``--out``."""


def usual_roots() -> list[Path]:
    """Return the folders that are searched by default: those of ``USUAL_ROOTS`` that are there, or else the first."""
    return [root for root in USUAL_ROOTS if root.is_dir()] or [USUAL_ROOTS[0]]


@dataclass(frozen=True)
class RunList:
    """The result of ``runs``: the selected runs, and records that could not be read.

    Attributes
    ----------
    lineage: of all runs that were found, the selected ones and the others.
    wide: whether the text has all columns, however wide it is.
    """

    found: FoundRuns
    lineage: Lineage
    wide: bool = False

    @property
    def text(self) -> str:
        """A list with one line for each run."""
        return runs_text(self.found, self.lineage, wide=self.wide)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "runs": [_with_relatives(run, self.lineage) for run in self.found.runs],
            "unreadable": [record.to_json() for record in self.found.unreadable],
        }


@dataclass(frozen=True)
class ShownRun:
    """The result of ``runs show``: one run and the runs that share its model.

    Attributes
    ----------
    tests: tests of the model that the run made.
    maker: the training that made a test's model, where it was found.
    lineage: of the runs that were searched.
    """

    run: FoundRun
    tests: tuple[FoundRun, ...]
    maker: FoundRun | None
    lineage: Lineage

    @property
    def text(self) -> str:
        """A page with all facts of the run."""
        return run_text(self.run, self.tests, self.maker, self.lineage)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            **_with_relatives(self.run, self.lineage),
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
    wide: bool = False,
) -> RunList:
    """List the runs in some folders and below them.

    Parameters
    ----------
    folders: ``runs`` and ``studies`` if there are none.

    Raises
    ------
    DataError: a folder is missing.
    UsageError: a condition is not ``key=value`` with a known key.
    """
    found = find_runs(list(folders) or usual_roots())
    selected = select_runs(found.runs, conditions or RunFilter(), order, reverse=reverse)
    return RunList(FoundRuns(selected, found.unreadable), Lineage(found.runs), wide)


def table_runs(folders: Sequence[Path] = (), conditions: RunFilter | None = None) -> VariantTable:
    """Return the changes of the selected trainings against their scores.

    Parameters and errors are those of ``list_runs``.
    """
    listed = list_runs(folders, conditions)
    return variant_table(listed.found.runs, listed.lineage)


def show_run(name: str, roots: Sequence[Path] = ()) -> ShownRun:
    """Return one run with the tests of its model, or with the training that made its model.

    Parameters
    ----------
    name: an id, its first letters, or a run's folder.
    roots: folders in which ids and related runs are searched; ``runs`` and ``studies`` if there are none.

    Raises
    ------
    UsageError: no run has this name, or several have it.
    DataError: the run's record cannot be read.
    """
    places = list(roots) or usual_roots()
    run = run_named(name, places)
    near = run.folder if run.record.kind == "train" else run.folder.absolute().parent
    lineage = Lineage(find_runs([near, *(place for place in places if place.is_dir())]).runs)
    is_test = run.record.kind == "test"
    return ShownRun(run, () if is_test else tuple(lineage.tests(run)), lineage.maker(run) if is_test else None, lineage)


def note_run(name: str, text: str, roots: Sequence[Path] = ()) -> FoundRun:
    """Keep a note on one run, and return the run with all its notes.

    Parameters
    ----------
    name, roots: as in ``show_run``.

    Raises
    ------
    UsageError: no run has this name, or several have it; or the note has no text.
    DataError: the run's record cannot be read.
    RunError: the note cannot be written.
    """
    run = run_named(name, list(roots) or usual_roots())
    add_note(run.folder, text)
    return run_in(run.folder)


def _with_relatives(run: FoundRun, lineage: Lineage) -> dict[str, Any]:
    """Return a run as JSON data, with the ids of the runs that it belongs to; null for those that are not there."""
    is_test = run.record.kind == "test"
    maker, test = (lineage.maker(run), None) if is_test else (None, lineage.held_out(run))
    nearest = None if is_test or run.record.parent is not None else lineage.nearest(run)
    relatives = {"trained_by": maker, "held_out_test": test, "nearest": nearest}
    return {**run.to_json(), **{name: each.record.id if each else None for name, each in relatives.items()}}

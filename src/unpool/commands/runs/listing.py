"""``runs``: what was run, as a list and one by one. Imports no torch: who looks something up does not wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.ledger.folders import Entry
from unpool.ledger.folders import Found
from unpool.ledger.selection import Order
from unpool.ledger.selection import Wanted
from unpool.ledger.folders import find
from unpool.ledger.folders import pick
from unpool.ledger.selection import select
from unpool.ledger.text import command
from unpool.ledger.text import files
from unpool.ledger.text import listing
from unpool.ledger.text import page

DEFAULT_ROOT = Path("runs")
"""Where ``unpool train`` puts runs that are not told where to go."""


@dataclass(frozen=True)
class Listing:
    """The runs that were asked for, and records that could not be read."""

    found: Found

    @property
    def text(self) -> str:
        """One line a run."""
        return listing(self.found)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "runs": [entry.to_json() for entry in self.found.entries],
            "unreadable": [each.to_json() for each in self.found.unreadable],
        }


@dataclass(frozen=True)
class ShownRun:
    """One run.

    Attributes
    ----------
    tests: tests of the model that it made.
    maker: of a test, the training that made its model, where it was found.
    """

    entry: Entry
    tests: tuple[Entry, ...]
    maker: Entry | None

    @property
    def text(self) -> str:
        """Everything as a page of text."""
        return page(self.entry, self.tests, self.maker)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            **self.entry.to_json(),
            "command": command(self.entry.folder, self.entry.record),
            "files": files(self.entry.folder),
            "tests": [test.to_json() for test in self.tests],
            "maker": self.maker.to_json() if self.maker else None,
        }


def list_runs(
    folders: Sequence[Path] = (), wanted: Wanted | None = None, order: Order = "created", *, reverse: bool = False
) -> Listing:
    """List the runs in some folders and below them; in ``runs`` where none is named.

    Raises
    ------
    UsageError: a folder is missing, or a condition makes no sense.
    """
    found = find(list(folders) or [DEFAULT_ROOT])
    chosen = select(found.entries, wanted or Wanted(), order, reverse=reverse)
    return Listing(Found(chosen, found.unreadable))


def show_run(name: str, roots: Sequence[Path] = ()) -> ShownRun:
    """Everything about one run, with its relatives among the runs in ``roots`` and around it.

    Parameters
    ----------
    name: an id, its beginning, or a run's folder; ids are looked for in ``roots``, or in ``runs``.

    Raises
    ------
    UsageError, DataError: no such run, several, or one that cannot be read.
    """
    places = list(roots) or [DEFAULT_ROOT]
    entry = pick(name, places)
    near = entry.folder if entry.record.kind == "train" else entry.folder.absolute().parent
    others = find([near, *(place for place in places if place.is_dir())]).entries
    kin = [each for each in others if _same_model(each, entry) and each.record.kind != entry.record.kind]
    tests = tuple(each for each in kin if each.record.kind == "test")
    makers = [each for each in kin if each.record.kind == "train"]
    return ShownRun(entry, tests, makers[0] if makers else None)


def _same_model(one: Entry, other: Entry) -> bool:
    left, right = one.record.model, other.record.model
    return left is not None and right is not None and left.digest == right.digest

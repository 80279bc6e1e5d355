"""The selection of runs by their records, and their order in a list."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from unpool.errors import UsageError
from unpool.io.documents import json_value
from unpool.ledger.folders import FoundRun
from unpool.ledger.lineage import Lineage
from unpool.wording import command_text, dotted_names, shortened

RunOrder = Literal["created", "score", "seconds", "memory", "net", "data"]

_SORT_KEYS: dict[RunOrder, tuple[Callable[[FoundRun], Any], bool]] = {
    "created": (lambda run: run.record.created, True),
    "score": (lambda run: run.record.mean_iou, True),
    "seconds": (lambda run: run.record.seconds, False),
    "memory": (lambda run: run.record.peak_bytes, False),
    "net": (lambda run: run.record.net, False),
    "data": (lambda run: run.record.data.name, False),
}
"""The value by which each order sorts, and whether the largest value comes first."""

RUN_ORDERS = tuple(_SORT_KEYS)


@dataclass(frozen=True)
class RunFilter:
    """The conditions that a run must meet to be listed; None accepts every run.

    Attributes
    ----------
    data: the name of the data's folder.
    study: the name of the folder of a study; of its trainings and of the tests of their models.
    where: conditions ``key=value`` on any value in the record. A key is a name in the record (``crop``) or the full
        path to it (``settings.training.crop``).
    """

    net: str | None = None
    data: str | None = None
    study: str | None = None
    kind: str | None = None
    state: str | None = None
    where: tuple[str, ...] = ()


def select_runs(
    runs: Sequence[FoundRun], conditions: RunFilter, order: RunOrder = "created", *, reverse: bool = False
) -> tuple[FoundRun, ...]:
    """Return the runs that meet all conditions, in an order.

    First come the newest, the highest score, the least time or memory, and names in alphabetical order; ``reverse``
    exchanges first and last. Runs without the value come last in both cases.

    Raises
    ------
    UsageError: a condition ``where`` without ``=``, or with a key that no record has.
    """
    kept = [run for run in runs if _meets(run, conditions)]
    if conditions.study is not None:
        lineage = Lineage(runs)
        places = [(run, lineage.study(run)) for run in kept]
        kept = [run for run, place in places if place is not None and Path(place.folder).name == conditions.study]
    for text in conditions.where:
        names, accepted = _condition(text, runs)
        kept = [
            run for run in kept if any(name in names and _is_in(v, accepted) for name, v in dotted_names(run.to_json()))
        ]
    value, largest_first = _SORT_KEYS[order]
    known = [run for run in kept if value(run) is not None]
    unknown = [run for run in kept if value(run) is None]
    return (*sorted(known, key=value, reverse=largest_first != reverse), *unknown)


def _meets(run: FoundRun, conditions: RunFilter) -> bool:
    record = run.record
    values = {"net": record.net, "data": record.data.name, "kind": record.kind, "state": run.state}
    return all(getattr(conditions, name) in (None, value) for name, value in values.items())


def _condition(text: str, runs: Sequence[FoundRun]) -> tuple[set[str], tuple[Any, ...]]:
    """Return the full names in a record that the key of ``key=value`` means, and the values that it accepts."""
    key, equals, value = text.partition("=")
    text = shortened(text, 80)
    if not key or not equals:
        raise UsageError(f"--where {text}", "key=value", "write for example --where crop=256")
    names = {name for run in runs for name, _ in dotted_names(run.to_json())}
    meant = {name for name in names if name == key or name.endswith(f".{key}")}
    if names and not meant:
        near = difflib.get_close_matches(key, [*names, *(name.rpartition(".")[2] for name in names)], n=3)
        raise UsageError(
            f"--where {text}: no run has {shortened(key, 80)}",
            "a name in a run.json",
            f"try {', '.join(dict.fromkeys(near))}"
            if near
            else f"see the names with: {command_text(['unpool', 'runs', 'show', runs[0].folder, '--json'])}",
        )
    return meant, (value, _parsed(value))


def _is_in(value: Any, accepted: tuple[Any, ...]) -> bool:
    """Return whether a value, or one value of a list, is accepted."""
    return any(each in accepted for each in (value if isinstance(value, list) else [value]))


def _parsed(text: str) -> Any:
    try:
        return json_value(text)
    except ValueError:
        return text

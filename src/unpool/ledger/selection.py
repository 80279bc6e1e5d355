"""Which runs of many, and in which order."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unpool.errors import UsageError
from unpool.ledger.folders import Entry

Order = Literal["created", "score", "seconds", "memory", "net", "data"]

_FIRST: dict[Order, tuple[Callable[[Entry], Any], bool]] = {
    "created": (lambda entry: entry.record.created, True),
    "score": (lambda entry: entry.record.mean_iou, True),
    "seconds": (lambda entry: entry.record.seconds, False),
    "memory": (lambda entry: entry.record.peak_bytes, False),
    "net": (lambda entry: entry.record.net, False),
    "data": (lambda entry: entry.record.data.name, False),
}
"""What each order looks at, and whether the largest comes first."""

ORDERS = tuple(_FIRST)


@dataclass(frozen=True)
class Wanted:
    """What a run must be to be listed; None is anything.

    ``data``: the name of the data's folder; ``where``: texts ``key=value`` about anything in the record, where a key
    is a name in it (``crop``) or a path to it (``settings.training.crop``).
    """

    net: str | None = None
    data: str | None = None
    kind: str | None = None
    state: str | None = None
    where: tuple[str, ...] = ()


def select(
    entries: Sequence[Entry], wanted: Wanted, order: Order = "created", *, reverse: bool = False
) -> tuple[Entry, ...]:
    """The runs that are wanted, in an order.

    What is usually looked for comes first: the newest, the highest score, the least time or memory, names by the
    alphabet. ``reverse`` turns that round; runs without the value come last either way.

    Raises
    ------
    UsageError: a ``where`` without ``=``, or with a key that no record has.
    """
    kept = [entry for entry in entries if _is(entry, wanted)]
    for text in wanted.where:
        names, values = _condition(text, entries)
        kept = [entry for entry in kept if any(n in names and _agrees(v, values) for n, v in flat(entry.to_json()))]
    value, largest_first = _FIRST[order]
    known = [entry for entry in kept if value(entry) is not None]
    unknown = [entry for entry in kept if value(entry) is None]
    return (*sorted(known, key=value, reverse=largest_first != reverse), *unknown)


def _is(entry: Entry, wanted: Wanted) -> bool:
    record = entry.record
    found = {"net": record.net, "data": record.data.name, "kind": record.kind, "state": entry.state}
    return all(getattr(wanted, name) in (None, value) for name, value in found.items())


def _condition(text: str, entries: Sequence[Entry]) -> tuple[set[str], tuple[Any, ...]]:
    """The names in a record that a ``key=value`` is about, and the values it accepts."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--where {text}", "key=value", "for example --where crop=256")
    names = {name for entry in entries for name, _ in flat(entry.to_json())}
    meant = {name for name in names if name == key or name.endswith(f".{key}")}
    if names and not meant:
        near = difflib.get_close_matches(key, [*names, *(name.rpartition(".")[2] for name in names)], n=3)
        raise UsageError(
            f"--where {text}: no run has {key}",
            "a name in a run.json",
            f"try {', '.join(dict.fromkeys(near))}" if near else "see the names with: unpool runs show ID --json",
        )
    return meant, (value, _plain(value))


def _agrees(found: Any, values: tuple[Any, ...]) -> bool:
    """Whether a value, or one in a list of them, is among those accepted."""
    return any(each in values for each in (found if isinstance(found, list) else [found]))


def flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested data, each with the path to it."""
    for key, value in plain.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

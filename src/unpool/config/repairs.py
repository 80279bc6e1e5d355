"""Repairs of choices that do not fit together: the fewest other settings to change, so that a person's own stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from unpool.config.values import set_options_text
from unpool.errors import ObjectionError
from unpool.nets.families import structure_of
from unpool.nets.named import NAMED_NETS

Build = Callable[..., object]
"""A function that checks the settings of a section, and raises pydantic's ValidationError for wrong ones."""

MOST_WAYS = 3
"""The most repairs that one message offers."""


def repair(build: Build, settings: Mapping[str, Any], kept: Collection[str]) -> dict[str, Any] | None:
    """Return the fewest changes of settings that make them fit together; None where no changes do.

    It follows the changes that each objection offers, and those of the objection that is then next.

    Parameters
    ----------
    kept: the settings that do not change.
    """
    waiting: list[dict[str, Any]] = [{}]
    seen = list(waiting)
    while waiting:
        changes = waiting.pop(min(range(len(waiting)), key=lambda place: len(waiting[place])))
        try:
            build(**{**settings, **changes})
        except ValidationError as error:
            for change in offered(error):
                following = {name: v for name, v in {**changes, **change}.items() if settings.get(name, ...) != v}
                if change.keys().isdisjoint(kept) and following not in seen:
                    waiting.append(following)
                    seen.append(following)
        else:
            return changes
    return None


def offered(error: ValidationError) -> Iterable[Mapping[str, Any]]:
    """Return the changes that the first problem of settings offers; none for a value out of its range."""
    problem = error.errors()[0].get("ctx", {}).get("error")
    return problem.changes if isinstance(problem, ObjectionError) else ()


def repair_text(build: Build, settings: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Return the repair of choices that do not fit together, as words for the command line.

    It keeps all that the person gave, if that is possible. Otherwise it names the ways to change one of the given
    settings, or as few as possible.

    Parameters
    ----------
    settings: all settings of the section; given: those of them that the person gave.
    """
    changes = repair(build, settings, given.keys())
    if changes is not None:
        return f"add {set_options_text(changes)}"
    loosened = [repair(build, settings, given.keys() - {name}) for name in given]
    ways = [changes for changes in loosened if changes is not None]
    if not ways:
        of_any = repair(build, settings, ())
        ways = [] if of_any is None else [of_any]
    if not ways:
        return f"change {' or '.join(given)}"
    texts = [set_options_text(changes) for changes in sorted(ways, key=len)[:MOST_WAYS]]
    return f"change {'it' if len(texts) == 1 else 'one of them'}: {', or '.join(texts)}"


def network_that_takes(given: Mapping[str, Any]) -> str | None:
    """Return the named network that takes these settings of a structure and has most of them; None if none does."""
    takers: dict[str, int] = {}
    for net in NAMED_NETS.values():
        try:
            structure = structure_of({**net.structure.model_dump(), **given})
        except ValueError:
            continue
        takers[net.name] = sum(getattr(structure, name) == getattr(net.structure, name) for name in given)
    return max(takers, key=lambda name: takers[name]) if takers else None

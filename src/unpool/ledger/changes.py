"""The settings in which trainings differ: from the defaults, or from each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from unpool.ledger.record import Record
from unpool.wording import DASH, dotted_names

WITHOUT_EFFECT = ("machine", "recipe", "config_version")
"""Parts of a configuration that do not change the result of a training."""

SEED_SETTING = "training.seed"
_LAST = (SEED_SETTING, "training.minutes", "training.epochs", "training.start")
"""Settings that a list of changes ends with: they are no idea about the network or its training."""


class Change(NamedTuple):
    """A setting in which two trainings differ, by its full name, and both values; None for a value that is not set."""

    name: str
    before: Any
    after: Any


def changed_settings(record: Record) -> dict[str, Any]:
    """Return the settings of a training that differ from the defaults and change its result, the budget last."""
    return {name: record.changed[name] for name in in_order(record.changed) if _has_effect(name)}


def changes_between(before: Record, after: Record) -> list[Change]:
    """List the settings in which two trainings differ, the budget last; the network is one of them.

    Of two networks, and of settings that only one version of unpool has, only those count that differ from the default
    in one of the trainings.
    """
    one, other = _settings(before), _settings(after)
    changed = before.changed.keys() | after.changed.keys()
    names = [
        name
        for name in dict.fromkeys([*other, *one])
        if _has_effect(name) and one.get(name) != other.get(name)
        if name in changed or (name in one and name in other and not _is_of_another_net(name, before, after))
    ]
    return [Change(name, one.get(name), other.get(name)) for name in in_order(names)]


def setting(record: Record, name: str) -> Any:
    """Return the value of a setting by its full name; None where it is not set."""
    return _settings(record).get(name)


def short_name(name: str) -> str:
    """Return the name of a setting without its section: no two sections have one name."""
    return name.rpartition(".")[2]


def setting_text(value: Any) -> str:
    """Return a value as ``--set`` takes it, where it is a text without its quotes; a dash for None."""
    if value is None:
        return DASH
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def assignments_text(settings: Mapping[str, Any]) -> str:
    """Return settings as ``skip=add crop=64``."""
    return " ".join(f"{short_name(name)}={setting_text(value)}" for name, value in settings.items())


def changes_text(changes: Sequence[Change]) -> str:
    """Return changes with the values before them: ``skip=add (was concat), crop=64 (was 256)``."""
    return ", ".join(
        f"{short_name(each.name)}={setting_text(each.after)} (was {setting_text(each.before)})" for each in changes
    )


def _settings(record: Record) -> dict[str, Any]:
    return dict(dotted_names(record.settings))


def _is_of_another_net(name: str, before: Record, after: Record) -> bool:
    return before.net != after.net and name.startswith("structure.")


def _has_effect(name: str) -> bool:
    return name.partition(".")[0] not in WITHOUT_EFFECT


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of settings in their order, but the seed, the budget and the first model at the end."""
    given = list(names)
    return [name for name in given if name not in _LAST] + [name for name in _LAST if name in given]

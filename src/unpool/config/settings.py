"""Settings as plain nested data: how layers of them become one, and how they become a checked ``RunConfig``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from unpool.config.schema import SECTIONS, RunConfig, setting_keys
from unpool.errors import UsageError
from unpool.nets.named import named_net

BUDGET_KEYS = ("epochs", "minutes")


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with those of all layers; a later layer overrides an earlier one."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def override(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with changes merged over them; a changed budget replaces both epochs and minutes."""
    base, training = dict(settings), changes.get("training", {})
    if any(training.get(key) is not None for key in BUDGET_KEYS):
        base["training"] = {key: v for key, v in base.get("training", {}).items() if key not in BUDGET_KEYS}
    return merge(base, changes)


def resolve(settings: Mapping[str, Any], origin: str = "the settings") -> RunConfig:
    """Return the configuration that settings describe, checked and with a default for every other key.

    Parameters
    ----------
    settings: nested as ``RunConfig``; keys of ``structure`` change the structure of the named network.
    origin: the source of the settings, for messages.

    Raises
    ------
    UsageError: an unknown key (with the nearest known one), or a value out of its range.
    """
    require_tables(settings, origin)
    net = str(settings.get("net", "unet"))
    structure = {**named_net(net).structure.model_dump(), **settings.get("structure", {})}
    try:
        return RunConfig(**{**settings, "net": net, "structure": structure})
    except ValidationError as error:
        raise _usage_error(error, origin) from error


def require_tables(settings: Mapping[str, Any], origin: str) -> None:
    """Raise UsageError if a section of the settings is no table of keys."""
    for section in SECTIONS:
        table = settings.get(section, {})
        if not isinstance(table, Mapping):
            raise UsageError(f"{origin}: {section} = {table!r}", f"a table [{section}]", "write keys under it")


def key_suggestion(key: str) -> str:
    """Return a repair for an unknown key: the section that has its name, the nearest key, or all keys."""
    name = key.rpartition(".")[2]
    elsewhere = [f"{section}.{other}" for section, other in setting_keys() if other == name]
    if elsewhere:
        return f"write {' or '.join(elsewhere)}"
    names = [other for _, other in setting_keys()] + ["net", "licence"]
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"the keys are {', '.join(sorted(set(names)))}"


def _usage_error(error: ValidationError, origin: str) -> UsageError:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"])) or "the configuration"
    if problem["type"] == "extra_forbidden":
        return UsageError(f"{origin}: unknown key {key}", "a key of the configuration", key_suggestion(key))
    message = problem["msg"].removeprefix("Value error, ")
    found = f"{origin}: {key} = {problem['input']!r}" if problem["type"] != "value_error" else f"{origin}: {key}"
    return UsageError(found, message[:1].lower() + message[1:], f"change {key}")

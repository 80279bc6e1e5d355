"""Settings as plain nested data: how layers of them become one, and how they become a checked ``RunConfig``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from unpool.config.schema import SECTIONS, RunConfig, setting_keys
from unpool.errors import UsageError
from unpool.nets.named import named_net
from unpool.wording import shortened

BUDGET_KEYS = ("epochs", "minutes")

EXPECTED = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list, written as [a, b]",
    "model_type": "a table of keys",
}
"""What a setting should be, by pydantic's name of the error."""

LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("of at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("of at most", "le"),
}
"""Words and pydantic's key for the limit of a number, by pydantic's name of the error."""


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
            raise UsageError(f"{origin}: {section} = {_shown(table)}", f"a table [{section}]", "write keys under it")


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
    if problem["type"] == "value_error":
        found, expected, repair = _parts(problem["msg"].removeprefix("Value error, "), f"change {key}")
        return UsageError(f"{origin}: {key}: {found}", expected, repair)
    return UsageError(
        f"{origin}: {key} = {_shown(problem['input'])}", _expected(problem), f"change {key}{_example(problem['loc'])}"
    )


def _shown(value: Any) -> str:
    """Return a value as a message shows it: the start of it, if it is long."""
    return shortened(repr(value), 80)


def _parts(message: str, repair: str) -> tuple[str, str, str]:
    """Return found, expected and to do from a validator's message: ``found``, ``found; to do``, or all three."""
    found, *rest = message.split("; ", 2)
    if len(rest) == 2:
        return found, rest[0], rest[1]
    return found, "settings that fit together", rest[0] if rest else repair


def _expected(problem: ErrorDetails) -> str:
    """Return the value that a setting can have, in plain words."""
    kind, limits = problem["type"], problem.get("ctx", {})
    if kind == "literal_error":
        return f"one of {limits['expected']}"
    if kind in LIMITS:
        word, limit = LIMITS[kind]
        return f"a number {word} {limits[limit]:g}"
    message = problem["msg"]
    return EXPECTED.get(kind, message[:1].lower() + message[1:])


def _example(place: tuple[int | str, ...]) -> str:
    """Return an assignment that is right, the default, for the end of a repair; an empty text if there is none."""
    section, name = [*map(str, place), "", ""][:2]
    models = [model for model in SECTIONS.get(section, ()) if name in model.model_fields]
    defaults = {repr(model.model_fields[name].default): model.model_fields[name].default for model in models}
    if len(defaults) != 1:  # families of networks have fields of one name and other values
        return ""
    (default,) = defaults.values()
    if not isinstance(default, bool | int | float | str):
        return ""
    return f", for example --set {name}={str(default).lower() if isinstance(default, bool) else default}"

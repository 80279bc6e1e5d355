"""Settings as plain nested data: how layers of them become one, and how they become a checked ``RunConfig``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from unpool.config.repairs import network_that_takes, repair_text
from unpool.config.schema import SECTIONS, RunConfig, setting_keys
from unpool.config.values import field_of, is_text, right_assignment, values_text
from unpool.errors import ObjectionError, UsageError
from unpool.nets.named import NAMED_NETS, NamedNet, named_net
from unpool.wording import command_text, shortened

BUDGET_KEYS = ("epochs", "minutes")

OPTIONS = ("masks", "seed")
"""Settings that are also options of every command that takes settings; such an option overrides ``--set``."""

_VERSION_1: Mapping[str, Any] = {"config_version": 2, "data": {"normalisation": "set"}}
"""What settings were that version 1 of a complete configuration did not have, where their default is another today."""

SEE_ALL = "see them all: unpool explain --settings"
"""Where a person finds every setting with its meaning."""

SHOWN = 80
"""The most letters of a wrong value in a message."""


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
    settings: nested as ``RunConfig``; keys of ``structure`` change the structure of the named network. Settings that
        say that they are version 1 become those of today with the same meaning.
    origin: the source of the settings, for messages.

    Raises
    ------
    UsageError: an unknown key (with the nearest known one), a value out of its range, or choices that do not fit
        together (with a change that keeps those of ``settings``, where there is one).
    """
    require_tables(settings, origin)
    if settings.get("config_version") == 1:
        settings = merge(settings, _VERSION_1)
    net = named_net(str(settings.get("net", "unet")))
    _require_family(settings, net, origin)
    structure = {**net.structure.model_dump(), **settings.get("structure", {})}
    try:
        return RunConfig(**{**settings, "net": net.name, "structure": structure})
    except ValidationError as error:
        raise _usage_error(error, origin, settings, net) from error


def require_tables(settings: Mapping[str, Any], origin: str) -> None:
    """Raise UsageError if a section of the settings is no table of keys."""
    for section in SECTIONS:
        table = settings.get(section, {})
        if not isinstance(table, Mapping):
            raise UsageError(f"{origin}: {section} = {_shown(table)}", f"a table [{section}]", "write keys under it")


def key_suggestion(key: str) -> str:
    """Return a repair for an unknown key: the section that has its name, the nearest key, and where all are listed."""
    name = key.rpartition(".")[2]
    elsewhere = [f"{section}.{other}" for section, other in setting_keys() if other == name]
    if elsewhere:
        return f"write {' or '.join(elsewhere)}; {SEE_ALL}"
    near = nearest_key(name)
    return f"did you mean {near}? {SEE_ALL}" if near else SEE_ALL


def nearest_key(name: str) -> str | None:
    """Return the setting whose name is nearest to this one; None where none is near."""
    names = [other for _, other in setting_keys()] + ["net", "licence"]
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)


def _require_family(settings: Mapping[str, Any], net: NamedNet, origin: str) -> None:
    """Raise UsageError for a key of the structure that only another family of networks has."""
    known = type(net.structure).model_fields
    for key, value in settings.get("structure", {}).items():
        if key == "kind" and value != net.structure.kind:
            raise UsageError(
                f"{origin}: structure.kind = {_shown(value)}",
                f"{net.structure.kind}, which {net.name} is",
                "leave it out; --net chooses the network",
            )
        others = [each.name for each in NAMED_NETS.values() if key in type(each.structure).model_fields]
        if key not in known and others:
            other = network_that_takes(settings["structure"]) or network_that_takes({key: value}) or others[0]
            raise UsageError(
                f"{origin}: {net.name} has no setting {key}",
                f"a setting of {net.name}",
                f"leave {key} out, or take a network that has it, such as {other}; see them all: "
                f"unpool explain {net.name} --settings",
            )


def _usage_error(error: ValidationError, origin: str, settings: Mapping[str, Any], net: NamedNet) -> UsageError:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"])) or "the configuration"
    if problem["type"] == "extra_forbidden":
        return UsageError(f"{origin}: unknown key {key}", "a key of the configuration", key_suggestion(key))
    if problem["type"] == "value_error":
        objection = problem["ctx"]["error"]
        if isinstance(objection, ObjectionError):
            repair = _repair(key, settings.get(key, {}), net)
            return UsageError(f"{origin}: {key}: {objection.reason}", "settings that fit together", repair)
        found, expected, repair = _parts(str(objection), f"change {key}")
        return UsageError(f"{origin}: {key}: {found}", expected, repair)
    shown, setting = _shown(problem["input"]), field_of(problem["loc"], type(net.structure))
    if setting is None:
        return UsageError(f"{origin}: {key} = {shown}", problem["msg"].lower(), f"change {key}")
    key, field = setting
    repair = _change(key, field, problem["input"])
    if key.startswith("structure.") and (other := network_that_takes(settings["structure"])):
        repair = f"take a network that has it, such as {other}, or {repair}"
    return UsageError(f"{origin}: {key} = {shown}", values_text(field), repair)


def _repair(section: str, given: Mapping[str, Any], net: NamedNet) -> str:
    """Return the repair of choices in a section that do not fit together."""
    if section != "structure":
        return repair_text(SECTIONS[section][0], given, given)
    return repair_text(type(net.structure), {**net.structure.model_dump(), **given}, given)


def _parts(message: str, repair: str) -> tuple[str, str, str]:
    """Return found, expected and to do from a validator's message: ``found``, ``found; to do``, or all three."""
    found, *rest = message.split("; ", 2)
    if len(rest) == 2:
        return found, rest[0], rest[1]
    return found, "settings that fit together", rest[0] if rest else repair


def _change(key: str, field: FieldInfo, given: Any) -> str:
    """Return the repair of a value that a setting cannot have, with an assignment that is right if there is one."""
    name = key.rpartition(".")[2]
    if is_text(field) and isinstance(given, bool | int | float):
        return f"write quotes around a text: --set '{name}=\"{given}\"'"
    right = right_assignment(name)
    if not right:
        return f"change {key}; see unpool explain --settings {name}"
    example = f"--{right.replace('=', ' ')}" if name in OPTIONS else command_text(["--set", right])
    return f"change {key}, for example {example}; see unpool explain --settings {name}"


def _shown(value: Any) -> str:
    """Return a value as a message shows it: the start of it, if it is long."""
    return shortened(repr(value), SHOWN)

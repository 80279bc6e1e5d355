"""The values that a setting can have, in words, and an assignment that is right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from unpool.config.schema import SECTIONS, RunConfig
from unpool.meaning import Meaning
from unpool.nets.network import NetworkStructure
from unpool.wording import command_text

JSON_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "object": "a table of keys",
}
"""Names of the types of JSON."""

LIMITS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minLength": "of at least",
    "maxLength": "at most",
}
"""Words for the limits in a JSON schema."""


def field_of(place: tuple[int | str, ...], structure: type[NetworkStructure]) -> tuple[str, FieldInfo] | None:
    """Return the name of the setting at a place in a configuration, and its field; None for another place.

    Parameters
    ----------
    place: the section and the name, or the name alone; more names may follow, which are pydantic's own.
    structure: the class of the network's structure.
    """
    section, name = [*map(str, place), "", ""][:2]
    models: dict[str, type[BaseModel]] = {key: each[0] for key, each in SECTIONS.items()} | {"structure": structure}
    fields = models[section].model_fields if section in models else RunConfig.model_fields
    key = name if section in models else section
    return (f"{section}.{key}" if section in models else key, fields[key]) if key in fields else None


def values_text(field: FieldInfo) -> str:
    """Return the values that a setting can have: ``a whole number from 16 to 8192``."""
    return _words(TypeAdapter(field.rebuild_annotation()).json_schema())


def is_text(field: FieldInfo) -> bool:
    """Return whether a setting is a text of any letters."""
    return values_text(field).startswith(JSON_TYPES["string"])


def meaning_of(field: FieldInfo) -> Meaning:
    """Return the meaning of a setting, which its field carries."""
    return next(each for each in field.metadata if isinstance(each, Meaning))


def right_value(field: FieldInfo, default: Any) -> Any:
    """Return a value that a setting can have: its default, or the example of its meaning where the default is none."""
    return meaning_of(field).example if default is None or default == () else default


def assignment(name: str, value: Any) -> str:
    """Return an assignment as ``--set`` reads it: ``crop=256``, ``bottom=false`` or ``ignore=[255]``."""
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"


def set_options_text(values: Mapping[str, Any]) -> str:
    """Return settings as words for the command line: ``--set skip=none --set bottom=false``."""
    return command_text(word for name, value in values.items() for word in ("--set", assignment(name, value)))


def right_assignment(name: str) -> str:
    """Return an assignment that is right, ``crop=256``; an empty text where families have other defaults."""
    fields = [model.model_fields[name] for each in SECTIONS.values() for model in each if name in model.model_fields]
    right = {assignment(name, right_value(field, field.default)) for field in fields}
    return right.pop() if len(right) == 1 else ""


def _words(schema: dict[str, Any]) -> str:
    """Return a JSON schema in words."""
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(_words(each) for each in schema["anyOf"] if each.get("type") != "null"))
    if "const" in schema:
        return f"{schema['const']}"
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if schema.get("type") == "array":
        return f"a list, written as [a, b], of: {_words(schema['items'])}"
    kind = JSON_TYPES.get(schema.get("type", ""), "another value")
    if {"minimum", "maximum"} <= schema.keys():
        return f"{kind} from {_number(schema['minimum'])} to {_number(schema['maximum'])}"
    limits = [f"{words} {_number(schema[key])}" for key, words in LIMITS.items() if key in schema]
    return f"{kind} {' and '.join(limits)}" if limits else kind


def _number(value: float) -> str:
    return f"{value:.15g}" if isinstance(value, float) else f"{value}"

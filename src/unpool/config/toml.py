"""A configuration as a TOML text, which is also a recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from unpool.config.schema import RunConfig
from unpool.nets.named import named_net


def to_toml(config: RunConfig) -> str:
    """Return a configuration as TOML; ``read_recipe`` and ``resolve`` read it back to an equal one.

    The text has only those keys of the structure that differ from the named network. So with another ``--net`` the
    recipe means that network.
    """
    plain = config.model_dump(mode="json")
    named = named_net(config.net).structure.model_dump(mode="json")
    plain["structure"] = {key: value for key, value in plain["structure"].items() if value != named[key]}
    lines = [line for key, value in plain.items() if not _tables(value) for line in _toml_line(key, value)]
    for key, value in plain.items():
        for table in _tables(value):
            heading = f"[{key}]" if isinstance(value, dict) else f"[[{key}]]"
            lines += ["", heading, *(line for name, part in table.items() for line in _toml_line(name, part))]
    return "\n".join(lines) + "\n"


def _tables(value: Any) -> list[dict[str, Any]]:
    """Return the tables that TOML writes for a value: one, those of a list, or none."""
    if isinstance(value, dict):
        return [value]
    return value if isinstance(value, list) and value and isinstance(value[0], dict) else []


def _toml_line(key: str, value: Any) -> Iterator[str]:
    if value is not None:  # TOML has no null; a key that can be None has None as its default, so it is left out
        # Texts, numbers, booleans and lists in JSON are those of TOML, except that TOML escapes DEL too.
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")

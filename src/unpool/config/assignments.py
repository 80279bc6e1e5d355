"""Settings from texts ``key=value``, as ``--set`` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unpool.config.schema import SECTIONS, RunConfig, setting_keys
from unpool.config.settings import key_suggestion
from unpool.config.values import right_assignment
from unpool.errors import UsageError
from unpool.io.documents import toml_table
from unpool.wording import command_text, shortened


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the nested settings that texts ``key=value`` describe.

    A key is ``section.name``, or the name alone if only one section has it. A value is written as in TOML; any other
    value is a text, so ``skip=add`` needs no quotes.

    Raises
    ------
    UsageError: no key or no ``=``, an unknown or ambiguous key, or a key twice.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not key.strip() or not equals:
            if key.strip():
                section_and_name(key.strip())
            right = right_assignment(key.strip().rpartition(".")[2]) or f"{key.strip() or 'key'}=…"
            example = command_text(["--set", right])
            raise UsageError(f"--set {shortened(assignment, 80)}", "key=value", f"write for example {example}")
        section, name = section_and_name(key.strip())
        table = settings if section is None else settings.setdefault(section, {})
        if name in table:
            raise UsageError(f"--set {name} twice", "each setting once", f"leave out one --set {name}=…")
        table[name] = value_of(text)
    return settings


def nested_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings from values by their keys; a key is ``section.name``, or the name alone.

    Raises
    ------
    UsageError: an unknown or ambiguous key, or a key twice.
    """
    settings: dict[str, Any] = {}
    for key, value in values.items():
        section, name = section_and_name(key)
        table = settings if section is None else settings.setdefault(section, {})
        if name in table:
            raise UsageError(f"{name} twice", "each setting once", f"leave out one {name}")
        table[name] = value
    return settings


def value_of(text: str) -> Any:
    """Return the value that a text means, as ``--set key=text`` takes it."""
    try:
        table = toml_table(f"value = {text}", finite=False)
    except ValueError:
        return text.strip()
    return table["value"] if table.keys() == {"value"} else text.strip()


def section_and_name(key: str) -> tuple[str | None, str]:
    """Return the section and the name of a setting; the section is None for one outside of all.

    Raises
    ------
    UsageError: an unknown or ambiguous key.
    """
    section, dot, name = key.rpartition(".")
    key = shortened(key, 80)
    if not dot and name in RunConfig.model_fields and name not in SECTIONS:
        return None, name
    matches = [(s, n) for s, n in setting_keys() if n == name and (not dot or s == section)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        choices = " or ".join(f"{s}.{n}" for s, n in matches)
        raise UsageError(f"--set {key}: several sections have this key", choices, "write the section too")
    raise UsageError(f"--set {key}: no such setting", "a key of the configuration", key_suggestion(key))

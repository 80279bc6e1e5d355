"""The settings as pages: all of them in groups, and some of them in full."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from unpool.config.listing import RUN, SETTING_GROUPS, Setting
from unpool.nets.explain.words import sentence_case
from unpool.report.sections import Section, Table
from unpool.wording import DASH, first_of, shortened

MOST_SHOWN = 24
"""The most letters of a default in the list of all settings."""


def list_sections(settings: Sequence[Setting], net: str) -> list[Section]:
    """Return the list of settings, a section for each group.

    Parameters
    ----------
    net: the named network whose defaults are shown; of the structures of other families, only settings that it lacks.
    """
    sections = []
    for group in SETTING_GROUPS:
        of_group = [each for each in settings if each.group == group]
        own = [each for each in of_group if net in each.defaults]
        title = "the run" if group == RUN else group
        sections.append(_listed(f"{title}, with the defaults of {net}" if group == "structure" else title, own, net))
        names = {each.name for each in own}
        others = [each for each in of_group if each.name not in names]
        if others:
            other = next(iter(others[0].defaults))
            sections.append(_listed(f"structure of other networks, with the defaults of {other}", others, other))
    lines = (
        "to give one a value: unpool train DATA --set NAME=VALUE",
        "one in full: unpool explain --settings skip",
        "those of another network: unpool explain segnet --settings",
    )
    return [*sections, Section("", (lines,))]


def full_sections(settings: Sequence[Setting], net: str | None) -> list[Section]:
    """Return each setting in full; with a network, its default in that one alone."""
    return [_in_full(each, net) for each in settings]


def _listed(title: str, settings: Sequence[Setting], net: str) -> Section:
    rows = tuple(
        (each.name, shortened(_shown(each.defaults[net]), MOST_SHOWN), f"{each.meaning.text}; {_values(each)}")
        for each in settings
    )
    return Section(title, (Table(("setting", "default", "meaning; values"), rows, wide=True),))


def _in_full(setting: Setting, net: str | None) -> Section:
    meaning = setting.meaning
    owners = f" of {first_of(list(setting.defaults), 2)}" if setting.group == "structure" and net is None else ""
    title = setting.name if setting.group == RUN else f"{setting.name}, a setting of {setting.group}{owners}"
    parts: list[str | Table | tuple[str, ...]] = [f"{sentence_case(meaning.text)}.", f"Values: {setting.values}."]
    if meaning.choices:
        rows = tuple((str(choice), text) for choice, text in meaning.choices.items())
        parts.append(Table(("value", "meaning"), rows, wide=True))
    by_default: dict[str, list[str]] = {}
    for name, default in setting.defaults.items():
        if net in (None, name):
            by_default.setdefault(_shown(default), []).append(name)
    if len(by_default) == 1:
        parts.append(f"Default: {next(iter(by_default))}.")
    else:
        rows = tuple((default, ", ".join(names)) for default, names in by_default.items())
        parts.append(Table(("default", "networks"), rows, wide=True))
    parts.append(f"Cost: {meaning.cost}.")
    parts.append(f"Write for example: {setting.assignment(net or next(iter(setting.defaults)))}")
    return Section(title, tuple(parts))


def _values(setting: Setting) -> str:
    return ", ".join(map(str, setting.meaning.choices)) or setting.values


def _shown(value: Any) -> str:
    """Return a default as ``--set`` would read it; a dash for none."""
    if value is None:
        return DASH
    return value if isinstance(value, str) else json.dumps(value)

"""Every setting as a reader looks for it: its group, meaning, values, defaults and cost, and an assignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from unpool.config.schema import SECTIONS, RunConfig
from unpool.config.settings import SEE_ALL, nearest_key
from unpool.config.values import meaning_of, right_value, set_options_text, values_text
from unpool.errors import UsageError
from unpool.meaning import Meaning
from unpool.nets.named import NAMED_NETS
from unpool.wording import shortened

RUN = "run"
"""The group of the settings that belong to no section."""

SETTING_GROUPS = ("structure", "training", "augmentation", "loss", "data", "machine", RUN)
"""The groups of settings, in the order of a page: the sections, and the settings outside of them."""


@dataclass(frozen=True)
class Setting:
    """A setting, as the field of its class defines it.

    Attributes
    ----------
    group: one of ``SETTING_GROUPS``.
    defaults: the default in each named network that has the setting; the same in all, except for the structure.
    """

    group: str
    name: str
    field: FieldInfo
    defaults: Mapping[str, Any]

    @property
    def meaning(self) -> Meaning:
        """What the setting is, and what it costs."""
        return meaning_of(self.field)

    @property
    def values(self) -> str:
        """The values that it can have, in words."""
        return values_text(self.field)

    def assignment(self, net: str) -> str:
        """Return words for the command line that give the setting a value which this network takes."""
        return set_options_text({self.name: right_value(self.field, self.defaults[net])})

    def to_json(self, net: str) -> dict[str, Any]:
        """Return the setting as plain data, with its default in a network, or in the first that has the setting."""
        meaning = self.meaning
        net = net if net in self.defaults else next(iter(self.defaults))
        return {
            "group": self.group,
            "name": self.name,
            "meaning": meaning.text,
            "values": self.values,
            "choices": {str(choice): text for choice, text in meaning.choices.items()},
            "default": self.defaults[net],
            "default_of": dict(self.defaults) if self.group == "structure" else {},
            "cost": meaning.cost,
            "example": self.assignment(net),
        }


def all_settings() -> list[Setting]:
    """Return every setting, by groups; a key that two families of networks define is there twice."""
    settings = []
    for group in SETTING_GROUPS:
        for model in SECTIONS.get(group, (RunConfig,)):
            for name, field in model.model_fields.items():
                if any(isinstance(each, Meaning) for each in field.metadata):
                    settings.append(Setting(group, name, field, _defaults(group, model, name)))
    return settings


def settings_named(key: str) -> list[Setting]:
    """Return the settings of this key, ``name`` or ``section.name``: one, or one for each family that has it.

    Raises
    ------
    UsageError: no setting has this key.
    """
    group, _, name = key.rpartition(".")
    found = [each for each in all_settings() if each.name == name and group in ("", each.group)]
    if not found:
        near = nearest_key(name)
        repair = f"unpool explain --settings {near}" if near else "unpool explain --settings"
        raise UsageError(
            f"--settings {shortened(key, 80)}: no such setting",
            "a key of the configuration",
            f"did you mean {repair}?" if near else SEE_ALL,
        )
    return found


def _defaults(group: str, model: type[Any], name: str) -> dict[str, Any]:
    if group != "structure":
        return dict.fromkeys(NAMED_NETS, model.model_fields[name].default)
    nets = [net for net in NAMED_NETS.values() if isinstance(net.structure, model)]
    return {net.name: getattr(net.structure, name) for net in nets}

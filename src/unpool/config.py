"""What a run is: one schema for the command line, recipes and the model's card."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from unpool.errors import UsageError
from unpool.nets import FCNStructure, Structure, named_net


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSettings(_Section):
    """How the folder is read.

    ``masks``: what mask pixels are; ``classes``: names, ``value=name`` or ``#rrggbb=name``, in class order;
    ``ignore``: mask values or colours that count nowhere (None lets the scan decide); ``val_share``: share of pictures
    set aside for validation where the folder has no split; ``cache_gb``: decoded pictures kept in memory.
    """

    masks: Literal["auto", "values", "colours", "instances"] = "auto"
    classes: tuple[str, ...] = ()
    ignore: tuple[int | str, ...] | None = None
    val_share: float = Field(0.2, gt=0, lt=1)
    cache_gb: float = Field(4.0, ge=0)


class TrainingSettings(_Section):
    """How the network is trained.

    ``crop``: largest side of a training crop in pixels; ``class_weight_cap``: class weights of the cross-entropy
    lie within 1/cap..cap (1 turns them off); ``dice``: factor of the Dice term.
    """

    epochs: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)
    batch_size: int = Field(4, ge=1, le=4096)
    crop: int = Field(256, ge=16, le=8192)
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0, le=10)
    weight_decay: float = Field(1e-2, ge=0, le=1)
    dice: float = Field(1.0, ge=0)
    class_weight_cap: float = Field(3.0, ge=1)
    seed: int = Field(0, ge=0, lt=1 << 63)

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("both epochs and minutes are given; a training has one budget")
        return self


class AugmentationSettings(_Section):
    """How training crops are varied; None takes the value that suits the orientation.

    ``orientation``: ``free`` pictures have no up and no down (microscopy, satellites) and are turned every way;
    ``upright`` ones (streets, rooms) are only mirrored left to right and turned a little; ``auto`` measures it.
    """

    orientation: Literal["auto", "free", "upright"] = "auto"
    flip_rows: bool | None = None
    flip_columns: bool | None = None
    rotation: float | None = Field(None, ge=0, le=180)
    scale: float = Field(0.25, ge=0, le=3)
    elastic: float | None = Field(None, ge=0, le=100)
    contrast: float = Field(0.25, ge=0, le=3)
    brightness: float = Field(0.25, ge=0, le=5)
    noise: float = Field(0.1, ge=0, le=5)
    rare: float = Field(0.33, ge=0, le=1)


class MachineSettings(_Section):
    """What the run computes on."""

    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class RunConfig(_Section):
    """A whole run. Every key has a default that trains a sensible model."""

    config_version: Literal[1] = 1
    net: str = "unet"
    structure: Annotated[Structure | FCNStructure, Field(discriminator="kind")]
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    machine: MachineSettings = MachineSettings()


SECTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    "structure": (Structure, FCNStructure),
    "data": (DataSettings,),
    "training": (TrainingSettings,),
    "augmentation": (AugmentationSettings,),
    "machine": (MachineSettings,),
}


KINDS = ("encoder-decoder", "fcn")


def keys() -> list[tuple[str, str]]:
    """Every setting, as (section, name)."""
    return [(s, n) for s, models in SECTIONS.items() for n in dict.fromkeys(n for m in models for n in m.model_fields)]


def resolve(settings: Mapping[str, Any], origin: str = "the settings") -> RunConfig:
    """A whole, validated configuration from the keys a person gave.

    Parameters
    ----------
    settings: nested as ``RunConfig``; keys of ``structure`` change the named net's structure.
    origin: where the settings come from, for messages.

    Raises
    ------
    UsageError: an unknown key (with the nearest known one), or a value that cannot be.
    """
    _require_tables(settings, origin)
    net = str(settings.get("net", "unet"))
    structure = {**named_net(net).structure.model_dump(), **settings.get("structure", {})}
    try:
        return RunConfig(**{**settings, "net": net, "structure": structure})
    except ValidationError as error:
        raise _usage_error(error, origin) from error


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn ``key=value`` texts into nested settings.

    A key is ``section.name``, or a name alone where only one section has it. A value is written as in TOML;
    what is not TOML is taken as text, so ``skip=add`` needs no quotes.

    Raises
    ------
    UsageError: no ``=``, or an unknown or ambiguous key.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment}", "key=value", "for example --set learning_rate=0.001")
        section, name = _locate(key.strip())
        if section is None:
            settings[name] = _value(text)
        else:
            settings.setdefault(section, {})[name] = _value(text)
    return settings


def read_recipe(path: Path) -> dict[str, Any]:
    """Read settings from a TOML file.

    Raises
    ------
    UsageError: the file is missing or not TOML.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "a readable TOML recipe", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", "a TOML file", "correct the line named above") from error
    _require_tables(settings, str(path))
    return settings


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings laid over each other; the later wins."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def to_toml(config: RunConfig) -> str:
    """The configuration as TOML that ``read_recipe`` and ``resolve`` read back to an equal one.

    Of the structure it has what departs from the named net, so that another ``--net`` over the recipe means that net.
    """
    plain = config.model_dump(mode="json")
    named = named_net(config.net).structure.model_dump(mode="json")
    plain["structure"] = {key: value for key, value in plain["structure"].items() if value != named[key]}
    lines = [line for key, value in plain.items() if not isinstance(value, dict) for line in _toml_line(key, value)]
    for key, value in plain.items():
        if isinstance(value, dict):
            lines += [
                "",
                f"[{key}]",
                *(line for name, part in value.items() for line in _toml_line(name, part)),
            ]
    return "\n".join(lines) + "\n"


def _require_tables(settings: Mapping[str, Any], origin: str) -> None:
    for section in SECTIONS:
        given = settings.get(section, {})
        if not isinstance(given, Mapping):
            raise UsageError(f"{origin}: {section} = {given!r}", f"a table [{section}]", "write keys under it")


def _toml_line(key: str, value: Any) -> Iterator[str]:
    if value is not None:  # TOML has no null: an absent key means the default, which is None wherever None is legal
        # JSON's texts, numbers, booleans and lists are TOML's, except that TOML wants DEL escaped too.
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _locate(key: str) -> tuple[str | None, str]:
    section, dot, name = key.rpartition(".")
    if not dot and name in RunConfig.model_fields and name not in SECTIONS:
        return None, name
    found = [(s, n) for s, n in keys() if n == name and (not dot or s == section)]
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(f"{s}.{n}" for s, n in found)
        raise UsageError(f"--set {key}: several sections have it", choices, "write the section too")
    raise UsageError(f"--set {key}: no such setting", "a key of the configuration", _suggest(key))


def _suggest(key: str) -> str:
    names = [n for _, n in keys()] + ["net"]
    near = difflib.get_close_matches(key.rpartition(".")[2], names, n=1)
    return f"did you mean {near[0]}?" if near else f"the keys are {', '.join(sorted(set(names)))}"


def _usage_error(error: ValidationError, origin: str) -> UsageError:
    problem = error.errors()[0]
    # Within the structure pydantic names the kind as well, which nobody writes.
    key = ".".join(str(part) for part in problem["loc"] if part not in KINDS) or "the configuration"
    if problem["type"] == "extra_forbidden":
        return UsageError(f"{origin}: unknown key {key}", "a key of the configuration", _suggest(key))
    message = problem["msg"].removeprefix("Value error, ")
    found = f"{origin}: {key} = {problem['input']!r}" if problem["type"] != "value_error" else f"{origin}: {key}"
    return UsageError(found, message[:1].lower() + message[1:], f"change {key}")

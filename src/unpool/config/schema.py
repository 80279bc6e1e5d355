"""What a run is: one schema for the command line, recipes and the model's card."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator

from unpool.errors import UsageError
from unpool.losses.loss import TERMS, LossFactors
from unpool.nets.families import FAMILIES, structure_of
from unpool.nets.named import named_net
from unpool.nets.network import NetworkStructure
from unpool.wording import all_of


def _structure(given: Any) -> Any:
    return structure_of(given) if isinstance(given, Mapping) else given


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

    ``crop``: largest side of a training crop in pixels; ``parts``: how many parts a batch is computed in, one after the
    other (None: as many as the memory asks for); ``schedule``: the learning rate over the training; ``momentum``: of
    ``sgd``; ``clip``: largest norm of the gradient (0 turns it off); ``settled``: share of the training after which
    batch normalisation keeps its statistics (1 turns it off); ``recompute``: take them anew over the training pictures
    before each validation; ``validate_every``: epochs from one validation to the next; ``best``: the validation score
    that chooses the epoch to keep (``loss``: the lowest); ``start``: a model whose weights the network begins with,
    where name and shape agree.
    """

    epochs: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)
    batch_size: int = Field(4, ge=1, le=4096)
    parts: int | None = Field(None, ge=1, le=4096)
    crop: int = Field(256, ge=16, le=8192)
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0, le=10)
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-2, ge=0, le=1)
    clip: float = Field(10.0, ge=0)
    settled: float = Field(0.7, ge=0, le=1)
    recompute: bool = False
    validate_every: int = Field(1, ge=1)
    best: Literal["mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "loss"] = "mean_iou"
    start: str | None = None
    seed: int = Field(0, ge=0, lt=1 << 63)

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("both epochs and minutes are given; a training has one budget")
        if self.parts is not None and self.parts > self.batch_size:
            raise ValueError(f"a batch of {self.batch_size} crops in {self.parts} parts; set parts={self.batch_size}")
        return self


class LossSettings(_Section, LossFactors):
    """What is made small: a sum of terms, each with its factor.

    ``cross_entropy``, ``dice``, ``lovasz``: factors; ``focal``: the exponent that turns the cross-entropy into the
    focal loss; ``class_weights``: of the cross-entropy: ``balanced`` (the square root of median-frequency balancing,
    within 1/``class_weight_cap``..``class_weight_cap``), ``median-frequency`` (Eigen and Fergus), ``none``, or a number
    for each class; ``division``: what the weighted cross-entropy is divided by: the sum of the pixels' ``weights``, the
    number of ``pixels`` that count, or nothing (``sum``); ``emphasis``: pixels that weigh more: ``separation`` (between
    two objects, U-Net's weight map) or ``boundary``, by ``strength``, falling off over ``sigma`` pixels.
    """

    class_weights: Literal["balanced", "median-frequency", "none"] | tuple[float, ...] = "balanced"
    class_weight_cap: float = Field(3.0, ge=1)
    division: Literal["weights", "pixels", "sum"] = "weights"
    emphasis: Literal["none", "separation", "boundary"] = "none"
    strength: float = Field(10.0, gt=0, le=60_000)
    sigma: float = Field(5.0, gt=0, le=100)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(getattr(self, name) for name in TERMS):
            raise ValueError(f"{all_of(list(TERMS))} are all 0; a loss needs a term")
        means = [f"{name}=0" for name in TERMS if name != "cross_entropy" and getattr(self, name)]
        if self.division == "sum" and means:
            raise ValueError(f"division=sum adds up pixels, and the other terms are means; set {all_of(means)}")
        if not isinstance(self.class_weights, str) and min(self.class_weights, default=0) <= 0:
            raise ValueError("class weights are positive numbers, one for each class")
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
    elastic_points: int = Field(0, ge=0, le=64)
    contrast: float = Field(0.25, ge=0, le=3)
    brightness: float = Field(0.25, ge=0, le=5)
    noise: float = Field(0.1, ge=0, le=5)
    rare: float = Field(0.33, ge=0, le=1)


class MachineSettings(_Section):
    """What the run computes on.

    ``compile``: turn the training step into machine code before a training that is long enough for it; ``memory_gb``:
    memory that training may use (None: what is free).
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto", "yes", "no"] = "auto"
    memory_gb: float | None = Field(None, gt=0)


class RecipeNote(_Section):
    """Where a recipe comes from and what to expect of it, in words.

    ``data``: what its source trained on; ``departures``: what differs from the source.
    """

    name: str
    citation: str
    data: str
    expected: str
    time: str
    departures: tuple[str, ...] = ()


class Stage(_Section):
    """One of several trainings that follow each other; each network begins with the weights of the one before.

    ``share``: of the budget; ``learning_rate``: where it is not the recipe's.
    """

    net: str
    share: float = Field(gt=0, le=1)
    learning_rate: float | None = Field(None, gt=0, le=10)


class RunConfig(_Section):
    """A whole run. Every key has a default that trains a sensible model.

    Attributes
    ----------
    licence: of the weights, for the model's card, best as its SPDX name (CC-BY-4.0); None says nothing.
    """

    config_version: Literal[1] = 1
    net: str = "unet"
    licence: str | None = Field(None, min_length=1, max_length=200)
    structure: Annotated[SerializeAsAny[NetworkStructure], BeforeValidator(_structure)]
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    loss: LossSettings = LossSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    machine: MachineSettings = MachineSettings()
    recipe: RecipeNote | None = None
    stages: tuple[Stage, ...] = ()

    @model_validator(mode="after")
    def _ends_with_its_net(self) -> Self:
        if self.stages and self.stages[-1].net != self.net:
            raise ValueError(f"the last stage trains {self.stages[-1].net}, the recipe is for {self.net}")
        if self.stages and abs(sum(stage.share for stage in self.stages) - 1) > 1e-6:
            raise ValueError("the shares of the stages do not add up to 1; they are parts of one budget")
        return self


SECTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    "structure": tuple(family.structure for family in FAMILIES.values()),
    "data": (DataSettings,),
    "training": (TrainingSettings,),
    "loss": (LossSettings,),
    "augmentation": (AugmentationSettings,),
    "machine": (MachineSettings,),
}


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


def paper_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    found = resources.files("unpool").joinpath("recipes").iterdir()
    return tuple(sorted(each.name.removesuffix(".toml") for each in found if each.name.endswith(".toml")))


def read_recipe(recipe: Path | str) -> dict[str, Any]:
    """Read settings from a TOML file, or from the recipe of that name that comes with the package.

    Raises
    ------
    UsageError: there is no such file and no such recipe, or it is not TOML.
    """
    path: Path | Traversable = Path(recipe)
    if not Path(recipe).exists() and str(recipe) in paper_recipes():
        path = resources.files("unpool").joinpath("recipes", f"{recipe}.toml")
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(paper_recipes())
        raise UsageError(
            f"{recipe}: {error.strerror}", f"a TOML file, or one of {known}", "check the path or the name"
        ) from error
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


def over_recipe(recipe: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings given by hand laid over a recipe's; a budget given by hand replaces the recipe's, of either kind."""
    base = dict(recipe)
    if {"epochs", "minutes"} & given.get("training", {}).keys():
        base["training"] = {k: v for k, v in base.get("training", {}).items() if k not in ("epochs", "minutes")}
    return merge(base, given)


def to_toml(config: RunConfig) -> str:
    """The configuration as TOML that ``read_recipe`` and ``resolve`` read back to an equal one.

    Of the structure it has what departs from the named net, so that another ``--net`` over the recipe means that net.
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


def _require_tables(settings: Mapping[str, Any], origin: str) -> None:
    for section in SECTIONS:
        given = settings.get(section, {})
        if not isinstance(given, Mapping):
            raise UsageError(f"{origin}: {section} = {given!r}", f"a table [{section}]", "write keys under it")


def _tables(value: Any) -> list[dict[str, Any]]:
    """What TOML writes as tables: a table, or a list of them."""
    if isinstance(value, dict):
        return [value]
    return value if isinstance(value, list) and value and isinstance(value[0], dict) else []


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
    elsewhere = [f"{s}.{n}" for s, n in keys() if n == key.rpartition(".")[2]]
    if elsewhere:
        return f"write {' or '.join(elsewhere)}"
    names = [n for _, n in keys()] + ["net", "licence"]
    near = difflib.get_close_matches(key.rpartition(".")[2], names, n=1)
    return f"did you mean {near[0]}?" if near else f"the keys are {', '.join(sorted(set(names)))}"


def _usage_error(error: ValidationError, origin: str) -> UsageError:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"])) or "the configuration"
    if problem["type"] == "extra_forbidden":
        return UsageError(f"{origin}: unknown key {key}", "a key of the configuration", _suggest(key))
    message = problem["msg"].removeprefix("Value error, ")
    found = f"{origin}: {key} = {problem['input']!r}" if problem["type"] != "value_error" else f"{origin}: {key}"
    return UsageError(found, message[:1].lower() + message[1:], f"change {key}")

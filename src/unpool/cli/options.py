"""Options that several commands have, and how a command is run."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

if TYPE_CHECKING:
    from unpool.commands.events import Event

Result = TypeVar("Result")

JsonOption = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]
DataOption = Annotated[Path, Parameter(help="Folder with pictures and masks, in any common layout.")]
ModelOption = Annotated[Path, Parameter(help="A model.safetensors, or the run folder that holds one.")]
NetOption = Annotated[str, Parameter(name="--net", help="The network, by name.")]
MasksOption = Annotated[
    Literal["auto", "values", "colours", "instances"] | None,
    Parameter(name="--masks", help="What mask pixels are: values, colours, or instances (object numbers)."),
]
ClassesOption = Annotated[
    list[str] | None,
    Parameter(
        name="--classes",
        consume_multiple=True,
        negative="",
        help='Class names in order, or "value=name", or "#rrggbb=name".',
    ),
]
IgnoreOption = Annotated[
    list[str] | None,
    Parameter(
        name="--ignore", consume_multiple=True, negative="", help="Mask values or #rrggbb colours that count nowhere."
    ),
]
SettingsOption = Annotated[
    list[str] | None,
    Parameter(name="--set", negative="", help="Any setting, as key=value; may be repeated."),
]
RecipeOption = Annotated[
    Path | None,
    Parameter(
        name="--recipe",
        help="A name from `unpool recipes`, or a TOML file; a run's config.toml is one.",
    ),
]
SeedOption = Annotated[int | None, Parameter(name="--seed", help="Seed of the split, the weights and the crops.")]
DeviceOption = Annotated[str | None, Parameter(name="--device", help="auto, cpu, cuda, cuda:1 or mps.")]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16"] | None,
    Parameter(name="--precision", help="Number type of the convolutions; auto takes what the machine is good at."),
]


TtaOption = Annotated[
    Literal["none", "mirror", "flips", "rotations", "d4"],
    Parameter(
        name="--tta",
        help="Average over the picture mirrored left to right, mirrored every way, turned by quarters, or all (d4, 8).",
    ),
]
SamplesOption = Annotated[
    int, Parameter(name="--samples", help="Average over so many samples of dropout, for networks that have it.")
]


def settings_of(recipe: Path | None, assignments: list[str] | None, **options: Any) -> dict[str, Any]:
    """Settings from a recipe, then ``--set``, then the options of their own; the later wins."""
    from unpool.config.schema import merge, over_recipe, parse_assignments, read_recipe

    given = {key: value for key, value in options.items() if value is not None}
    places = {
        "masks": "data", "classes": "data", "ignore": "data",
        "seed": "training", "minutes": "training", "epochs": "training",
        "device": "machine", "precision": "machine",
    }  # fmt: skip
    own: dict[str, Any] = {}
    for key, value in given.items():
        if key in places:
            own.setdefault(places[key], {})[key] = value
        else:
            own[key] = value
    base = read_recipe(recipe) if recipe is not None else {}
    return over_recipe(base, merge(parse_assignments(assignments or []), own))


def drive(command: Generator[Event, None, Result], *, quiet: bool) -> Result:
    """Run a command, showing what it says: a bar on a terminal, plain lines elsewhere, nothing with --json."""
    from unpool.cli.console import show
    from unpool.commands.events import finish
    from unpool.processes import leave

    result = finish(command) if quiet else show(command)
    leave()
    return result

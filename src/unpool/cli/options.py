"""The options that several commands share, and the values that options become."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token


def whole_number(_: Any, tokens: Sequence[Token]) -> int:
    """Return the number that a word of digits means; cyclopts' own converter rounds ``1.5``."""
    return int(tokens[0].value)


JsonOption = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]
DataOption = Annotated[Path, Parameter(help="Folder with pictures and masks, in any common layout.")]
ModelOption = Annotated[Path, Parameter(help="A model.safetensors file, or a run folder that has one.")]
MasksOption = Annotated[
    Literal["auto", "values", "colours", "instances"] | None,
    Parameter(name="--masks", help="Meaning of mask pixels: class values, colours, or instances (object numbers)."),
]
ClassesOption = Annotated[
    list[str] | None,
    Parameter(
        name="--classes",
        consume_multiple=True,
        negative="",
        help='Class names in order, or "value=name", "1,3=name", "0-127=name" or "#rrggbb=name".',
    ),
]
IgnoreOption = Annotated[
    list[str] | None,
    Parameter(
        name="--ignore",
        consume_multiple=True,
        negative="",
        help='Mask values, "low-high" or "#rrggbb" of ignored pixels.',
    ),
]
SnapOption = Annotated[
    bool | None,
    Parameter(name="--snap", negative="", help="Read mask values without a name as the nearest one that has a name."),
]
SettingsOption = Annotated[
    list[str] | None,
    Parameter(
        name="--set", negative="", help="A setting, as key=value; repeatable. `unpool explain --settings` lists them."
    ),
]
RecipeOption = Annotated[
    Path | None,
    Parameter(
        name="--recipe",
        help="A name that `unpool recipes` lists, or a TOML file, such as the config.toml of a run.",
    ),
]
SeedOption = Annotated[
    int | None,
    Parameter(name="--seed", converter=whole_number, help="Seed of the split, the first weights and the crops."),
]
DeviceOption = Annotated[
    str | None, Parameter(name="--device", help="Device to compute on: auto, cpu, cuda, cuda:1 or mps.")
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16"] | None,
    Parameter(name="--precision", help="Number type of the convolutions; auto takes the one that suits the machine."),
]
TtaOption = Annotated[
    Literal["none", "mirror", "flips", "rotations", "d4"],
    Parameter(
        name="--tta",
        help="Average over orientations of the picture: mirror (left to right, 2), flips (mirrored in rows and "
        "columns, 4), rotations (by quarters, 4) or d4 (all 8).",
    ),
]
SamplesOption = Annotated[
    int,
    Parameter(
        name="--samples",
        converter=whole_number,
        help="Average over this number of dropout samples; the network needs dropout.",
    ),
]

SECTION_OF_OPTION = {
    "masks": "data", "classes": "data", "ignore": "data", "snap": "data",
    "seed": "training", "minutes": "training", "epochs": "training",
    "device": "machine", "precision": "machine",
}  # fmt: skip
"""The section of the settings that an option of its own belongs to; options that are not here have none."""


def settings_of(recipe: Path | None, assignments: list[str] | None, **options: Any) -> dict[str, Any]:
    """Return settings, nested by section, from a recipe, from ``--set`` and from options of their own.

    ``--set`` overrides the recipe, and an option overrides both. An option that is None is not given.

    Raises
    ------
    UsageError: an option has no value, or a setting or the recipe cannot be read.
    """
    from unpool.config.assignments import parse_assignments
    from unpool.config.recipes import read_recipe
    from unpool.config.settings import merge, override
    from unpool.errors import UsageError

    of_options: dict[str, Any] = {}
    for name, value in options.items():
        if value == []:
            raise UsageError(
                f"--{name} without a value", "one value or more", f"leave --{name} out, or give it a value"
            )
        if value is not None and name in SECTION_OF_OPTION:
            of_options.setdefault(SECTION_OF_OPTION[name], {})[name] = value
        elif value is not None:
            of_options[name] = value
    base = read_recipe(recipe) if recipe is not None else {}
    return override(base, merge(parse_assignments(assignments or []), of_options))


MOST_BYTES = 1e15
"""The largest size that ``--memory`` takes."""


def bytes_of(text: str | None) -> float | None:
    """Return the number of bytes that ``--memory`` names, such as 2GB or 800MB; None for None.

    Raises
    ------
    UsageError: the text is no size, or not one from 1 byte to ``MOST_BYTES``.
    """
    from unpool.errors import UsageError

    if text is None:
        return None
    number, unit = text.strip().upper().removesuffix("B"), 1.0
    for letter, size in (("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        if number.endswith(letter):
            number, unit = number[:-1], size
    try:
        size_in_bytes = float(number) * unit
    except ValueError:
        size_in_bytes = 0.0
    if not 1 <= size_in_bytes <= MOST_BYTES:
        raise UsageError(f"--memory {text}", "a size from 1 byte to 1000TB", "give for example --memory 2GB")
    return size_in_bytes

"""Settings from TOML files: a person's own, and the recipes that come with the package."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from unpool.config.settings import require_tables
from unpool.errors import DataError, UsageError
from unpool.io.documents import read_toml


def paper_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    files = resources.files("unpool").joinpath("recipes").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def read_recipe(recipe: Path | str) -> dict[str, Any]:
    """Return the settings in a TOML file, or in the recipe of this name that comes with the package.

    Raises
    ------
    UsageError: neither the file nor the recipe exists, or the file is not TOML.
    """
    path: Path | Traversable = Path(recipe)
    if not Path(recipe).exists() and str(recipe) in paper_recipes():
        path = resources.files("unpool").joinpath("recipes", f"{recipe}.toml")
    try:
        settings = read_toml(path)
    except DataError as error:
        found_file = not isinstance(error.__cause__, OSError)
        raise UsageError(
            error.found,
            "a TOML file" if found_file else f"a TOML file, or one of {', '.join(paper_recipes())}",
            "correct the file" if found_file else "check the path or the name",
        ) from error
    require_tables(settings, str(path))
    return settings

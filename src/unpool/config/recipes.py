"""Settings from TOML files: a person's own, and the recipes that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unpool.config.settings import require_tables
from unpool.config.shipped import read_own_or_shipped, shipped_names

RECIPES = "recipes"
"""The folder of the package with the recipes."""


def paper_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    return shipped_names(RECIPES)


def read_recipe(recipe: Path | str) -> dict[str, Any]:
    """Return the settings in a TOML file, or in the recipe of this name that comes with the package.

    Raises
    ------
    UsageError: neither the file nor the recipe exists, or the file is not TOML.
    """
    settings = read_own_or_shipped(recipe, RECIPES)
    require_tables(settings, str(recipe))
    return settings

"""TOML files that come with the package, which a person names as they name files of their own."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from unpool.errors import DataError, UsageError
from unpool.io.documents import read_toml


def shipped_names(folder: str) -> tuple[str, ...]:
    """Return the names of the TOML files in a folder of the package, without their suffix."""
    files = resources.files("unpool").joinpath(folder).iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def shipped_file(folder: str, name: str) -> Traversable:
    """Return the TOML file of this name in a folder of the package."""
    return resources.files("unpool").joinpath(folder, f"{name}.toml")


def read_own_or_shipped(given: Path | str, folder: str) -> dict[str, Any]:
    """Return the content of a TOML file, or of the one of this name in a folder of the package.

    Raises
    ------
    UsageError: there is neither, or the file is not TOML.
    """
    names = shipped_names(folder)
    shipped = str(given) in names and not Path(given).exists()
    try:
        return read_toml(shipped_file(folder, str(given)) if shipped else Path(given))
    except DataError as error:
        found_file = not isinstance(error.__cause__, OSError)
        raise UsageError(
            error.found,
            "a TOML file" if found_file else f"a TOML file, or one of {', '.join(names)}",
            "correct the file" if found_file else "check the path or the name",
        ) from error

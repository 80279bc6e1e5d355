"""The folder of one training run: its files, its name, and its stored settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from unpool.config.recipes import read_recipe
from unpool.config.schema import RunConfig
from unpool.config.settings import override, resolve
from unpool.config.toml import to_toml
from unpool.errors import UsageError
from unpool.io.files import is_draft, write_text
from unpool.io.folders import OUTPUT_MARK
from unpool.wording import dotted_names

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class RunFolder:
    """The paths of the files in a run folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration, which is also a recipe."""
        return self.path / "config.toml"

    @property
    def split(self) -> Path:
        """The split of every picture."""
        return self.path / "split.json"

    @property
    def log(self) -> Path:
        """One line of JSON for each epoch."""
        return self.path / "log.jsonl"

    @property
    def model(self) -> Path:
        """The weights and the card of the best epoch."""
        return self.path / MODEL_FILE

    @property
    def state(self) -> Path:
        """The checkpoint that ``--resume`` continues from."""
        return self.path / "state.pt"

    @property
    def curves(self) -> Path:
        """The drawing of losses and scores over the epochs."""
        return self.path / "curves.svg"

    @property
    def pictures(self) -> Path:
        """The folder of validation pictures, each with its ground truth and its prediction."""
        return self.path / "validation"


def model_file(path: Path) -> Path:
    """Return ``path`` if it is a model file, or the model file in it if it is a run folder."""
    return path / MODEL_FILE if path.is_dir() else path


def new_run(out: Path | None, data: Path, config: RunConfig) -> RunFolder:
    """Return a folder for a new run: ``out``, or the first free ``runs/<data>-<net>``.

    Raises
    ------
    UsageError: ``out`` is not empty, or cannot be made.
    """
    if out is None:
        out = free_path(default_run_path(data, config))
    require_writable(out)
    if out.exists() and not _is_empty(out):
        raise UsageError(
            f"{out} already exists and is not empty",
            "a new or empty folder for the run",
            "give another --out, or --resume to continue the run in this folder",
        )
    return RunFolder(out)


def run_to_resume(out: Path | None, data: Path, config: RunConfig) -> RunFolder | None:
    """Return the run that the same command started: ``out``, or the newest ``runs/<data>-<net>``; None without one.

    Raises
    ------
    UsageError: ``out`` is not empty and not a run folder.
    """
    if out is None:
        base = default_run_path(data, config)
        paths = [p for p in [base, *base.parent.glob(f"{base.name}-*")] if _is_numbered(p, base)]
        runs = [RunFolder(path) for path in sorted(paths, key=lambda p: _number(p, base))]
        started = [run for run in runs if run.config.is_file()]
        return started[-1] if started else None
    if not out.exists() or _is_empty(out):
        return None
    run = RunFolder(out)
    if not run.config.is_file():
        raise UsageError(
            f"{out} has no config.toml",
            "the folder of a run that unpool started",
            "give that folder with --out",
        )
    return run


def resumed_config(run: RunFolder, requested: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a run that continues, with the budget and the machine that are requested now.

    All other requested settings must agree with the stored ones.

    Raises
    ------
    UsageError: a setting differs; both values are named.
    """
    stored = resolve(read_recipe(run.config), str(run.config))
    resumed = resolve(override(stored.model_dump(), requested), "the command line")
    before, after = dict(dotted_names(stored.model_dump())), dict(dotted_names(resumed.model_dump()))
    for key, value in after.items():
        may_change = key in ("training.epochs", "training.minutes") or key.startswith("machine.")
        # The stored orientation is the one that was measured on the pictures.
        may_change |= key == "augmentation.orientation" and value == "auto"
        if value != before.get(key) and not may_change:
            raise UsageError(
                f"{key} = {value!r}, but the run in {run.path} was started with {before.get(key)!r}",
                "the settings the run was started with",
                "leave the setting out, or start a new run without --resume",
            )
    return resumed


def write_config(run: RunFolder, config: RunConfig) -> None:
    """Write a configuration into its run folder."""
    write_text(run.config, to_toml(config))


def require_writable(folder: Path) -> None:
    """Raise an error if a folder cannot be made or written to, before any work is done for it.

    Raises
    ------
    UsageError: names the folder or the file that is in the way.
    """
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"{folder}: {nearest} is {'not writable' if nearest.is_dir() else 'a file'}",
            "a folder that can be made and written to",
            "give another --out",
        )


def free_path(base: Path) -> Path:
    """Return the first of ``base``, ``base-2``, ``base-3`` … that does not exist."""
    return next(path for path in numbered_paths(base) if not path.exists())


def numbered_paths(base: Path) -> Iterator[Path]:
    """Yield ``base``, ``base-2``, ``base-3`` … without end."""
    yield base
    for number in count(2):
        yield base.with_name(f"{base.name}-{number}")


def default_run_path(data: Path, config: RunConfig) -> Path:
    """Return the default path of a run folder: ``runs/<data>-<net>``."""
    return Path("runs") / f"{data.resolve().name or 'data'}-{config.net}"


def _is_empty(path: Path) -> bool:
    """Return whether a folder is empty, apart from the files of a run that was killed at its very start."""
    return path.is_dir() and all(each.name == OUTPUT_MARK or is_draft(each.name) for each in path.iterdir())


def _is_numbered(path: Path, base: Path) -> bool:
    return path.is_dir() and (path == base or path.name.removeprefix(f"{base.name}-").isdecimal())


def _number(path: Path, base: Path) -> int:
    return 1 if path == base else int(path.name.removeprefix(f"{base.name}-"))

"""The folder of one training run: its files, its name, and its stored settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.config.assignments import nested_settings
from unpool.config.recipes import read_recipe
from unpool.config.schema import RunConfig
from unpool.config.settings import merge, override, resolve
from unpool.config.toml import to_toml
from unpool.errors import DataError, UsageError
from unpool.io.destination import is_unused, new_folder
from unpool.io.files import write_text
from unpool.ledger.folders import read_record
from unpool.ledger.record import UNKNOWN, Origin
from unpool.wording import dotted_names

MODEL_FILE = "model.safetensors"

VALIDATION_PICTURES = 6
"""Number of validation pictures that are written at the end of a training."""


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


def new_run(out: Path | None, data: Path, config: RunConfig) -> AbstractContextManager[Path]:
    """Claim a folder for a new run: ``out``, or the first free ``runs/<data>-<net>``.

    Raises
    ------
    UsageError: ``out`` is not empty, another process writes into it, or it cannot be made.
    """
    repair = "give another --out, or --resume to continue the run in this folder"
    return new_folder(out, default_run_path(data, config), repair)


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
    if not out.exists() or is_unused(out):
        return None
    run = RunFolder(out)
    if not run.config.is_file():
        raise UsageError(
            f"{out} has no config.toml",
            "the folder of a run that unpool started",
            "give that folder with --out",
        )
    return run


SUITED = ("augmentation.orientation", "data.normalisation", "loss.class_weights")
"""Settings that are stored as they suit the pictures, where a person left the choice open."""


def resumed_config(run: RunFolder, requested: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a run that continues, with the budget and the machine that are requested now.

    All other requested settings must agree with the stored ones.

    Raises
    ------
    UsageError: a setting differs; both values are named.
    """
    stored = resolve(read_recipe(run.config), str(run.config))
    before = dict(dotted_names(stored.model_dump()))
    # A choice that is left open is the one that the run began with.
    made = {key: before[key] for key, value in dotted_names(requested) if key in SUITED and value == "auto"}
    resumed = resolve(merge(override(stored.model_dump(), requested), nested_settings(made)), "the command line")
    for key, value in dotted_names(resumed.model_dump()):
        may_change = key in ("training.epochs", "training.minutes") or key.startswith("machine.")
        if value != before.get(key) and not may_change:
            raise UsageError(
                f"{key} = {value!r}, but the run in {run.path} was started with {before.get(key)!r}",
                "the settings the run was started with",
                "leave the setting out, or start a new run without --resume",
            )
    return resumed


def recipe_origin(recipe: Path | None) -> Origin:
    """Return the run whose ``config.toml`` a training takes as its recipe; ``UNKNOWN`` for any other recipe."""
    if recipe is None or RunFolder(recipe.parent).config.name != recipe.name:
        return UNKNOWN
    try:
        record = read_record(recipe.parent)
    except DataError:  # the file is a person's own, or its run has lost its record
        return UNKNOWN
    return Origin(parent=record.id) if record.kind == "train" else UNKNOWN


def write_config(run: RunFolder, config: RunConfig) -> None:
    """Write a configuration into its run folder."""
    write_text(run.config, to_toml(config))


def default_run_path(data: Path, config: RunConfig) -> Path:
    """Return the default path of a run folder: ``runs/<data>-<net>``."""
    return Path("runs") / f"{data.resolve().name or 'data'}-{config.net}"


def _is_numbered(path: Path, base: Path) -> bool:
    return path.is_dir() and (path == base or path.name.removeprefix(f"{base.name}-").isdecimal())


def _number(path: Path, base: Path) -> int:
    return 1 if path == base else int(path.name.removeprefix(f"{base.name}-"))

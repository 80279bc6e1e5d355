"""The folder of one training run: what it holds and what it may be called."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from unpool.config.schema import RunConfig, read_recipe, resolve, to_toml
from unpool.errors import UsageError
from unpool.io.files import is_draft, write_text
from unpool.io.folders import OUTPUT_MARK
from unpool.wording import dotted_names

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class RunFolder:
    """The files of a run."""

    path: Path

    @property
    def config(self) -> Path:
        """The whole configuration; accepted as a recipe."""
        return self.path / "config.toml"

    @property
    def split(self) -> Path:
        """Which picture is in which split."""
        return self.path / "split.json"

    @property
    def log(self) -> Path:
        """One line of JSON an epoch."""
        return self.path / "log.jsonl"

    @property
    def model(self) -> Path:
        """The best epoch's weights and card."""
        return self.path / MODEL_FILE

    @property
    def state(self) -> Path:
        """What is needed to go on after an interruption."""
        return self.path / "state.pt"

    @property
    def curves(self) -> Path:
        """Losses and scores over the epochs."""
        return self.path / "curves.svg"

    @property
    def pictures(self) -> Path:
        """Validation pictures: picture, truth, prediction."""
        return self.path / "validation"


def model_file(path: Path) -> Path:
    """The model file at ``path``, or in the run folder ``path``."""
    return path / MODEL_FILE if path.is_dir() else path


def new_run(out: Path | None, data: Path, config: RunConfig) -> RunFolder:
    """A folder for a new run: ``out``, or the first free ``runs/<data>-<net>``.

    Raises
    ------
    UsageError: ``out`` already holds something, or cannot be made.
    """
    if out is None:
        out = free_path(default_path(data, config))
    require_writable(out)
    if out.exists() and not _is_empty(out):
        raise UsageError(
            f"{out} already exists and is not empty",
            "a new or empty folder for the run",
            "give another --out, or --resume to go on with the run that is there",
        )
    return RunFolder(out)


def run_to_resume(out: Path | None, data: Path, config: RunConfig) -> RunFolder | None:
    """The run that the same command would have made: ``out``, or the newest ``runs/<data>-<net>``.

    None where nothing has been started yet.

    Raises
    ------
    UsageError: ``out`` holds something that is not a run.
    """
    if out is None:
        base = default_path(data, config)
        found = [p for p in [base, *base.parent.glob(f"{base.name}-*")] if _is_numbered(p, base)]
        started = [RunFolder(path) for path in sorted(found, key=lambda p: _number(p, base))]
        started = [run for run in started if run.config.is_file()]
        return started[-1] if started else None
    if not out.exists() or _is_empty(out):
        return None
    run = RunFolder(out)
    if not run.config.is_file():
        raise UsageError(
            f"{out} holds no config.toml",
            "the folder of a run that unpool started",
            "give that folder with --out",
        )
    return run


def stored_config(run: RunFolder, asked: Mapping[str, Any]) -> RunConfig:
    """The configuration of a run that is to go on; settings asked for now must agree with it.

    Only the budget (epochs, minutes) and the machine may change.

    Raises
    ------
    UsageError: a setting differs; both values are named.
    """
    stored = resolve(read_recipe(run.config), str(run.config))
    wanted = resolve(_overlay(stored, asked), "the command line")
    before, after = dict(dotted_names(stored.model_dump())), dict(dotted_names(wanted.model_dump()))
    for key, value in after.items():
        free = key in ("training.epochs", "training.minutes") or key.startswith("machine.")
        free |= key == "augmentation.orientation" and value == "auto"  # the stored one is what the pictures gave
        if value != before.get(key) and not free:
            raise UsageError(
                f"{key} = {value!r}, but the run in {run.path} was started with {before.get(key)!r}",
                "the settings the run was started with",
                "leave the setting out, or start a new run without --resume",
            )
    return wanted


def write_config(run: RunFolder, config: RunConfig) -> None:
    """Write the whole configuration into the run folder."""
    write_text(run.config, to_toml(config))


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to, before work is spent on what should go there.

    Raises
    ------
    UsageError: names the folder that stands in the way.
    """
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"{folder}: {nearest} is {'not writable' if nearest.is_dir() else 'a file'}",
            "a folder that can be made and written to",
            "give another --out",
        )


def free_path(base: Path) -> Path:
    """``base``, or the first of ``base-2``, ``base-3`` … that does not exist."""
    return next(path for path in numbered_paths(base) if not path.exists())


def numbered_paths(base: Path) -> Iterator[Path]:
    """``base``, ``base-2``, ``base-3`` … without end."""
    yield base
    for number in count(2):
        yield base.with_name(f"{base.name}-{number}")


def default_path(data: Path, config: RunConfig) -> Path:
    """Where a run goes that is not told where."""
    return Path("runs") / f"{data.resolve().name or 'data'}-{config.net}"


def _is_empty(path: Path) -> bool:
    """Whether a path is a folder that holds at most what a run leaves that was killed at its very start."""
    return path.is_dir() and all(each.name == OUTPUT_MARK or is_draft(each.name) for each in path.iterdir())


def _is_numbered(path: Path, base: Path) -> bool:
    return path.is_dir() and (path == base or path.name.removeprefix(f"{base.name}-").isdecimal())


def _number(path: Path, base: Path) -> int:
    return 1 if path == base else int(path.name.removeprefix(f"{base.name}-"))


def _overlay(stored: RunConfig, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The stored settings with those asked for laid over; another budget replaces the stored one."""
    plain = stored.model_dump()
    for key, value in asked.items():
        plain[key] = {**plain[key], **value} if isinstance(value, Mapping) else value
    budget = asked.get("training", {})
    if budget.get("epochs") is not None:
        plain["training"]["minutes"] = budget.get("minutes")
    elif budget.get("minutes") is not None:
        plain["training"]["epochs"] = None
    return plain

"""Unpool: encoder-decoder networks for semantic segmentation on your own folder of pictures and masks.

>>> import unpool
>>> model = unpool.train("photos", net="unet", minutes=10)   # doctest: +SKIP
>>> model = unpool.load("runs/photos-unet")                  # doctest: +SKIP
>>> labels = model.predict("new.png")                        # doctest: +SKIP
>>> model.test("photos").scores.mean_iou                     # doctest: +SKIP

Names are loaded when they are first used, so importing the package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unpool.errors import DataError, ModelFileError, RunError, UnpoolError, UsageError

if TYPE_CHECKING:
    from unpool import nets
    from unpool.dataset.survey_result import Survey
    from unpool.model import Model, load

__all__ = [
    "DataError",
    "Model",
    "ModelFileError",
    "RunError",
    "UnpoolError",
    "UsageError",
    "check",
    "load",
    "nets",
    "train",
]

_LATE = {"load": "unpool.model", "Model": "unpool.model"}


def train(
    folder: str | Path,
    *,
    net: str | None = None,
    minutes: float | None = None,
    epochs: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    recipe: str | Path | None = None,
    settings: dict[str, Any] | None = None,
) -> Model:
    """Train a network on a folder of pictures and masks; the same as ``unpool train``.

    Parameters
    ----------
    folder: pictures and masks in any common layout.
    net: a name of ``unpool.nets.named.NAMED_NETS``; "unet" unless the settings name another.
    minutes, epochs: how long to train; give at most one. 10 minutes by default.
    out: the run folder; by default the first free ``runs/<folder>-<net>``.
    resume: go on with the run that the same call started.
    recipe: a paper's training by name (``unpool recipes``), or a TOML file.
    settings: further settings, nested as in a recipe, for example ``{"training": {"crop": 128}}``.

    Returns
    -------
    The best epoch's model.
    """
    from unpool.commands.events import finish
    from unpool.commands.interruption import pass_on
    from unpool.commands.train.stages import train_in_stages as command
    from unpool.config.schema import merge, over_recipe, read_recipe
    from unpool.model import load

    budget = {key: value for key, value in {"minutes": minutes, "epochs": epochs}.items() if value is not None}
    given = merge(settings or {}, {"training": budget}, {"net": net} if net is not None else {})
    whole = over_recipe({} if recipe is None else read_recipe(recipe), given)
    run = finish(command(Path(folder), whole, Path(out) if out is not None else None, resume=resume))
    pass_on(run.stopped_by)
    return load(run.model)


def check(folder: str | Path, settings: dict[str, Any] | None = None) -> Survey:
    """What is in a folder, and what is wrong with it; the same as ``unpool check``."""
    from unpool.commands.check import check as command
    from unpool.commands.events import finish
    from unpool.config.schema import resolve

    config = resolve(settings or {})
    return finish(command(Path(folder), config.data, config.training.seed))


def __getattr__(name: str) -> Any:
    if name == "nets":
        return import_module("unpool.nets")
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'unpool' has no attribute '{name}'")

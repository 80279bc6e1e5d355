"""Unpool: encoder-decoder networks for semantic segmentation on your own folder of pictures and masks.

>>> import unpool
>>> model = unpool.train("photos", net="unet", minutes=10)   # doctest: +SKIP
>>> model = unpool.load("runs/photos-unet")                  # doctest: +SKIP
>>> labels = model.predict("new.png")                        # doctest: +SKIP
>>> model.test("photos").scores.mean_iou                     # doctest: +SKIP

A name is loaded when it is first used, so importing the package does not import torch.
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

_LOADED_ON_USE = {"load": "unpool.model", "Model": "unpool.model"}


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
    """Train a network on a folder of pictures and masks, as ``unpool train`` does; return the model of the best epoch.

    Parameters
    ----------
    folder: pictures and masks in any common layout.
    net: a name of ``unpool.nets.named.NAMED_NETS``; "unet" unless the settings name another.
    minutes, epochs: length of the training; give at most one. The default is 10 minutes.
    out: the run folder; by default the first free ``runs/<folder>-<net>``.
    resume: continue the run that the same call started.
    recipe: the name of a paper's training (``unpool recipes``), or a TOML file.
    settings: further settings, nested as in a recipe, for example ``{"training": {"crop": 128}}``.
    """
    from unpool.commands.events import finish
    from unpool.commands.interruption import resend_signal
    from unpool.commands.train.stages import train_in_stages
    from unpool.config.recipes import read_recipe
    from unpool.config.settings import merge, override
    from unpool.model import load

    budget = {key: value for key, value in {"minutes": minutes, "epochs": epochs}.items() if value is not None}
    changes = merge(settings or {}, {"training": budget}, {"net": net} if net is not None else {})
    all_settings = override({} if recipe is None else read_recipe(recipe), changes)
    run_folder = Path(out) if out is not None else None
    trained = finish(train_in_stages(Path(folder), all_settings, run_folder, resume=resume))
    resend_signal(trained.stopped_by)
    return load(trained.model)


def check(folder: str | Path, settings: dict[str, Any] | None = None) -> Survey:
    """Survey a folder of pictures and masks, as ``unpool check`` does; return its content and what is wrong with it."""
    from unpool.commands.check import check as check_steps
    from unpool.commands.events import finish
    from unpool.config.settings import resolve

    config = resolve(settings or {})
    return finish(check_steps(Path(folder), config.data, config.training.seed))


def __getattr__(name: str) -> Any:
    if name == "nets":
        return import_module("unpool.nets")
    if name in _LOADED_ON_USE:
        return getattr(import_module(_LOADED_ON_USE[name]), name)
    raise AttributeError(f"module 'unpool' has no attribute '{name}'")

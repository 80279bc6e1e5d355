"""``train`` for recipes in stages: several trainings, each of which starts with the model of the one before."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unpool.commands.events import Event, Message
from unpool.commands.run_folder import default_run_path
from unpool.commands.train.preparation import with_budget
from unpool.commands.train.train import TrainedRun, train
from unpool.config.schema import RunConfig, Stage
from unpool.config.settings import merge, resolve
from unpool.io.destination import made_folder, numbered_paths, require_writable
from unpool.ledger.record import UNKNOWN, Origin


def train_in_stages(
    folder: Path,
    settings: Mapping[str, Any],
    out: Path | None = None,
    *,
    resume: bool = False,
    origin: Origin = UNKNOWN,
) -> Generator[Event, None, TrainedRun]:
    """Run ``unpool.commands.train.train.train`` once for each stage of the recipe; each stage resumes by itself.

    The last stage's run folder is ``out``; those of the stages before it are in ``<out>-stages``. Parameters and errors
    are those of ``unpool.commands.train.train.train``. Returns the result of the last stage that ran.
    """
    config = with_budget(resolve(settings))
    if not config.stages:
        return (yield from train(folder, settings, out, resume=resume, origin=origin))
    out = out or _path(default_run_path(folder, config), resume=resume)
    try:
        return (yield from _all_stages(folder, settings, config, out, resume=resume, origin=origin))
    finally:
        with suppress(OSError):  # a training that was refused leaves nothing
            _stages_of(out).rmdir()


def _all_stages(
    folder: Path, settings: Mapping[str, Any], config: RunConfig, out: Path, *, resume: bool, origin: Origin
) -> Generator[Event, None, TrainedRun]:
    start = config.training.start
    last = len(config.stages)
    for number, stage in enumerate(config.stages, start=1):
        target = out if number == last else _stages_of(out) / f"{number}-{stage.net}"
        yield Message(f"stage {number} of {last}: {stage.net}, in {target}")
        given = merge(settings, {"net": stage.net, "stages": [], "training": _training(config, stage, start)})
        trained = yield from train(folder, given, target, resume=resume, origin=origin)
        if not trained.finished:
            break
        start = str(trained.model)
    return trained


def _training(config: RunConfig, stage: Stage, start: str | None) -> dict[str, Any]:
    given = config.training
    return {
        "epochs": None if given.epochs is None else max(1, round(given.epochs * stage.share)),
        "minutes": None if given.minutes is None else given.minutes * stage.share,
        "learning_rate": stage.learning_rate or given.learning_rate,
        "start": start,
    }


def _stages_of(out: Path) -> Path:
    return out.with_name(f"{out.name}-stages")


def _path(base: Path, *, resume: bool) -> Path:
    """Return the newest run that has begun if ``resume`` is set, otherwise the first free name.

    The folder of the first stages is made, so that of two trainings that begin together each takes its own.
    """
    newest = None
    require_writable(base)
    for path in numbered_paths(base):
        begun = path.exists() or _stages_of(path).exists()
        if not begun and resume and newest is not None:
            return newest
        if not begun and made_folder(_stages_of(path)):
            return path
        newest = path
    raise AssertionError("numbered_paths is endless")

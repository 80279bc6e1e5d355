"""``demo``: every main command once, on made pictures."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.commands.events import Event, Message
from unpool.commands.interruption import resend_signal
from unpool.commands.predict.predict import Predicted, predict
from unpool.commands.predict.targets import ExtraOutputs
from unpool.commands.test.result import TestResult
from unpool.commands.test.test import test
from unpool.commands.train.train import TrainedRun, train
from unpool.config.settings import resolve
from unpool.data.synthetic import write_synthetic_set
from unpool.io.destination import new_folder
from unpool.wording import command_text

TRAINING_PICTURES = 20
NEW_PICTURES = 12
"""Number of test pictures. With 6 two tests can show a difference, and with 8 four tests can, if one of them is better
on every picture; with 12 it need not be."""


@dataclass(frozen=True)
class Demonstration:
    """The results of ``demo``."""

    folder: Path
    trained: TrainedRun
    tested: TestResult
    predicted: Predicted

    def to_json(self) -> dict[str, Any]:
        """Return the results as plain JSON data."""
        return {
            "folder": str(self.folder),
            "trained": self.trained.to_json(),
            "tested": self.tested.to_json(),
            "predicted": self.predicted.to_json(),
        }


def demo(out: Path | None = None, *, minutes: float, net: str = "unet") -> Generator[Event, None, Demonstration]:
    """Make a set of pictures, check it and train on it, then test and predict on new pictures.

    Parameters
    ----------
    out: folder for all files; by default the first free ``unpool-demo``.

    Raises
    ------
    UsageError: ``out`` exists and is not empty, or there is no such network or budget.
    """
    settings = {"net": net, "training": {"minutes": minutes, "seed": 0}}
    resolve(settings, "the options")
    with new_folder(out, Path("unpool-demo"), "remove it, or give another --out") as folder:
        return (yield from _demonstration(folder, settings))


def _demonstration(out: Path, settings: Mapping[str, Any]) -> Generator[Event, None, Demonstration]:
    net, minutes = settings["net"], settings["training"]["minutes"]
    yield Message(
        f"1  making {TRAINING_PICTURES} pictures of cells to train on, and {NEW_PICTURES} new ones to test on"
    )
    known, new = out / "cells", out / "new-cells"
    write_synthetic_set(known, TRAINING_PICTURES, seed=1)
    write_synthetic_set(new, NEW_PICTURES, seed=2)
    yield Message(
        f"\n2  {command_text(['unpool', 'check', known])}\n3  "
        + command_text(["unpool", "train", known, "--net", net, "--minutes", f"{minutes:g}", "--out", out / "run"])
        + "\n"
    )
    settings = {"net": net, "training": {"minutes": minutes, "seed": 0}}
    trained = yield from train(known, settings, out / "run")
    resend_signal(trained.stopped_by)
    yield Message(f"\n4  {command_text(['unpool', 'test', trained.folder, new])}\n")
    tested = yield from test(trained.model, new, out=out / "test")
    words = ["unpool", "predict", trained.folder, new / "images", "--out", out / "predictions", "--overlay"]
    yield Message(f"\n5  {command_text(words)}\n")
    predicted = yield from predict(
        trained.model, [str(new / "images")], out / "predictions", ExtraOutputs(overlays=True)
    )
    yield Message(
        f"\nLook at\n  report    {tested.report}\n  overlays  {out / 'predictions' / 'overlays'}\n"
        f"  curves    {trained.folder / 'curves.svg'}\n\n{_next_commands(out, net, minutes)}"
    )
    return Demonstration(out, trained, tested, predicted)


def _next_commands(out: Path, net: str, minutes: float) -> str:
    """Return the commands that train with one change, and say whether the change is an improvement."""
    change, run, known, new = "width=16", out / "run-2", out / "cells", out / "new-cells"
    budget = ["--net", net, "--minutes", f"{minutes:g}"]
    commands = [
        ["unpool", "train", known, *budget, "--set", change, "--out", run],
        ["unpool", "test", run, new, "--out", out / "test-2"],
        ["unpool", "compare", out / "test", out / "test-2"],
    ]
    return "\n".join(
        [
            "Next: change one setting, and see whether that is better",
            *(f"  {command_text(words)}" for words in commands),
        ]
    )

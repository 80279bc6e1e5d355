"""The examples of the page on resuming: a training that Ctrl-C stops and that is continued, and what is refused."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lessons.symptoms import elsewhere, made, printed
from unpool.checkpoint.checkpoints import load_checkpoint
from unpool.checkpoint.models import weights_digest
from unpool.commands.events import Event, Message, finish
from unpool.commands.run_folder import RunFolder
from unpool.commands.train.train import train
from unpool.io.documents import read_json_lines
from unpool.training.records import StepRecord

STOP = 15
"""The step after which Ctrl-C comes, in the middle of an epoch."""

SETTINGS: dict[str, Any] = {
    "structure": {"width": 4, "depth": 2},
    "training": {"epochs": 2, "crop": 32, "batch_size": 2},
    "machine": {"device": "cpu", "precision": "float32", "compile": "no"},
}
SCORES = ("train_loss", "val_loss", "mean_iou")


def stopped_and_continued() -> str:
    """Return the messages of a training that is stopped and continued, and its comparison with one that is not."""
    with elsewhere():
        _made_cells()
        first, second = _messages(stop=STOP), _messages(resume=True)
        whole = RunFolder(finish(train(Path("cells"), SETTINGS, Path("whole"))).folder)
        rows = _comparison(RunFolder(Path("runs/cells-unet")), whole)
    shown = [
        f"{f'Ctrl-C after step {STOP}':22} {first[-1]}",
        f"{'with --resume':22} {next(text for text in second if text.startswith('continuing'))}",
        f"{'':22} {next(text for text in second if text.startswith('resumed'))}",
    ]
    text = re.sub(r"\d+ s so far", "… s so far", "\n".join(shown))
    return "\n".join(
        ["```text", text, "```", "", "| against the same training without the stop | |", "|---|---|", *rows]
    )


def other_settings_are_refused() -> str:
    """Return the message of a run that is to continue with another learning rate."""
    with elsewhere():
        _made_cells()
        _messages(stop=1)
        return printed("unpool train cells --resume --set learning_rate=0.5")


def _made_cells() -> None:
    made(lambda _, picture, labels: (picture, 255 * labels))


def _messages(stop: int | None = None, *, resume: bool = False) -> list[str]:
    """Train in ``runs/cells-unet`` and return the messages; Ctrl-C comes after the step ``stop``."""
    texts: list[str] = []

    def seen(event: Event) -> None:
        if isinstance(event, Message):
            texts.append(event.text)
        elif isinstance(event, StepRecord) and event.step == stop:
            signal.raise_signal(signal.SIGINT)

    finish(train(Path("cells"), SETTINGS, resume=resume), seen)
    return texts


def _comparison(one: RunFolder, other: RunFolder) -> list[str]:
    """Return the rows of a table that compares what two trainings left."""
    states = [load_checkpoint(run.state) for run in (one, other)]
    logs = [[[row[name] for name in SCORES] for row in read_json_lines(run.log, dict).entries] for run in (one, other)]
    found = {
        "weights after the last step": _equal(*(state["network"] for state in states)),
        "the optimiser's moments": _equal(*(state["optimiser"]["state"] for state in states)),
        "weights in the model file": weights_digest(one.model) == weights_digest(other.model),
        "losses and scores of each epoch": logs[0] == logs[1],
    }
    return [f"| {what} | {'equal bit for bit' if same else 'different'} |" for what, same in found.items()]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    return bool(one == other)

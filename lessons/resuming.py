"""The examples of the page on resuming: a training that Ctrl-C stops and that is continued, and what is refused."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import torch

from lessons.pages import in_language
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
    stop = in_language(f"Ctrl-C after step {STOP}", f"第 {STOP} 步后按 Ctrl-C")
    resume = in_language("with --resume", "加上 --resume")
    shown = [
        f"{_in_columns(stop, 22)} {first[-1]}",
        f"{_in_columns(resume, 22)} {next(text for text in second if text.startswith('continuing'))}",
        f"{'':22} {next(text for text in second if text.startswith('resumed'))}",
    ]
    text = re.sub(r"\d+ s so far", "… s so far", "\n".join(shown))
    head = in_language("| against the same training without the stop | |", "| 与没有中断的同样训练相比 | |")
    return "\n".join(["```text", text, "```", "", head, "|---|---|", *rows])


def other_settings_are_refused() -> str:
    """Return the message of a run that is to continue with another learning rate."""
    with elsewhere():
        _made_cells()
        _messages(stop=1)
        return printed("unpool train cells --resume --set learning_rate=0.5")


def _in_columns(words: str, columns: int) -> str:
    """Return words with spaces after them, up to a number of columns of a terminal; a Chinese character takes two."""
    return words + " " * (columns - sum(1 + (east_asian_width(each) == "W") for each in words))


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
        ("weights after the last step", "最后一步之后的权重"): _equal(*(state["network"] for state in states)),
        ("the optimiser's moments", "优化器的一、二阶矩"): _equal(*(state["optimiser"]["state"] for state in states)),
        ("weights in the model file", "模型文件里的权重"): weights_digest(one.model) == weights_digest(other.model),
        ("losses and scores of each epoch", "每一轮的损失和分数"): logs[0] == logs[1],
    }
    equal, different = in_language("equal bit for bit", "逐位相同"), in_language("different", "不同")
    return [f"| {in_language(*what)} | {equal if same else different} |" for what, same in found.items()]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    return bool(one == other)

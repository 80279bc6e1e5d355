"""The display of a running command: a bar with the time left on a terminal, plain lines elsewhere.

It is a file of its own so that ``--help`` does not import it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as ProgressBar

from unpool.cli.screen import show_text
from unpool.commands.events import Event, Message, Progress, finish
from unpool.training.records import EpochRecord, StepRecord
from unpool.wording import DASH, clock_text, on_one_line, without_controls

_Result = TypeVar("_Result")

LINE_EVERY = 15.0
"""Seconds between plain lines about the same work."""


def show(command: Generator[Event, None, _Result]) -> _Result:
    """Run a command to its end, show its events on standard output, and return its result."""
    screen = _Terminal() if sys.stdout.isatty() else _Lines()
    with screen:
        return finish(command, screen.show)


def epoch_line(record: EpochRecord) -> str:
    """Return an epoch as one line: its time, learning rate, loss, scores, and the time left."""
    parts = [f"epoch {record.epoch:>3}", f"{clock_text(record.seconds):>6}", f"lr {record.learning_rate:.1e}"]
    parts.append(f"loss {DASH}" if record.train_loss is None else f"loss {record.train_loss:.3f}")
    if record.mean_iou is not None and record.global_accuracy is not None:
        parts.append(f"mean IoU {record.mean_iou:.4f}  accuracy {record.global_accuracy:.4f}")
    else:
        parts.append("(not validated)" + " " * 19)
    parts.append(f"{clock_text(left)} left" if (left := _seconds_left(record.progress, record.seconds)) else "")
    parts.append("best" if record.best else "")
    if record.skipped:
        parts.append(f"{record.skipped} steps skipped: loss not finite")
    return "  ".join(part for part in parts if part)


class _Lines:
    """The display for logs and pipes: plain lines."""

    def __init__(self) -> None:
        self._last = time.monotonic()  # short work needs no line

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, event: Event) -> None:
        if isinstance(event, Message):
            show_text(event.text)
        elif isinstance(event, EpochRecord):
            show_text(epoch_line(event))
            self._last = time.monotonic()
        elif time.monotonic() - self._last > LINE_EVERY and not _is_last(event):
            show_text(_work_line(event))
            self._last = time.monotonic()


class _Terminal:
    """The display for a terminal: lines above one bar that follows the work."""

    def __init__(self) -> None:
        console = Console(highlight=False, markup=False, soft_wrap=True)
        self._bar = ProgressBar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._work = ""
        self._started = 0.0

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        if isinstance(event, Message):
            self._bar.console.print(without_controls(event.text))
        elif isinstance(event, EpochRecord):
            self._bar.console.print(epoch_line(event))
        else:
            self._advance(event)

    def _advance(self, event: Progress | StepRecord) -> None:
        work = event.work if isinstance(event, Progress) else "training"
        if work != self._work or self._task is None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._work, self._started = work, time.monotonic()
            self._task = self._bar.add_task(on_one_line(work), total=1.0, left="")
        if isinstance(event, Progress):
            done = event.done / max(event.total, 1)
            spent, text = time.monotonic() - self._started, f"{event.done}/{event.total}"
        else:
            done, spent = event.progress, event.seconds
            text = f"epoch {event.epoch}, step {event.step}/{event.steps}, loss {event.loss:.3f}"
        left = _seconds_left(done, spent)
        self._bar.update(
            self._task,
            completed=done,
            description=on_one_line(f"{work} {text}"),
            left=f"{clock_text(left)} left" if left else "",
        )
        if _is_last(event):
            self._bar.remove_task(self._task)
            self._task = None


def _is_last(event: Event) -> bool:
    return isinstance(event, Progress) and event.done >= event.total


def _work_line(event: Progress | StepRecord) -> str:
    if isinstance(event, Progress):
        return f"{event.work}: {event.done} of {event.total}"
    left = _seconds_left(event.progress, event.seconds)
    return f"epoch {event.epoch}, step {event.step} of {event.steps}, loss {event.loss:.3f}, {clock_text(left)} left"


def _seconds_left(progress: float, seconds: float) -> float:
    return seconds * (1 - progress) / progress if progress > 0 else 0.0

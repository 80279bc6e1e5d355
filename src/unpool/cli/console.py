"""Showing a running command: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from unpool.commands.events import Event, Message, finish
from unpool.commands.events import Progress as Part
from unpool.training.records import EpochRecord, StepRecord

Result = TypeVar("Result")

PLAIN_EVERY = 15.0
"""Seconds between lines on the same work where there is no terminal."""


def show(command: Generator[Event, None, Result]) -> Result:
    """Run a command to its end, showing what it says on standard output."""
    screen = _Terminal() if sys.stdout.isatty() else _Lines()
    with screen:
        return finish(command, screen.show)


def epoch_line(record: EpochRecord) -> str:
    """One line on an epoch."""
    parts = [f"epoch {record.epoch:>3}", f"{_clock(record.seconds):>6}", f"lr {record.learning_rate:.1e}"]
    parts.append("loss –" if record.train_loss is None else f"loss {record.train_loss:.3f}")
    if record.mean_iou is not None and record.global_accuracy is not None:
        parts.append(f"mean IoU {record.mean_iou:.4f}  accuracy {record.global_accuracy:.4f}")
    else:
        parts.append("(not validated)" + " " * 19)
    parts.append(f"{_clock(left)} left" if (left := _seconds_left(record.progress, record.seconds)) else "")
    parts.append("best" if record.best else "")
    if record.skipped:
        parts.append(f"{record.skipped} steps skipped: loss not finite")
    return "  ".join(part for part in parts if part)


class _Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self) -> None:
        self._last = time.monotonic()  # work that is done at once needs no line

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, event: Event) -> None:
        if isinstance(event, Message):
            self._print(event.text)
        elif isinstance(event, EpochRecord):
            self._print(epoch_line(event))
            self._last = time.monotonic()
        elif time.monotonic() - self._last > PLAIN_EVERY and not _is_last(event):
            self._print(_work_line(event))
            self._last = time.monotonic()

    def _print(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


class _Terminal:
    """Lines above one bar that follows the work."""

    def __init__(self) -> None:
        console = Console(highlight=False, markup=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._what = ""
        self._started = 0.0

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        if isinstance(event, Message):
            self._bar.console.print(event.text)
        elif isinstance(event, EpochRecord):
            self._bar.console.print(epoch_line(event))
        else:
            self._advance(event)

    def _advance(self, event: Part | StepRecord) -> None:
        what = event.what if isinstance(event, Part) else "training"
        if what != self._what or self._task is None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._what, self._started = what, time.monotonic()
            self._task = self._bar.add_task(what, total=1.0, left="")
        if isinstance(event, Part):
            done = event.done / max(event.total, 1)
            spent, text = time.monotonic() - self._started, f"{event.done}/{event.total}"
        else:
            done, spent = event.progress, event.seconds
            text = f"epoch {event.epoch}, step {event.step}/{event.steps}, loss {event.loss:.3f}"
        left = _seconds_left(done, spent)
        self._bar.update(
            self._task,
            completed=done,
            description=f"{what} {text}",
            left=f"{_clock(left)} left" if left else "",
        )
        if _is_last(event):
            self._bar.remove_task(self._task)
            self._task = None


def _is_last(event: Event) -> bool:
    return isinstance(event, Part) and event.done >= event.total


def _work_line(event: Part | StepRecord) -> str:
    if isinstance(event, Part):
        return f"{event.what}: {event.done} of {event.total}"
    left = _seconds_left(event.progress, event.seconds)
    return f"epoch {event.epoch}, step {event.step} of {event.steps}, loss {event.loss:.3f}, {_clock(left)} left"


def _seconds_left(progress: float, seconds: float) -> float:
    return seconds * (1 - progress) / progress if progress > 0 else 0.0


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
    return f"{whole // 60}:{whole % 60:02}"

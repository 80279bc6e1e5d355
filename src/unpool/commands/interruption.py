"""Signals that ask for an end: heard at once, obeyed after the step in hand."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C; what schedulers and ``docker stop`` send before they kill; a closed terminal."""


@dataclass
class Interruption:
    """Whether an end was asked for: the number of the first signal that did, or None."""

    signal: int | None = None


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Note signals that ask for an end instead of ending at once.

    A second Ctrl-C does interrupt at once; further signals of the other kinds change nothing, because some who send
    them (``timeout``) send two. A signal that the process was told to ignore (``nohup``) stays ignored. Only the main
    thread hears signals; in another one nothing is noted.
    """
    asked = Interruption()
    before = _handlers() if current_thread() is main_thread() else {}

    def note(number: int, _frame: FrameType | None) -> None:
        asked.signal = asked.signal or number
        if number == signal.SIGINT:
            signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def manner(number: int) -> str:
    """How a run ended that a signal stopped, for people."""
    return "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"


def pass_on(number: int | None) -> None:
    """Let a signal that was noted do what it would have done; not Ctrl-C, by which a person asks for no more."""
    if number not in (None, signal.SIGINT):
        signal.raise_signal(number)


def _handlers() -> dict[int, Any]:
    """How the signals are handled now, without those that are ignored or were set up outside Python."""
    known = {int(getattr(signal, name)) for name in NAMES if hasattr(signal, name)}
    found = {number: signal.getsignal(number) for number in known}
    return {number: handler for number, handler in found.items() if handler not in (None, signal.SIG_IGN)}

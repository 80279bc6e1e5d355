"""Signals that ask a run to stop: noted immediately, obeyed after the current step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that stop a run: of Ctrl-C, of schedulers and ``docker stop`` before they kill, of a closed terminal."""


@dataclass
class Interruption:
    """A note of the first stop signal: its number, or None."""

    signal: int | None = None


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Yield a note of the first stop signal, which then does not stop the process immediately.

    A second Ctrl-C interrupts immediately. A second SIGTERM or SIGHUP changes nothing, because some senders
    (``timeout``) send two. A signal that the process ignores (``nohup``) stays ignored. Only the main thread receives
    signals; in another thread nothing is noted.
    """
    interruption = Interruption()
    before = _handlers() if current_thread() is main_thread() else {}

    def note(number: int, _frame: FrameType | None) -> None:
        interruption.signal = interruption.signal or number
        if number == signal.SIGINT:
            signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ending_text(number: int) -> str:
    """Return how a run ended that the signal of this number stopped: ``interrupted`` or ``stopped by SIGTERM``."""
    return "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"


def resend_signal(number: int | None) -> None:
    """Send a noted signal to this process again, for its usual effect.

    Ctrl-C is not sent again: its effect was the stop. None sends nothing.
    """
    if number not in (None, signal.SIGINT):
        signal.raise_signal(number)


def _handlers() -> dict[int, Any]:
    """Return the present handler of each stop signal, without signals that are ignored or handled outside Python."""
    known = {int(getattr(signal, name)) for name in STOP_SIGNALS if hasattr(signal, name)}
    handlers = {number: signal.getsignal(number) for number in known}
    return {number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}

"""The program that the commands join: its exit codes, and how a command runs and prints."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from cyclopts import App

from unpool.cli.screen import show_json, show_text

if TYPE_CHECKING:
    from unpool.commands.events import Event

_Result = TypeVar("_Result")

FAILED = 1
BAD_DATA = 3
STOPPED = 128
"""Exit code of a command that a signal stopped; the number of the signal is added."""
INTERRUPTED = STOPPED + 2

app = App(
    name="unpool",
    help="Train, test and use encoder-decoder networks for semantic segmentation on your own folder of pictures.\n\n"
    "Begin with: unpool demo",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)


def run_command(command: Generator[Event, None, _Result], *, silent: bool) -> _Result:
    """Run a command to its end and return its result.

    Its events become a bar on a terminal and plain lines elsewhere. ``silent`` drops them, as ``--json`` needs.
    """
    from unpool.cli.console import show
    from unpool.commands.events import finish
    from unpool.processes import leave

    result = finish(command) if silent else show(command)
    leave()
    return result


def print_result(result: Any) -> None:
    """Print a result on standard output: text as it is, other plain data as JSON."""
    if isinstance(result, str):
        show_text(result)
    else:
        show_json(result)

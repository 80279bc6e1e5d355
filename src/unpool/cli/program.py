"""The program's commands, as they are added, and what they end with."""

from __future__ import annotations

from cyclopts import App

FAILED = 1
WRONG_USE = 2
BAD_DATA = 3
STOPPED = 128
"""To which the number of the signal is added."""
INTERRUPTED = STOPPED + 2

app = App(
    name="unpool",
    help="Train, test and use encoder-decoder networks for semantic segmentation on your own folder of pictures.\n\n"
    "Begin with: unpool demo",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)

"""The streams that the program prints on: texts without control characters, and JSON that stays JSON.

Every text of the program goes through here, because file names, class names and cards may hold characters that a
terminal would obey.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import sys
from io import TextIOWrapper
from typing import Any, TextIO

from unpool.wording import without_controls

MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}
"""The standard streams in the order of their numbers, with the mode of each."""


DRAWN = {"–": "-", "−": "-", "×": "x", "…": "...", **dict.fromkeys("█▉▊▋▌▍▎▏", "#")}
"""What a terminal without them shows in the place of letters that pages are drawn with."""


def prepare_streams() -> None:
    """Make the standard streams usable: closed ones lead nowhere, and a letter that one cannot show is an escape."""
    codecs.register_error("plain", _plain_letters)
    for name, mode in MODES.items():
        stream = getattr(sys, name)
        if stream is None:  # the file takes the free number, so that no file of a person gets it
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))
        elif isinstance(stream, TextIOWrapper) and mode == "w":
            stream.reconfigure(errors="plain")  # a terminal that cannot show a dash must not stop the work


def silence() -> None:
    """Print nothing more on standard output."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)


def show_text(text: str) -> None:
    """Print a text and a new line on standard output."""
    _write(sys.stdout, without_controls(text) + "\n")


def show_error(text: str) -> None:
    """Print a text and a new line on standard error."""
    _write(sys.stderr, without_controls(text) + "\n")


def show_json(data: Any) -> None:
    """Print plain data as JSON on standard output; letters that it cannot show are JSON's own escapes."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        plain = text == without_controls(text) and bool(text.encode(sys.stdout.encoding or "utf-8"))
    except UnicodeEncodeError:
        plain = False
    _write(sys.stdout, (text if plain else json.dumps(data, indent=2)) + "\n")


def _plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Return what replaces letters that a stream's encoding lacks, and where it continues."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    shown = [DRAWN.get(letter, letter.encode("ascii", "backslashreplace").decode()) for letter in letters]
    return "".join(shown), error.end


def _write(stream: TextIO, text: str) -> None:
    """Write at once. Where the reader has gone, the stream leads nowhere from now on, and the work continues."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # what waits in the stream would fail again at the end of the program
        os.close(nowhere)
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise OSError(error.errno, error.strerror, "standard output") from error

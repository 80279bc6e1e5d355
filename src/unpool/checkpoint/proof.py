"""The proof that a file is saved: it is read back before it replaces the old file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unpool.errors import ModelFileError, RunError


@contextmanager
def proof(path: Path) -> Iterator[None]:
    """Raise RunError where a draft of ``path`` cannot be read back inside a ``with`` block."""
    try:
        yield
    except ModelFileError as error:
        reason = first_line(error.__cause__ or error)
        raise RunError(
            f"{path}: the written file does not read back ({reason})",
            "a disk that returns what is written to it",
            "check the disk, or write to another one",
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, at most 200 letters of it."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__

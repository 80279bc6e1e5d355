"""What was written is read back before it counts as saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unpool.errors import ModelFileError, RunError


@contextmanager
def proof(path: Path) -> Iterator[None]:
    """Read a draft of ``path`` back inside this: what cannot be read was not saved."""
    try:
        yield
    except ModelFileError as error:
        reason = first_line(error.__cause__ or error)
        raise RunError(
            f"{path}: what was written does not read back ({reason})",
            "a disk that gives back what was written to it",
            "check the disk, or write elsewhere",
        ) from error


def first_line(error: BaseException) -> str:
    """What an error says, in one line of at most 200 letters."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__

"""What is wrong or noteworthy in a folder, said in three parts as errors are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from unpool.errors import DataError

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes
    ----------
    severity: ``error`` makes training or testing impossible, ``warning`` may spoil it, ``note`` informs.
    code: a short fixed name such as ``size-mismatch``.
    found, expected, repair: as in an error; the last two may be empty in a note.
    files: pair names or file paths concerned.
    """

    severity: Severity
    code: str
    found: str
    expected: str = ""
    repair: str = ""
    files: tuple[str, ...] = ()


def from_error(error: DataError, code: str, *files: str) -> Finding:
    """The error finding that says what a DataError says."""
    return Finding("error", code, error.found, error.expected, error.repair, files)

"""Findings: the errors, warnings and notes of a survey, in three parts like error messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from unpool.errors import DataError

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One error, warning or note.

    Attributes
    ----------
    severity: ``error`` makes training or testing impossible, ``warning`` may spoil it, ``note`` informs.
    code: a short fixed name such as ``size-mismatch``.
    found, expected, repair: the parts of an error message; the last two may be empty in a note.
    files: names of the pairs, or paths of the files, that it concerns.
    """

    severity: Severity
    code: str
    found: str
    expected: str = ""
    repair: str = ""
    files: tuple[str, ...] = ()


def from_error(error: DataError, code: str, *files: str) -> Finding:
    """Return the error finding with the message of a DataError."""
    return Finding("error", code, error.found, error.expected, error.repair, files)


def files_of(findings: Sequence[Finding]) -> set[str]:
    """Return all files that some findings concern."""
    return {name for finding in findings for name in finding.files}


def joined(findings: Sequence[Finding]) -> list[Finding]:
    """Join the findings of each code and severity into one: the text of the first, the files of all."""
    by_code: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        by_code.setdefault((finding.severity, finding.code), []).append(finding)
    return [_joined(group) for group in by_code.values()]


def _joined(group: Sequence[Finding]) -> Finding:
    first = group[0]
    if len(group) == 1:
        return first
    files = dict.fromkeys(file for finding in group for file in finding.files)
    found = f"{first.found}; and {len(group) - 1} more like it"
    return Finding(first.severity, first.code, found, first.expected, first.repair, tuple(files))

"""The errors that this package raises on purpose.

    UnpoolError            the base of all                               exit code
    ├── UsageError         the call or a setting is wrong                2
    │   └── BusyError      another process writes into the folder        2
    ├── DataError          a picture, mask or folder is wrong            3
    ├── ModelFileError     a model file or checkpoint is unreadable      3
    └── RunError           the work began and could not be finished      1
        └── TrainingError  these settings cannot be trained here         1

Every message has three parts: what was found (with the file and the value), what was expected, what to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


class UnpoolError(Exception):
    """An error whose message has three parts. Raise one of its subclasses.

    Parameters
    ----------
    found: the fact that is wrong, with the file and the value.
    expected: the fact that would be right.
    repair: what the user can do now.
    """

    exit_code = 1

    def __init__(self, found: str, expected: str, repair: str) -> None:
        super().__init__(found, expected, repair)
        self.found = found
        self.expected = expected
        self.repair = repair

    def __str__(self) -> str:
        found, expected, repair = map(_lines, (self.found, self.expected, self.repair))
        return f"{found}\n  expected: {expected}\n  to do:    {repair}"


def _lines(part: str) -> str:
    """Return a part of a message with the new lines of names as escapes; further lines begin with two spaces."""
    return re.sub(r"\n(?!  )", r"\\n", part)


class UsageError(UnpoolError):
    """The error of a wrong call, option or setting."""

    exit_code = 2


class BusyError(UsageError):
    """The error of a folder into which another process writes."""


class DataError(UnpoolError):
    """The error of a picture, a mask or a folder that cannot be used as it is."""

    exit_code = 3


class ModelFileError(UnpoolError):
    """The error of a model file or a checkpoint that cannot be read."""

    exit_code = 3


class RunError(UnpoolError):
    """The error of a training, test or prediction that began and could not be finished."""

    exit_code = 1


class TrainingError(RunError):
    """The error of settings that cannot be trained here: the loss is not finite, or the memory is too small."""


class ObjectionError(ValueError):
    """The error of choices that do not fit together, with the changes that repair them.

    A validator raises it, pydantic reports it, and ``unpool.config`` makes a UsageError of it.

    Parameters
    ----------
    reason: why the choices do not fit together.
    changes: each gives other values to some of the choices and removes this objection, though another may follow; the
        usual one is first.
    """

    def __init__(self, reason: str, *changes: Mapping[str, Any]) -> None:
        ways = (" and ".join(f"{name}={value}" for name, value in change.items()) for change in changes)
        super().__init__(f"{reason}; set {', or '.join(ways)}")
        self.reason = reason
        self.changes = changes

"""What can go wrong, said so that a person can mend it.

    UnpoolError            every error this package raises on purpose
    ├── UsageError         the call or a setting is wrong            exit code 2
    ├── DataError          a picture, mask or folder is wrong        exit code 3
    ├── ModelFileError     a model or training state is unreadable   exit code 3
    └── RunError           the work began and could not be finished  exit code 1

Every message has three parts: what was found (with the file and the value), what was expected, what to do.
"""

from __future__ import annotations


class UnpoolError(Exception):
    """An error with a message in three parts.

    Parameters
    ----------
    found: what was met, naming the file and the value.
    expected: what would have been right.
    repair: what the person can do now.
    """

    exit_code = 1

    def __init__(self, found: str, expected: str, repair: str) -> None:
        super().__init__(found, expected, repair)
        self.found = found
        self.expected = expected
        self.repair = repair

    def __str__(self) -> str:
        return f"{self.found}\n  expected: {self.expected}\n  to do:    {self.repair}"


class UsageError(UnpoolError):
    """The call, an option or a setting is wrong."""

    exit_code = 2


class DataError(UnpoolError):
    """A picture, a mask or a folder cannot be used as it is."""

    exit_code = 3


class ModelFileError(UnpoolError):
    """A model file or a saved training state cannot be read."""

    exit_code = 3


class RunError(UnpoolError):
    """Training, testing or predicting began and could not be finished."""

    exit_code = 1

"""The storage of claims: an Optuna storage in a file or a database, whose faults become typed errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna import Study, load_study
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError

from unpool.errors import DataError, RunError, UnpoolError, UsageError
from unpool.io.documents import json_value
from unpool.io.read.library_messages import quiet_libraries
from unpool.study.address import DRIVERS, Address
from unpool.wording import decodable, on_one_line, shortened

CLAIMS_FILE = "claims.log"

_SECONDS_TO_CONNECT = 10
_TRIES_TO_MAKE_TABLES = 6

logging.getLogger("optuna.storages").setLevel(logging.CRITICAL)  # what it logs, an error of ours tells better


@dataclass(frozen=True)
class Signs:
    """The seconds between two signs of life, and the seconds of silence that mean death; whole numbers."""

    every: int = 20
    silence: int = 120


@dataclass(frozen=True)
class Storage:
    """An Optuna storage with the study in it.

    Parameters
    ----------
    database: the same storage where it is a database, which keeps the times of heartbeats; None for a file.
    refusal: gives the typed error that stands for anything that Optuna raises.
    """

    trials: BaseStorage
    database: RDBStorage | None
    study: Study
    study_id: int
    refusal: Callable[[Exception], UnpoolError]

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Raise what fails in the body as a typed error, except the refusal to change a trial that has ended."""
        with _faults(self.refusal):
            yield


def open_storage(place: str | None, folder: Path, study: str, signs: Signs) -> Storage:
    """Open the storage of a study, which is made where it does not exist.

    Parameters
    ----------
    place: the address of a database; None for a file in the folder, which can be on a shared disk.
    study: the name of the study, the same for all processes.

    Raises
    ------
    UsageError: the address is wrong, or its driver is not installed.
    DataError: the file is no file of claims, or damaged.
    RunError: the file or the database cannot be used.
    """
    return _open_file(folder / CLAIMS_FILE, study) if place is None else _open_database(Address(place), study, signs)


def _open_file(path: Path, study: str) -> Storage:
    def refusal(error: Exception) -> UnpoolError:
        return _file_error(path, error)

    with _faults(refusal):
        _require_claims(path)
        # The lock is a file of its own. After 30 s without a change, that of a dead process is removed. Optuna's usual
        # lock, a symbolic link, needs the same path on every machine: where the link leads nowhere, it waits for ever.
        lock = JournalFileOpenLock(str(path.absolute()))
        trials = JournalStorage(JournalFileBackend(str(path.absolute()), lock))
        return _with_study(trials, None, study, refusal)


def _open_database(address: Address, study: str, signs: Signs) -> Storage:
    def refusal(error: Exception) -> UnpoolError:
        return _database_error(address, error)

    with _faults(refusal):
        try:
            database = _database(address, signs)
        except ImportError as error:
            raise _driver_error(address, error) from None
        except (ArgumentError, ValueError):
            raise UsageError(
                f"{address.shown}: no address of a database",
                "an address such as postgresql://USER:PASSWORD@HOST/DATABASE, with %40 for an @ in a password",
                "correct --storage, or leave it out where all machines share the disk",
            ) from None
        return _with_study(database, database, study, refusal)


def _database(address: Address, signs: Signs) -> RDBStorage:
    """Return the database with its tables. Processes that start together may all make them: one of them succeeds."""
    for tries_left in reversed(range(_TRIES_TO_MAKE_TABLES)):
        try:
            return RDBStorage(
                address.with_driver.replace("{", "{{").replace("}", "}}"),  # Optuna takes it as a template
                {"pool_pre_ping": True, "connect_args": _connection(address)},
                heartbeat_interval=signs.every,
                grace_period=signs.silence,
            )
        except (IntegrityError, ProgrammingError, OperationalError) as error:
            made_meanwhile = not isinstance(error, OperationalError) or "already exists" in str(error.orig)  # SQLite
            if not (made_meanwhile and tries_left):
                raise
            time.sleep(0.5)
    raise AssertionError


def _connection(address: Address) -> dict[str, Any]:
    """Return how to connect: an unreachable PostgreSQL is noticed soon, and its clock has no summer time.

    Optuna compares times without their zone, so that every heartbeat would be an hour old when summer time begins.
    """
    if not address.with_driver.startswith(tuple(f"postgresql+{driver}:" for driver in DRIVERS)):
        return {}
    usual = {"connect_timeout": _SECONDS_TO_CONNECT, "options": "-c timezone=UTC"}
    return {key: value for key, value in usual.items() if key not in address.options}


def _with_study(
    trials: BaseStorage, database: RDBStorage | None, study: str, refusal: Callable[[Exception], UnpoolError]
) -> Storage:
    try:  # create_study(load_if_exists=True) does this too, and prints a line
        study_id = trials.create_new_study([StudyDirection.MINIMIZE], study)
    except DuplicatedStudyError:
        study_id = trials.get_study_id_from_name(study)
    return Storage(trials, database, load_study(study_name=study, storage=trials), study_id, refusal)


@contextmanager
def _faults(refusal: Callable[[Exception], UnpoolError]) -> Iterator[None]:
    try:
        with quiet_libraries():
            yield
    except (UnpoolError, UpdateFinishedTrialError):
        raise
    except Exception as error:  # Optuna passes on whatever its libraries raise, and reads a file without checks
        raise refusal(error) from None  # what it read or was given may be in its message, a password too


def _require_claims(path: Path) -> None:
    """Raise ValueError where a file does not begin as Optuna's journals do, before anything is added to it."""
    if path.exists():
        with path.open("rb") as file:
            line = file.readline(100_000)
        if line and not (isinstance(first := json_value(line), dict) and "op_code" in first):
            raise ValueError("its first line is no operation of Optuna's journal")


def _file_error(path: Path, error: Exception) -> UnpoolError:
    name = decodable(str(path))
    if isinstance(error, OSError):
        return RunError(
            f"{name}: {error.strerror or error}",
            "a file that can be read and written, in a folder where files can be made",
            "check the folder and the room on its disk, then start the same command again",
        )
    if isinstance(error, RuntimeError):  # Optuna's lock was removed by another process
        return RunError(
            f"{name}: its lock was taken from this process, which stood still for half a minute",
            "a process that runs while it writes",
            "start the same command again",
        )
    why = shortened(on_one_line(str(error)), 100) or type(error).__name__
    return DataError(
        f"{name}: damaged, or no file of claims ({why})",
        "the file as the processes of a study wrote it",
        "end all processes of this study, move the file out of the folder, then start the same command again",
    )


def _database_error(address: Address, error: Exception) -> UnpoolError:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    why = address.without_secrets(str(getattr(cause, "orig", None) or cause)) or type(cause).__name__
    return RunError(
        f"{address.shown}: {why}",
        "a database that answers, and lets this user make and change tables",
        "check the server, the address and the password, then start the same command again",
    )


def _driver_error(address: Address, error: ImportError) -> UnpoolError:
    postgresql = address.text.startswith("postgresql:")
    return UsageError(
        f"{address.shown}: {address.without_secrets(str(error.__cause__ or error))}",
        "an installed driver for this kind of database",
        "pip install 'unpool[postgresql]'" if postgresql else "install this module with pip",
    )

"""The file of a machine's choices, in the person's cache folder: it may be deleted at any time.

A file belongs to one processor with its units, and to the versions of the libraries that compute.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from unpool.errors import DataError, RunError
from unpool.io.cache import cache_folder
from unpool.io.documents import read_json
from unpool.io.files import write_json
from unpool.io.locks import lock, unlock
from unpool.machine.processor import processor_name, units

MOST_FILE_BYTES = 4_000_000


@dataclass(frozen=True)
class ChoicesFile:
    """The file of the choices on one machine.

    Attributes
    ----------
    path: where it is.
    machine: everything that the choices depend on, in words.
    """

    path: Path
    machine: str

    @classmethod
    def of_this_machine(cls, ways: tuple[str, ...]) -> ChoicesFile | None:
        """Return the file for this machine; None where the system names no cache folder."""
        parts = [processor_name(), *units(), f"torch {torch.__version__}"]
        parts += [f"numba {_version_of('numba')}", torch.backends.cpu.get_cpu_capability(), *ways]
        machine = ", ".join(parts)
        folder = cache_folder()
        number = hashlib.sha256(machine.encode()).hexdigest()[:12]
        return None if folder is None else cls(folder / f"convolutions-{number}.json", machine)

    def read(self) -> dict[str, str]:
        """Return the choices by their keys; none where the file is missing or damaged, as it is only a memory."""
        try:
            content = read_json(self.path, MOST_FILE_BYTES)
        except DataError:
            return {}
        choices = content.get("choices") if isinstance(content, dict) else None
        if not isinstance(choices, dict) or content.get("machine") != self.machine:
            return {}
        return {key: name for key, name in choices.items() if isinstance(name, str)}

    def add(self, key: str, name: str) -> None:
        """Add a choice; where the file cannot be written, the choice holds in this process."""
        with suppress(RunError):
            write_json(self.path, {"machine": self.machine, "choices": self.read() | {key: name}})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of this machine from measuring meanwhile, where the system has locks."""
        handle = None
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
            lock(handle, wait=True)
        try:
            yield
        finally:
            if handle is not None:
                unlock(handle)
                os.close(handle)


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"

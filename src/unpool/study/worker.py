"""The worker: one process on one machine, and whether it has ended."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Worker:
    """A process on a machine.

    Parameters
    ----------
    machine: the machine since its last start, with the container in which the process numbers count.
    process: the process number.
    started: when the process started, in the system's own count; empty where the system does not show it. A number
        that is used again for a new process has another start.
    """

    machine: str
    process: int
    started: str = ""

    @classmethod
    def from_data(cls, data: object) -> Worker | None:
        """Return a worker from its stored fields; None where they are no worker."""
        match data:
            case {"machine": str(machine), "process": int(process), "started": str(started)}:
                return cls(machine, process, started)
        return None

    def has_ended(self, machine: str) -> bool:
        """Return whether the process has surely ended; False where this cannot be known here.

        Parameters
        ----------
        machine: the machine on which the question is put.
        """
        if self.machine != machine or os.name != "posix" or self.process <= 0:
            return False  # on Windows, os.kill would end the process
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):  # a process of another person
            return False
        state, started = _state(self.process)
        return state in ("Z", "X") or ("" not in (started, self.started) and started != self.started)


def this_worker() -> Worker:
    """Return this process on this machine."""
    return Worker(_machine(), os.getpid(), _state(os.getpid())[1])


def _machine() -> str:
    """Return a text that two machines, two containers of one machine, and two starts of one do not share.

    The host's name alone is not enough: a task of a running process must not be given back because another machine
    of the same name has no such process.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():012x}"


def _state(process: int) -> tuple[str, str]:
    """Return the state of a process (``Z``: it ended and is still listed) and its start; empty where not shown."""
    try:
        fields = (_PROC / str(process) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""

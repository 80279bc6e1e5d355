"""Locks of files and folders against other processes; Windows and some network file systems have none."""

from __future__ import annotations

from contextlib import suppress


def lock(handle: int, *, wait: bool) -> None:
    """Lock an open file or folder against other processes, where the system can; the lock ends with the process.

    Parameters
    ----------
    wait: whether to wait until another process unlocks it.

    Raises
    ------
    BlockingIOError: another process has the lock, and ``wait`` is False.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


def unlock(handle: int) -> None:
    """Unlock a file, also for a child process that was forked meanwhile and has the handle too."""
    with suppress(ImportError, OSError):
        import fcntl  # noqa: PLC0415 - not on Windows

        fcntl.flock(handle, fcntl.LOCK_UN)

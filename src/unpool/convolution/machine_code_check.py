"""Whether machine code that numba made computes right: checked once in a process, before anything depends on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache

import torch

_forked = False


def machine_code_works(check: Callable[[], bool]) -> bool:
    """Return whether a check of machine code passes here; it is called once in a process.

    Where it fails, it is called again without the machine code on the disk, which a full disk or a crash may have
    damaged. A process that was forked from one with threads gets False: OpenMP would end it.

    Parameters
    ----------
    check: compares a small result with torch's; an exception of any kind is a failure.
    """
    return not _forked and _passes(check)


@cache
def _passes(check: Callable[[], bool]) -> bool:
    modes = torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast("cpu", enabled=False)
    with modes[0], modes[1], modes[2]:
        for _ in range(2):
            try:
                return check()
            except Exception:  # a compiler fails in many ways, and torch's own ways go on
                _remove_machine_code()
    return False


def _remove_machine_code() -> None:
    try:
        from unpool.convolution.machine_code import folders  # noqa: PLC0415 - numba takes time to import
    except ImportError:
        return
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _note_fork() -> None:
    global _forked  # noqa: PLW0603 - a fact of the process
    _forked = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_note_fork)

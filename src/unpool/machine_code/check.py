"""Whether machine code that numba made computes right: checked once in a process, before anything depends on it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from unpool.machine_code.functions import Group

_forked = False

_compiling_seconds = 0.0


def machine_code_works(group: Group, check: Callable[[], bool]) -> bool:
    """Return whether a check of the functions of a group passes here; it is called once in a process.

    Where it fails, it is called again without the machine code on the disk, which a full disk or a crash may have
    damaged. A process that was forked from one with threads gets False: OpenMP would end it.

    Parameters
    ----------
    check: compares a small result with torch's; an exception of any kind is a failure.
    """
    return not _forked and _passes(group, check)


def compiling_seconds() -> float:
    """Return the seconds for which this process has compiled machine code, or has waited for it."""
    return _compiling_seconds


@cache
def _passes(group: Group, check: Callable[[], bool]) -> bool:
    global _compiling_seconds  # noqa: PLW0603 - a fact of the process
    # A prediction needs the first group alone.
    processes = torch.get_num_threads() if torch.is_grad_enabled() else 1
    modes = torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast("cpu", enabled=False)
    with modes[0], modes[1], modes[2]:
        for _ in range(2):
            began = time.perf_counter()
            try:
                from unpool.machine_code.compilation import compile_with_others  # noqa: PLC0415 - numba takes time to import

                kept = compile_with_others(group, processes)
                passes = check()
            except Exception:  # a compiler fails in many ways, and torch's own ways go on
                _remove_machine_code()
            else:
                _compiling_seconds += 0.0 if kept else time.perf_counter() - began
                return passes
    return False


def _remove_machine_code() -> None:
    try:
        from unpool.machine_code.functions import folders  # noqa: PLC0415 - numba takes time to import
    except ImportError:
        return
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _note_fork() -> None:
    global _forked  # noqa: PLW0603 - a fact of the process
    _forked = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_note_fork)

"""The compilation of machine code by several processes: in one process, numba compiles one function at a time.

The first training after an installation needs three groups of functions. It compiles the first that it meets, and other
processes the rest meanwhile. They leave their machine code in the cache folder, where numba finds it.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Mapping, Sequence

from unpool.machine_code.batch_norm_kernels import BATCH_NORM_CALLS
from unpool.machine_code.functions import Calls, Group, are_kept, can_be_kept, compile_calls
from unpool.machine_code.winograd_kernels import WINOGRAD_CALLS

CALLS_OF: Mapping[Group, Calls] = {**WINOGRAD_CALLS, **BATCH_NORM_CALLS}
"""The functions of each group, with arguments of the types for which they are compiled."""

TOGETHER: tuple[Group, ...] = ("convolution", "batch normalisation, float32", "gradient of a weight")
"""The groups that a training in float32 needs."""

PATIENCE = 120.0
"""Seconds after which a process that compiles is given up."""

_running: list[subprocess.Popen[bytes]] = []


def compile_groups(*groups: Group) -> None:
    """Compile the functions of groups in this process."""
    for group in groups:
        compile_calls(CALLS_OF[group])


def compile_with_others(group: Group, processes: int) -> bool:
    """Let other processes compile what is needed with a group, or wait for them; return whether it was compiled before.

    Parameters
    ----------
    processes: how many may compile, with this one; with one, nothing is compiled here.
    """
    if are_kept(CALLS_OF[group]):
        return True
    if _running:
        await_compilers()
    elif group in TOGETHER and processes > 1 and can_be_kept(CALLS_OF[group]):
        others: list[Group] = [each for each in TOGETHER if each != group and not are_kept(CALLS_OF[each])]
        for first in range(min(processes - 1, len(others))):
            _start(others[first :: processes - 1])
    return False


def _start(groups: Sequence[Group]) -> None:
    """Start a process that compiles groups; where the system refuses it, this process will compile them."""
    # The path is this process's own: a folder in which the person is must not lend its modules.
    imports = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import compile_groups"
    words = [sys.executable, "-c", f"{imports}; compile_groups(*{groups!r})"]
    if not sys.executable or getattr(sys, "frozen", False):  # Python within another program
        return
    nothing = subprocess.DEVNULL
    try:
        # The words are this package's own.
        _running.append(subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing))  # noqa: S603
    except OSError:
        return
    atexit.register(stop_compilers)


def await_compilers() -> None:
    """Wait for the processes that compile."""
    while _running:
        try:
            _running[-1].wait(PATIENCE)
        except subprocess.TimeoutExpired:
            _running[-1].kill()
        _running.pop()


def stop_compilers() -> None:
    """Stop the processes that compile."""
    for each in _running:
        each.kill()
    await_compilers()

"""The memory of this process: how much it uses, how much is free, and when the C library gives it back."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


_IS_GLIBC = platform.libc_ver()[0] == "glibc"


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -3, -4, -8
"""Parameters of mallopt(3)."""


def keep_memory() -> None:
    """Let the C library keep the memory of freed tensors for the tensors of the next step.

    By default it gives large blocks back to the system, which provides them again page by page. A step of a U-Net of 64
    to 1024 maps on one 512 x 512 picture took 1.34 to 1.47 s by default and 1.02 to 1.16 s with this (two cores,
    bfloat16, large pages). Does nothing where the library is not glibc.
    """
    _tell_malloc({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 1 << 28})


def return_memory(block: int) -> None:
    """Let the C library give the memory of freed tensors back to the system, so that a memory limit can be kept.

    It gives back blocks of ``block`` bytes and more immediately. It keeps smaller ones in a heap, which fragments where
    their sizes differ: with a U-Net's windows of 700 x 700 pixels, computed in one piece, a process kept 300 MB more
    than it used. Feature maps computed by rows have few sizes, and giving back 8 MB each time took half as long as the
    convolutions. Does nothing where the library is not glibc.
    """
    _tell_malloc({_M_MMAP_THRESHOLD: block, _M_TRIM_THRESHOLD: block, _M_ARENA_MAX: 1})


def trim_memory() -> None:
    """Let the C library give back the memory that it keeps and no tensor uses."""
    if _IS_GLIBC:
        ctypes.CDLL(None).malloc_trim(0)


def _tell_malloc(parameters: Mapping[int, int]) -> None:
    if _IS_GLIBC:
        library = ctypes.CDLL(None)
        for parameter, value in parameters.items():
            library.mallopt(parameter, value)


def peak_memory() -> int | None:
    """Return the most bytes of main memory that this process has used so far; None where the system does not tell."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def resident_memory() -> int | None:
    """Return the bytes of main memory that this process uses now; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return peak_memory()


def available() -> int | None:
    """Return the bytes of main memory that programs may still take; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        except (AttributeError, ValueError, OSError):
            return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def left_in_group(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes that this process's control group leaves; None where it sets no limit."""
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    # The control group counts cached files as used, but the system drops them when memory is needed.
    cached = sum(int(line.split()[1]) for line in lines if line.startswith(("active_file ", "inactive_file ")))
    return None if limit == "max" else max(int(limit) - max(used - cached, 0), 0)

"""Functions as machine code: numba compiles each at its first call, and keeps it in the person's cache folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from unpool.io.cache import cache_folder

Floats: TypeAlias = NDArray[np.float32]

NO_FLOATS = np.empty(0, np.float32)

Group: TypeAlias = Literal[
    "convolution", "gradient of a weight", "batch normalisation, float32", "batch normalisation, bfloat16"
]
"""Functions that one task needs."""

Calls: TypeAlias = Sequence[tuple[Any, tuple[Any, ...]]]
"""Functions as machine code, each with arguments of the types for which it is compiled."""

_Function = TypeVar("_Function")

_settings: Any = numba.config

folders: set[Path] = set()
"""Folders that keep the machine code of this process."""

if TYPE_CHECKING:
    index = int
else:
    index = np.uint64  # indices of this type need no test for negative numbers, which would keep loops from vectors


def compiled(function: _Function, **options: Any) -> _Function:
    """Return a function as machine code.

    Each content of its file has a folder of its own, as numba fails on machine code whose classes have changed since.
    """
    source = Path(function.__code__.co_filename)  # type: ignore[attr-defined]
    content = hashlib.sha256(source.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    options |= {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
    folder, before = cache_folder(), _settings.CACHE_DIR
    if folder is not None:
        folders.add(folder / f"{source.stem}-{content}")
        _settings.CACHE_DIR = str(folder / f"{source.stem}-{content}")
    try:
        return cast(_Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no folder can be written: each process makes the machine code
        return cast(_Function, numba.njit(**options)(function))
    finally:
        _settings.CACHE_DIR = before


def inner(function: _Function) -> _Function:
    """Return a function as machine code that only machine code calls: Python cannot, which saves time to compile."""
    return compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def in_threads(function: _Function) -> _Function:
    """Return a function as machine code whose loops over ``numba.prange`` are shared among threads."""
    return compiled(function, parallel=True, no_cfunc_wrapper=True)


def compile_calls(calls: Calls) -> None:
    """Compile functions for the types of their arguments, and keep their machine code."""
    type_of: Any = numba.typeof
    for function, arguments in calls:
        function.compile(tuple(map(type_of, arguments)))


def can_be_kept(calls: Calls) -> bool:
    """Return whether there is a cache folder for the machine code of functions."""
    return all(function.stats.cache_path for function, _ in calls)


def are_kept(calls: Calls) -> bool:
    """Return whether the machine code of functions is in the cache folder, perhaps of an older version of numba."""
    return can_be_kept(calls) and all(
        any(Path(function.stats.cache_path).glob(f"*.{function.__name__}-*.nbi")) for function, _ in calls
    )


def start_threads() -> None:
    """Let numba use the threads of torch, as many as torch uses now.

    Raises
    ------
    ValueError: numba has no threads of that kind here.
    """
    import torch  # noqa: PLC0415 - a process that only compiles does not wait for torch

    threads = torch.get_num_threads()
    if _settings.THREADING_LAYER == "default":
        # Where torch brings the only OpenMP, numba then works in torch's own threads: two sets disturb each other.
        _settings.THREADING_LAYER = "omp"
    try:
        numba.set_num_threads(min(threads, _settings.NUMBA_NUM_THREADS))
    except ValueError:
        _settings.THREADING_LAYER = "default"  # for the loops of other packages
        raise
    layer = numba.threading_layer()  # type: ignore[attr-defined]
    if layer not in ("omp", "tbb"):
        raise ValueError(f"numba works in threads of {layer}, which must not be used by two threads at once")
    if torch.get_num_threads() != threads:  # the start of numba's threads sets their number for torch too
        torch.set_num_threads(threads)

"""Warnings of libraries that read and store, kept off the screen: an error of ours names what is wrong."""

from __future__ import annotations

import ctypes
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes.util import find_library
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
import PIL

_LIBRARIES = ("PIL", "tifffile", "imagecodecs", "scipy", "zarr", "numcodecs", "optuna", "sqlalchemy", "alembic")
_MODULES = re.compile(rf"({'|'.join(_LIBRARIES)}|numpy|unpool\.(io|study))(\.|$)")
"""Modules whose warnings are about a file: a library may name its caller, which is a module of this package."""

for _name in _LIBRARIES:
    logging.getLogger(_name).addHandler(logging.NullHandler())  # without a handler, logged faults go to the terminal


class _Silence:
    """One entry in the filters of the module warnings, as long as any thread needs it.

    ``warnings.catch_warnings`` is not safe in threads: the thread that leaves last restores the filters of another one.
    """

    _ENTRY = ("ignore", None, Warning, _MODULES, 0)

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0

    def begin(self) -> None:
        with self._lock:
            self._users += 1
            if self._ENTRY not in warnings.filters:
                warnings.filters.insert(0, self._ENTRY)  # type: ignore[attr-defined]

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            while not self._users and self._ENTRY in warnings.filters:
                warnings.filters.remove(self._ENTRY)  # type: ignore[attr-defined]


_SILENCE = _Silence()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Show no warnings of these libraries, nor of NumPy's arithmetic. It is safe in several threads."""
    _SILENCE.begin()
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        _SILENCE.end()


@cache
def quiet_libtiff() -> None:
    """Take the handler of errors from Pillow's libtiff, for the process: it prints what Pillow raises anyway.

    Where the library is a part of Pillow's own machine code, as on Windows, its lines stay.
    """
    home = Path(PIL.__file__).parent
    bundled = [*home.parent.glob("pillow.libs/libtiff*"), *home.glob(".dylibs/libtiff*")]
    if library := str(bundled[0]) if bundled else find_library("tiff"):
        with suppress(OSError, AttributeError):
            set_handler = ctypes.CDLL(library).TIFFSetErrorHandler
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)

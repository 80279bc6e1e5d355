"""Packages that only exports need."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from unpool.errors import UsageError


def extra(module: str, name: str) -> Any:
    """Import a module of the extra ``unpool[name]``.

    Raises
    ------
    UsageError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{module} cannot be imported ({error})",
            f"the extra unpool[{name}]",
            f'install it: pip install "unpool[{name}]"',
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what these packages say of their own insides from a person who cannot change it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

"""The optional packages that exports need, and their warnings."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from unpool.errors import UsageError


def import_extra(module: str, extra: str) -> Any:
    """Return a module of the extra ``unpool[extra]``, imported.

    Raises
    ------
    UsageError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{module} cannot be imported ({error})",
            f"the extra unpool[{extra}]",
            f'install it: pip install "unpool[{extra}]"',
        ) from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence the warnings and logs of these packages: they concern code that the user cannot change."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

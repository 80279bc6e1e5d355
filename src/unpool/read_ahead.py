"""Work that threads do ahead of the caller: the next pictures are read while the present one is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")


def read_ahead(
    read: Callable[[_Item], _Value], items: Iterable[_Item], *, ahead: int = 1, threads: int = 1
) -> Generator[_Value]:
    """Yield ``read(item)`` of each item, in order.

    Parameters
    ----------
    ahead: items that are read, or wait to be read, while the caller works on a value.
    threads: how many items are read at a time.

    Raises
    ------
    Exception: as ``read`` raises it; items that wait are then dropped.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="unpool-read-ahead") as pool:
        waiting: deque[Future[_Value]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(read, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

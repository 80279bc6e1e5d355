"""How much memory a network's answer for one window takes: found from what it holds at once.

What a layer needs within itself (a convolution its weights in another order and scratch of each thread, a pooling where
its maxima were) is not seen, so a share is added for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unpool.machine.device import Machine
from unpool.nets.inference.row_memory import most_row_bytes
from unpool.nets.network import Network

UNSEEN = 1.3
"""By which a plan is larger than what was watched."""

SCRATCH = 96e6
"""Bytes that the first answers of any network add to a process, and that the C library keeps for the next ones."""

WATCHED = (256, 384)
"""Sides of the windows, made legal, from which the cost of a pixel is taken; in smaller ones weights weigh more."""

WATCHED_COLUMNS = (512, 1024)
"""The same of what is computed by pieces, which have as many pixels in both."""


class WindowMemory(NamedTuple):
    """Bytes that an answer takes.

    Attributes
    ----------
    pixel: for every pixel of a window that is computed at once.
    fixed: at any size.
    piece: for a piece of a window that is computed by pieces, ``narrowest`` for every column of the piece of fewest
        rows, ``column`` for every column of the rows that wait for others.
    window: for every pixel of a window, however it is computed.
    """

    pixel: float
    fixed: float
    piece: float = inf
    narrowest: float = 0.0
    column: float = 0.0
    window: float = 0.0

    def of(self, rows: int, columns: int) -> float:
        """Bytes for a window."""
        by_pieces = max(self.piece, self.narrowest * columns) + self.column * columns
        return UNSEEN * min(self.pixel * rows * columns, by_pieces) + self.window * rows * columns + self.fixed


def window_memory(network: Network, machine: Machine) -> WindowMemory:
    """Let a network that is ready for prediction answer for two windows, at once and by pieces.

    Only the sizes of what it holds are computed; but a network that looks at all of a map is watched at work, since
    what it copies depends on the device.
    """
    stride, seen = network.structure.stride, network.structure.halo
    most = _watched if network.structure.looks_at_everything else _by_rows
    pixel, rest = _line([(side * side, most(network, machine, side, side, side)) for side in WATCHED])
    fixed = rest + max(weight.nbytes for weight in network.parameters()) + SCRATCH
    if network.structure.looks_at_everything:
        return WindowMemory(pixel, fixed)
    by_pieces = []
    for columns in WATCHED_COLUMNS:
        at_once = machine.rows_at_once(columns, stride)
        rows = 4 * at_once + (sum(seen) if seen else 0)
        by_pieces.append((columns, _by_rows(network, machine, rows, columns, at_once)))
    column, piece = _line(by_pieces)
    pixels = machine.rows_at_once(WATCHED_COLUMNS[0], stride) * WATCHED_COLUMNS[0]
    return WindowMemory(pixel, fixed, piece, piece / pixels * stride, column)


def _line(seen: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Bytes for each of something, and beside it, from two numbers of it with their bytes."""
    (few, least), (many, most) = seen
    each = max((most - least) / (many - few), 0.0)
    return each, max(least - each * few, 0.0)


def _by_rows(network: Network, machine: Machine, rows: int, columns: int, at_once: int) -> int:
    size = (network.structure.legal_size(rows), network.structure.legal_size(columns))
    with machine.arithmetic():
        return most_row_bytes(network, network.in_channels, size, at_once)


@torch.no_grad()  # in inference mode composite operations, as instance normalisation is, hide what they hold
def _watched(network: Network, machine: Machine, rows: int, columns: int, _: int) -> int:
    size, watch = (network.structure.legal_size(side) for side in (rows, columns)), _Watch()
    with machine.arithmetic(), watch:
        logits = network(machine.put(torch.zeros(1, network.in_channels, *size)))
        logits.float().softmax(dim=1)
    return watch.most


class _Watch(TorchDispatchMode):
    """Counts the bytes of the storages that are alive after each operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self._counted = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._alive or self._alive[storage._cdata][0].expired():  # type: ignore[no-untyped-call]
                    self._counted += storage.nbytes()
                self._alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())  # type: ignore[no-untyped-call]
        if self._counted > self.most:  # perhaps; those that are gone are looked for only then
            self._alive = {key: each for key, each in self._alive.items() if not each[0].expired()}  # type: ignore[no-untyped-call]
            self._counted = sum(size for _, size in self._alive.values())
            self.most = max(self.most, self._counted)
        return result

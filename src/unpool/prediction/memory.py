"""The memory that a network's logits for one window take, found from the tensors that exist at the same time.

The memory that a layer needs internally is not seen, so a share is added for it: a convolution's reordered weights and
the scratch of each thread, a pooling's positions of its maxima.
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

from unpool.convolution.operation import memory_of
from unpool.machine.device import Machine
from unpool.nets.inference.row_memory import most_row_bytes
from unpool.nets.network import Network

UNSEEN = 1.3
"""Factor by which a plan is larger than the bytes that were counted."""

SCRATCH = 96e6
"""Bytes that the first runs of any network add to a process, and that the C library keeps for the next ones."""

MEASURED_SIDES = (256, 384)
"""Sides of two windows, made legal, that the bytes of a pixel are measured from; in smaller ones weights dominate."""

MEASURED_COLUMNS = (512, 1024)
"""Columns of two windows that the bytes of a column are measured from, for networks that compute by rows."""


class WindowMemory(NamedTuple):
    """Bytes that the logits of a window take.

    Attributes
    ----------
    pixel: for every pixel of a window that is computed in one piece.
    fixed: for a window of any size.
    piece: for the rows that are computed at a time, where a window is computed by rows.
    narrowest: for every column of the fewest rows that can be computed at a time.
    column: for every column of the rows that are kept until later rows need them.
    window: for every pixel of a window, however it is computed.
    """

    pixel: float
    fixed: float
    piece: float = inf
    narrowest: float = 0.0
    column: float = 0.0
    window: float = 0.0

    def of(self, rows: int, columns: int) -> float:
        """Return the bytes for a window."""
        by_rows = max(self.piece, self.narrowest * columns) + self.column * columns
        return UNSEEN * min(self.pixel * rows * columns, by_rows) + self.window * rows * columns + self.fixed


def window_memory(network: Network, machine: Machine) -> WindowMemory:
    """Measure a folded network on two windows in one piece and on two by rows.

    Only the sizes of tensors are computed. A network that looks at everything really runs, because the copies that its
    normalisation makes depend on the device.
    """
    stride, halo = network.structure.stride, network.structure.halo
    most = _watched if network.structure.looks_at_everything else _by_rows
    pixel, rest = _line([(side * side, most(network, machine, side, side, side)) for side in MEASURED_SIDES])
    # A convolution needs its weights in another order, or the memory of the way in which it is computed.
    within = max(weight.nbytes for weight in network.parameters())
    if machine.device.type == "cpu":
        within = max(within, memory_of(network, reduced=machine.reduced))
    fixed = rest + within + SCRATCH
    if network.structure.looks_at_everything:
        return WindowMemory(pixel, fixed)
    by_rows = []
    for columns in MEASURED_COLUMNS:
        at_once = machine.rows_at_once(columns, stride)
        rows = 4 * at_once + (sum(halo) if halo else 0)
        by_rows.append((columns, _by_rows(network, machine, rows, columns, at_once)))
    column, piece = _line(by_rows)
    pixels = machine.rows_at_once(MEASURED_COLUMNS[0], stride) * MEASURED_COLUMNS[0]
    return WindowMemory(pixel, fixed, piece, piece / pixels * stride, column)


def _line(points: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return the slope and the constant of the line through two points (count, bytes); neither is negative."""
    (few, least), (many, most) = points
    each = max((most - least) / (many - few), 0.0)
    return each, max(least - each * few, 0.0)


def _by_rows(network: Network, machine: Machine, rows: int, columns: int, at_once: int) -> int:
    size = (network.structure.legal_size(rows), network.structure.legal_size(columns))
    with machine.arithmetic():
        return most_row_bytes(network, network.in_channels, size, at_once)


@torch.no_grad()  # in inference mode composite operations, such as instance normalisation, hide their tensors
def _watched(network: Network, machine: Machine, rows: int, columns: int, _: int) -> int:
    size, count = [network.structure.legal_size(side) for side in (rows, columns)], _AliveBytes()
    picture = torch.zeros(1, network.in_channels, *size)
    with machine.arithmetic():
        network(machine.put(picture))  # the ways of its convolutions are chosen here, not while tensors are counted
    with machine.arithmetic(), count:
        logits = network(machine.put(torch.zeros_like(picture)))
        logits.float().softmax(dim=1)
    return count.most


class _AliveBytes(TorchDispatchMode):
    """A count of the bytes of all tensors that are alive after each operation of torch."""

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
        if self._counted > self.most:  # an upper bound; freed storages are removed only now
            self._alive = {key: each for key, each in self._alive.items() if not each[0].expired()}  # type: ignore[no-untyped-call]
            self._counted = sum(size for _, size in self._alive.values())
            self.most = max(self.most, self._counted)
        return result

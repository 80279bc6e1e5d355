"""How much memory a network's answer for one window takes: found by watching what it holds at once.

What a convolution needs beside its maps (its weights in another order, scratch of each thread) is not seen, so a share
is added for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unpool.engine.machine import Machine
from unpool.nets import Network, context, legal_size, looks_at_everything, streamed

UNSEEN = 1.1
"""By which a plan is larger than what was watched."""

SCRATCH = 48e6
"""Bytes that the first answers of any network add to a process."""

WATCHED = (256, 384)
"""Sides of the windows, made legal, from which the cost of a pixel is taken; in smaller ones weights weigh more."""

WATCHED_COLUMNS = (512, 1024)
"""The same of what is computed by pieces, which have as many pixels in both."""


class HeldMemory(NamedTuple):
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


def held_memory(network: Network, machine: Machine) -> HeldMemory:
    """Watch a network that is ready for prediction answer for two small windows, and pretend to for two large ones."""
    seen = []
    for side in WATCHED:
        legal = legal_size(network.structure, side)
        seen.append((legal * legal, _most_held(network, machine, legal)))
    (few, least), (many, most) = seen
    pixel = (most - least) / (many - few)
    fixed = max(least - pixel * few, 0.0) + max(weight.nbytes for weight in network.parameters()) + SCRATCH
    if looks_at_everything(network.structure):
        return HeldMemory(pixel, fixed)
    hollow = _hollow(network)
    (few, least), (many, most) = ((columns, _most_streamed(hollow, machine, columns)) for columns in WATCHED_COLUMNS)
    column = max((most - least) / (many - few), 0.0)
    piece, stride = least - column * few, network.structure.stride
    pixels = machine.rows_at_once(few, stride) * few
    return HeldMemory(pixel, fixed, piece, piece / pixels * stride, column)


def _hollow(network: Network) -> Network:
    """A copy without numbers: what it computes has a size and nothing else."""
    hollow = {id(tensor): nn.Parameter(tensor.to("meta"), tensor.requires_grad) for tensor in network.parameters()}
    return deepcopy(network, hollow | {id(tensor): tensor.to("meta") for tensor in network.buffers()})


@torch.inference_mode()
def _most_streamed(hollow: Network, machine: Machine, columns: int) -> int:
    structure = hollow.structure
    at_once, seen = machine.rows_at_once(columns, structure.stride), context(structure)
    rows = 4 * at_once + (sum(seen) if seen else structure.stride)
    size = (legal_size(structure, rows), legal_size(structure, columns))
    dtype = next(hollow.parameters()).dtype
    picture = torch.empty(1, hollow.in_channels, *size, dtype=dtype, device="meta").to(
        memory_format=torch.channels_last
    )
    watch = _Watch()
    with watch:
        for logits in streamed(hollow, picture, at_once):
            logits.float().softmax(dim=1)
    return watch.most


@torch.no_grad()  # in inference mode composite operations, as instance normalisation is, hide what they hold
def _most_held(network: Network, machine: Machine, side: int) -> int:
    watch = _Watch()
    with machine.arithmetic(), watch:
        image = machine.put(torch.zeros(1, network.in_channels, side, side))
        logits = network(image)
        logits.float().cpu().softmax(dim=1)
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

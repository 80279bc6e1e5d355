"""How much memory a network's answer for one window takes: found by watching what it holds at once.

What a convolution needs beside its maps (weights in another order, scratch of each thread) is not seen, so a share is
added for it: processes were seen to take 1.0 to 1.2 times what was watched, and up to half of the weights besides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unpool.engine.machine import Machine
from unpool.nets import Network, legal_size

UNSEEN = 1.1
"""By which a plan is larger than what was watched."""

SCRATCH = 48e6
"""Bytes that the first answers of any network add to a process."""

WATCHED = (256, 384)
"""Sides of the windows, made legal, from which the cost of a pixel is taken; in smaller ones weights weigh more."""


class HeldMemory(NamedTuple):
    """Bytes that an answer takes: so many for every pixel of its window, and so many at any size."""

    pixel: float
    fixed: float

    def of(self, rows: int, columns: int) -> float:
        """Bytes for a window."""
        return UNSEEN * self.pixel * rows * columns + self.fixed


def held_memory(network: Network, machine: Machine) -> HeldMemory:
    """Watch a network answer for two small windows."""
    seen = []
    for side in WATCHED:
        legal = legal_size(network.structure, side)
        seen.append((legal * legal, _most_held(network, machine, legal)))
    (few, least), (many, most) = seen
    pixel = (most - least) / (many - few)
    weights = sum(parameter.nbytes for parameter in network.parameters())
    return HeldMemory(pixel, max(least - pixel * few, 0.0) + weights / 2 + SCRATCH)


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
        self.most = 0
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
                self._alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())  # type: ignore[no-untyped-call]
        self._alive = {key: each for key, each in self._alive.items() if not each[0].expired()}  # type: ignore[no-untyped-call]
        self.most = max(self.most, sum(size for _, size in self._alive.values()))
        return result

"""Time and memory of 2x2 pooling and unpooling with 2-bit positions, against torch's pair.

    python benchmarks/pooling.py

Each line is one size, type and memory format: milliseconds for forward and backward through pooling and unpooling (the
median over interleaved repetitions), their ratio (below 1, ours is faster), the bytes that autograd saves between
forward and backward without the input of the pooling, whether it saves the input too, and the bytes of the skip
connection.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from unpool.nets.pooling import max_pool, max_unpool
from unpool.nets.saved_tensors import SavedTensors

SIZES = ((4, 64, 256, 256), (1, 64, 360, 480))
TYPES = (torch.float32, torch.bfloat16)
FORMATS = (("NCHW", torch.contiguous_format), ("channels-last", torch.channels_last))
SECONDS = 2.0
"""Time for each of 16 lines."""


class Pass(NamedTuple):
    """The result of a forward pass, and the bytes of its skip connection."""

    result: Tensor
    skip: int


def our_pair(maps: Tensor) -> Pass:
    """Pool and unpool with 2-bit pooling indices."""
    pooled, positions = max_pool(maps)
    return Pass(max_unpool(pooled, positions), positions.bytes)


def torch_pair(maps: Tensor) -> Pass:
    """Pool and unpool with torch's 64-bit pooling indices."""
    pooled, indices = F.max_pool2d(maps, 2, return_indices=True)
    return Pass(F.max_unpool2d(pooled, indices, 2), indices.nbytes)


def our_pooling(maps: Tensor) -> Pass:
    """Pool alone, 2 bits a window for the backward pass."""
    return Pass(max_pool(maps)[0], 0)


def torch_pooling(maps: Tensor) -> Pass:
    """Pool alone, as torch does."""
    return Pass(F.max_pool2d(maps, 2), 0)


def seconds(forward: Callable[[Tensor], Pass], maps: Tensor, gradient: Tensor) -> float:
    """Return the time of one forward and backward pass."""
    start = perf_counter()
    torch.autograd.grad(forward(maps).result, maps, gradient)
    return perf_counter() - start


def saved_bytes(forward: Callable[[Tensor], Pass], maps: Tensor) -> tuple[int, bool, int]:
    """Return the bytes saved for the backward pass without the input, whether the input is saved, and the skip's."""
    everything, without_input = SavedTensors(()), SavedTensors((maps,))
    with everything.counting():
        forward(maps)
    with without_input.counting():
        skip = forward(maps).skip
    return without_input.bytes, everything.bytes > without_input.bytes, skip


def compared(ours: Callable[[Tensor], Pass], theirs: Callable[[Tensor], Pass], maps: Tensor) -> tuple[float, float]:
    """Return the median seconds of each of two, repeated alternately."""
    gradient = torch.randn_like(ours(maps).result)
    times: tuple[list[float], list[float]] = ([], [])
    end = perf_counter() + SECONDS
    while len(times[0]) < 3 or perf_counter() < end:
        for forward, series in zip((ours, theirs), times, strict=True):
            series.append(seconds(forward, maps, gradient))
    return median(times[0][1:]), median(times[1][1:])


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    sys.stdout.write(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; bytes in MiB\n"
        "what         size            type      format          ours ms  torch ms  ratio   "
        "saved: ours torch         skip: ours  torch\n"
    )
    for what, ours, theirs in (("pool+unpool", our_pair, torch_pair), ("pool", our_pooling, torch_pooling)):
        for size in SIZES:
            for dtype in TYPES:
                for name, memory_format in FORMATS:
                    maps = torch.randn(size).relu_().to(dtype).contiguous(memory_format=memory_format)
                    maps.requires_grad_()
                    mine, torchs = compared(ours, theirs, maps)
                    our_saved, our_input, our_skip = saved_bytes(ours, maps)
                    torch_saved, torch_input, torch_skip = saved_bytes(theirs, maps)
                    assert not our_input
                    sys.stdout.write(
                        f"{what:12} {'x'.join(map(str, size)):15} {str(dtype)[6:]:9} {name:14} "
                        f"{mine * 1e3:8.1f} {torchs * 1e3:9.1f} {mine / torchs:6.2f}   "
                        f"{our_saved / 2**20:10.2f}  {torch_saved / 2**20:5.1f}{' + input' if torch_input else '':8} "
                        f"{our_skip / 2**20:11.2f}  {torch_skip / 2**20:5.1f}\n"
                    )


if __name__ == "__main__":
    main()

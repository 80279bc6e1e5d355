"""torch's max-pooling as one custom operation, which a compiler leaves as it is.

Otherwise the compiler fuses the backward pass with the operations around it and computes it value by value: 85 ms
instead of 20 ms for 64 maps of 512 x 512 on two cores, as much as it saves on the rest of the network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW, NO_PADDING, EVERY = [2, 2], [0, 0], [1, 1]


@torch.library.custom_op("unpool::max_pool", mutates_args=())
def max_pool_operator(maps: Tensor, ceil: bool) -> tuple[Tensor, Tensor]:
    """Pool (N, C, H, W) by 2x2 windows; return the maxima and their indices, int64, as torch counts them."""
    pooled, indices = F.max_pool2d(maps, 2, ceil_mode=ceil, return_indices=True)
    return pooled, indices


@torch.library.custom_op("unpool::max_pool_backward", mutates_args=())
def _backward(gradient: Tensor, maps: Tensor, indices: Tensor, ceil: bool) -> Tensor:
    """Return the gradient of the maps."""
    spread: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
        gradient, maps, WINDOW, WINDOW, NO_PADDING, EVERY, ceil, indices
    )
    return spread


@max_pool_operator.register_fake
def _(maps: Tensor, ceil: bool) -> tuple[Tensor, Tensor]:
    rows, columns = ((side + ceil) // 2 for side in maps.shape[2:])
    pooled = maps.new_empty(maps.shape[0], maps.shape[1], rows, columns)
    pooled = pooled.contiguous(memory_format=torch._prims_common.suggest_memory_format(maps))
    return pooled, torch.empty_like(pooled, dtype=torch.int64)


@_backward.register_fake
def _(gradient: Tensor, maps: Tensor, indices: Tensor, ceil: bool) -> Tensor:
    return torch.empty_like(maps)


def _keep_for_backward(ctx: Any, inputs: tuple[Tensor, bool], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(inputs[0], output[1])
    ctx.ceil = inputs[1]


def _differentiate(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
    return _backward(gradient, *ctx.saved_tensors, ctx.ceil), None


max_pool_operator.register_autograd(_differentiate, setup_context=_keep_for_backward)

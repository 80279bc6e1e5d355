"""The convolution as networks call it: torch's own, except where another way was measured to be faster.

Only convolutions on a CPU with stride 1, no dilation and one group have other ways. Graphs that are compiled or exported
take torch's own.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function

from unpool.convolution.choices import CHOICES, LEAST_WORK
from unpool.convolution.ways import DIRECT, Case, Task, compute

Pair: TypeAlias = tuple[int, int]


def convolve(
    maps: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = (1, 1), padding: Pair = (0, 0),
    dilation: Pair = (1, 1), groups: int = 1,
) -> Tensor:  # fmt: skip
    """Convolve (N, C, H, W) with (K, C / groups, rows, columns), as ``torch.nn.functional.conv2d`` does.

    The results of different ways differ by rounding. The gradients can be computed once.
    """
    if has_torch_function((maps, weight)):
        return handle_torch_function(convolve, (maps, weight), maps, weight, bias, stride, padding, dilation, groups)
    plain = (stride, dilation, groups) == ((1, 1), (1, 1), 1)
    if not plain or not _computes_here(maps, weight):
        return F.conv2d(maps, weight, bias, stride, padding, dilation, groups)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        maps, weight, bias = maps.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    case = _case_of(maps, weight, padding)
    if case.multiplications < LEAST_WORK or maps.dtype not in (torch.float32, torch.bfloat16):
        return F.conv2d(maps, weight, bias, stride, padding)
    if torch.is_grad_enabled() and (maps.requires_grad or weight.requires_grad):
        return _Convolution.apply(maps, weight, bias, padding)  # type: ignore[no-untyped-call, no-any-return]
    return _computed("output", case, maps, weight, bias)


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.case = _case_of(maps, weight, padding)
        return _computed("output", ctx.case, maps, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        of_maps = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_maps = _computed("gradient of maps", ctx.case, gradient, weight)
        if ctx.needs_input_grad[1]:
            of_weight = _computed("gradient of weight", ctx.case, gradient, maps)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_maps, of_weight, of_bias, None


def _computed(task: Task, case: Case, *tensors: Tensor | None) -> Tensor:
    way = CHOICES.way(task, case, *tensors)
    return compute(way, task, case, *tensors)


def _case_of(maps: Tensor, weight: Tensor, padding: Pair) -> Case:
    images, inputs, rows, columns = maps.shape
    kernel = (weight.shape[2], weight.shape[3])
    return Case(maps.dtype, images, inputs, weight.shape[0], rows, columns, kernel, padding)


def _computes_here(maps: Tensor, weight: Tensor) -> bool:
    """Return whether these are numbers in main memory, not symbols of a graph or shapes without numbers."""
    if maps.device.type != "cpu" or weight.device.type != "cpu" or type(maps) is not Tensor:
        return False
    return not (torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export())

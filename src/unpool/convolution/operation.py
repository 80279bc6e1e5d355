"""The convolution as networks call it: torch's own, except where another way was measured to be faster.

Other ways exist on a CPU, for convolutions with stride 1 and one group, and for up-convolutions whose stride
is their kernel. Graphs that are compiled or exported take torch's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd import Function, forward_ad
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function

from unpool.convolution import winograd
from unpool.convolution.choices import CHOICES, LEAST_WORK
from unpool.convolution.ways import ConvolutionCase, Task, compute

Sides: TypeAlias = tuple[int, int]

NUMBER_TYPES = (torch.float32, torch.bfloat16)
"""Number types for which there are other ways."""


def convolve(
    maps: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sides = (1, 1), padding: Sides = (0, 0),
    dilation: Sides = (1, 1), groups: int = 1,
) -> Tensor:  # fmt: skip
    """Convolve (N, C, H, W) with (K, C / groups, rows, columns), as ``torch.nn.functional.conv2d`` does.

    The results of different ways differ by rounding. The gradients can be computed once.
    """
    if torch.compiler.is_compiling():
        return F.conv2d(maps, weight, bias, stride, padding, dilation, groups)
    if has_torch_function((maps, weight)):
        return handle_torch_function(convolve, (maps, weight), maps, weight, bias, stride, padding, dilation, groups)
    plain = (stride, dilation, groups) == ((1, 1), (1, 1), 1)
    if not plain or not computes_here(maps, weight):
        return F.conv2d(maps, weight, bias, stride, padding, dilation, groups)
    maps, weight, bias = _in_number_type(maps, weight, bias)
    if not _fit(maps, weight, bias, inputs=1):
        return F.conv2d(maps, weight, bias, stride, padding)
    images, inputs, rows, columns = maps.shape
    kernel = (weight.shape[2], weight.shape[3])
    case = ConvolutionCase(maps.dtype, images, inputs, weight.shape[0], rows, columns, kernel, padding)
    if case.multiplications < LEAST_WORK:
        return F.conv2d(maps, weight, bias, stride, padding)
    return _differentiable(case, maps, weight, bias)


def up_convolve(
    maps: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sides = (1, 1), padding: Sides = (0, 0),
    output_padding: Sides = (0, 0), groups: int = 1, dilation: Sides = (1, 1),
) -> Tensor:  # fmt: skip
    """Convolve (N, C, H, W) transposed with (C, K / groups, rows, columns), as ``conv_transpose2d`` of torch does.

    Other ways are tried where the stride is the size of the kernel, as in U-Net.
    """
    rest = (stride, padding, output_padding, groups, dilation)
    if torch.compiler.is_compiling():
        return F.conv_transpose2d(maps, weight, bias, *rest)
    if has_torch_function((maps, weight)):
        return handle_torch_function(up_convolve, (maps, weight), maps, weight, bias, *rest)
    kernel = (weight.shape[2], weight.shape[3])
    if rest != (kernel, (0, 0), (0, 0), 1, (1, 1)) or not computes_here(maps, weight):
        return F.conv_transpose2d(maps, weight, bias, *rest)
    maps, weight, bias = _in_number_type(maps, weight, bias)
    if not _fit(maps, weight, bias, inputs=0):
        return F.conv_transpose2d(maps, weight, bias, *rest)
    images, inputs, rows, columns = maps.shape
    case = ConvolutionCase(maps.dtype, images, inputs, weight.shape[1], rows, columns, kernel, up=True)
    if case.multiplications < LEAST_WORK:
        return F.conv_transpose2d(maps, weight, bias, *rest)
    return _differentiable(case, maps, weight, bias)


@contextmanager
def torch_alone() -> Iterator[None]:
    """Compute convolutions inside this context as torch does, as if there were no other ways."""
    before = _torch_alone.set(True)
    try:
        yield
    finally:
        _torch_alone.reset(before)


def memory_of(network: nn.Module, *, reduced: bool) -> int:
    """Load what the ways of a network's convolutions need, and return the bytes that they keep in addition.

    Parameters
    ----------
    reduced: whether the network computes in bfloat16.
    """
    if reduced or not winograd.is_available():
        return 0
    threads, weights = torch.get_num_threads(), (weight for weight in network.parameters() if weight.ndim == 4)
    return max((winograd.scratch_bytes(weight.shape[1], weight.shape[0], threads) for weight in weights), default=0)


_torch_alone = ContextVar("torch_alone", default=False)


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, case: ConvolutionCase, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.case = case
        return _computed("output", case, maps, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        of_maps = of_weight = of_bias = None
        if ctx.needs_input_grad[1]:
            of_maps = _computed("gradient of maps", ctx.case, gradient, weight)
        if ctx.needs_input_grad[2]:
            of_weight = _computed("gradient of weight", ctx.case, gradient, maps)
        if ctx.needs_input_grad[3]:
            of_bias = gradient.sum((0, 2, 3))
        return None, of_maps, of_weight, of_bias


def _differentiable(case: ConvolutionCase, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    learned = any(each is not None and each.requires_grad for each in (maps, weight, bias))
    if torch.is_grad_enabled() and learned:
        return _Convolution.apply(case, maps, weight, bias)  # type: ignore[no-untyped-call, no-any-return]
    return _computed("output", case, maps, weight, bias)


def _computed(task: Task, case: ConvolutionCase, *tensors: Tensor | None) -> Tensor:
    way = CHOICES.way(task, case, *tensors)
    return compute(way, task, case, *tensors)


def _fit(maps: Tensor, weight: Tensor, bias: Tensor | None, *, inputs: int) -> bool:
    """Return whether the tensors belong together; others are torch's to refuse. ``inputs``: axis of the weight."""
    if maps.ndim != 4 or weight.ndim != 4 or maps.dtype not in NUMBER_TYPES or weight.dtype != maps.dtype:
        return False
    if bias is not None and (bias.dtype != maps.dtype or bias.shape != weight.shape[1 - inputs : 2 - inputs]):
        return False
    return maps.shape[1] == weight.shape[inputs] and maps.numel() > 0


def _in_number_type(maps: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the tensors in the number type that autocast asks for, as torch's own convolutions take them."""
    if not torch.is_autocast_enabled("cpu") or maps.dtype == torch.float64:
        return maps, weight, bias
    dtype = torch.get_autocast_dtype("cpu")
    return maps.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)


def computes_here(maps: Tensor, weight: Tensor) -> bool:
    """Return whether these are numbers in main memory, not symbols of a graph or shapes without numbers."""
    if _torch_alone.get() or type(maps) is not Tensor or _is_tracing() or _transformed():
        return False
    return maps.device.type == weight.device.type == "cpu" and not torch.onnx.is_in_onnx_export()


def _is_tracing() -> bool:
    return bool(torch._C._get_tracing_state())


def _transformed() -> bool:
    """Return whether a transformation of torch.func, or differentiation forwards, is in force; they are private."""
    stack = getattr(torch._C._functorch, "peek_interpreter_stack", None)
    level: int = getattr(forward_ad, "_current_level", -1)
    return level >= 0 or (stack is not None and stack() is not None)

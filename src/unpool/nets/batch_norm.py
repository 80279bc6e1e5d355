"""Batch normalisation in training: torch's, with faster sums and changes of maps in channels-last on a CPU.

torch's kernels work pixel by pixel, which takes a third of a step of a network of 8 feature maps: 9.0 ms for 32 maps of
256 x 256, forward and backward, where those of ``unpool.machine_code.batch_norm_kernels`` take 1.1 ms. Where channels
are many, or numba is missing, torch's are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from unpool.convolution.choices import CHOICES
from unpool.convolution.operation import NUMBER_TYPES, computes_here
from unpool.machine_code.check import machine_code_works

LEAST_NUMBERS = 1 << 18
"""Numbers in the maps from which the kernels here are used."""

MANY = 64
"""Channels from which torch's kernels are as fast, if they are a multiple of 16."""

LANE, BLOCKS_OF_SUMS = 64, 64
"""Shortest lane, where the number of pixels allows it; the most blocks of lanes with sums of their own."""


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of (N, C, H, W) maps, with the parameters and buffers of ``torch.nn.BatchNorm2d``."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise maps; the result has their shape and type. Sums are float64, statistics float32."""
        if torch.compiler.is_compiling() or not (torch.is_grad_enabled() and self._is_plain(input)):
            return super().forward(input)
        if not CHOICES.uses_machine_code("batch normalisation", _works(input.dtype)):
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        if not self.training:
            return _normalised(input, self, (self.running_mean, self.running_var))[0]
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        made, mean, variance = _normalised(input, self)
        pixels = input.numel() / input.shape[1]
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        with torch.no_grad():
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (pixels / (pixels - 1)), momentum)
        return made

    def _is_plain(self, maps: Tensor) -> bool:
        """Return whether the kernels here can normalise these maps, and are faster."""
        kept = (self.weight, self.bias, self.running_mean, self.running_var)
        if any(each is None or each.dtype != torch.float32 for each in kept) or not computes_here(maps, self.weight):
            return False
        return _fits(maps) and maps.shape[1] == self.num_features


def _normalised(
    maps: Tensor, norm: nn.BatchNorm2d, statistics: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the normalised maps, their mean and their variance, which are those of the maps unless they are given."""
    given = maps, norm.weight, norm.bias, statistics, norm.eps
    return _Normalise.apply(*given)  # type: ignore[no-untyped-call, no-any-return]


class _Normalise(Function):
    """Normalise by given statistics, or by those of the maps; return the maps, their mean and their variance."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, statistics: tuple[Tensor, Tensor] | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        from unpool.machine_code import batch_norm_kernels as kernels  # noqa: PLC0415 - numba takes time to import
        from unpool.machine_code.functions import start_threads  # noqa: PLC0415

        start_threads()
        maps = maps.contiguous(memory_format=torch.channels_last)
        ctx.of_batch, ctx.eps = statistics is None, eps
        if statistics is None:
            sums, squares = _summed(kernels.sum_maps, maps)
            pixels = maps.numel() // maps.shape[1]
            middle = sums / pixels
            statistics = _tensor(middle), _tensor(np.maximum(squares / pixels - middle**2, 0.0))
        mean, variance = statistics
        scale = torch.rsqrt(variance.double() + eps) * weight.double()
        shift = bias.double() - mean.double() * scale
        made = torch.empty_like(maps)
        repeats = _repeats(maps)
        lanes = maps.numel() // (maps.shape[1] * repeats)
        lane, shifts = _lane(scale.numpy(), repeats), _lane(shift.numpy(), repeats)
        kernels.change_maps(_flat(maps), lanes, lane, shifts, _flat(made))
        found = mean.clone(), variance.clone()
        ctx.save_for_backward(maps, weight, *found)
        ctx.mark_non_differentiable(*found)
        return made, *found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        from unpool.machine_code import batch_norm_kernels as kernels  # noqa: PLC0415 - as above
        from unpool.machine_code.functions import start_threads  # noqa: PLC0415

        start_threads()
        maps, weight, mean, variance = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        sums, products = _summed(kernels.sum_gradient, gradient, maps)
        middle, slope = mean.double().numpy(), torch.rsqrt(variance.double() + ctx.eps).numpy()
        of_weight = (products - middle * sums) * slope
        scale = weight.detach().double().numpy() * slope
        of_maps = None
        if ctx.needs_input_grad[0]:
            # Statistics that are given do not depend on the maps.
            share = maps.shape[1] / maps.numel() if ctx.of_batch else 0.0
            each_channel = (scale, -scale * slope * of_weight * share, middle, -scale * sums * share)
            factors = np.stack([_lane(each, _repeats(maps)) for each in each_channel])
            of_maps = torch.empty_like(maps)
            lanes = maps.numel() // factors.shape[1]
            kernels.change_gradient(_flat(gradient), _flat(maps), lanes, factors, _flat(of_maps))
        return of_maps, _tensor(of_weight), _tensor(sums), None, None


def _works(dtype: torch.dtype) -> bool:
    """Return whether the kernels give torch's numbers for maps of this number type."""
    if dtype == torch.float32:
        return machine_code_works("batch normalisation, float32", _works_in_float32)
    return machine_code_works("batch normalisation, bfloat16", _works_in_bfloat16)


def _works_in_float32() -> bool:
    return _agrees(torch.float32, 1e-4)


def _works_in_bfloat16() -> bool:
    return _agrees(torch.bfloat16, 3e-2)


def _agrees(dtype: torch.dtype, allowed: float) -> bool:
    maps = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32, device="cpu").sin().view(2, 3, 4, 5).to(dtype)
    norm = nn.BatchNorm2d(3, device="cpu", dtype=torch.float32)
    ours, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    found = _with_gradients(_normalised(ours, norm)[0], norm, ours)
    expected = _with_gradients(norm(theirs), norm, theirs)
    return all(torch.allclose(*both, rtol=allowed, atol=allowed) for both in zip(found, expected, strict=True))


def _with_gradients(made: Tensor, norm: nn.BatchNorm2d, values: Tensor) -> list[Tensor]:
    weights = torch.autograd.grad(made, [values, norm.weight, norm.bias], values.detach().square())
    return [made, *weights]


def _fits(maps: Tensor) -> bool:
    """Return whether the kernels here are faster for these maps."""
    few = maps.shape[1] < MANY or maps.shape[1] % 16 > 0
    return few and maps.dtype in NUMBER_TYPES and maps.ndim == 4 and maps.numel() >= LEAST_NUMBERS


def _summed(kernel: Any, *maps: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two sums of a kernel for each channel."""
    channels, repeats = maps[0].shape[1], _repeats(maps[0])
    lanes = maps[0].numel() // (channels * repeats)
    sums = np.zeros((2, min(lanes, BLOCKS_OF_SUMS), channels * repeats))
    kernel(*(_flat(each) for each in maps), lanes, sums[0], sums[1])
    first, second = sums.sum(axis=1).reshape(2, repeats, channels).sum(axis=1)
    return first, second


def _repeats(maps: Tensor) -> int:
    """Return the pixels of a lane: a power of two that divides their number."""
    pixels, repeats = maps.numel() // maps.shape[1], 1
    while repeats * maps.shape[1] < LANE and pixels % (2 * repeats) == 0:
        repeats *= 2
    return repeats


def _lane(values: NDArray[np.float64], repeats: int) -> NDArray[np.float32]:
    return np.tile(values, repeats).astype(np.float32)


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _flat(maps: Tensor) -> NDArray[Any]:
    """Return the numbers of channels-last maps in the order of their memory; bfloat16 as 16 bits."""
    flat = maps.detach().permute(0, 2, 3, 1).view(-1)
    return flat.view(torch.uint16).numpy() if flat.dtype == torch.bfloat16 else flat.numpy()

"""The ways to compute a convolution and its two gradients, each a value: where it is possible, and its function.

Every way takes and returns maps in channels-last, whatever format it uses within, so its time counts the conversions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from unpool.convolution import winograd

Task: TypeAlias = Literal["output", "gradient of maps", "gradient of weight"]

DIRECT = "channels-last"
"""The name of torch's own way in the format in which the package keeps maps: it is possible everywhere."""

PRODUCT_MEMORY = 1 << 20
"""Numbers of the columns that are multiplied at a time: their memory is bounded, and large enough for a product."""


class ConvolutionCase(NamedTuple):
    """A convolution, as far as its ways depend on it.

    Attributes
    ----------
    inputs, outputs: channels; rows, columns: of the input; kernel, padding: along rows and columns.
    up: False for a convolution with stride 1; True for an up-convolution whose stride is its kernel, so that each
        output pixel depends on one input pixel.
    """

    dtype: torch.dtype
    images: int
    inputs: int
    outputs: int
    rows: int
    columns: int
    kernel: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    up: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        if self.up:
            return self.rows * self.kernel[0], self.columns * self.kernel[1]
        return (
            self.rows + 2 * self.padding[0] - self.kernel[0] + 1,
            self.columns + 2 * self.padding[1] - self.kernel[1] + 1,
        )

    @property
    def multiplications(self) -> int:
        """Multiplications of numbers that the definition of a convolution takes."""
        rows, columns = (self.rows, self.columns) if self.up else self.size
        return self.images * self.inputs * self.outputs * self.kernel[0] * self.kernel[1] * rows * columns

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """The shape of the weight, which an up-convolution stores as (inputs, outputs, rows, columns)."""
        channels = (self.inputs, self.outputs) if self.up else (self.outputs, self.inputs)
        return *channels, *self.kernel


@dataclass(frozen=True)
class ConvolutionWay:
    """A way to compute one of the three tasks.

    Attributes
    ----------
    possible: whether it can compute a case here.
    compute: takes a case and the tensors of the task: (maps, weight, bias or None) for the output, (gradient, weight)
        for the gradient of the maps, (gradient, maps) for that of the weight.
    """

    possible: Callable[[ConvolutionCase], bool]
    compute: Callable[..., Tensor]


def _always(_: ConvolutionCase) -> bool:
    return True


def _convolution(case: ConvolutionCase) -> bool:
    return not case.up


def _in_format(tensor: Tensor, memory_format: torch.memory_format) -> Tensor:
    return tensor.contiguous(memory_format=memory_format)


def _direct(memory_format: torch.memory_format) -> Mapping[Task, ConvolutionWay]:
    """Return torch's own convolution, computed in a memory format."""

    def output(case: ConvolutionCase, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        maps, weight = _in_format(maps, memory_format), _in_format(weight, memory_format)
        if case.up:
            made = F.conv_transpose2d(maps, weight, bias, case.kernel)
        else:
            made = F.conv2d(maps, weight, bias, 1, case.padding)
        return _in_format(made, torch.channels_last)

    def gradient_of_maps(case: ConvolutionCase, gradient: Tensor, weight: Tensor) -> Tensor:
        unread = torch.empty(
            (case.images, case.inputs, case.rows, case.columns),
            dtype=case.dtype,
            device="cpu",
            memory_format=memory_format,
        )
        return _backward(case, (gradient, unread, weight), memory_format, [True, False, False])

    def gradient_of_weight(case: ConvolutionCase, gradient: Tensor, maps: Tensor) -> Tensor:
        unread = torch.empty(case.weight_shape, dtype=case.dtype, device="cpu", memory_format=memory_format)
        return _backward(case, (gradient, maps, unread), memory_format, [False, True, False])

    return {
        "output": ConvolutionWay(_always, output),
        "gradient of maps": ConvolutionWay(_always, gradient_of_maps),
        "gradient of weight": ConvolutionWay(_always, gradient_of_weight),
    }


def _backward(
    case: ConvolutionCase,
    tensors: tuple[Tensor, Tensor, Tensor],
    memory_format: torch.memory_format,
    wanted: list[bool],
) -> Tensor:
    """Return one gradient by torch's own function, which reads two of the three tensors and the shape of the third."""
    gradient, maps, weight = (_in_format(tensor, memory_format) for tensor in tensors)
    stride, padding = list(case.kernel if case.up else (1, 1)), list(case.padding)
    made = torch.ops.aten.convolution_backward(
        gradient, maps, weight, None, stride, padding, [1, 1], case.up, [0, 0], 1, wanted
    )
    return _in_format(made[wanted.index(True)], torch.channels_last)


def _winograd() -> Mapping[Task, ConvolutionWay]:
    def fits(case: ConvolutionCase) -> bool:
        small = not case.up and case.kernel == (3, 3) and max(case.padding) <= 2 and min(case.size) > 0
        return case.dtype == torch.float32 and small

    def possible(case: ConvolutionCase) -> bool:
        return fits(case) and winograd.is_available()

    def possible_for_weights(case: ConvolutionCase) -> bool:
        return fits(case) and winograd.weights_can_learn()

    return {
        "output": ConvolutionWay(
            possible, lambda case, maps, weight, bias: winograd.output(maps, weight, bias, case.padding)
        ),
        "gradient of maps": ConvolutionWay(
            possible, lambda case, gradient, weight: winograd.gradient_of_maps(gradient, weight, case.padding)
        ),
        "gradient of weight": ConvolutionWay(
            possible_for_weights,
            lambda case, gradient, maps: winograd.gradient_of_weight(gradient, maps, case.padding)
        ),
    }  # fmt: skip


def _nnpack() -> Mapping[Task, ConvolutionWay]:
    """Return NNPACK's convolution, private in torch: by Fourier transforms, or by Winograd's for 3x3.

    Its transforms for 3x3 are of larger tiles and less exact (5e-5 of the results' spread), so ours come first.
    """

    def possible(case: ConvolutionCase) -> bool:
        fits = not case.up and case.kernel[0] == case.kernel[1] and 3 <= case.kernel[0] <= 16
        fits = fits and all(0 <= pad < kernel for pad, kernel in zip(case.padding, case.kernel, strict=True))
        if case.dtype != torch.float32 or (case.kernel == (3, 3) and winograd.is_available()):
            return False
        there = hasattr(torch, "_nnpack_spatial_convolution") and torch.backends.nnpack.is_available()  # type: ignore[no-untyped-call]
        return bool(fits and there)

    def output(case: ConvolutionCase, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _nnpack_output(maps, weight, bias, case.padding)

    def gradient_of_maps(case: ConvolutionCase, gradient: Tensor, weight: Tensor) -> Tensor:
        rows, columns = (kernel - 1 - pad for kernel, pad in zip(case.kernel, case.padding, strict=True))
        return _nnpack_output(gradient, weight.transpose(0, 1).flip(2, 3), None, (rows, columns))

    return {"output": ConvolutionWay(possible, output), "gradient of maps": ConvolutionWay(possible, gradient_of_maps)}


def _nnpack_output(maps: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
    convolve: Any = torch._nnpack_spatial_convolution
    made: Tensor = convolve(maps.contiguous(), weight.contiguous(), bias, list(padding), [1, 1])
    return _in_format(made, torch.channels_last)


def _products() -> Mapping[Task, ConvolutionWay]:
    """Return the convolution as products of matrices: the pixels that a kernel reads become the columns of one."""

    def output(case: ConvolutionCase, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        factors = weight.permute(2, 3, 1, 0).reshape(-1, case.outputs)
        made = _empty_output(case)
        pixels = _pixels(made)
        for first, last, read in _columns(case, maps):
            part = pixels[first:last]
            torch.mm(read, factors, out=part) if bias is None else torch.addmm(bias, read, factors, out=part)
        return made

    def gradient_of_weight(case: ConvolutionCase, gradient: Tensor, maps: Tensor) -> Tensor:
        pixels = _pixels(gradient)
        columns = case.kernel[0] * case.kernel[1] * case.inputs
        summed = torch.zeros(case.outputs, columns, dtype=torch.float32, device="cpu")
        for first, last, read in _columns(case, maps):
            ours = pixels[first:last].t()
            if case.dtype == torch.float32:
                summed.addmm_(ours, read)
            else:
                summed += torch.mm(ours, read)
        return summed.to(case.dtype).view(case.outputs, *case.kernel, case.inputs).permute(0, 3, 1, 2)

    def gradient_of_maps(case: ConvolutionCase, gradient: Tensor, weight: Tensor) -> Tensor:
        made = torch.mm(_pixels(gradient), weight.reshape(case.outputs, case.inputs))
        return made.view(case.images, case.rows, case.columns, case.inputs).permute(0, 3, 1, 2)

    def single_pixel(case: ConvolutionCase) -> bool:
        return _convolution(case) and case.kernel == (1, 1) and case.padding == (0, 0)

    return {
        "output": ConvolutionWay(_convolution, output),
        "gradient of maps": ConvolutionWay(single_pixel, gradient_of_maps),
        "gradient of weight": ConvolutionWay(_convolution, gradient_of_weight),
    }


def _one_product() -> Mapping[Task, ConvolutionWay]:
    """Return the up-convolution as one product of matrices: each input pixel gives a block of output pixels."""

    def output(case: ConvolutionCase, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        blocks = torch.mm(_pixels(maps), _factors(weight))
        (down, across), made = case.kernel, _empty_output(case)
        apart = blocks.view(case.images, case.rows, case.columns, down, across, case.outputs)
        inside = made.permute(0, 2, 3, 1)
        inside.view(case.images, case.rows, down, case.columns, across, case.outputs).copy_(apart.transpose(2, 3))
        if bias is not None:
            inside.add_(bias)
        return made

    def gradient_of_maps(case: ConvolutionCase, gradient: Tensor, weight: Tensor) -> Tensor:
        made = torch.mm(_blocks(case, gradient), _factors(weight).t())
        return made.view(case.images, case.rows, case.columns, case.inputs).permute(0, 3, 1, 2)

    def gradient_of_weight(case: ConvolutionCase, gradient: Tensor, maps: Tensor) -> Tensor:
        made = torch.mm(_pixels(maps).t(), _blocks(case, gradient))
        return made.view(case.inputs, *case.kernel, case.outputs).permute(0, 3, 1, 2)

    def possible(case: ConvolutionCase) -> bool:
        return case.up

    return {
        "output": ConvolutionWay(possible, output),
        "gradient of maps": ConvolutionWay(possible, gradient_of_maps),
        "gradient of weight": ConvolutionWay(possible, gradient_of_weight),
    }


def _empty_output(case: ConvolutionCase) -> Tensor:
    """Return memory for an output; a view of other memory could not be changed in place by a ReLU after it."""
    return torch.empty(
        (case.images, case.outputs, *case.size), dtype=case.dtype, device="cpu", memory_format=torch.channels_last
    )


def _pixels(maps: Tensor) -> Tensor:
    """Return the pixels of maps as rows of a matrix; they share the memory of maps in channels-last."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _factors(weight: Tensor) -> Tensor:
    """Return the weight of an up-convolution as a matrix: (inputs, block of output pixels with their channels)."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


def _blocks(case: ConvolutionCase, gradient: Tensor) -> Tensor:
    """Return the gradient of an up-convolution's output as a matrix: a row for the block of each input pixel."""
    (down, across), inside = case.kernel, gradient.permute(0, 2, 3, 1)
    apart = inside.reshape(case.images, case.rows, down, case.columns, across, case.outputs)
    return apart.transpose(2, 3).reshape(case.images * case.rows * case.columns, -1)


def _columns(case: ConvolutionCase, maps: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """Yield the pixels that the kernel reads for output pixels ``first`` to ``last`` - 1: (pixels, kernel * inputs)."""
    down, across = case.padding
    inside = F.pad(maps.permute(0, 2, 3, 1), (0, 0, across, across, down, down)).contiguous()
    rows, columns = case.size
    _, line, pixel, channel = inside.stride()
    at_once = max(PRODUCT_MEMORY // (columns * case.kernel[0] * case.kernel[1] * case.inputs), 1)
    for number, image in enumerate(inside):
        # A view: only the rows that are multiplied together are copied.
        windows = image.as_strided(
            (rows, columns, *case.kernel, case.inputs), (line, pixel, line, pixel, channel), image.storage_offset()
        )
        for top in range(0, rows, at_once):
            part = windows[top : top + at_once]
            first = (number * rows + top) * columns
            yield first, first + len(part) * columns, part.reshape(len(part) * columns, -1)


WAYS: Mapping[str, Mapping[Task, ConvolutionWay]] = MappingProxyType(
    {
        DIRECT: _direct(torch.channels_last),
        "NCHW": _direct(torch.contiguous_format),
        "Winograd": _winograd(),
        "NNPACK": _nnpack(),
        "products": _products(),
        "one product": _one_product(),
    }
)
"""All ways by their names; a way may lack a task."""


def possible_ways(task: Task, case: ConvolutionCase) -> list[str]:
    """Return the names of the ways that can compute a task of a case here; ``DIRECT`` is the first."""
    return [name for name, tasks in WAYS.items() if task in tasks and tasks[task].possible(case)]


def compute(name: str, task: Task, case: ConvolutionCase, *tensors: Tensor | None) -> Tensor:
    """Compute a task of a case in the way with this name; the result is in channels-last."""
    return WAYS[name][task].compute(case, *tensors)

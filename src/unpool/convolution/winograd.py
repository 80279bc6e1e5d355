"""Winograd's convolution of 3x3 weights: a quarter of the multiplications, as products of matrices (float32).

Each tile of 4x4 output pixels, with the 6x6 input pixels that it reads, is transformed to 36 numbers; there the
convolution is one product for each number, and sums over channels become 36 products of matrices. The gradient of the
input is the convolution of the output's gradient with the mirrored weight; the gradient of the weight is F(3x3, 4x4),
the same products transposed. See Lavin and Gray, arXiv 1509.09308, and ``unpool.machine_code.winograd_kernels``.

Results differ from a direct convolution by about 1e-6 of the largest value.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unpool.machine.processor import nearest_cache
from unpool.machine_code.check import machine_code_works

FEWEST_TILES = 256
"""Tiles in a product of matrices, where there are as many; in smaller products reading the weights takes the time."""

MOST_WEIGHTS = 1 << 21
"""Most numbers of the transformed weights of the outputs that are computed together: 8 MB.

Four times as many where the tiles do not fit in one product and are transformed again for the next outputs.
"""

STRIP_NUMBERS = 1 << 15
"""The most numbers of a strip in the nearest cache of a core."""

_Form = TypeVar("_Form")

_NOTHING = torch.empty(0, dtype=torch.float32, device="cpu")


class Tiling(NamedTuple):
    """How an output is cut into tiles of 4x4, strips of tiles, and strips that are computed together.

    Attributes
    ----------
    tall, wide: rows of tiles in an image; tiles in a row.
    strip: most tiles of a strip; strips: of all images; together: strips that are computed together.
    """

    tall: int
    wide: int
    strip: int
    strips: int
    together: int

    @classmethod
    def of(cls, shape: Sequence[int], channels: int, threads: int) -> Tiling:
        """Cut an output (N, K, H, W); ``channels`` is the larger of its channels and those of the input."""
        images, _, rows, columns = shape
        tall, wide = -(-rows // 4), -(-columns // 4)
        wanted = _tiles_wanted(channels, threads)
        longest = min(wanted // (4 * threads), STRIP_NUMBERS // (24 * channels))
        in_row = -(-wide // max(longest, 1))
        strip = -(-wide // in_row)
        strips = images * tall * -(-wide // strip)
        together = max(wanted // strip // threads, 1) * threads
        return cls(tall, wide, strip, strips, -(-strips // -(-strips // together)))

    @property
    def most_tiles(self) -> int:
        """The most tiles that are computed together."""
        return self.together * self.strip

    def tiles_before(self, strip: int) -> int:
        """Return the number of tiles before a strip."""
        in_row = -(-self.wide // self.strip)
        return strip // in_row * self.wide + strip % in_row * self.strip

    def parts(self) -> list[tuple[int, int, int, int]]:
        """Return strips that are computed together: the first, the last + 1, the tiles before them, and their tiles."""
        found = []
        for first in range(0, self.strips, self.together):
            last = min(first + self.together, self.strips)
            before = self.tiles_before(first)
            found.append((first, last, before, self.tiles_before(last) - before))
        return found


def _tiles_wanted(channels: int, threads: int) -> int:
    """Return the tiles that are computed together: in float32 they fill half of the threads' own caches."""
    return max(nearest_cache() * threads // 8 // (36 * channels), FEWEST_TILES)


def is_available() -> bool:
    """Return whether numba, which makes the machine code, is installed and its code computes right on this machine."""
    return machine_code_works("convolution", _works)


def weights_can_learn() -> bool:
    """Return whether ``gradient_of_weight``, too, computes right on this machine."""
    return is_available() and machine_code_works("gradient of a weight", _gradient_of_weight_works)


def _works() -> bool:
    maps, weight, direct = _example()
    expected = torch.autograd.grad(direct, maps, direct)[0]
    given, weight, gradient = maps.detach(), weight.detach(), direct.detach()
    found = output(given, weight, None, (1, 1)), gradient_of_maps(gradient, weight, (1, 1))
    return all(map(_alike, found, (direct, expected)))


def _gradient_of_weight_works() -> bool:
    maps, weight, direct = _example()
    expected = torch.autograd.grad(direct, weight, direct)[0]
    return _alike(gradient_of_weight(direct.detach(), maps.detach(), (1, 1)), expected)


def _example() -> tuple[Tensor, Tensor, Tensor]:
    """Return maps, a weight, and their convolution by torch."""
    numbers = torch.arange(2 * 9 * 10, dtype=torch.float32, device="cpu").sin()
    maps, weight = numbers.view(1, 2, 9, 10).requires_grad_(), numbers[:54].view(3, 2, 3, 3).requires_grad_()
    return maps, weight, F.conv2d(maps, weight, None, 1, 1)


def _alike(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=1e-3, atol=1e-3)


def output(maps: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
    """Convolve (N, C, H, W) with (K, C, 3, 3): the output (N, K, H', W') in channels-last, float32.

    Parameters
    ----------
    padding: rows and columns of zeros on each side; 0 to 2.
    """
    return _convolved(maps, weight, bias, padding, mirrored=False)


def gradient_of_maps(gradient: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    """Return the gradient of the input (N, C, H, W), in channels-last, from that of the output (N, K, H', W')."""
    return _convolved(gradient, weight, None, (2 - padding[0], 2 - padding[1]), mirrored=True)


def gradient_of_weight(gradient: Tensor, maps: Tensor, padding: tuple[int, int]) -> Tensor:
    """Return the gradient of the weight (K, C, 3, 3), in channels-last, from that of the output and the input."""
    from unpool.machine_code import winograd_kernels as kernels  # noqa: PLC0415 - numba takes time to import
    from unpool.machine_code.functions import start_threads  # noqa: PLC0415

    start_threads()
    gradient, maps = _channels_last(gradient), _channels_last(maps)
    inputs, outputs = maps.shape[1], gradient.shape[1]
    tiling = Tiling.of(gradient.shape, max(inputs, outputs), torch.get_num_threads())
    cut, parts = kernels.Cut(tiling.tall, tiling.wide, tiling.strip), [kernels.Part(*part) for part in tiling.parts()]
    weight = _empty((outputs, inputs, 3, 3))
    together = _outputs_together(outputs, inputs, len(parts))
    tiles, others, sums = _scratch(tiling.most_tiles * inputs, tiling.most_tiles * together, together * inputs)
    read, given = (_stored(each, kernels.Maps) for each in (maps, gradient))
    for first in range(0, outputs, together):
        channels = kernels.Channels(first, min(together, outputs - first))
        summed = _matrices(sums, channels.number, inputs)
        for part in parts:
            if first == 0 or len(parts) > 1:
                kernels.tiles_of_maps(read, padding, cut, part, tiles.numpy())
            kernels.tiles_of_gradient(given, channels, cut, part, others.numpy())
            ours, theirs = _matrices(others, part.tiles, channels.number), _matrices(tiles, part.tiles, inputs)
            if part.first == 0:
                torch.bmm(ours.transpose(1, 2), theirs, out=summed)
            else:
                summed.baddbmm_(ours.transpose(1, 2), theirs)
        kernels.weight_of_tiles(summed.view(-1).numpy(), inputs, channels, _flat(weight))
    return weight


def _convolved(
    maps: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], *, mirrored: bool
) -> Tensor:
    from unpool.machine_code import winograd_kernels as kernels  # noqa: PLC0415 - numba takes time to import
    from unpool.machine_code.functions import start_threads  # noqa: PLC0415

    start_threads()
    maps, weight = _channels_last(maps), _channels_last(weight)
    images, inputs, rows, columns = maps.shape
    outputs = weight.shape[1] if mirrored else weight.shape[0]
    shape = (images, outputs, rows + 2 * padding[0] - 2, columns + 2 * padding[1] - 2)
    tiling = Tiling.of(shape, max(inputs, outputs), torch.get_num_threads())
    cut, parts = kernels.Cut(tiling.tall, tiling.wide, tiling.strip), [kernels.Part(*part) for part in tiling.parts()]
    made = _empty(shape)
    together = _outputs_together(outputs, inputs, len(parts))
    tiles, others, weights = _scratch(tiling.most_tiles * inputs, tiling.most_tiles * together, together * inputs)
    read, written = (_stored(each, kernels.Maps) for each in (maps, made))
    stored = kernels.StoredWeight(_flat(weight), weight.shape[1], mirrored)
    products = kernels.Products(others.numpy(), (_NOTHING if bias is None else bias.contiguous()).numpy())
    every = kernels.Channels(0, inputs)
    for first in range(0, outputs, together):
        channels = kernels.Channels(first, min(together, outputs - first))
        if mirrored:  # outputs of this convolution are inputs of the weight
            kernels.tiles_of_weight(stored, every, channels, weights.numpy())
            factors = _matrices(weights, inputs, channels.number)
        else:
            kernels.tiles_of_weight(stored, channels, every, weights.numpy())
            factors = _matrices(weights, channels.number, inputs).transpose(1, 2)
        for part in parts:
            if first == 0 or len(parts) > 1:
                kernels.tiles_of_maps(read, padding, cut, part, tiles.numpy())
            target = _matrices(others, part.tiles, channels.number)
            torch.bmm(_matrices(tiles, part.tiles, inputs), factors, out=target)
            kernels.output_of_tiles(products, written, channels, cut, part)
    return made


def _empty(shape: tuple[int, int, int, int]) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device="cpu", memory_format=torch.channels_last)


def _matrices(numbers: Tensor, rows: int, columns: int) -> Tensor:
    """Return the first of some numbers as 36 matrices."""
    return numbers[: 36 * rows * columns].view(36, rows, columns)


def scratch_bytes(inputs: int, outputs: int, threads: int) -> int:
    """Return the most bytes that a thread keeps after a convolution of these channels."""
    tiles = _tiles_wanted(max(inputs, outputs), threads)
    weights = min(inputs * outputs, 4 * MOST_WEIGHTS // 36 + 16 * inputs)
    return 4 * 36 * (tiles * (inputs + weights // inputs) + weights)


def _scratch(*counts: int) -> Iterator[Tensor]:
    """Return memory for 36 times each count of numbers; a thread keeps it for its next convolution."""
    needed = 36 * sum(counts)
    if _kept.numbers.numel() < needed:
        _kept.numbers = _NOTHING  # freed first
        with torch.inference_mode(mode=False):  # memory made in inference mode could not be used outside it
            _kept.numbers = torch.empty(needed, dtype=torch.float32, device="cpu")
    return iter(torch.split(_kept.numbers[:needed], [36 * count for count in counts]))


class _Kept(threading.local):
    numbers = _NOTHING


_kept = _Kept()


def _outputs_together(outputs: int, inputs: int, parts: int) -> int:
    """Return how many outputs are computed together: few where all tiles are transformed only once, else more."""
    blocks = -(-36 * inputs * outputs // (MOST_WEIGHTS if parts == 1 else 4 * MOST_WEIGHTS))
    return min(-(-outputs // blocks // 16) * 16, outputs)


def _channels_last(maps: Tensor) -> Tensor:
    """Return maps with their channels side by side in memory; a map of one channel or one pixel is ambiguous."""
    inside = maps.detach().permute(0, 2, 3, 1)
    return inside.contiguous().permute(0, 3, 1, 2)


def _stored(maps: Tensor, form: Callable[[NDArray[np.float32], int, int, int], _Form]) -> _Form:
    _, channels, rows, columns = maps.shape
    return form(_flat(maps), rows, columns, channels)


def _flat(maps: Tensor) -> NDArray[np.float32]:
    """Return the numbers of a channels-last tensor in the order of its memory; they stay where they are."""
    return maps.permute(0, 2, 3, 1).view(-1).numpy()

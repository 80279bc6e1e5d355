"""Size arithmetic of convolutional networks, in plain integers along one axis.

Formulas: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Padding: TypeAlias = Literal["valid", "same"]
Rounding: TypeAlias = Literal["floor", "ceil"]
Interval: TypeAlias = tuple[int, int]
"""First and last pixel, both included."""


def padding_of(padding: Padding, kernel: int) -> int:
    """Zeros added on each side: none for ``valid``, ``(kernel - 1) / 2`` for ``same`` (odd kernels)."""
    return 0 if padding == "valid" else (kernel - 1) // 2


def convolved_size(size: int, kernel: int, padding: int = 0, stride: int = 1, dilation: int = 1) -> int:
    """Output size of a convolution; 0 or less where no output pixel exists."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def pooled_size(size: int, rounding: Rounding) -> int:
    """Output size of 2x2 pooling with stride 2; ``ceil`` keeps a window over the last odd pixel, as Caffe does."""
    return size // 2 if rounding == "floor" else (size + 1) // 2


def before_convolution(seen: Interval, kernel: int, padding: int = 0) -> Interval:
    """The input pixels that a stride-1 convolution reads to compute the output pixels ``seen``."""
    return seen[0] - padding, seen[1] + kernel - 1 - padding


def before_pooling(seen: Interval) -> Interval:
    """The input pixels that 2x2 pooling reads to compute the output pixels ``seen``."""
    return 2 * seen[0], 2 * seen[1] + 1


def before_upsampling(seen: Interval, reach: int = 0) -> Interval:
    """The input pixels that 2x upsampling reads to compute the output pixels ``seen``.

    ``reach`` is 0 where one input pixel makes one 2x2 block (unpooling, 2x2 transposed convolution, nearest), and
    1 for bilinear interpolation, which also reads a neighbour.
    """
    return seen[0] // 2 - reach, seen[1] // 2 + reach

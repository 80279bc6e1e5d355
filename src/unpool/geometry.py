"""Size arithmetic of convolutional networks along one axis, in integers and fractions.

Symbols: i input size, o output size, k kernel, s stride, d dilation, 2p zeros added in total, and span = d(k - 1) + 1,
the pixels from a kernel's first tap to its last. "DV n" is relationship n of Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", arXiv 1603.07285.

A layer is a value, ``Window`` or ``Transposed``. It gives its output size, the input pixels that output pixels read,
and the places of its pixels. ``reads``, ``receptive_field`` and ``grid`` give the same for a sequence of layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from math import lcm
from typing import Literal, NamedTuple, TypeAlias

from unpool.errors import UsageError

Padding: TypeAlias = Literal["valid", "same", "full"]
Rounding: TypeAlias = Literal["floor", "ceil"]
PixelRange: TypeAlias = tuple[int, int]
"""First and last pixel, both included. Pixels below 0 and from i on are padding."""


class Border(NamedTuple):
    """Pixels before the first and after the last pixel of an axis: zeros added, pixels cut, or pixels read."""

    before: int
    after: int


def padding_border(padding: Padding | int, kernel: int, dilation: int = 1) -> Border:
    """Return the zeros that a padding adds; the names describe stride 1.

    ``valid`` adds none: o = i - span + 1 (DV 1). ``same``, also called half, adds span - 1 in total: o = i (DV 3); of
    an odd number the larger half goes after, as in TensorFlow and PyTorch. ``full`` adds span - 1 on each side:
    o = i + span - 1, every partial overlap (DV 4), so it restores the size that ``valid`` lost. A number is added on
    each side.
    """
    lost = dilation * (kernel - 1)
    if padding == "valid":
        return Border(0, 0)
    if padding == "same":
        return _halves(lost)
    return Border(lost, lost) if padding == "full" else Border(padding, padding)


def padding_of(padding: Padding | int, kernel: int, dilation: int = 1) -> int:
    """Return the zeros on each side. Raises UsageError if the sides differ (``same``, even kernel, odd dilation)."""
    before, after = padding_border(padding, kernel, dilation)
    if before != after:
        raise UsageError(
            f"padding '{padding}' with kernel {kernel}, which adds {before} before and {after} after",
            "as many zeros before as after",
            "use an odd kernel, or pad the two sides in separate operations",
        )
    return before


def padding_for(size: int, wanted: int, kernel: int, stride: int = 1, dilation: int = 1) -> Border | None:
    """Return the fewest zeros that give ``wanted`` output pixels; None if the output is larger without any zeros.

    Totals from (o - 1)s + span - i to s - 1 more give o (DV 6 and 15, solved for p). Of an odd total the larger half
    goes after.
    """
    least = (wanted - 1) * stride + dilation * (kernel - 1) + 1 - size
    return _halves(max(least, 0)) if wanted > 0 and least + stride > 0 else None


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> Border:
    """Return the zeros of TensorFlow's SAME, which gives o = ceil(i / s) pixels.

    They are max((o - 1)s + span - i, 0) in total, the larger half after.
    """
    border = padding_for(size, -(-size // stride), kernel, stride, dilation)
    assert border is not None  # a span of at least 1 pixel never gives more than ceil(i / s)
    return border


def centre_crop(size: int, wanted: int) -> Border:
    """Return the pixels to cut; of an odd number the larger half after. Raises UsageError if ``wanted`` is larger."""
    if wanted > size:
        raise UsageError(f"a crop from {size} to {wanted} pixels", "a smaller size", "pad instead of cropping")
    return _halves(size - wanted)


def _halves(total: int) -> Border:
    return Border(total // 2, total - total // 2)


@dataclass(frozen=True, slots=True)
class Window:
    """A convolution or pooling: output pixel x reads the input pixels sx - before + d(0 .. k - 1).

    Attributes
    ----------
    before, after: zeros added; negative numbers crop.
    rounding: of the output size; ``ceil`` for Caffe's pooling, whose padding is less than its kernel.
    """

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    rounding: Rounding = "floor"

    @property
    def span(self) -> int:
        """Input pixels from the first to the last that one output pixel reads: d(k - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def step(self) -> Fraction:
        """Input pixels from one output pixel's centre to the next: s."""
        return Fraction(self.stride)

    @property
    def offset(self) -> Fraction:
        """Input coordinate of output pixel 0's centre: (span - 1) / 2 - before."""
        return Fraction(self.span - 1, 2) - self.before

    def size(self, size: int) -> int:
        """Return the output size: floor((i + 2p - span) / s) + 1 (DV 6, 7 for pooling, 15 dilated).

        0 or less means no output. ``ceil`` rounds up, as Caffe's pooling_layer.cpp does, and drops a last window that
        would begin beyond the input. Caffe drops it only if p > 0, PyTorch always. This function follows PyTorch; the
        two differ only if k < s.
        """
        free = size + self.before + self.after - self.span
        if self.rounding == "floor":
            return free // self.stride + 1
        count = -(-free // self.stride) + 1
        return count - ((count - 1) * self.stride >= size + self.before)

    def leftover(self, size: int) -> int:
        """Return the pixels after the last that is read: a = (i + 2p - span) mod s (DV 14).

        It is below 0 where ``ceil`` reads beyond the input. Otherwise it is the ``output_padding`` with which the
        transposed convolution restores ``size``.
        """
        return size - Transposed(self).size(self.size(size))

    def sizes_giving(self, wanted: int) -> range:
        """Return the input sizes that give ``wanted`` output pixels: s neighbours, fewer at the low end (DV 2.4)."""
        around = (wanted - 1) * self.stride + self.span - self.before - self.after
        sizes = [i for i in range(around - self.stride, around + self.stride) if i > 0 and self.size(i) == wanted > 0]
        return range(sizes[0], sizes[-1] + 1) if sizes else range(0)

    def reads(self, seen: PixelRange) -> PixelRange:
        """Return the smallest interval of input pixels that contains all that the output pixels ``seen`` read."""
        return self.stride * seen[0] - self.before, self.stride * seen[1] - self.before + self.span - 1

    def restoring(self, size: int) -> Transposed:
        """Return the transposed convolution that restores ``size`` pixels from this layer's output (DV 14)."""
        return Transposed(replace(self, after=self.after - self.leftover(size)))


@dataclass(frozen=True, slots=True)
class Transposed:
    """A transposed convolution: ``window`` with its input and output exchanged.

    The window's padding crops the output. An ``output_padding`` of a is a window whose ``after`` is less by a.
    """

    window: Window

    @property
    def step(self) -> Fraction:
        """Input pixels from one output pixel's centre to the next: 1 / s."""
        return 1 / self.window.step

    @property
    def offset(self) -> Fraction:
        """Input coordinate of output pixel 0's centre."""
        return -self.window.offset / self.window.stride

    def size(self, size: int) -> int:
        """Return the output size: s(i - 1) + span - 2p, with ``output_padding`` in p (DV 8 to 14)."""
        w = self.window
        return w.stride * (size - 1) + w.span - w.before - w.after

    def reads(self, seen: PixelRange) -> PixelRange:
        """Return the smallest interval of input pixels that contains all that the output pixels ``seen`` read.

        Raises UsageError if they read none: pixels between the taps of a dilated kernel, or of one below the stride.
        """
        w = self.window
        taps = range(-w.before, w.span - w.before, w.dilation)
        by_tap = [(-((tap - seen[0]) // w.stride), (seen[1] - tap) // w.stride) for tap in taps]
        read = [(first, last) for first, last in by_tap if first <= last]
        if not read:
            raise UsageError(
                f"output pixels {seen[0]} to {seen[1]} of a transposed convolution, which read no input: {w}",
                "a transposed convolution without gaps",
                "use dilation 1 and a kernel of at least the stride",
            )
        return min(first for first, _ in read), max(last for _, last in read)

    def direct(self) -> Window:
        """Return the convolution that it equals, with the kernel reversed: s' = 1, p' = span - 1 - p (DV 8 to 14).

        The input of that convolution is stretched to s(i - 1) + 1 pixels, with s - 1 zeros between neighbours.
        """
        w = self.window
        return Window(w.kernel, 1, w.span - 1 - w.before, w.span - 1 - w.after, w.dilation)


Layer: TypeAlias = Window | Transposed

BLOCKS = Transposed(Window(2, 2))
"""Doubling in 2x2 blocks: max-unpooling, nearest-neighbour interpolation, the 2x2 up-convolution."""
BILINEAR = Transposed(Window(4, 2, 1, 1))
"""Bilinear doubling without aligned corners; beyond the border the last pixel repeats."""


def reads(layers: Sequence[Layer], seen: PixelRange) -> PixelRange:
    """Return the interval of input pixels that the output pixels ``seen`` of a sequence of layers read.

    It is the smallest one, unless a transposed convolution has gaps (dilated, or a kernel below the stride).
    """
    return reduce(lambda interval, layer: layer.reads(interval), reversed(layers), seen)


def receptive_field(layers: Sequence[Layer]) -> int:
    """Return the number of input pixels from the first to the last that one output pixel depends on.

    After upsampling, output pixels differ in a pattern that repeats; the result is the largest number.
    """
    period, shift = 1, Fraction(1)
    for layer in reversed(layers):
        shift *= layer.step
        period = lcm(period, shift.denominator)
    read = [reads(layers, (pixel, pixel)) for pixel in range(period)]
    return max(last - first + 1 for first, last in read)


@dataclass(frozen=True, slots=True)
class Grid:
    """The place of a map on the picture: pixel x is centred at ``first + step * x``, in pixels of the picture."""

    first: Fraction = Fraction(0)
    step: Fraction = Fraction(1)


def grid(layers: Iterable[Layer], picture: Grid = Grid()) -> Grid:
    """Return the place of the map after a sequence of layers; its ``step`` is their cumulative stride."""
    first, step = picture.first, picture.step
    for layer in layers:
        first, step = first + layer.offset * step, step * layer.step
    return Grid(first, step)


def crop_offset(cropped: Grid, onto: Grid) -> int:
    """Return the pixels to cut before one map so that it lies on another, as in Caffe's coord_map.py.

    Raises UsageError if their steps differ, or if the second does not begin an integer number of steps later.
    """
    offset = (onto.first - cropped.first) / cropped.step
    if cropped.step != onto.step or offset.denominator != 1 or offset < 0:
        raise UsageError(
            f"a crop from pixels at {cropped.first} + {cropped.step}x to pixels at {onto.first} + {onto.step}x",
            "the same step, and a start that is an integer number of steps later",
            "change the padding, or crop at the centre",
        )
    return int(offset)


def multiply_adds(inputs: int, outputs: int, kernel: tuple[int, int], pixels: tuple[int, int], groups: int = 1) -> int:
    """Return the multiply-adds for one picture: pixels x kernel x input channels x output channels / groups.

    Products with padding count, and so do those that a transposed convolution's padding crops.

    Parameters
    ----------
    inputs, outputs: channels.
    kernel: rows and columns.
    pixels: rows and columns, of a convolution's output or of a transposed convolution's input.
    """
    return pixels[0] * pixels[1] * kernel[0] * kernel[1] * inputs * outputs // groups


def stored_bytes(channels: int, pixels: tuple[int, int], bits: int = 32) -> int:
    """Return the bytes of one picture's maps of (rows, columns) ``pixels``; a 2x2 pooling's index takes 2 ``bits``."""
    return -(-channels * pixels[0] * pixels[1] * bits // 8)


def pooled_size(size: int, rounding: Rounding) -> int:
    """Return the output size of 2x2 pooling with stride 2; ``ceil`` keeps the last odd pixel, as Caffe does."""
    return Window(2, 2, rounding=rounding).size(size)

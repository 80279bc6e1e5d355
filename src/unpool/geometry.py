"""Size arithmetic of convolutional networks along one axis, in whole numbers and fractions.

Symbols: i input size, o output size, k kernel, s stride, d dilation, 2p zeros added in all, and span = d(k - 1) + 1,
the pixels from a kernel's first tap to its last. "DV n" is relationship n of Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", arXiv 1603.07285.

A layer is a value, ``Window`` or ``Transposed``: what size leaves it, which input pixels an output interval reads,
where its pixels lie. Sequences of layers compose in ``reads``, ``receptive_field`` and ``grid``.
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

    ``valid``: none, o = i - span + 1 (DV 1). ``same``, also called half: span - 1 in all, o = i (DV 3); of an odd
    number the larger half goes after, as in TensorFlow and PyTorch. ``full``: span - 1 on each side,
    o = i + span - 1, every partial overlap (DV 4), so it restores the size that ``valid`` lost. A number: each side.
    """
    lost = dilation * (kernel - 1)
    if padding == "valid":
        return Border(0, 0)
    if padding == "same":
        return _halves(lost)
    return Border(lost, lost) if padding == "full" else Border(padding, padding)


def padding_of(padding: Padding | int, kernel: int, dilation: int = 1) -> int:
    """Zeros on each side. Raises UsageError where the sides differ: ``same``, an even kernel and an odd dilation."""
    before, after = padding_border(padding, kernel, dilation)
    if before != after:
        raise UsageError(
            f"padding '{padding}' with kernel {kernel}, which adds {before} before and {after} after",
            "as many zeros before as after",
            "use an odd kernel, or a convolution whose sides are padded apart",
        )
    return before


def padding_for(size: int, wanted: int, kernel: int, stride: int = 1, dilation: int = 1) -> Border | None:
    """The fewest zeros for ``wanted`` output pixels, or None where even none give more (DV 6 and 15 for p).

    Totals from (o - 1)s + span - i to s - 1 more give o; of an odd total the larger half goes after.
    """
    least = (wanted - 1) * stride + dilation * (kernel - 1) + 1 - size
    return _halves(max(least, 0)) if wanted > 0 and least + stride > 0 else None


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> Border:
    """TensorFlow's SAME: zeros for o = ceil(i / s), max((o - 1)s + span - i, 0) in all, the larger half after."""
    found = padding_for(size, -(-size // stride), kernel, stride, dilation)
    assert found is not None  # a span of at least 1 pixel never makes more than ceil(i / s)
    return found


def centre_crop(size: int, wanted: int) -> Border:
    """Pixels to cut, of an odd number the larger half after. Raises UsageError where ``wanted`` is the larger size."""
    if wanted > size:
        raise UsageError(f"a crop from {size} to {wanted} pixels", "a smaller size", "pad instead of cropping")
    return _halves(size - wanted)


def _halves(total: int) -> Border:
    return Border(total // 2, total - total // 2)


@dataclass(frozen=True, slots=True)
class Window:
    """A convolution or pooling: output pixel x reads the input pixels sx - before + d(0 .. k - 1).

    ``before`` and ``after`` are zeros added; negative, they crop. ``rounding`` is ``ceil`` for Caffe's pooling, whose
    padding is less than its kernel.
    """

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    rounding: Rounding = "floor"

    @property
    def span(self) -> int:
        """Input pixels from the first that one output pixel reads to the last: d(k - 1) + 1."""
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
        """Output size: floor((i + 2p - span) / s) + 1 (DV 6, 7 for pooling, 15 dilated); 0 or less means no output.

        ``ceil`` rounds up, as Caffe's pooling_layer.cpp does, and drops a last window that would begin beyond the
        input. Caffe drops it only if p > 0, PyTorch always; this follows PyTorch, and they differ only if k < s.
        """
        free = size + self.before + self.after - self.span
        if self.rounding == "floor":
            return free // self.stride + 1
        count = -(-free // self.stride) + 1
        return count - ((count - 1) * self.stride >= size + self.before)

    def leftover(self, size: int) -> int:
        """Pixels after the last that is read: a = (i + 2p - span) mod s (DV 14); below 0 where ``ceil`` reads beyond.

        Where it is not negative it is the ``output_padding`` with which the transposed convolution restores ``size``.
        """
        return size - Transposed(self).size(self.size(size))

    def sizes_giving(self, wanted: int) -> range:
        """Input sizes with ``wanted`` output pixels: s neighbours, fewer at the low end (DV section 2.4)."""
        around = (wanted - 1) * self.stride + self.span - self.before - self.after
        found = [i for i in range(around - self.stride, around + self.stride) if i > 0 and self.size(i) == wanted > 0]
        return range(found[0], found[-1] + 1) if found else range(0)

    def reads(self, seen: PixelRange) -> PixelRange:
        """The smallest interval with every input pixel that the output pixels ``seen`` are computed from."""
        return self.stride * seen[0] - self.before, self.stride * seen[1] - self.before + self.span - 1

    def restoring(self, size: int) -> Transposed:
        """The transposed convolution that makes ``size`` pixels again of what this makes of ``size`` pixels (DV 14)."""
        return Transposed(replace(self, after=self.after - self.leftover(size)))


@dataclass(frozen=True, slots=True)
class Transposed:
    """A transposed convolution: ``window`` with its input and output exchanged, strides within it and all.

    Its padding crops the output; ``output_padding`` a is a window whose ``after`` is less by a.
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
        """Output size: s(i - 1) + span - 2p, with ``output_padding`` in p (DV 8 to 14)."""
        w = self.window
        return w.stride * (size - 1) + w.span - w.before - w.after

    def reads(self, seen: PixelRange) -> PixelRange:
        """The smallest interval with every input pixel that the output pixels ``seen`` are computed from.

        Raises UsageError where there is none, between the taps of a kernel below the stride or of a dilated one.
        """
        w = self.window
        taps = range(-w.before, w.span - w.before, w.dilation)
        through = [(-((tap - seen[0]) // w.stride), (seen[1] - tap) // w.stride) for tap in taps]
        read = [(first, last) for first, last in through if first <= last]
        if not read:
            raise UsageError(
                f"output pixels {seen[0]} to {seen[1]} of a transposed convolution, which read no input: {w}",
                "a transposed convolution without gaps",
                "use dilation 1 and a kernel of at least the stride",
            )
        return min(first for first, _ in read), max(last for _, last in read)

    def direct(self) -> Window:
        """The convolution it equals, kernel reversed: s' = 1, p' = span - 1 - p (DV 8 to 14).

        That convolution's input is this one's stretched to s(i - 1) + 1 pixels by s - 1 zeros between neighbours.
        """
        w = self.window
        return Window(w.kernel, 1, w.span - 1 - w.before, w.span - 1 - w.after, w.dilation)


Layer: TypeAlias = Window | Transposed

BLOCKS = Transposed(Window(2, 2))
"""Doubling in 2x2 blocks: max-unpooling, nearest-neighbour interpolation, the 2x2 up-convolution."""
BILINEAR = Transposed(Window(4, 2, 1, 1))
"""Bilinear doubling, corners not aligned; at the border the neighbour that is missing repeats the one there."""


def reads(layers: Sequence[Layer], seen: PixelRange) -> PixelRange:
    """The input interval that the output interval ``seen`` of a sequence of layers is computed from.

    The smallest one, unless a transposed convolution has gaps (dilated, or a kernel below the stride).
    """
    return reduce(lambda interval, layer: layer.reads(interval), reversed(layers), seen)


def receptive_field(layers: Sequence[Layer]) -> int:
    """Input pixels from the first that one output pixel depends on to the last.

    After upsampling the output pixels differ in a pattern that repeats; the largest is given.
    """
    period, shift = 1, Fraction(1)
    for layer in reversed(layers):
        shift *= layer.step
        period = lcm(period, shift.denominator)
    read = [reads(layers, (pixel, pixel)) for pixel in range(period)]
    return max(last - first + 1 for first, last in read)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where a map lies on the picture: pixel x is centred at ``first + step * x``, in pixels of the picture."""

    first: Fraction = Fraction(0)
    step: Fraction = Fraction(1)


def grid(layers: Iterable[Layer], picture: Grid = Grid()) -> Grid:
    """Where the map after a sequence of layers lies; its ``step`` is their cumulative stride."""
    first, step = picture.first, picture.step
    for layer in layers:
        first, step = first + layer.offset * step, step * layer.step
    return Grid(first, step)


def crop_offset(cropped: Grid, onto: Grid) -> int:
    """Pixels to cut before one map so that it lies on another, as in Caffe's coord_map.py.

    Raises UsageError where their steps differ or the second does not begin whole steps after the first.
    """
    offset = (onto.first - cropped.first) / cropped.step
    if cropped.step != onto.step or offset.denominator != 1 or offset < 0:
        raise UsageError(
            f"a crop from pixels at {cropped.first} + {cropped.step}x to pixels at {onto.first} + {onto.step}x",
            "the same step, and a beginning whole steps later",
            "change the padding, or crop at the centre",
        )
    return int(offset)


def multiply_adds(inputs: int, outputs: int, kernel: tuple[int, int], pixels: tuple[int, int], groups: int = 1) -> int:
    """Multiply-adds for one picture: pixels x kernel x input channels x output channels / groups.

    ``kernel`` and ``pixels`` are (rows, columns); ``pixels`` is the output of a convolution, the input of a transposed
    one. Products with padding count, and so do those that a transposed convolution's padding crops.
    """
    return pixels[0] * pixels[1] * kernel[0] * kernel[1] * inputs * outputs // groups


def stored_bytes(channels: int, pixels: tuple[int, int], bits: int = 32) -> int:
    """Bytes of one picture's maps of (rows, columns) ``pixels``; a 2x2 pooling's position takes 2 ``bits``."""
    return -(-channels * pixels[0] * pixels[1] * bits // 8)


def pooled_size(size: int, rounding: Rounding) -> int:
    """Output size of 2x2 pooling with stride 2; ``ceil`` keeps a window over the last odd pixel, as Caffe does."""
    return Window(2, 2, rounding=rounding).size(size)

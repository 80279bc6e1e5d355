"""A network's answer for one picture, some rows at a time, so that no maps are ever held whole.

What crosses from the encoder to the decoder is held for as many rows as the network looks down, not for the whole
picture, and what a layer works on stays in the processor's cache. Every row is computed from what it would be computed
from in the whole picture, with zeros only beyond the picture's true edge.

The idea is that of Pinckaers, van Ginneken and Litjens, "Streaming convolutional neural networks for end-to-end
learning with multi-megapixel images", arXiv 1911.04432, there by tiles and with gradients. Each function below is one
layer by rows: what it reads of its sources (the relationships of ``unpool.geometry``) and what it makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from unpool.geometry import Layer, Rounding, Transposed, Window, pooled_size
from unpool.nets.inference.rows import Maps, Shape, Span, Step, Stream
from unpool.nets.named import Network
from unpool.nets.pooling import Positions, max_pool, max_pool_plain, max_unpool, spread, unpack

Prepare: TypeAlias = Callable[[Tensor], Tensor]


def streamed(
    network: Network, picture: Tensor, rows: int, wanted: slice | None = None, prepare: Prepare | None = None
) -> Iterator[Tensor]:
    """The network's answer for a picture (1, C, H, W), from the top: logits (1, K, at most ``rows``, W').

    Parameters
    ----------
    rows: of the answer, computed at a time; best a multiple of the network's stride.
    wanted: rows of the answer; all by default.
    prepare: makes of rows of the picture what the network takes; they are that by default.

    The network is in evaluation mode and looks at no map as a whole, as group and instance normalisation do. What is in
    force (inference mode, autocast) when rows are taken is what they are computed in.
    """
    stream = Stream(LAYERS)
    maps = Maps.of(picture, stream)
    if prepare is not None:
        prepared = (1, network.in_channels, *picture.shape[2:])
        maps = _step([maps], _same, lambda given, *_: (prepare(given[0]),), prepared, torch.float32)
    logits: Maps = network(maps)
    first, last, _ = (wanted or slice(None)).indices(logits.shape[2])
    yield from stream.rows(logits, Span(first, last), rows)


def _convolution(
    maps: Maps, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Maps:  # fmt: skip
    strides, pads, steps = _pair(stride), _pair(padding), _pair(dilation)
    down, across = (
        Window(kernel, by, pad, pad, step)
        for kernel, by, pad, step in zip(weight.shape[2:], strides, pads, steps, strict=True)
    )

    def reads(wanted: Span) -> Span:
        first, last = down.reads((wanted.start, wanted.stop - 1))
        return Span(min(first, maps.shape[2] - 1), max(last + 1, 1))  # FCN's padding has rows that read no picture

    def makes(given: Sequence[Tensor], wanted: Span, read: Span) -> Sequence[Tensor]:
        first, last = down.reads((wanted.start, wanted.stop - 1))
        there, top = Span(first, last + 1).within(maps.shape[2]), max(read.start, 0)
        rows = given[0][:, :, there.start - top : there.stop - top]
        missing = last + 1 - first - rows.shape[2]
        above = min(max(-first, 0), missing)
        rows = F.pad(rows, (0, 0, above, missing - above)) if missing else rows
        return (F.conv2d(rows, weight, bias, strides, (0, pads[1]), steps, groups),)

    shape = (1, weight.shape[0], down.size(maps.shape[2]), across.size(maps.shape[3]))
    return _step([maps], reads, makes, shape, _type(weight))


def _up_convolution(
    maps: Maps, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Maps:  # fmt: skip
    assert _pair(dilation) == (1, 1), "networks do not dilate these"
    (by, _), pads, more = _pair(stride), _pair(padding), _pair(output_padding)
    down, across = (
        Transposed(Window(kernel, step, pad, pad - extra))
        for kernel, step, pad, extra in zip(weight.shape[2:], _pair(stride), pads, more, strict=True)
    )

    def makes(given: Sequence[Tensor], wanted: Span, read: Span) -> Sequence[Tensor]:
        grown = F.conv_transpose2d(given[0], weight, bias, stride, (0, pads[1]), (0, more[1]), groups)
        top = wanted.start + pads[0] - by * max(read.start, 0)
        return (grown[:, :, top : top + wanted.stop - wanted.start],)

    shape = (1, weight.shape[1] * groups, down.size(maps.shape[2]), across.size(maps.shape[3]))
    return _step([maps], _reading(down), makes, shape, _type(weight))


def _pooled(maps: Maps, rounding: Rounding = "floor") -> Maps:
    return _step([maps], _pairs, lambda given, *_: (max_pool_plain(given[0], rounding),), _windows(maps, rounding))


def _pooled_with_positions(maps: Maps, rounding: Rounding = "floor") -> tuple[Maps, Positions]:
    def makes(given: Sequence[Tensor], _: Span, __: Span) -> Sequence[Tensor]:
        pooled, positions = max_pool(given[0], rounding)
        return pooled, unpack(positions.code, positions.windows, channels_last=positions.channels_last)

    shape = _windows(maps, rounding)
    pooled, code = Step([maps], _pairs, makes, (shape, maps.dtype), (shape, torch.uint8)).outcomes
    return pooled, Positions(cast(Tensor, code), shape, maps.shape[2:], channels_last=True)


def _unpooled(maps: Maps, positions: Positions) -> Maps:
    windows, size = positions.windows[2], positions.size

    def reads(wanted: Span) -> Span:
        return Span(min(wanted.start // 2, windows - 1), (wanted.stop + 1) // 2)

    def makes(given: Sequence[Tensor], wanted: Span, read: Span) -> Sequence[Tensor]:
        top = 2 * read.start
        values, code = given
        grown = spread(values, code, (max(wanted.stop - top, 2 * values.shape[2] - 1), size[1]))
        return (grown[:, :, wanted.start - top : wanted.stop - top],)

    return _step([maps, cast(Maps, positions.code)], reads, makes, (1, maps.shape[1], *size))


def _interpolated(maps: Maps, size: None = None, scale_factor: float = 2, mode: str = "nearest", **how: Any) -> Maps:
    assert (size, scale_factor) == (None, 2), "networks double"

    def reads(wanted: Span) -> Span:
        return Span(wanted.start // 2 - 1, (wanted.stop + 1) // 2 + 1)  # a neighbour on each side

    def makes(given: Sequence[Tensor], wanted: Span, read: Span) -> Sequence[Tensor]:
        top = 2 * max(read.start, 0)
        grown = F.interpolate(given[0], scale_factor=2, mode=mode, **how)
        return (grown[:, :, wanted.start - top : wanted.stop - top],)

    return _step([maps], reads, makes, (1, maps.shape[1], 2 * maps.shape[2], 2 * maps.shape[3]))


def _cropped(maps: Maps, part: tuple[slice, slice, slice, slice]) -> Maps:
    (top, bottom, _), (left, right, _) = (
        side.indices(length) for side, length in zip(part[2:], maps.shape[2:], strict=True)
    )
    if (bottom - top, right - left) == maps.shape[2:]:
        return maps
    return _step(
        [maps], lambda wanted: Span(wanted.start + top, wanted.stop + top),
        lambda given, *_: (given[0][..., left:right],), (1, maps.shape[1], bottom - top, right - left),
    )  # fmt: skip


def _concatenated(maps: Sequence[Maps], dim: int = 0) -> Maps:
    assert dim == 1, "networks concatenate maps"
    shape = (1, sum(each.shape[1] for each in maps), *maps[0].shape[2:])
    return _step(maps, _same, lambda given, *_: (torch.cat(list(given), dim=1),), shape)


def _sum(maps: Maps, other: Maps | Tensor) -> Maps:
    if isinstance(other, Maps):
        return _pixels([maps, other], torch.add)
    return _pixels([maps], lambda rows: rows + other)


def _rectified(maps: Maps, inplace: bool = False) -> Maps:
    return _in_place(maps, torch.relu_) if inplace else _pixels([maps], torch.relu)


def _pixels(maps: Sequence[Maps], function: Callable[..., Tensor]) -> Maps:
    """A function of each pixel by itself."""
    return _step(maps, _same, lambda given, *_: (function(*given),), maps[0].shape)


def _in_place(maps: Maps, function: Callable[[Tensor], Tensor]) -> Maps:
    """The step before, followed by what changes its outcome: nobody can read that as it was."""
    step = maps.step
    assert step is not None
    return _step(step.sources, step.reads, lambda *rows: (function(step.makes(*rows)[0]),), maps.shape, maps.dtype)


def _each_pixel(function: Callable[..., Tensor]) -> Callable[..., Maps]:
    """A function of torch's, with all that is given to it."""
    return lambda maps, *rest, **more: _pixels([maps], lambda rows: function(rows, *rest, **more))


def _step(
    sources: Sequence[Maps], reads: Callable[[Span], Span], makes: Callable[..., Sequence[Tensor]], shape: Shape,
    dtype: torch.dtype | None = None,
) -> Maps:  # fmt: skip
    return Step(sources, reads, makes, (shape, dtype or sources[0].dtype)).outcomes[0]


def _reading(layer: Layer) -> Callable[[Span], Span]:
    def reads(wanted: Span) -> Span:
        first, last = layer.reads((wanted.start, wanted.stop - 1))
        return Span(first, last + 1)

    return reads


def _same(wanted: Span) -> Span:
    return wanted


def _pairs(wanted: Span) -> Span:
    return Span(2 * wanted.start, 2 * wanted.stop)


def _windows(maps: Maps, rounding: Rounding) -> Shape:
    rows, columns = (pooled_size(side, rounding) for side in maps.shape[2:])
    return 1, maps.shape[1], rows, columns


def _pair(sides: int | Sequence[int]) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else (sides[0], sides[1])


def _type(weight: Tensor) -> torch.dtype:
    """What a convolution with this weight gives."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


LAYERS: Mapping[Callable[..., Any], Callable[..., Any]] = MappingProxyType({
    F.conv2d: _convolution,
    F.conv_transpose2d: _up_convolution,
    max_pool: _pooled_with_positions,
    max_pool_plain: _pooled,
    max_unpool: _unpooled,
    F.interpolate: _interpolated,
    Tensor.__getitem__: _cropped,
    torch.cat: _concatenated,
    torch.add: _sum,
    torch.mul: _each_pixel(torch.mul),
    Tensor.add_: lambda maps, other: _in_place(maps, lambda rows: rows.add_(other)),
    F.relu: _rectified,
    F.batch_norm: _each_pixel(F.batch_norm),
    F.local_response_norm: _each_pixel(F.local_response_norm),
    F.dropout: lambda maps, *_, **__: maps,
})  # fmt: skip
"""What stands for each function that a network calls."""

"""A network run by rows: its logits for one picture, some rows at a time.

No feature maps exist for the whole picture at once. A skip connection is kept for as many rows as the network looks
down, and the rows that a layer works on stay in the processor's cache. Each row is computed from the same rows as in
the whole picture, with zeros only beyond the picture's true edge. ``unpool.nets.inference.rows`` describes how.

The idea is from Pinckaers, van Ginneken and Litjens, "Streaming convolutional neural networks for end-to-end learning
with multi-megapixel images", arXiv 1911.04432, who work by tiles and with gradients. Each function below is one layer
by rows: which rows of its sources it reads (by the relationships of ``unpool.geometry``), and how it computes its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from unpool.convolution.operation import convolve, up_convolve
from unpool.geometry import Layer, Rounding, Transposed, Window, pooled_size
from unpool.nets.inference.rows import FeatureMapRows, RowSpan, Shape, Step, Stream
from unpool.nets.network import Network
from unpool.nets.pooling import PoolingIndices, max_pool, max_pool_plain, max_unpool, spread, unpack

Prepare: TypeAlias = Callable[[Tensor], Tensor]


def streamed(
    network: Network, picture: Tensor, rows: int, wanted: slice | None = None, prepare: Prepare | None = None
) -> Iterator[Tensor]:
    """Yield the logits of a picture (1, C, H, W) from the top: (1, K, at most ``rows``, W') at a time.

    The network is in evaluation mode and has no group or instance normalisation, which need whole maps. Rows are
    computed in the mode (inference mode, autocast) that is in force when the caller takes them.

    Parameters
    ----------
    rows: of the logits, computed at a time; a multiple of the network's stride is fastest.
    wanted: rows of the logits; None: all.
    prepare: turns rows of the picture into rows of the network's input; None: they are the input.
    """
    stream = Stream(LAYERS)
    maps = FeatureMapRows.of(picture, stream)
    if prepare is not None:
        prepared = (1, network.in_channels, *picture.shape[2:])
        maps = _step([maps], _same_rows, lambda taken, *_: (prepare(taken[0]),), prepared, torch.float32)
    logits: FeatureMapRows = network(maps)
    first, last, _ = (wanted or slice(None)).indices(logits.shape[2])
    yield from stream.rows(logits, RowSpan(first, last), rows)


def _convolution(
    maps: FeatureMapRows, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> FeatureMapRows:  # fmt: skip
    strides, pads, steps = _pair(stride), _pair(padding), _pair(dilation)
    down, across = (
        Window(kernel, by, pad, pad, step)
        for kernel, by, pad, step in zip(weight.shape[2:], strides, pads, steps, strict=True)
    )

    def reads(wanted: RowSpan) -> RowSpan:
        first, last = down.reads((wanted.start, wanted.stop - 1))
        return RowSpan(min(first, maps.shape[2] - 1), max(last + 1, 1))  # rows of FCN's padding read no picture

    def makes(taken: Sequence[Tensor], wanted: RowSpan, read: RowSpan) -> Sequence[Tensor]:
        first, last = down.reads((wanted.start, wanted.stop - 1))
        there, top = RowSpan(first, last + 1).within(maps.shape[2]), max(read.start, 0)
        rows = taken[0][:, :, there.start - top : there.stop - top]
        missing = last + 1 - first - rows.shape[2]
        above = min(max(-first, 0), missing)
        rows = F.pad(rows, (0, 0, above, missing - above)) if missing else rows
        return (convolve(rows, weight, bias, strides, (0, pads[1]), steps, groups),)

    shape = (1, weight.shape[0], down.size(maps.shape[2]), across.size(maps.shape[3]))
    return _step([maps], reads, makes, shape, _output_dtype(weight))


def _up_convolution(
    maps: FeatureMapRows, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> FeatureMapRows:  # fmt: skip
    assert _pair(dilation) == (1, 1), "no network dilates its up-convolutions"
    steps, pads, more = _pair(stride), _pair(padding), _pair(output_padding)
    by = steps[0]
    down, across = (
        Transposed(Window(kernel, step, pad, pad - extra))
        for kernel, step, pad, extra in zip(weight.shape[2:], steps, pads, more, strict=True)
    )

    def makes(taken: Sequence[Tensor], wanted: RowSpan, read: RowSpan) -> Sequence[Tensor]:
        grown = up_convolve(taken[0], weight, bias, steps, (0, pads[1]), (0, more[1]), groups)
        top = wanted.start + pads[0] - by * max(read.start, 0)
        return (grown[:, :, top : top + wanted.stop - wanted.start],)

    shape = (1, weight.shape[1] * groups, down.size(maps.shape[2]), across.size(maps.shape[3]))
    return _step([maps], _reading(down), makes, shape, _output_dtype(weight))


def _pooled(maps: FeatureMapRows, rounding: Rounding = "floor") -> FeatureMapRows:
    return _step(
        [maps], _pooled_rows, lambda taken, *_: (max_pool_plain(taken[0], rounding),), _pooled_shape(maps, rounding)
    )


def _pooled_with_indices(maps: FeatureMapRows, rounding: Rounding = "floor") -> tuple[FeatureMapRows, PoolingIndices]:
    def makes(taken: Sequence[Tensor], _: RowSpan, __: RowSpan) -> Sequence[Tensor]:
        pooled, indices = max_pool(taken[0], rounding)
        return pooled, unpack(indices.code, indices.windows, channels_last=indices.channels_last)

    shape = _pooled_shape(maps, rounding)
    pooled, code = Step([maps], _pooled_rows, makes, (shape, maps.dtype), (shape, torch.uint8)).outcomes
    return pooled, PoolingIndices(cast(Tensor, code), shape, maps.shape[2:], channels_last=True)


def _unpooled(maps: FeatureMapRows, indices: PoolingIndices) -> FeatureMapRows:
    windows, size = indices.windows[2], indices.size

    def reads(wanted: RowSpan) -> RowSpan:
        return RowSpan(min(wanted.start // 2, windows - 1), (wanted.stop + 1) // 2)

    def makes(taken: Sequence[Tensor], wanted: RowSpan, read: RowSpan) -> Sequence[Tensor]:
        top = 2 * read.start
        values, code = taken
        grown = spread(values, code, (max(wanted.stop - top, 2 * values.shape[2] - 1), size[1]))
        return (grown[:, :, wanted.start - top : wanted.stop - top],)

    return _step([maps, cast(FeatureMapRows, indices.code)], reads, makes, (1, maps.shape[1], *size))


def _interpolated(
    maps: FeatureMapRows, size: None = None, scale_factor: float = 2, mode: str = "nearest", **options: Any
) -> FeatureMapRows:
    assert (size, scale_factor) == (None, 2), "every network doubles"

    def reads(wanted: RowSpan) -> RowSpan:
        return RowSpan(wanted.start // 2 - 1, (wanted.stop + 1) // 2 + 1)  # a neighbour on each side

    def makes(taken: Sequence[Tensor], wanted: RowSpan, read: RowSpan) -> Sequence[Tensor]:
        top = 2 * max(read.start, 0)
        grown = F.interpolate(taken[0], scale_factor=2, mode=mode, **options)
        return (grown[:, :, wanted.start - top : wanted.stop - top],)

    return _step([maps], reads, makes, (1, maps.shape[1], 2 * maps.shape[2], 2 * maps.shape[3]))


def _cropped(maps: FeatureMapRows, part: tuple[slice, slice, slice, slice]) -> FeatureMapRows:
    (top, bottom, _), (left, right, _) = (
        side.indices(length) for side, length in zip(part[2:], maps.shape[2:], strict=True)
    )
    if (bottom - top, right - left) == maps.shape[2:]:
        return maps
    return _step(
        [maps], lambda wanted: RowSpan(wanted.start + top, wanted.stop + top),
        lambda taken, *_: (taken[0][..., left:right],), (1, maps.shape[1], bottom - top, right - left),
    )  # fmt: skip


def _concatenated(maps: Sequence[FeatureMapRows], dim: int = 0) -> FeatureMapRows:
    assert dim == 1, "every network concatenates channels"
    shape = (1, sum(each.shape[1] for each in maps), *maps[0].shape[2:])
    return _step(maps, _same_rows, lambda taken, *_: (torch.cat(list(taken), dim=1),), shape)


def _sum(maps: FeatureMapRows, other: FeatureMapRows | Tensor) -> FeatureMapRows:
    if isinstance(other, FeatureMapRows):
        return _pixels([maps, other], torch.add)
    return _pixels([maps], lambda rows: rows + other)


def _log_softmax(maps: FeatureMapRows, dim: int, dtype: torch.dtype) -> FeatureMapRows:
    def makes(taken: Sequence[Tensor], _: RowSpan, __: RowSpan) -> Sequence[Tensor]:
        return (torch.log_softmax(taken[0], dim, dtype=dtype),)

    assert dim == 1, "a softmax over rows would need all of them"
    return _step([maps], _same_rows, makes, maps.shape, dtype)


def _rectified(maps: FeatureMapRows, inplace: bool = False) -> FeatureMapRows:
    return _in_place(maps, torch.relu_) if inplace else _pixels([maps], torch.relu)


def _pixels(maps: Sequence[FeatureMapRows], function: Callable[..., Tensor]) -> FeatureMapRows:
    """Add a step that computes each pixel from the same pixel of its sources."""
    return _step(maps, _same_rows, lambda taken, *_: (function(*taken),), maps[0].shape)


def _in_place(maps: FeatureMapRows, function: Callable[[Tensor], Tensor]) -> FeatureMapRows:
    """Add a step that repeats the one before and then changes its outcome, so no reader gets the unchanged outcome."""
    step = maps.step
    assert step is not None
    return _step(step.sources, step.reads, lambda *rows: (function(step.makes(*rows)[0]),), maps.shape, maps.dtype)


def _each_pixel(function: Callable[..., Tensor]) -> Callable[..., FeatureMapRows]:
    """Return a layer by rows for a function of torch that computes each pixel by itself."""
    return lambda maps, *rest, **more: _pixels([maps], lambda rows: function(rows, *rest, **more))


def _step(
    sources: Sequence[FeatureMapRows], reads: Callable[[RowSpan], RowSpan], makes: Callable[..., Sequence[Tensor]],
    shape: Shape, dtype: torch.dtype | None = None,
) -> FeatureMapRows:  # fmt: skip
    return Step(sources, reads, makes, (shape, dtype or sources[0].dtype)).outcomes[0]


def _reading(layer: Layer) -> Callable[[RowSpan], RowSpan]:
    def reads(wanted: RowSpan) -> RowSpan:
        first, last = layer.reads((wanted.start, wanted.stop - 1))
        return RowSpan(first, last + 1)

    return reads


def _same_rows(wanted: RowSpan) -> RowSpan:
    return wanted


def _pooled_rows(wanted: RowSpan) -> RowSpan:
    return RowSpan(2 * wanted.start, 2 * wanted.stop)


def _pooled_shape(maps: FeatureMapRows, rounding: Rounding) -> Shape:
    rows, columns = (pooled_size(side, rounding) for side in maps.shape[2:])
    return 1, maps.shape[1], rows, columns


def _pair(sides: int | Sequence[int]) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else (sides[0], sides[1])


def _output_dtype(weight: Tensor) -> torch.dtype:
    """Return the dtype of a convolution's output, which autocast may change."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


LAYERS: Mapping[Callable[..., Any], Callable[..., Any]] = MappingProxyType({
    convolve: _convolution,
    F.conv2d: _convolution,
    up_convolve: _up_convolution,
    F.conv_transpose2d: _up_convolution,
    max_pool: _pooled_with_indices,
    max_pool_plain: _pooled,
    max_unpool: _unpooled,
    F.interpolate: _interpolated,
    Tensor.__getitem__: _cropped,
    torch.cat: _concatenated,
    torch.add: _sum,
    torch.mul: _each_pixel(torch.mul),
    torch.logaddexp: lambda maps, other: _pixels([maps, other], torch.logaddexp),
    torch.log_softmax: _log_softmax,
    Tensor.add_: lambda maps, other: _in_place(maps, lambda rows: rows.add_(other)),
    F.relu: _rectified,
    F.batch_norm: _each_pixel(F.batch_norm),
    F.local_response_norm: _each_pixel(F.local_response_norm),
    F.dropout: lambda maps, *_, **__: maps,
})  # fmt: skip
"""Layers by rows that take the place of the functions of torch that networks call."""

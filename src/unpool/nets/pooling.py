"""2x2 max-pooling with stride 2, and unpooling, with pooling indices of 2 bits a window.

torch's ``max_pool2d(return_indices=True)`` keeps 64 bits a window, and its backward pass keeps the whole input too. Two
bits tell which of a window's four pixels was the largest (Badrinarayanan et al., "SegNet", arXiv 1511.00561, section
3.1). Values and indices equal torch's, bit for bit: the first largest in row order wins a tie, a NaN wins against any
number, and the last NaN of a window wins against the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function_unary

from unpool.errors import UsageError
from unpool.geometry import Rounding
from unpool.nets.pooling_operator import max_pool_operator

_BLOCK = 2**17
"""Windows computed at a time, so that scratch stays in a processor's cache (the best of 2^14 to 2^19, measured)."""

_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integer types by bytes of a float: as an integer, a pixel times 0 or 1 keeps or drops its bits, even of NaN."""


class PoolingIndices(NamedTuple):
    """The place of the maximum of each 2x2 window: ``2 * row + column`` within the window (0..3).

    Attributes
    ----------
    code: uint8. Packed, it is flat, four windows a byte, in the order of the windows in memory: of n bytes, byte i has
        windows i, i + n, i + 2n and i + 3n, lowest bits first. In compiled and exported graphs it is (N, C, h, w), one
        window a byte.
    windows: the pooled shape (N, C, h, w).
    size: rows and columns before pooling.
    channels_last: order of the windows in memory.
    """

    code: Tensor
    windows: tuple[int, int, int, int]
    size: tuple[int, int]
    channels_last: bool

    @property
    def bytes(self) -> int:
        """Bytes of the code."""
        return self.code.numel()


def max_pool(maps: Tensor, rounding: Rounding = "floor") -> tuple[Tensor, PoolingIndices]:
    """Pool (N, C, H, W) to (N, C, h, w); return the pooled maps and the indices for ``max_unpool``.

    The result can be differentiated once. Only the code of the indices is kept for the backward pass.

    Parameters
    ----------
    maps: any floating type of 2, 4 or 8 bytes; the result has the same type and memory format.
    rounding: of an odd side: ``floor`` drops its last pixel, ``ceil`` gives it a window of its own, as Caffe does.

    Raises
    ------
    UsageError: no window fits into the maps, or they have another shape or type.
    """
    if has_torch_function_unary(maps):
        return handle_torch_function(max_pool, (maps,), maps, rounding)
    _require_maps(maps)
    size = (maps.shape[2], maps.shape[3])
    # Not geometry's formula: that divides negative numbers, which an ONNX graph rounds towards zero.
    rows, columns = ((side + (rounding == "ceil")) // 2 for side in size)
    windows = (maps.shape[0], maps.shape[1], rows, columns)
    if _in_graph():
        pooled, code = (_tournament if _exporting() else _corner_tournament)(maps, windows)
        return pooled, PoolingIndices(code, windows, size, channels_last=False)
    if 0 in windows:
        raise UsageError(
            f"maps of shape {tuple(maps.shape)}, pooled with {rounding}",
            "at least one 2x2 window in each map",
            "give larger maps, or round up with 'ceil'",
        )
    pooled, code = _Pool.apply(maps, windows)  # type: ignore[no-untyped-call]
    return pooled, PoolingIndices(code, windows, size, _is_channels_last(maps))


def max_pool_plain(maps: Tensor, rounding: Rounding = "floor") -> Tensor:
    """Pool (N, C, H, W) to (N, C, h, w), without indices for unpooling.

    Maps in NCHW take 2-bit indices within, which need 0.5 to 0.8 of torch's time. Maps in channels-last take torch's
    pooling, which is 1.3 to 2.7 times faster there, although it keeps 64 bits a window and its input
    (``benchmarks/pooling.py``). Types, roundings and errors are those of ``unpool.nets.pooling.max_pool``.
    """
    if has_torch_function_unary(maps):
        return handle_torch_function(max_pool_plain, (maps,), maps, rounding)
    if _in_graph() and not _exporting():
        pooled: Tensor = max_pool_operator(maps, rounding == "ceil")[0]
        return pooled
    if _in_graph() or _is_channels_last(maps):
        return F.max_pool2d(maps, 2, ceil_mode=rounding == "ceil")
    return max_pool(maps, rounding)[0]


def max_unpool(maps: Tensor, indices: PoolingIndices) -> Tensor:
    """Put each value of (N, C, h, w) back at the place of its maximum in (N, C, H, W), with zeros elsewhere.

    The result has the type and memory format of ``maps``. It can be differentiated once, and only the code of the
    indices is kept for that.

    Parameters
    ----------
    maps: any floating type of 2, 4 or 8 bytes.

    Raises
    ------
    UsageError: the maps have another shape than the pooled ones.
    """
    if has_torch_function_unary(maps):
        return handle_torch_function(max_unpool, (maps,), maps, indices)
    _require_maps(maps)
    if _in_graph():
        return (_grown if _exporting() else _grown_corners)(maps, indices.code, indices.size)
    if tuple(maps.shape) != tuple(indices.windows):
        raise UsageError(
            f"maps of shape {tuple(maps.shape)} to unpool",
            f"{tuple(indices.windows)}, the shape of the maps that gave these indices",
            "unpool each stage with the indices of its own pooling",
        )
    return cast(Tensor, _Unpool.apply(maps, *indices))  # type: ignore[no-untyped-call]


def pack(code: Tensor, *, channels_last: bool) -> Tensor:
    """Return a code (N, C, h, w) of 0..3 as a flat code of four windows a byte."""
    flat = (code.permute(0, 2, 3, 1) if channels_last else code).reshape(-1)
    quarters = F.pad(flat, (0, -flat.numel() % 4)).view(4, -1)
    packed = quarters[0].clone()
    for place in (1, 2, 3):
        packed.add_(quarters[place], alpha=4**place)
    return packed


def unpack(packed: Tensor, windows: tuple[int, int, int, int], *, channels_last: bool) -> Tensor:
    """Return a packed code as uint8 (N, C, h, w) of 0..3, in the memory format that was packed."""
    images, channels, rows, columns = windows
    quarters = torch.stack([packed.bitwise_right_shift(2 * place).bitwise_and_(3) for place in range(4)])
    flat = quarters.view(-1)[: images * channels * rows * columns]
    if channels_last:
        return flat.view(images, rows, columns, channels).permute(0, 3, 1, 2)
    return flat.view(windows)


class _Pool(Function):
    @staticmethod
    def forward(maps: Tensor, windows: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
        channels_last = _is_channels_last(maps)
        if maps.device.type != "cpu":
            pooled, code = _tournament(maps, windows)
            return _in_format(pooled, channels_last=channels_last), pack(code, channels_last=channels_last)
        pooled = _empty(windows, maps, channels_last=channels_last)
        code = torch.empty_like(pooled, dtype=torch.uint8)
        pool_block = _pooled_channels_last if channels_last else _pooled_rows_last
        for window_rows, pixel_rows in _blocks(windows):
            pooled[window_rows], code[window_rows] = pool_block(maps[pixel_rows], tuple(code[window_rows].shape))
        return pooled, pack(code, channels_last=channels_last)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        maps, windows = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])
        ctx.windows, ctx.size, ctx.channels_last = windows, maps.shape[2:], _is_channels_last(maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        (packed,) = ctx.saved_tensors
        code = unpack(packed, ctx.windows, channels_last=ctx.channels_last)
        # Adding 0 turns -0 into 0, as torch does, which adds gradients to zeros.
        return spread(_in_format(gradient + 0.0, channels_last=ctx.channels_last), code, ctx.size), None


class _Unpool(Function):
    @staticmethod
    def forward(
        maps: Tensor, packed: Tensor, windows: tuple[int, int, int, int], size: tuple[int, int], channels_last: bool
    ) -> Tensor:
        code = unpack(packed, windows, channels_last=channels_last)
        return spread(maps, _in_format(code, channels_last=_is_channels_last(maps)), size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        maps, packed, windows, _, channels_last = inputs
        ctx.save_for_backward(packed)
        ctx.windows, ctx.packed_channels_last, ctx.channels_last = windows, channels_last, _is_channels_last(maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (packed,) = ctx.saved_tensors
        code = unpack(packed, ctx.windows, channels_last=ctx.packed_channels_last)
        code = _in_format(code, channels_last=ctx.channels_last)
        gather = _gather_channels_last if ctx.channels_last else _gather_rows_last
        return gather(_in_format(gradient, channels_last=ctx.channels_last), code), None, None, None, None


def _pooled_channels_last(maps: Tensor, windows: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return maxima and code of a block in channels-last, by torch's kernel for this format, which is fast."""
    # Rounding up is always right: where the rounding is down, blocks are cut to full windows.
    maxima, index = F.max_pool2d(maps[..., : 2 * windows[3]], 2, ceil_mode=True, return_indices=True)
    width = min(maps.shape[3], 2 * windows[3])
    offset = index.to(torch.int32).sub_(_first_pixels(windows, width))
    lower = torch.ge(offset, width, out=torch.empty_like(offset))
    return maxima, offset.sub_(lower, alpha=width - 2)


def _pooled_rows_last(maps: Tensor, windows: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return maxima and code of a block in NCHW, by torch's kernel for channels-last: four times as fast as for NCHW.

    The four pixels of each window become a 2x2 picture, with a row of windows as its channels: torch's index into such
    a picture is the code.
    """
    images, channels, rows, columns = windows
    pictures = maps.new_empty(images, channels, rows, 2, 2, columns)
    for place, pixels in _corners(maps, rows, columns):
        corner = pictures[..., place // 2, place % 2, :]
        _overlap(corner, pixels).copy_(pixels)
        corner[:, :, pixels.shape[2] :] = -torch.inf
        corner[..., pixels.shape[3] :] = -torch.inf
    maxima, index = F.max_pool2d(pictures.flatten(0, 2).permute(0, 3, 1, 2), 2, return_indices=True)
    return maxima.reshape(windows), index.reshape(windows)


def spread(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (N, C, H, W) with each value of (N, C, h, w) at the place that its code names, and zeros elsewhere."""
    images, channels, rows, columns = code.shape
    word = _WORDS[values.element_size()]
    grown = _empty((images, channels, *size), values, channels_last=_is_channels_last(code))
    grown[:, :, 2 * rows :] = 0
    grown[..., 2 * columns :] = 0
    bits, kept = values.view(word), grown.view(word)
    for window_rows, pixel_rows in _blocks(code.shape):
        places = code[window_rows].to(word)
        chosen = torch.empty_like(places)
        for place, pixels in _corners(kept[pixel_rows], places.shape[2], columns):
            torch.eq(places, place, out=chosen)
            torch.mul(_overlap(bits[window_rows], pixels), _overlap(chosen, pixels), out=pixels)
    return grown


def _gather_channels_last(maps: Tensor, code: Tensor) -> Tensor:
    """Return (N, C, h, w) with the value of (N, C, H, W) at the place that each code names, in channels-last."""
    word = _WORDS[maps.element_size()]
    bits = maps.view(word)
    gathered = torch.zeros_like(code, dtype=word)
    for window_rows, pixel_rows in _blocks(code.shape):
        places = code[window_rows].to(word)
        chosen = torch.empty_like(places)
        for place, pixels in _corners(bits[pixel_rows], places.shape[2], places.shape[3]):
            torch.eq(places, place, out=chosen)
            _overlap(gathered[window_rows], pixels).addcmul_(pixels, _overlap(chosen, pixels))
    return gathered.view(maps.dtype)


def _gather_rows_last(maps: Tensor, code: Tensor) -> Tensor:
    """Return (N, C, h, w) with the value of (N, C, H, W) at the place that each code names, in NCHW.

    One indexed read is faster there than four strided ones.
    """
    gathered = torch.empty_like(code, dtype=maps.dtype)
    width = maps.shape[3]
    for window_rows, pixel_rows in _blocks(code.shape):
        index = code[window_rows].to(torch.int32)
        first = _first_pixels(index.shape, width).to(index.device)
        index.add_(index >> 1, alpha=width - 2).add_(first)
        values = maps[pixel_rows].flatten(2).gather(2, index.flatten(2).to(torch.int64))
        gathered[window_rows] = values.view(index.shape)
    return gathered


def _first_pixels(windows: tuple[int, ...], width: int) -> Tensor:
    """Return the index of each window's first pixel in maps of this width, int32 (h, w)."""
    rows = torch.arange(windows[2], dtype=torch.int32) * (2 * width)
    return rows[:, None] + 2 * torch.arange(windows[3], dtype=torch.int32)


def _tournament(maps: Tensor, windows: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """Return maxima and code by plain operations, for any device and for an export.

    Pixels are selected by index and never padded or sliced, so that one exported graph serves odd and even sizes.
    """
    top, left = (2 * torch.arange(side, device=maps.device) for side in windows[2:])
    best = maps.index_select(2, top).index_select(3, left)
    code = torch.zeros_like(best, dtype=torch.uint8)
    for place in (1, 2, 3):
        row, column = top + place // 2, left + place % 2
        inside = (row < maps.shape[2])[:, None] & (column < maps.shape[3])
        row, column = row.clamp(max=maps.shape[2] - 1), column.clamp(max=maps.shape[3] - 1)
        pixels = maps.index_select(2, row).index_select(3, column)
        wins = ((pixels > best) | pixels.isnan()) & inside
        best = torch.where(wins, pixels, best)
        code = torch.where(wins, torch.full_like(code, place), code)
    return best, code


def _grown(maps: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    """Unpool by plain operations, for an export: each pixel takes its window's value if the code names this pixel."""
    row, column = (torch.arange(side, device=maps.device) for side in size)
    # The last pixel of an odd side rounded down has no window, and the window before never names it.
    over, left = (row // 2).clamp(max=maps.shape[2] - 1), (column // 2).clamp(max=maps.shape[3] - 1)
    named = code.index_select(2, over).index_select(3, left)
    here = (named // 2 == (row - 2 * over)[:, None]) & (named % 2 == column - 2 * left)
    values = maps.index_select(2, over).index_select(3, left)
    return torch.where(here, values, torch.zeros_like(values))


def _corner_tournament(maps: Tensor, windows: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """Return maxima and code by strided slices, which a compiler fuses with the operations around them."""
    rows, columns = windows[2:]
    missing = (0, max(2 * columns - maps.shape[3], 0), 0, max(2 * rows - maps.shape[2], 0))
    if any(missing):
        maps = F.pad(maps, missing, value=-torch.inf)
    best, code = maps[:, :, ::2, ::2][:, :, :rows, :columns], None
    for place, pixels in _corners(maps, rows, columns):
        if place:
            wins = (pixels > best) | pixels.isnan()
            best = torch.where(wins, pixels, best)
            before = torch.zeros_like(best, dtype=torch.uint8) if code is None else code
            code = torch.where(wins, torch.full_like(before, place), before)
    assert code is not None
    return best, code


def _grown_corners(maps: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    """Unpool by a window of four pixels for each value, for a compiler."""
    places = torch.arange(4, device=maps.device).view(2, 1, 2)
    named = code[:, :, :, None, :, None] == places
    values = maps[:, :, :, None, :, None]
    grown = torch.where(named, values, torch.zeros_like(values)).flatten(4, 5).flatten(2, 3)
    rows, columns = (min(have, want) for have, want in zip(grown.shape[2:], size, strict=True))
    return F.pad(grown[:, :, :rows, :columns], (0, size[1] - columns, 0, size[0] - rows))


def _blocks(windows: tuple[int, ...]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield blocks of windows (N, C, h, w): slices of the windows, and of the pixels they cover."""
    images, channels, rows, columns = windows
    image_step = max(1, _BLOCK // (channels * rows * columns))
    row_step = max(1, _BLOCK // (channels * columns))
    every = slice(None)
    for image in range(0, images, image_step):
        some = slice(image, image + image_step)
        for row in range(0, rows, row_step):
            end = min(row + row_step, rows)
            yield (some, every, slice(row, end)), (some, every, slice(2 * row, 2 * end))


def _corners(pixels: Tensor, rows: int, columns: int) -> Iterator[tuple[int, Tensor]]:
    """Yield each place in a window (0..3) with the pixels there; partial windows at the edge lack some."""
    for place in range(4):
        yield place, pixels[:, :, place // 2 :: 2, place % 2 :: 2][:, :, :rows, :columns]


def _overlap(windows: Tensor, pixels: Tensor) -> Tensor:
    """Return the windows that have these pixels; partial windows at the edge may lack them."""
    return windows[:, :, : pixels.shape[2], : pixels.shape[3]]


def _empty(shape: tuple[int, ...], like: Tensor, *, channels_last: bool) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=_memory_format(channels_last))


def _in_format(maps: Tensor, *, channels_last: bool) -> Tensor:
    return maps.contiguous(memory_format=_memory_format(channels_last))


def _memory_format(channels_last: bool) -> torch.memory_format:
    return torch.channels_last if channels_last else torch.contiguous_format


def _is_channels_last(maps: Tensor) -> bool:
    return maps.stride(1) == 1 and maps.stride(3) > 1


def _in_graph() -> bool:
    """Return whether operations are being recorded, for a compiler or an export."""
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


def _exporting() -> bool:
    """Return whether operations are being recorded for an export, which has to serve every size."""
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()


def _require_maps(maps: Tensor) -> None:
    if maps.ndim != 4 or not maps.is_floating_point() or maps.element_size() not in _WORDS:
        raise UsageError(
            f"maps of shape {tuple(maps.shape)} and type {maps.dtype}",
            "floating-point (N, C, rows, columns)",
            "give a batch of maps of float32, bfloat16, float16 or float64",
        )

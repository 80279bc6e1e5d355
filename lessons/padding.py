"""What the lesson "Padding" shows: one place of a convolution, the sums, and what zeros do at a picture's border."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from lessons.pages import in_language, picture
from unpool.data.synthetic import synthetic_cells
from unpool.geometry import Window, padding_border, receptive_field, same_padding
from unpool.io.png_chunks import PNG_MARK
from unpool.nets.named import named_net
from unpool.nets.structure import Structure
from unpool.report.drawing import PALE, PAPER, Box, Canvas, TextStyle
from unpool.report.padding import PaddedWindow, padded_windows, padding_svg

PIXEL, ZERO, OUTPUT, MARKED = "#a9cbea", "#e4e6ea", "#f3c08f", "#c8323f"
_SIDE, _PANEL = 30.0, 150.0
_TITLE = TextStyle(size=12, anchor="start", bold=True)
_PLAIN = TextStyle(size=12, anchor="start")
_NUMBER = TextStyle(size=12, edged=False)

INPUT = ((1, 0, 2, 1, 3), (0, 2, 1, 0, 1), (3, 1, 0, 2, 2), (1, 2, 1, 0, 0), (0, 1, 3, 1, 2))
KERNEL = ((0, 1, 0), (1, 2, 1), (0, 1, 0))
"""The numbers of the first picture."""


def one_place() -> str:
    """Return the picture of one output pixel of a convolution without padding, with its sum."""
    output = _convolved(INPUT, KERNEL)
    row, column = 1, 2
    canvas = Canvas()
    marked = {(row + r, column + c) for r in range(3) for c in range(3)}
    _grid(canvas, (0, 0), _texts(INPUT), PIXEL, marked)
    canvas.text(0, -10, "input 5 × 5", _TITLE)
    _grid(canvas, (210, 30), _texts(KERNEL), PAPER, set())
    canvas.text(210, 20, "kernel 3 × 3", _TITLE)
    _grid(canvas, (360, 30), _texts(output), OUTPUT, {(row, column)})
    canvas.text(360, 20, "output 3 × 3", _TITLE)
    canvas.text(178, 80, "∗", TextStyle(size=18, bold=True))
    canvas.text(330, 80, "=", TextStyle(size=18, bold=True))
    terms = [f"{INPUT[row + r][column + c]}·{KERNEL[r][c]}" for r in range(3) for c in range(3)]
    canvas.text(0, 178, f"{' + '.join(terms)} = {output[row][column]}", _PLAIN)
    words = in_language(
        f"Input of 5 × 5 numbers, kernel of 3 × 3, output of 3 × 3; nine products add up to {output[row][column]}",
        f"5 × 5 的输入、3 × 3 的卷积核、3 × 3 的输出；九个乘积之和为 {output[row][column]}",
    )
    return picture("padding-one-place", canvas.document("One output pixel of a convolution", note="Lesson 1."), words)


def three_paddings() -> str:
    """Return the picture of valid, same and full padding for 7 pixels and a kernel of 3."""
    words = in_language(
        "Input and output of valid, same and full padding: 7 pixels become 5, 7 and 9",
        "valid、same、full 三种填充的输入与输出：7 个像素变成 5、7、9 个",
    )
    return picture("padding-three", padding_svg(padded_windows(7, Window(3))), words)


def strided() -> str:
    """Return the picture of a stride of 2 with 6 pixels, where zeros are on one side only."""
    words = in_language(
        "Input and output with stride 2: a pixel that no kernel reads is white",
        "步幅为 2 时的输入与输出：没有被任何卷积核读取的像素为白色",
    )
    return picture("padding-stride", padding_svg(padded_windows(6, Window(3, 2))), words)


SUMS = (
    (7, Window(3), "valid"),
    (8, Window(3), "valid"),
    (7, Window(3), "same"),
    (7, Window(3), "full"),
    (7, Window(3, 2), "valid"),
    (7, Window(3, 2), "same"),
    (7, Window(3, 2), "full"),
    (8, Window(3, 2), "valid"),
    (8, Window(3, 2), "same"),
    (8, Window(4), "same"),
    (9, Window(3, dilation=2), "same"),
    (224, Window(3, 2), "SAME"),
)
"""Sums of the lesson: size, kernel with stride and dilation, padding."""


def sums() -> str:
    """Return the worked sums as a table."""
    lines = [
        in_language(
            "| i, k, s, d | padding: b, a | o = ⌊(i + b + a − span) / s⌋ + 1 |",
            "| i、k、s、d | 填充：b、a | o = ⌊(i + b + a − span) / s⌋ + 1 |",
        ),
        "|---|---|---|",
    ]
    for size, window, name in SUMS:
        case = _padded(size, window, name)
        w = case.window
        numbers = f"{size}, {w.kernel}, {w.stride}, {w.dilation}"
        lines.append(f"| {numbers} | {name}: {w.before}, {w.after} | {case.sum} |")
    return "\n".join(lines)


def worked(size: int, kernel: int, stride: int = 1, zeros: int = 0) -> str:
    """Return the output size in every step, for ``zeros`` on each side."""
    return PaddedWindow("", size, Window(kernel, stride, zeros, zeros)).sum


def worked_zeros(size: int, wanted: int, kernel: int, stride: int = 1) -> str:
    """Return the sum of the zeros that give ``wanted`` output pixels."""
    return f"({wanted} − 1) · {stride} + {kernel} − {size} = {(wanted - 1) * stride + kernel - size}"


def mean_of_ones() -> str:
    """Return the picture of a mean over 3 x 3 pixels of a picture of ones, with zeros around it."""
    ones = np.ones((5, 5), dtype=np.int64)
    counts = _convolved(np.pad(ones, 1), np.ones((3, 3), dtype=np.int64))
    canvas = Canvas()
    padded = [["1" if 0 < r < 6 and 0 < c < 6 else "0" for c in range(7)] for r in range(7)]
    _grid(canvas, (0, 0), padded, PIXEL, set(), zeros=True)
    canvas.text(0, -10, "input 5 × 5, zeros around it", _TITLE)
    _grid(canvas, (290, _SIDE), [[_ninths(each) for each in row] for row in counts], OUTPUT, set())
    canvas.text(290, _SIDE - 10, "output 5 × 5: mean of 3 × 3", _TITLE)
    words = in_language(
        "A picture of ones with zeros around it; its mean over 3 × 3 is 4/9 in the corners and 6/9 at the sides",
        "四周补零的全 1 图片；3 × 3 均值在四角为 4/9，在四边为 6/9",
    )
    return picture("padding-mean-of-ones", canvas.document("A mean at the border", note="Lesson 1."), words)


def corner(place: str) -> str:
    """Return the mean of ones over 3 x 3 at the ``corner`` or the ``side`` of a picture with zeros around it."""
    counts = _convolved(np.pad(np.ones((5, 5), dtype=np.int64), 1), np.ones((3, 3), dtype=np.int64))
    return _ninths(counts[0][0] if place == "corner" else counts[0][2])


BLUR = 15
"""Pixels of the side of the mean in the picture of the edges."""


def edges() -> str:
    """Return a made micrograph, its mean over 15 x 15 and its edges, with each way of continuing the picture."""
    made = 255.0 - next(iter(synthetic_cells(1, 5, sizes=((96, 96),)))).image.astype(np.float64)
    ways = {"zeros": "constant", "mirrored": "reflect", "valid": "valid"}
    rows = {
        "mean": {name: _mean(made, BLUR, way) for name, way in ways.items()},
        "edges": {name: 255 - _edges(made, way) for name, way in ways.items()},
    }
    canvas = Canvas()
    canvas.text(_PANEL + 22, -26, "output", _TITLE)
    for k, (filtered, panels) in enumerate(rows.items()):
        top = k * (_PANEL + 34)
        _panel(canvas, (0, top), made, made.shape[0], "input")
        for column, (name, panel) in enumerate(panels.items(), 1):
            _panel(canvas, (column * (_PANEL + 22), top), panel, made.shape[0], f"{filtered}, {name}")
    words = in_language(
        "A picture, its mean and its edges: zeros darken the border and draw a false frame, a mirrored border does not",
        "一张图片、它的均值和边缘：补零使边界变暗，并画出一圈假边框；镜像边界则不会",
    )
    return picture("padding-edges", canvas.document("What zeros do at the border", note="Lesson 1."), words)


def brightness(distance: int) -> float:
    """Return by how many per cent zeros darken the mean over 15 x 15, at a distance from the middle of a side."""
    ones = np.ones((96, 96))
    return abs(round(100 * (1 - float(_mean(ones, BLUR, "constant")[distance, 48])), 1))


def field(net: str) -> int:
    """Return the receptive field of a network, in pixels of the picture."""
    structure = named_net(net).structure
    assert isinstance(structure, Structure)
    return receptive_field(structure.deepest_path())


def lost_by_unet() -> str:
    """Return the sum of the pixels that U-Net of 2015 loses, stage by stage."""
    down = [2**stage for stage in range(4)]
    terms = [f"4 · {scale}" for scale in (*down, 16, *reversed(down))]
    total = sum(4 * scale for scale in (*down, 16, *reversed(down)))
    return f"{' + '.join(terms)} = {total}"


def torn() -> str:
    """Return what PyTorch says when a skip connection and the maps beside it differ by a pixel."""
    size = 45
    pooled = F.max_pool2d(torch.zeros(1, 8, size, size), 2)
    grown = F.interpolate(pooled, scale_factor=2)
    try:
        torch.cat([torch.zeros(1, 8, size, size), grown], dim=1)
    except RuntimeError as error:
        words = str(error).splitlines()[0]
    sizes = f"# {size} -> {pooled.shape[2]} -> {grown.shape[2]}"
    return f"```text\n{sizes}\nRuntimeError: {words}\n```"


def _padded(size: int, window: Window, name: str) -> PaddedWindow:
    if name == "SAME":
        border = same_padding(size, window.kernel, window.stride, window.dilation)
    else:
        padding: Any = int(name.removeprefix("padding=")) if name.startswith("padding=") else name
        border = padding_border(padding, window.kernel, window.dilation)
    placed = Window(window.kernel, window.stride, border.before, border.after, window.dilation)
    return PaddedWindow(name, size, placed)


def _convolved(values: Any, kernel: Any) -> list[list[int]]:
    """Return the convolution of whole numbers without padding, as torch computes it."""
    pictures, kernels = (torch.tensor(np.asarray(each), dtype=torch.float64)[None, None] for each in (values, kernel))
    return [[round(value) for value in row] for row in F.conv2d(pictures, kernels)[0, 0].tolist()]


def _ninths(count: int) -> str:
    return "1" if Fraction(count, 9) == 1 else f"{count}/9"


def _texts(values: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[str(value) for value in row] for row in values]


def _grid(
    canvas: Canvas,
    corner: tuple[float, float],
    texts: Sequence[Sequence[str]],
    colour: str,
    marked: set[tuple[int, int]],
    *,
    zeros: bool = False,
) -> None:
    """Draw numbers in boxes, those that are marked with a red frame; the outermost are zeros if there are any."""
    last = len(texts) - 1
    for r, row in enumerate(texts):
        for c, text in enumerate(row):
            added = zeros and (r in {0, last} or c in {0, last})
            box = Box(corner[0] + c * _SIDE, corner[1] + r * _SIDE, _SIDE, _SIDE)
            canvas.box(box, ZERO if added else colour)
            canvas.text(box.middle, box.centre + 4.5, text, _NUMBER)
    if marked:
        rows, columns = [r for r, _ in marked], [c for _, c in marked]
        x, y = corner[0] + min(columns) * _SIDE, corner[1] + min(rows) * _SIDE
        width, height = (max(columns) - min(columns) + 1) * _SIDE, (max(rows) - min(rows) + 1) * _SIDE
        canvas.shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none" stroke="{MARKED}" '
            f'stroke-width="3"/>'
        )


def _mean(values: NDArray[np.float64], side: int, way: str) -> NDArray[np.float64]:
    """Return the mean over side x side pixels; ``way`` is ``constant`` (zeros), ``reflect`` or ``valid``."""
    half = side // 2
    if way != "valid":
        values = np.pad(values, half, mode=way)  # type: ignore[call-overload]
    kernel = torch.full((1, 1, side, side), 1 / side**2, dtype=torch.float64)
    return np.asarray(F.conv2d(torch.from_numpy(values)[None, None], kernel)[0, 0].numpy())


def _edges(values: NDArray[np.float64], way: str) -> NDArray[np.float64]:
    """Return the strength of the edges by Sobel's kernels, from 0; ``way`` as in ``_mean``."""
    if way != "valid":
        values = np.pad(values, 1, mode=way)  # type: ignore[call-overload]
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=torch.float64)
    kernels = torch.stack([across, across.T])[:, None]
    both = F.conv2d(torch.from_numpy(values)[None, None], kernels)[0]
    return np.asarray(torch.hypot(both[0], both[1]).numpy()) / 3


def _panel(canvas: Canvas, corner: tuple[float, float], values: NDArray[np.float64], whole: int, title: str) -> None:
    """Draw a grey picture in the middle of a frame for ``whole`` pixels on each side, with its size above it."""
    left, top = corner
    pixels = values.shape[0]
    lost = (whole - pixels) / 2 * _PANEL / whole
    canvas.shapes.append(
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{_PANEL:.1f}" height="{_PANEL:.1f}" fill="none" '
        f'stroke="{PALE}" stroke-width="1"/>'
    )
    _photograph(canvas, Box(left + lost, top + lost, _PANEL - 2 * lost, _PANEL - 2 * lost), values)
    canvas.text(left, top - 8, f"{title}: {pixels} × {pixels}", _PLAIN)


def _photograph(canvas: Canvas, box: Box, values: NDArray[np.float64]) -> None:
    """Draw a grey picture, values from 0 to 255, with its pixels as squares."""
    grey = np.clip(np.round(values), 0, 255).astype(np.uint8)
    canvas.shapes.append(
        f'<image x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'image-rendering="pixelated" href="{_data_uri(grey)}"/>'
    )
    canvas.reach(box.right, box.y)
    canvas.reach(box.right, box.low)


def _data_uri(grey: NDArray[np.uint8]) -> str:
    """Return a picture (rows, columns) of less than 64 kB as the URI of a PNG that is not compressed.

    A compression could give other bytes with another version of its library.
    """
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    stored = b"\x78\x01\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows
    head = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 0)
    data = stored + struct.pack(">I", zlib.adler32(rows))
    file = PNG_MARK + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

"""What the lesson "Encoder and decoder" computes: how far a pixel sees, what it costs, and what pooling loses."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from lessons import decoders, measured
from lessons.pages import in_language, in_words, picture
from lessons.panels import CAPTION, HEADING, NOTE, Panel, line, outline, paste, strip, table
from lessons.panels import refusal as refused
from lessons.short_training import SCORES, cells, score_table, score_text, score_titles, scored
from unpool.class_table import Labels
from unpool.geometry import BLOCKS, Layer, Window, grid, multiply_adds, reads, receptive_field, stored_bytes
from unpool.nets.named import UNET
from unpool.report.drawing import Box, Canvas
from unpool.report.pictures import error_picture, overlay

CONVOLUTION, POOLING = Window(3, before=1, after=1), Window(2, 2)
DEPTH = 4
LAYERS = [*[CONVOLUTION, CONVOLUTION, POOLING] * DEPTH, CONVOLUTION, CONVOLUTION]
"""The way down of U-Net along one axis: two convolutions and a pooling, four times, and two convolutions."""

_RINGS = ("#ff5a3c", "#ffb43d", "#ffe66d", "#6fd08c", "#35c8ff")
_PIXEL, _SEEN, _ONE = "#eceef1", "#f3b37a", "#cf4a55"


class Step(NamedTuple):
    """One layer of the way down: its name, kernel and stride, the step of its input, and the field after it."""

    name: str
    layer: Window
    step: int
    field: int


def steps() -> list[Step]:
    """Return the layers of U-Net's way down with the receptive field after each, counted one by one."""
    found, field, step = [], 1, 1
    for k, layer in enumerate(LAYERS):
        field += (layer.kernel - 1) * step
        stage, place = divmod(k, 3)
        name = f"convolution {stage + 1}.{place + 1}" if layer is CONVOLUTION else f"pooling {stage + 1}"
        found.append(Step(name, layer, step, field))
        assert field == receptive_field(LAYERS[: k + 1])
        step *= layer.stride
    return found


def worked() -> str:
    """Return the receptive field layer by layer, each with its sum."""
    rows, before = [], 1
    for each in steps():
        added = f"{before} + ({each.layer.kernel} − 1) · {each.step} = {each.field}"
        name = in_words(each.name, {"convolution": "卷积", "pooling": "池化"})
        rows.append((name, each.layer.kernel, each.layer.stride, each.step, added))
        before = each.field
    return table((in_language("layer", "层"), "k", "s", "j", "r"), rows)


def after(name: str) -> int:
    """Return the receptive field after a layer of ``steps``."""
    return next(each.field for each in steps() if each.name == name)


UP: list[Layer] = [BLOCKS, CONVOLUTION, CONVOLUTION] * DEPTH
"""The way up of U-Net along one axis: an up-convolution and two convolutions, four times."""


def back_to_the_bottom() -> str:
    """Return what one output pixel reads of each layer's input on the way up, at most, counted back to the bottom."""
    rows, count = [], 1
    for k in reversed(range(len(UP))):
        stage, place = DEPTH - k // 3, k % 3
        before = count
        if place:
            count += CONVOLUTION.kernel - 1
            name, added = f"convolution {stage}.{place}, up", f"{before} + 2 = {count}"
        else:
            count = -(-(count - 1) // 2) + 1
            name, added = f"up-convolution {stage}", f"⌈({before} − 1) / 2⌉ + 1 = {count}"
        assert count == receptive_field(UP[k:])
        rows.append((in_words(name, {"up-convolution": "上卷积", "convolution": "卷积", ", up": "，上行"}), added))
    head = (
        in_language("layer, from the output back", "层，从输出往回"),
        in_language("pixels read, at most", "最多读取"),
    )
    return table(head, rows)


def whole_field() -> str:
    """Return the sum of U-Net's receptive field: that of a bottom pixel, and what the others of the bottom add."""
    bottom, read = receptive_field(LAYERS), receptive_field(UP)
    step = int(grid(LAYERS).step)
    total = bottom + (read - 1) * step
    assert total == receptive_field([*LAYERS, *UP])
    return f"{bottom} + ({read} − 1) · {step} = {total}"


def valid_reads(pixel: int) -> tuple[int, int]:
    """Return the first and the last input pixel that an output pixel of U-Net without padding reads, from 0."""
    valid = [Window(3) if layer is CONVOLUTION else layer for layer in [*LAYERS, *UP]]
    return reads(valid, (pixel, pixel))


def without_pooling(convolutions: int = 2 * DEPTH + 2) -> int:
    """Return the receptive field of as many 3x3 convolutions in a row."""
    return receptive_field([CONVOLUTION] * convolutions)


def convolutions_for(field: int) -> int:
    """Return the number of 3x3 convolutions in a row whose receptive field is at least ``field`` pixels."""
    return next(count for count in range(1, 1000) if without_pooling(count) >= field)


@cache
def grown() -> str:
    """Draw a row of picture pixels, the maps of six layers over it, and what one pixel of the last map reads."""
    layers = LAYERS[:6]
    pixels, side, gap = 20, 26.0, 48.0
    canvas = Canvas()
    one = 2  # the pixel of the last map
    for level in range(len(layers), -1, -1):
        place = grid(layers[:level])
        first, last = reads(layers[level:], (one, one))
        y = (len(layers) - level) * gap
        count = pixels // int(place.step)
        for x in range(count):
            centre = (float(place.first + place.step * x) + 0.5) * side
            width = side * float(place.step) - 3 if level else side - 3
            colour = _PIXEL if not first <= x <= last else _ONE if level == len(layers) else _SEEN
            canvas.box(Box(centre - width / 2, y, width, 20), colour)
        name = steps()[level - 1].name if level else "input: a row of the picture"
        words = f"output, {name}: 1 pixel" if level == len(layers) else f"{name}: {last - first + 1} pixels"
        canvas.text(pixels * side + 14, y + 14, words, CAPTION)
        if level < len(layers):
            _funnel(canvas, [(level, (first, last)), (level + 1, reads(layers[level + 1 :], (one, one)))], side, y)
    canvas.text(0, -14, "one pixel of a small map, and all that it reads", HEADING)
    field = receptive_field(layers)
    title = f"Receptive field grown layer by layer: one pixel of the last map reads {field} pixels of the picture"
    return picture("receptive-field-grown", canvas.document(title, note=title), title)


def _funnel(canvas: Canvas, levels: list[tuple[int, tuple[int, int]]], side: float, y: float) -> None:
    """Draw lines from the pixels that a map's pixels read to those pixels; ``levels`` are the lower and the upper."""
    ends = []
    for level, (first, last) in levels:
        place = grid(LAYERS[:level])
        half = float(place.step) * side / 2 - 1.5
        ends.append([(float(place.first + place.step * x) + 0.5) * side for x in (first, last)])
        ends[-1] = [ends[-1][0] - half, ends[-1][1] + half]
    for lower, upper in zip(*ends, strict=True):
        line(canvas, [(lower, y), (upper, y - 48 + 20)], "#8a909c", 0.8)


@cache
def on_a_picture() -> str:
    """Draw the field of one pixel on a picture, after each stage of the way down, and of as many convolutions alone."""
    shown = cells(1, seed=3)[0]
    size, side = shown.labels.shape[0], 460.0
    unit = side / size
    canvas = Canvas()
    canvas.text(0, -12, f"input: a picture of {size} x {size} pixels", HEADING)
    paste(canvas, shown.image[..., 0], Box(0, 0, side, side))
    names = [f"convolution {stage}.2" for stage in range(1, DEPTH + 2)]
    centre = side / 2
    x = side + 24
    for k, (name, colour) in enumerate(zip(names, _RINGS, strict=True)):
        width = after(name) * unit
        outline(canvas, Box(centre - width / 2, centre - width / 2, width, width), colour, 2.4)
        canvas.box(Box(x, 22 + 30 * k, 16, 16), colour)
        canvas.text(x + 24, 35 + 30 * k, f"after {name}: {after(name)} x {after(name)} pixels", CAPTION)
    width = without_pooling() * unit
    outline(canvas, Box(centre - width / 2, centre - width / 2, width, width), "#ffffff", 1.6, dashed=True)
    y = 22 + 30 * len(names)
    outline(canvas, Box(x, y, 16, 16), "#8a909c", 1.6, dashed=True)
    words = f"{2 * DEPTH + 2} convolutions without pooling: {without_pooling()} x {without_pooling()}"
    canvas.text(x + 24, y + 13, words, CAPTION)
    canvas.text(x, y + 60, "Each square is what one pixel of that map,", NOTE)
    canvas.text(x, y + 76, "the one in the middle, can see.", NOTE)
    title = "Squares on a picture of cells: the receptive field after each stage of U-Net's encoder"
    return picture("receptive-field-on-a-picture", canvas.document(title, note=title), title)


SIDE = 512
"""Rows and columns of the picture whose cost is counted."""


def _stage_cost(stage: int, side: int) -> tuple[int, int]:
    """Return multiply-adds and bytes of the two convolutions of a stage of U-Net (width 32) at a size of its maps."""
    widths = [1, *UNET.widths, UNET.bottom_width]
    pairs = [(widths[stage - 1], widths[stage]), (widths[stage], widths[stage])]
    operations = sum(multiply_adds(inputs, outputs, (3, 3), (side, side)) for inputs, outputs in pairs)
    return operations, 2 * stored_bytes(widths[stage], (side, side))


def costs() -> str:
    """Return the cost of each stage of the way down, as it is and with all maps as large as the picture."""
    rows: list[tuple[object, ...]] = []
    for stage in range(1, DEPTH + 2):
        side = SIDE >> (stage - 1)
        here, there = _stage_cost(stage, side), _stage_cost(stage, SIDE)
        maps = [*UNET.widths, UNET.bottom_width][stage - 1]
        rows.append((stage, f"{side} x {side}", maps, *_cost_text(here), *_cost_text(there)))
    rows.append((in_language("all", "合计"), "", "", *_cost_text(total(pooled=True)), *_cost_text(total(pooled=False))))
    head = (
        in_language("stage", "级"),
        in_language("size", "尺寸"),
        in_language("maps", "特征图数"),
        in_language("10⁹ products", "乘法（10⁹ 次）"),
        "MB",
        in_language(f"10⁹ products at {SIDE} x {SIDE}", f"都是 {SIDE} x {SIDE} 时的乘法（10⁹ 次）"),
        "MB",
    )
    return table(head, rows)


def total(*, pooled: bool) -> tuple[int, int]:
    """Return multiply-adds and bytes of all convolutions of the way down."""
    each = [_stage_cost(stage, SIDE >> (stage - 1) if pooled else SIDE) for stage in range(1, DEPTH + 2)]
    return sum(one for one, _ in each), sum(two for _, two in each)


def _cost_text(cost: tuple[int, int]) -> tuple[str, str]:
    return f"{cost[0] / 1e9:,.1f}", f"{cost[1] / 1e6:,.0f}"


STRIDES = (2, 4, 8, 16)


def drawn_at(labels: Labels, stride: int) -> Labels:
    """Return the best mask that can be drawn in squares of ``stride`` pixels: the more frequent class of each."""
    rows, columns = (side // stride for side in labels.shape)
    squares = labels.reshape(rows, stride, columns, stride).mean(axis=(1, 3)) > 0.5
    return np.kron(squares, np.ones((stride, stride), dtype=np.uint8)).astype(np.uint8)


@cache
def _resolution_rows() -> list[tuple[str, ...]]:
    truth = [sample.labels for sample in cells(8, seed=2)]
    rows: list[tuple[str, ...]] = []
    for stride in STRIDES:
        found = scored(truth, [drawn_at(labels, stride) for labels in truth])
        rows.append((f"{stride} x {stride}", *(score_text(name, found[name]) for name in SCORES)))
    return rows


def resolutions() -> str:
    """Return the scores of the best masks in squares, for made pictures."""
    return table((in_language("squares", "方块"), *score_titles()), _resolution_rows())


@cache
def squares() -> str:
    """Draw the picture, its mask, and the best masks in squares."""
    shown = cells(8, seed=2)[decoders.SHOWN]
    panels = [
        Panel("input picture", shown.image[..., 0]),
        Panel("its mask", shown.labels * np.uint8(255)),
        *(Panel(f"in squares of {n} x {n}", drawn_at(shown.labels, n) * np.uint8(255)) for n in STRIDES),
    ]
    words = "A picture, its mask, and the best mask that can be drawn in squares of 2, 4, 8 and 16 pixels"
    return strip("mask-in-squares", panels, words, in_row=3, side=220)


TITLES = {
    "nothing": "nothing",
    "indices": "pooling indices",
    "sum": "maps, added",
    "concatenation": "maps, concatenated",
}
_CHINESE_TITLES = {
    "maps, added": "特征图，相加",
    "maps, concatenated": "特征图，拼接",
    "pooling indices": "池化索引",
    "nothing": "什么也不送",
}


def decoder_table() -> str:
    """Return the measured scores of the four decoders: the mean of three trainings, and the lowest and highest."""
    titles = {name: in_words(title, _CHINESE_TITLES) for name, title in TITLES.items()}
    return score_table(measured.numbers("decoders")["rows"], titles, in_language("the encoder sends", "编码器送出"))


def decoder_mean(name: str, score: str) -> float:
    """Return the mean of a measured score of a decoder."""
    return measured.mean_of("decoders", name, score)


@cache
def four_decoders() -> str:
    """Draw one tested picture, its mask, and the wrong pixels of the four decoders."""
    shown = cells(8, seed=2)[decoders.SHOWN]
    panels = [
        Panel("input picture", shown.image[..., 0]),
        Panel("the mask that is wanted", overlay(shown.image, shown.labels, [(0, 0, 0), (80, 170, 255)])),
    ]
    for name, title in TITLES.items():
        found = (measured.labels(f"decoders-{name}") > 0).astype(np.uint8)
        panels.append(Panel(f"output: {title}", error_picture(shown.labels, found)))
    words = "One picture through four decoders: grey is right, red is a false cell, yellow a missed one"
    return strip("four-decoders", panels, words, in_row=3, side=220)


def refusal(command: str) -> str:
    """Return what unpool answers to a command with a mistake."""
    return refused(command)

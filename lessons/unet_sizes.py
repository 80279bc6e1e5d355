"""What the lesson "U-Net's sizes" computes: every size on the way, legal sizes, crops, and the overlapping tiles."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from lessons.pages import in_language, in_words, picture
from lessons.panels import CAPTION, HEADING, Pixels, outline, paste, table
from lessons.panels import refusal as refused
from lessons.plain_unet import PlainUNet
from unpool.data.synthetic import synthetic_cells
from unpool.geometry import Border, Window, centre_crop
from unpool.nets.named import UNET_2015
from unpool.report.drawing import Box, Canvas, TextStyle
from unpool.tiling import mirrored

VALID, POOLING = Window(3), Window(2, 2)
DEPTH = UNET_2015.depth
PAPER = 572
"""Rows and columns of the input in the paper's figure 1."""

_INPUT, _OUTPUT, _KEPT = "#ffc83d", "#35c8ff", "#ff5a3c"
_CHINESE = {
    "up-convolution": "上卷积",
    "convolution": "卷积",
    "pooling": "池化",
    "skip": "跳跃连接",
    ", cropped": "，裁剪后",
    ", down": "，下行",
    ", up": "，上行",
    ", bottom": "，底部",
}
"""What happens in a step, part by part, in Chinese."""


class SizeStep(NamedTuple):
    """One step through the network: what is done, the sum, and the size after it."""

    stage: int
    what: str
    sum: str
    size: int


def walk(size: int) -> list[SizeStep]:
    """Return all steps of the paper's U-Net from an input of ``size`` pixels to its output.

    Raises
    ------
    ValueError: a pooling would see an odd size, or a convolution nothing.
    """
    found: list[SizeStep] = []
    skips = []
    for stage in range(1, DEPTH + 2):
        size = _convolved(found, stage, size)
        if stage <= DEPTH:
            skips.append(size)
            if size % 2:
                raise ValueError(f"pooling {stage} would see {size} pixels")
            size = POOLING.size(size)
            found.append(SizeStep(stage, f"pooling {stage}", f"{2 * size} / 2", size))
    for stage in range(DEPTH, 0, -1):
        size *= 2
        found.append(SizeStep(stage, f"up-convolution {stage}", f"{size // 2} · 2", size))
        cut = centre_crop(skips[stage - 1], size)
        words = f"skip {stage}, cropped"
        found.append(SizeStep(stage, words, f"{skips[stage - 1]} − {cut.before} − {cut.after}", size))
        size = _convolved(found, stage, size)
    return found


def _convolved(found: list[SizeStep], stage: int, size: int) -> int:
    side = "up" if len(found) >= 3 * DEPTH + 2 else "down" if stage <= DEPTH else "bottom"
    for number in (1, 2):
        after = VALID.size(size)
        if after < 1:
            raise ValueError(f"convolution {stage}.{number} would see {size} pixels")
        found.append(
            SizeStep(
                stage, f"convolution {number}, {side}" + (f" {stage}" if stage <= DEPTH else ""), f"{size} − 2", after
            )
        )
        size = after
    return size


def derived() -> str:
    """Return all steps from 572 to 388 as a table, each with its sum; compared with the package's own sizes."""
    found = walk(PAPER)
    assert found[-1].size == UNET_2015.output_size(PAPER) == output(PAPER)
    rows = [(each.stage, in_words(each.what, _CHINESE), f"{each.sum} = {each.size}") for each in found]
    lines = [in_language("| stage | what happens | size |", "| 级 | 做什么 | 尺寸 |"), "|--:|---|--:|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def output(size: int) -> int:
    """Return the output size of the paper's U-Net. Raises ValueError for a size that is not legal."""
    return walk(size)[-1].size


def legal(first: int, last: int) -> list[int]:
    """Return the legal sizes from ``first`` to ``last``, as the package finds them."""
    return [size for size in range(first, last + 1) if UNET_2015.output_size(size)]


def smallest() -> int:
    """Return the smallest legal size."""
    return legal(1, PAPER)[0]


def legal_sizes() -> str:
    """Return some legal sizes with their outputs: the smallest, and those around 572."""
    sizes = [*legal(1, smallest() + 32), *legal(PAPER - 32, PAPER + 32)]
    rows = []
    for size in sizes:
        number = (size - REST) // STRIDE
        assert size == STRIDE * number + REST
        rows.append((f"{STRIDE} · {number} + {REST} = {size}", f"{size} − {LOST} = {output(size)}"))
    return table((in_language("input", "输入"), in_language("output", "输出")), rows)


STRIDE = UNET_2015.stride
LOST = PAPER - (UNET_2015.output_size(PAPER) or 0)
REST = sum(4 << stage for stage in range(DEPTH))
"""Pixels of the picture that the convolutions of the way down take: 4 of each stage, in the size that it has there."""


def crops() -> str:
    """Return what is cut from each skip connection: computed from the sizes, as ``CenterCrop`` and ``crop`` do."""
    rows = []
    sizes = {each.what: each.size for each in walk(PAPER)}
    for stage in range(DEPTH, 0, -1):
        kept, made = sizes[f"up-convolution {stage}"], sizes[f"convolution 2, down {stage}"]
        cut = centre_crop(made, kept)
        rows.append(
            (
                stage,
                made,
                kept,
                f"({made} − {kept}) / 2 = {cut.before}",
                f"maps[:, :, {cut.before}:{made - cut.after}, …]",
            )
        )
    head = (
        in_language("stage", "级"),
        in_language("encoder's map", "编码器的特征图"),
        in_language("decoder's map", "解码器的特征图"),
        in_language("cut on each side", "每侧裁掉"),
        in_language("in PyTorch", "PyTorch 写法"),
    )
    return table(head, rows)


def border(size: int) -> Border:
    """Return the pixels of the input around the output."""
    return centre_crop(size, output(size))


def tiles_needed(picture: int, tile: int) -> int:
    """Return the number of tiles along a side whose outputs cover a picture."""
    return -(-picture // output(tile))


SIDE, TILE = 284, 252
"""The picture of the drawing, and the tile that its network takes: both small, so that pixels can be seen."""


@cache
def overlap_tile() -> str:
    """Draw a picture with its mirrored border, and the tiles whose outputs cover it."""
    shown = next(synthetic_cells(1, seed=5, sizes=[(SIDE, SIDE)])).image
    out, around = output(TILE), border(TILE).before
    count = tiles_needed(SIDE, TILE)
    last = count * out + 2 * around
    span = slice(-around, last - around)
    places = mirrored(span, SIDE)
    extended: Pixels = shown[np.ix_(places, places)]
    unit = 560.0 / last
    canvas = Canvas()
    canvas.text(0, -14, f"input: a picture of {SIDE} x {SIDE} pixels, with mirrored pixels around it", HEADING)
    paste(canvas, (extended // 2 + 60).astype(np.uint8), Box(0, 0, last * unit, last * unit))
    paste(canvas, shown, Box(around * unit, around * unit, SIDE * unit, SIDE * unit))
    for row in range(count):
        for column in range(count):
            at = Box((around + column * out) * unit, (around + row * out) * unit, out * unit, out * unit)
            outline(canvas, at, _OUTPUT, 1.4)
    row, column = 1, 1
    outline(canvas, Box(column * out * unit, row * out * unit, TILE * unit, TILE * unit), _INPUT, 3)
    inner = Box((around + column * out) * unit, (around + row * out) * unit, out * unit, out * unit)
    outline(canvas, inner, _KEPT, 3)
    x = last * unit + 24
    for k, (colour, words) in enumerate(
        (
            (_INPUT, f"input of one tile: {TILE} x {TILE}"),
            (_KEPT, f"output of this tile: {out} x {out}"),
            (_OUTPUT, f"outputs of all {count * count} tiles: they do not overlap"),
        )
    ):
        outline(canvas, Box(x, 20 + 30 * k, 16, 16), colour, 3)
        canvas.text(x + 24, 33 + 30 * k, words, CAPTION)
    canvas.text(x, 130, f"{around} pixels are read on every side of an output,", CAPTION)
    canvas.text(x, 148, "so the inputs of neighbouring tiles overlap.", CAPTION)
    title = "Overlap-tile: inputs of tiles overlap, their outputs cover the picture once; beyond it pixels are mirrored"
    return picture("overlap-tile", canvas.document(title, note=title), title)


@cache
def seam(apart: int) -> str:
    """Return the largest difference between the scores of tiles and those of one large input, as a share of these.

    The share is of the standard deviation of the scores. The network is the plain U-Net with 4 maps in the first
    stage, with random weights as in the paper, in float64; the picture has 572 pixels, and the tiles 252.

    Parameters
    ----------
    apart: pixels from one tile to the next.
    """
    network = _random_network()
    made = next(synthetic_cells(1, seed=5, sizes=[(PAPER, PAPER)])).image.astype(np.float64)
    image = torch.from_numpy((made - made.mean()) / made.std())[None, None]
    out, worst = output(TILE), 0.0
    with torch.no_grad():
        whole = network(image)
        for start in range(0, output(PAPER) - out + 1, apart):
            tile = network(image[:, :, start : start + TILE, start : start + TILE])
            worst = max(worst, float((tile - whole[:, :, start : start + out, start : start + out]).abs().max()))
    share = 100 * worst / float(whole.std())
    return "0" if share < 1e-9 else f"{share:.0f}"


def _random_network() -> PlainUNet:
    network = PlainUNet(width=4).double().eval()
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            inputs = module.weight[0].numel()  # as the paper counts: 9 times 64 for a 3 x 3 convolution of 64 maps
            with torch.no_grad():
                module.weight.normal_(0, (2 / inputs) ** 0.5, generator=random)
                torch.nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return network


def copy_and_crop() -> str:
    """Draw the encoder's map of one stage, the part that is kept, and the decoder's map, in the paper's numbers."""
    sizes = {each.what: each.size for each in walk(PAPER)}
    made, kept = sizes["convolution 2, down 4"], sizes["up-convolution 4"]
    cut = centre_crop(made, kept).before
    unit = 3.6
    canvas = Canvas()
    label = TextStyle(size=12)
    canvas.box(Box(0, 0, made * unit, made * unit), "#dbe7f3")
    canvas.box(Box(cut * unit, cut * unit, kept * unit, kept * unit), "#5b93c9")
    canvas.text(made * unit / 2, -12, f"input 1: encoder, stage 4, {made} x {made}, 512 maps", label)
    canvas.text(made * unit / 2, made * unit / 2 + 4, f"the middle {kept} x {kept}", label)
    canvas.text(made * unit / 2, cut * unit - 3, f"{cut} pixels are cut on each side", TextStyle(size=10))
    left = made * unit + 74
    canvas.box(Box(left, cut * unit, kept * unit, kept * unit), "#e08a3c")
    canvas.text(left + kept * unit / 2, -12, f"input 2: up-convolution, {kept} x {kept}, 512 maps", label)
    right = left + kept * unit + 74
    canvas.box(Box(right, cut * unit, kept * unit, kept * unit), "#5b93c9")
    canvas.box(Box(right + 16, cut * unit + 16, kept * unit, kept * unit), "#e08a3c")
    canvas.text(right + 8 + kept * unit / 2, -12, f"output: {kept} x {kept}, 1024 maps, one behind the other", label)
    middle = made * unit / 2
    canvas.text(made * unit + 37, middle + 5, "and", TextStyle(size=14))
    canvas.arrow(f"M{left + kept * unit + 10:.0f} {middle:.0f}H{right - 8:.0f}", "#1f2430")
    title = f"Copy and crop: the middle {kept} x {kept} of {made} x {made} maps is joined with the upsampled maps"
    return picture("copy-and-crop", canvas.document(title, note=title), title)


def refusal(command: str) -> str:
    """Return what unpool answers to a command with a mistake."""
    return refused(command)

"""What the lesson "FCN, U-Net, FusionNet" measures and computes: the same pictures, and what each network changed."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from lessons import measured
from lessons.measured import Measurement
from lessons.pages import in_language, in_words, picture
from lessons.panels import CAPTION, HEADING, Panel, strip, table
from lessons.panels import refusal as refused
from lessons.short_training import Task, cells, compared, score_table
from unpool.geometry import Grid, Layer, Transposed, Window, crop_offset, grid
from unpool.nets.blocks import bilinear_kernel
from unpool.nets.explain.explanation import explain
from unpool.nets.explain.records import Explanation
from unpool.nets.families import network_of
from unpool.nets.fcn import FCNStructure
from unpool.nets.named import FUSIONNET, NAMED_NETS, UNET, changed
from unpool.nets.network import NetworkStructure
from unpool.report.drawing import INK, Box, Canvas, TextStyle
from unpool.report.pictures import error_picture, overlay

SMALL: dict[str, NetworkStructure] = {
    "unet": changed(UNET, width=8),
    "fcn-32s": FCNStructure(prediction_stride=32, width=8, norm="batch"),
    "fcn-8s": FCNStructure(prediction_stride=8, width=8, norm="batch"),
    "fusionnet": changed(FUSIONNET, width=8),
}
"""The networks with an eighth of their papers' maps; FCN with batch normalisation, which the others have here too."""

SHOWN = 2
"""The tested picture that the page shows."""


def task() -> Task:
    """Return the training of every network."""
    return Task(trained=cells(24, seed=1), tested=cells(8, seed=2), steps=60)


def measure() -> Measurement:
    """Train each network three times, and score it."""
    made = compared({name: (structure, task()) for name, structure in SMALL.items()}, SHOWN)
    return Measurement({"seconds": made.seconds, "rows": made.rows}, made.predictions)


class Placed(NamedTuple):
    """One layer of FCN: its name, how the place of its first pixel follows, its step, and the crop if there is one."""

    name: str
    place: str
    step: int
    crop: str = ""


def places(prediction_stride: int = 8, padding: int = 100) -> list[Placed]:
    """Return where pixel 0 of each map of an FCN lies on the picture, along one axis, and the crops that follow.

    The places are those of ``unpool.geometry.grid``; the crops are compared with the network's own.
    """
    found: list[Placed] = []
    pools: dict[int, Grid] = {}
    here = _add(found, Grid(), "conv1_1", Window(3, before=padding, after=padding))
    for stage in range(1, 6):
        here = _add(found, here, f"pool{stage}", Window(2, 2, rounding="ceil"))
        pools[stage] = here
    here = _add(found, here, "fc6", Window(7))
    crops = []
    for pool, name in {32: (), 16: ((4, "upscore2"),), 8: ((4, "upscore2"), (3, "upscore_pool4"))}[prediction_stride]:
        here = _add(found, here, name, Transposed(Window(4, 2)))
        crops.append(crop_offset(pools[pool], here))
        cut = f"({_number(here.first)} − {_negative(pools[pool].first)}) / {here.step} = {crops[-1]}, of pool{pool}"
        found[-1] = found[-1]._replace(crop=cut)
    last = "upscore" if prediction_stride == 32 else f"upscore{prediction_stride}"
    here = _add(found, here, last, Transposed(Window(2 * prediction_stride, prediction_stride)))
    crops.append(int(-here.first))
    found[-1] = found[-1]._replace(crop=f"0 − {_negative(here.first)} = {crops[-1]}, of the output")
    if padding == 100:
        assert tuple(crops) == FCNStructure(prediction_stride=prediction_stride).crops
    return found


def _add(found: list[Placed], before: Grid, name: str, layer: Layer) -> Grid:
    after = grid([layer], before)
    moved = layer.offset * before.step
    sign = "+" if moved >= 0 else "−"
    place = f"{_number(before.first)} {sign} {_number(abs(moved))} = {_number(after.first)}"
    found.append(Placed(name, place, int(after.step)))
    return after


def _number(value: Fraction) -> str:
    return f"{float(value):g}".replace("-", "−")


def _negative(value: Fraction) -> str:
    return f"({_number(value)})" if value < 0 else _number(value)


def placed() -> str:
    """Return the places of FCN-8s as a table."""
    head = in_language("| layer | pixel 0 lies at | pixels apart | crop |", "| 层 | 第 0 个像素位置 | 间距 | 裁剪量 |")
    chinese = {", of the output": "，裁输出", ", of ": "，裁 "}
    rows = [f"| {each.name} | {each.place} | {each.step} | {in_words(each.crop, chinese)} |" for each in places()]
    return "\n".join([head, "|---|--:|--:|--:|", *rows])


def crop_list() -> str:
    """Return the crops of the three FCNs as a table, each with the sum of the last."""
    rows = []
    for stride in (32, 16, 8):
        numbers = FCNStructure(prediction_stride=stride).crops
        rows.append((f"FCN-{stride}s", ", ".join(map(str, numbers)), places(stride)[-1].place))
    last = in_language("pixel 0 of the last deconvolution", "最后一个转置卷积的第 0 个像素")
    return table((in_language("network", "网络"), in_language("crops", "裁剪量"), last), rows)


def short_output(padding: int, prediction_stride: int = 32) -> int:
    """Return the pixels at each edge that the last deconvolution does not reach, with this padding in conv1_1."""
    return -int(places(prediction_stride, padding)[-1].crop.split(" = ")[1].split(",")[0])


def fcn_sizes(size: int = 500) -> str:
    """Return the sizes of FCN-8s for a picture of ``size`` pixels, step by step."""
    rows = [("picture", "", size)]
    now = size + 198
    rows.append(("conv1_1, padding 100", f"{size} + 100 + 100 − 2", now))
    pools = {}
    for stage in range(1, 6):
        rows.append((f"pool{stage}", f"⌈{now} / 2⌉", -(-now // 2)))
        now = pools[stage] = -(-now // 2)
    rows.append(("fc6, 7 x 7", f"{now} − 6", now - 6))
    now -= 6
    for name, pool, cut in (("upscore2", 4, 5), ("upscore_pool4", 3, 9)):
        rows.append((name, f"2 · ({now} − 1) + 4", 2 * now + 2))
        now = 2 * now + 2
        rows.append((f"score_pool{pool}, cropped", f"from {pools[pool]}, {cut} cut before", now))
    rows.append(("upscore8", f"8 · ({now} − 1) + 16", 8 * now + 8))
    now = 8 * now + 8
    rows.append(("output, cropped", f"from {now}, 31 cut before", size))
    lines = [in_language("| layer | sum | size |", "| 层 | 算式 | 尺寸 |"), "|---|--:|--:|"]
    chinese = {
        "picture": "图片",
        "output": "输出",
        ", padding": "，填充",
        ", 7": "，7",
        ", cropped": "，裁剪后",
        "from ": "由 ",
        ", 5 cut before": "，前面裁掉 5",
        ", 9 cut before": "，前面裁掉 9",
        ", 31 cut before": "，前面裁掉 31",
    }
    return "\n".join([*lines, *(in_words(f"| {a} | {b} | {c} |", chinese) for a, b, c in rows)])


def smallest_with(padding: int) -> int:
    """Return the smallest picture for which fc6 has 7 pixels of pool5."""
    size = 1
    while True:
        now = size + 2 * padding - 2
        for _ in range(5):
            now = -(-now // 2)
        if now >= 7:
            return size
        size += 1


PAPERS = ("fcn-8s", "unet-2015", "fusionnet")


@cache
def facts(name: str) -> Explanation:
    """Return the counts of a network of a paper for a grey picture near 512 x 512 and two classes."""
    structure = NAMED_NETS[name].structure
    side = structure.legal_size(512)
    with torch.device("meta"):
        network = network_of(structure, 1, 2)
    return explain(network, (side, side), name)


def compared_counts() -> str:
    """Return the counts of the three papers' networks as a table."""
    rows = []
    for name in PAPERS:
        each = facts(name)
        rows.append(
            (
                name,
                f"{each.size[0]} x {each.size[1]}",
                f"{each.output[0]} x {each.output[1]}",
                sum(layer.kernel is not None and layer.parameters > 0 for layer in each.layers),
                f"{each.parameters / 1e6:.1f} M",
                f"{each.multiply_adds / each.output[0] / each.output[1] / 1e6:.2f} M",
                each.receptive_field,
                f"{each.skip_bytes / 1e6:.1f} MB",
            )
        )
    head = (
        in_language("network", "网络"),
        in_language("input", "输入"),
        in_language("output", "输出"),
        in_language("convolutions", "卷积数"),
        in_language("parameters", "参数量"),
        in_language("products per output pixel", "每个输出像素的乘法次数"),
        in_language("field", "感受野"),
        in_language("skips", "跳跃连接"),
    )
    return table(head, rows)


def layer_parameters(name: str, layers: tuple[str, ...]) -> int:
    """Return the parameters of some layers of a paper's network."""
    return sum(each.parameters for each in facts(name).layers if each.name in layers)


def first_of_decoder(skip: str) -> str:
    """Return the weights of the first convolution of U-Net's decoder stage 4, joined by ``concat`` or ``add``."""
    widths = NAMED_NETS["unet-2015"].structure.widths  # type: ignore[attr-defined]
    inputs = widths[3] * (2 if skip == "concat" else 1)
    return f"{9 * inputs * widths[3]:,}"


TITLES = {"fcn-32s": "FCN-32s", "fcn-8s": "FCN-8s", "unet": "U-Net", "fusionnet": "FusionNet"}


def results() -> str:
    """Return the measured scores: the mean of three trainings, and the lowest and highest."""
    return score_table(measured.numbers("three_networks")["rows"], TITLES, in_language("network", "网络"))


def average(name: str, score: str) -> float:
    """Return the mean of a measured score of a network."""
    return measured.mean_of("three_networks", name, score)


@cache
def outputs() -> str:
    """Draw one tested picture, its mask, and the wrong pixels of the four networks."""
    shown = cells(8, seed=2)[SHOWN]
    panels = [
        Panel("input picture", shown.image[..., 0]),
        Panel("the mask that is wanted", overlay(shown.image, shown.labels, [(0, 0, 0), (80, 170, 255)])),
    ]
    for name, title in TITLES.items():
        found = (measured.labels(f"three_networks-{name}") > 0).astype(np.uint8)
        panels.append(Panel(f"output: {title}", error_picture(shown.labels, found)))
    words = "One picture through four networks: grey is right, red is a false cell, yellow a missed one"
    return strip("three-networks", panels, words, in_row=3, side=220)


def two_blocks() -> str:
    """Draw a stage of U-Net and a stage of FusionNet beside each other, with the way around the residual."""
    canvas = Canvas()
    for k, (title, count) in enumerate((("a stage of U-Net", 2), ("a stage of FusionNet", 5))):
        y = 110.0 * k
        canvas.text(0, y, title, HEADING)
        canvas.text(0, y + 46, "input", CAPTION)
        x = 50.0
        for number in range(1, count + 1):
            canvas.arrow(f"M{x - 14:.0f} {y + 42:.0f}H{x + 4:.0f}", INK, width=1.2)
            canvas.box(Box(x + 6, y + 26, 78, 32), "#dbe7f3")
            canvas.text(x + 45, y + 46, "3 x 3 conv", TextStyle(size=11))
            x += 102
            if count == 5 and number == 4:
                canvas.arrow(f"M{x - 18:.0f} {y + 42:.0f}H{x - 2:.0f}", INK, width=1.2)
                canvas.sum(x + 6, y + 42)
                start = 50 + 94.0
                canvas.arrow(f"M{start:.0f} {y + 42:.0f}V{y + 76:.0f}H{x + 6:.0f}V{y + 51:.0f}", "#cf4a55", width=1.6)
                canvas.text((start + x) / 2, y + 90, "the input of the three, added", TextStyle(size=11))
                x += 28
        canvas.arrow(f"M{x - 14:.0f} {y + 42:.0f}H{x + 4:.0f}", INK, width=1.2)
        canvas.text(x + 10, y + 46, "output", CAPTION)
    canvas.reach(0, 210)
    title = "A stage of U-Net has two convolutions; one of FusionNet has five, with a sum around the middle three"
    return picture("two-blocks", canvas.document(title, note=title), title)


def bilinear_row(stride: int) -> str:
    """Return one row of the fixed kernel of a deconvolution with this stride: the whole is this row times itself."""
    kernel = bilinear_kernel(2 * stride)
    row = kernel[stride] / kernel[stride].sum() * stride
    assert torch.allclose(torch.outer(row, row), kernel)
    return ", ".join(f"{value:g}" for value in row.tolist())


def refusal(command: str) -> str:
    """Return what unpool answers to a command with a mistake."""
    return refused(command)

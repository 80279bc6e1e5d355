"""What the lesson "Augmentation, seen" draws and computes: each change on a picture and its mask, the elastic field."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from lessons import measured
from lessons.few_pictures import AUGMENTATIONS
from lessons.pages import in_language, in_words, picture
from lessons.panels import HEADING, NOTE, Pixels, line, outline, paste, table
from lessons.panels import refusal as refused
from lessons.short_training import cells, score_table
from unpool.commands.train.preparation import suited_settings
from unpool.commands.train.size_choice import TRAINING_SIZES
from unpool.config.augmentation_words import augmentation_words
from unpool.config.schema import AugmentationSettings
from unpool.data.augmentation import Augmentation, Crop, Field, augmented_crop, crop_field
from unpool.data.samples import Sample
from unpool.data.training_normalisation import training_normalisation
from unpool.normalisation import Normalisation
from unpool.report.drawing import Box, Canvas, TextStyle
from unpool.report.pictures import displayable, overlay

SIDE = 96
"""Pixels of the crops that are drawn, along one side."""

PAPERS_ELASTIC, PAPERS_POINTS = 10.0, 3
"""Standard deviation in pixels and points along a side of the elastic deformation in U-Net's paper."""

_NOTHING = Augmentation().none()
_GRID = "#ff5a3c"
_COLOURS = [(0, 0, 0), (80, 170, 255)]


class Change(NamedTuple):
    """A change to look at: its caption, its limits, and the seed of the draw that is shown."""

    caption: str
    limits: Augmentation
    seed: int
    shift: tuple[float, float] = (0.0, 0.0)


CHANGES = (
    Change("unchanged", _NOTHING, 0),
    Change("shift: 30 pixels down, 25 right", _NOTHING, 0, (30.0, 25.0)),
    Change("mirror: left to right", replace(_NOTHING, flip_columns=True), 1),
    Change("rotation", replace(_NOTHING, rotation=180.0), 5),
    Change("scale", replace(_NOTHING, scale=0.5), 3),
    Change("elastic: 3 x 3 points, 10 pixels", replace(_NOTHING, elastic=PAPERS_ELASTIC, elastic_points=3), 1),
    Change("contrast and brightness", replace(_NOTHING, contrast=0.6, brightness=0.6), 6),
    Change("noise", replace(_NOTHING, noise=0.6), 6),
)


def _sample() -> Sample:
    return cells(1, seed=3)[0]


def _normalisation(sample: Sample) -> Normalisation:
    return training_normalisation([sample], 1)


def _centre(sample: Sample) -> tuple[float, float]:
    return (sample.labels.shape[0] - 1) / 2, (sample.labels.shape[1] - 1) / 2


def fields(change: Change, side: int = SIDE) -> tuple[Field, Field]:
    """Return the row and the column of the picture for every pixel of a crop."""
    sample = _sample()
    row, column = _centre(sample)
    place = row + change.shift[0], column + change.shift[1]
    random = np.random.default_rng(change.seed)
    return crop_field(sample.labels, Crop(side, side), change.limits, random, place)


def cut(change: Change, side: int = SIDE) -> tuple[Pixels, Pixels]:
    """Return the crop as a picture, and with its mask over it: uint8 (rows, columns, 3)."""
    sample = _sample()
    row, column = _centre(sample)
    place = row + change.shift[0], column + change.shift[1]
    constants = _normalisation(sample)
    random = np.random.default_rng(change.seed)
    made = augmented_crop(sample, Crop(side, side), change.limits, constants, random, place)
    values = constants.undo(np.moveaxis(made.image.numpy(), 0, -1), "uint8")
    shown = displayable(np.clip(np.rint(values), 0, 255).astype(np.uint8), None)
    return shown, overlay(shown, made.labels.numpy().astype(np.uint8), _COLOURS, levels=None)


@cache
def changes() -> str:
    """Draw every change: the grid on the input picture, the output picture, the output mask."""
    sample = _sample()
    size, side = sample.labels.shape[0], 176.0
    canvas = Canvas()
    for k, change in enumerate(CHANGES):
        x, y = (k % 4) * (side + 26), (k // 4) * 380.0
        canvas.text(x, y, change.caption, TextStyle(size=12, anchor="start", bold=True))
        canvas.text(x, y + 18, "input: picture and grid", NOTE)
        paste(canvas, sample.image[..., 0], Box(x, y + 24, side, side))
        _draw_grid(canvas, fields(change), Box(x, y + 24, side, side), side / size)
        half = (side - 8) / 2
        canvas.text(x, y + 24 + side + 18, "output: picture", NOTE)
        canvas.text(x + half + 8, y + 24 + side + 18, "output: mask", NOTE)
        for n, pixels in enumerate(cut(change)):
            paste(canvas, pixels, Box(x + n * (half + 8), y + 48 + side, half, half))
    title = "Eight changes: the grid by which each crop is read, the crop of the picture and the crop of the mask"
    return picture("augmentation-changes", canvas.document(title, note=title), title)


def _draw_grid(canvas: Canvas, places: tuple[Field, Field], at: Box, unit: float, cells_along: int = 6) -> None:
    rows, columns = places
    count = len(rows) - 1
    for k in range(cells_along + 1):
        number = round(k * count / cells_along)
        for r, c in ((rows[number], columns[number]), (rows[:, number], columns[:, number])):
            points = [(at.x + (b + 0.5) * unit, at.y + (a + 0.5) * unit) for a, b in zip(r[::4], c[::4], strict=True)]
            points.append((at.x + (float(c[-1]) + 0.5) * unit, at.y + (float(r[-1]) + 0.5) * unit))
            line(canvas, points, _GRID, 1.6 if k in (0, cells_along) else 0.8)


def bend(seed: int = 1, side: int = SIDE) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the displacement of every pixel of a crop by the paper's field, rows and columns."""
    change = Change("", replace(_NOTHING, elastic=PAPERS_ELASTIC, elastic_points=PAPERS_POINTS), seed)
    bent, straight = fields(change, side), fields(CHANGES[0], side)
    return bent[0] - straight[0], bent[1] - straight[1]


def vectors() -> str:
    """Return the nine random displacements of the drawing as a table: rows and columns, in pixels."""
    down, across = bend()
    at = [0, (SIDE - 1) // 2, SIDE - 1]
    downwards = (in_language("top", "上"), in_language("middle", "中"), in_language("bottom", "下"))
    rows = [
        (name, *(f"{down[r, c]:+.1f}, {across[r, c]:+.1f}".replace("-", "−") for c in at))
        for name, r in zip(downwards, at, strict=True)
    ]
    sides = (in_language("left", "左"), in_language("middle", "中"), in_language("right", "右"))
    return table((in_language("point (down, right)", "格点（down, right）"), *sides), rows)


@cache
def field_drawing() -> str:
    """Draw the nine vectors, the bent grid on the picture, and the crop that is read by it."""
    sample = _sample()
    size, side = sample.labels.shape[0], 270.0
    unit = side / size
    canvas = Canvas()
    down, across = bend()
    straight, change = fields(CHANGES[0]), CHANGES[5]
    canvas.text(0, -10, "1. nine random vectors", HEADING)
    paste(canvas, sample.image[..., 0], Box(0, 0, side, side))
    _draw_grid(canvas, straight, Box(0, 0, side, side), unit, 2)
    for r in (0, (SIDE - 1) // 2, SIDE - 1):
        for c in (0, (SIDE - 1) // 2, SIDE - 1):
            x, y = (float(straight[1][r, c]) + 0.5) * unit, (float(straight[0][r, c]) + 0.5) * unit
            canvas.arrow(
                f"M{x:.1f} {y:.1f}L{x + float(across[r, c]) * unit:.1f} {y + float(down[r, c]) * unit:.1f}", "#ffe66d"
            )
    canvas.text(side + 26, -10, "2. every pixel moves smoothly", HEADING)
    paste(canvas, sample.image[..., 0], Box(side + 26, 0, side, side))
    _draw_grid(canvas, fields(change), Box(side + 26, 0, side, side), unit, 8)
    canvas.text(2 * (side + 26), -10, "3. output: picture and mask", HEADING)
    half = (side - 8) / 2
    for n, pixels in enumerate(cut(change)):
        paste(canvas, pixels, Box(2 * (side + 26), n * (half + 8), half, half))
    canvas.text(0, side + 18, "input picture, crop with 3 x 3 points", NOTE)
    canvas.text(side + 26, side + 18, "input picture, the crop's bent grid", NOTE)
    title = "The elastic field: nine random vectors, the grid that they bend, and the crop read by this grid"
    return picture("augmentation-elastic", canvas.document(title, note=title), title)


def rotated(angle: float, row: float, column: float) -> tuple[float, float]:
    """Return where a crop's pixel, counted from the crop's middle, is read, from the picture's place of the middle."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return cosine * row - sine * column, sine * row + cosine * column


def rotation_sums(angle: float = 30.0) -> str:
    """Return the places at which some pixels of a rotated crop are read, with their sums."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    rows = []
    for row, column in ((0, 0), (10, 0), (0, 10), (-10, 10)):
        r, c = rotated(angle, row, column)
        rows.append(
            (
                f"({row}, {column})".replace("-", "−"),
                f"{cosine:.3f} · {row} − {sine:.3f} · {column} = {r:.2f}".replace("-", "−"),
                f"{sine:.3f} · {row} + {cosine:.3f} · {column} = {c:.2f}".replace("-", "−"),
            )
        )
    head = (
        in_language("pixel of the crop (down, right)", "裁剪块的像素（down, right）"),
        in_language("row in the picture", "原图中的行"),
        in_language("column in the picture", "原图中的列"),
    )
    return table(head, rows)


def between() -> str:
    """Return what a place between four pixels gives: the picture's mean by distance, and the mask's nearest pixel."""
    grey, mask = np.array([[40.0, 80.0], [120.0, 160.0]]), np.array([[0.0, 0.0], [2.0, 2.0]])
    row, column = 0.75, 0.25
    weights = np.outer([1 - row, row], [1 - column, column])
    place = torch.tensor([[[[2 * column - 1, 2 * row - 1]]]])
    rows = []
    for name, values in ((in_language("picture", "图片"), grey), (in_language("mask", "掩码"), mask)):
        made = F.grid_sample(torch.tensor(values)[None, None].float(), place.float(), align_corners=True)
        total = float((weights * values).sum())
        assert abs(float(made) - total) < 1e-4
        terms = " + ".join(f"{w:.4g} · {v:g}" for w, v in zip(weights.ravel(), values.ravel(), strict=True))
        nearest = values[round(row), round(column)]
        rows.append((name, f"{terms} = {total:g}", f"{nearest:g}"))
    head = in_language(
        "| | mean by distance (bilinear) | nearest pixel |", "| | 按远近加权的平均（双线性） | 最近的像素 |"
    )
    lines = [head, "|---|---|--:|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


DRAWS = 40
"""Random fields of which the share that folds is counted."""


@cache
def folded(elastic: float, side: int) -> float:
    """Return the share of random 3 x 3 fields that fold: somewhere neighbours of the crop lie in the wrong order.

    Every fourth row and column is looked at.
    """
    labels, centre = _sample().labels, _centre(_sample())
    limits = replace(_NOTHING, elastic=elastic, elastic_points=PAPERS_POINTS)
    count = 0
    for seed in range(DRAWS):
        rows, columns = crop_field(labels, Crop(side, side), limits, np.random.default_rng(seed), centre)
        r, c = rows[::4, ::4], columns[::4, ::4]
        area = np.diff(r, axis=0)[:, 1:] * np.diff(c, axis=1)[1:] - np.diff(r, axis=1)[1:] * np.diff(c, axis=0)[:, 1:]
        count += bool((area <= 0).any())
    return count / DRAWS


def folds() -> str:
    """Return how often the field folds, for some standard deviations, in crops of the drawing's size and larger."""
    rows = []
    for elastic in (4.0, PAPERS_ELASTIC, 40.0):
        shares = (f"{100 * folded(elastic, side):.0f} %" for side in (96, 256))
        rows.append((in_language(f"{elastic:g} pixels", f"{elastic:g} 个像素"), *shares))
    head = (
        in_language("standard deviation", "标准差"),
        in_language("crops of 96 x 96", "96 x 96 的裁剪块"),
        in_language("crops of 256 x 256", "256 x 256 的裁剪块"),
    )
    return table(head, rows)


@cache
def torn() -> str:
    """Draw the same crop read by fields of 4, 10 and 40 pixels."""
    sample = _sample()
    size, side = sample.labels.shape[0], 250.0
    canvas = Canvas()
    for k, elastic in enumerate((4.0, PAPERS_ELASTIC, 40.0)):
        change = Change("", replace(_NOTHING, elastic=elastic, elastic_points=PAPERS_POINTS), 1)
        x = k * (side + 26)
        canvas.text(x, -10, f"elastic={elastic:g} elastic_points=3", HEADING)
        paste(canvas, sample.image[..., 0], Box(x, 0, side, side))
        _draw_grid(canvas, fields(change), Box(x, 0, side, side), side / size, 8)
        outline(canvas, Box(x, 0, side, side), "#1f2430", 0.8)
        half = (side - 8) / 2
        for n, pixels in enumerate(cut(change)):
            paste(canvas, pixels, Box(x + n * (half + 8), side + 26, half, half))
        canvas.text(x, side + 18, "input above; output: picture and mask", NOTE)
    title = "Elastic fields of 4, 10 and 40 pixels on a crop of 96 x 96: the last one folds the picture over itself"
    return picture("augmentation-torn", canvas.document(title, note=title), title)


def words(short: bool = False, orientation: str = "free") -> str:
    """Return the lines of a training's plan about its augmentation, for free pictures of two classes."""
    chosen = suited_settings(orientation, 2, "set")["augmentation"]
    little = TRAINING_SIZES[orientation][0].settings["augmentation"] if short else {}
    given = AugmentationSettings(**{**chosen, **little})
    lines = [f"  {name:<15}{text}" for name, text in augmentation_words(given)]
    return "```text\nAugmentation\n" + "\n".join(lines) + "\n```"


TITLES = {
    "nothing": "nothing: crops are only cut out",
    "little": "mirror, contrast, brightness",
    "all": "all of it",
}
_CHINESE_TITLES = {
    "nothing: crops are only cut out": "不增强：只做裁剪",
    "mirror, contrast, brightness": "镜像、对比度、亮度",
    "all of it": "全部增强",
}


def results() -> str:
    """Return the measured scores of three augmentations."""
    assert set(TITLES) == set(AUGMENTATIONS)
    titles = {name: in_words(title, _CHINESE_TITLES) for name, title in TITLES.items()}
    return score_table(measured.numbers("few_pictures")["rows"], titles, in_language("augmentation", "数据增强"))


def average(name: str, score: str) -> float:
    """Return the mean of a measured score with an augmentation."""
    return measured.mean_of("few_pictures", name, score)


def refusal(command: str) -> str:
    """Return what unpool answers to a command with a mistake."""
    return refused(command)

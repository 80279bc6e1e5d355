"""What padding costs at a border, measured: one network with zeros, one without, trained on the same pixels.

python -m lessons.borders        # train both again, three times; four minutes on two cores
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lessons import measured
from lessons.measured import Measurement
from lessons.pages import in_language, picture
from lessons.plain_loop import train
from unpool.data.synthetic import separated_mask, synthetic_cells
from unpool.nets.families import network_of
from unpool.nets.named import UNET, changed
from unpool.report.drawing import PALE, Box, Canvas, TextStyle

SIDE, TILE, CROP, BATCH = 192, 64, 128, 8
"""Pixels of the side of a picture, of a tile and of a crop; crops of a batch."""
TRAINED, TESTED, SEEDS = 24, 24, 3
"""Pictures that are trained on, other pictures that are tested on, and trainings of each network."""
EPOCHS, STEPS, RATE = 6, 40, 3e-3
"""Epochs, steps of an epoch and learning rate of a training."""
STRUCTURES = {
    "same": changed(UNET, width=8, depth=2),
    "valid": changed(UNET, width=8, depth=2, padding="valid"),
}
LOST = 20
"""Pixels that the network without zeros loses on each side: 2 + 4 + 8 + 4 + 2."""
BANDS = ((0, 1), (2, 3), (4, 7), (8, 15), (16, 31))
"""Distances from a border, in pixels, first and last: 0 is the outermost pixel."""

Pictures = NDArray[np.float32]
Classes = NDArray[np.int64]


@cache
def pictures(count: int, seed: int) -> tuple[Pictures, Classes]:
    """Return made pictures of cells, normalised, and their labels 0 and 1; both (count, 192, 192)."""
    drawn = list(synthetic_cells(count, seed, sizes=((SIDE, SIDE),)))
    pixels = np.stack([each.image for each in drawn]).astype(np.float32)
    labels = np.stack([separated_mask(each.instances) > 0 for each in drawn]).astype(np.int64)
    return ((pixels - 60) / 45).astype(np.float32), labels


def mirrored(values: NDArray[Any], pixels: int) -> NDArray[Any]:
    """Return pictures (N, rows, columns) continued by their mirror image on each side."""
    return np.pad(values, ((0, 0), (pixels, pixels), (pixels, pixels)), mode="reflect")


def batches(lost: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of random crops whose middle is 128 x 128; ``lost`` more pixels on each side are their context."""
    images, labels = (mirrored(each, lost) for each in pictures(TRAINED, seed=1))
    random = np.random.default_rng(seed)
    side = CROP + 2 * lost
    for _ in range(STEPS):
        crops = []
        for _ in range(BATCH):
            number = random.integers(TRAINED)
            top, left = random.integers(SIDE - CROP + 1, size=2)
            quarter, mirror = random.integers(4), random.integers(2)
            rows, columns = slice(top, top + side), slice(left, left + side)
            sheets: list[NDArray[Any]] = [each[number, rows, columns] for each in (images, labels)]
            crops.append([np.rot90(sheet.T if mirror else sheet, int(quarter)).copy() for sheet in sheets])
        yield (
            torch.from_numpy(np.stack([image for image, _ in crops])[:, None]),
            torch.from_numpy(np.stack([label for _, label in crops])),
        )


@torch.no_grad()
def logits(network: nn.Module, images: Pictures) -> NDArray[np.float32]:
    """Return the logits (N, 2, rows, columns) of pictures (N, rows, columns)."""
    network.eval()
    parts = [network(torch.from_numpy(images[k : k + 4].copy())[:, None]) for k in range(0, len(images), 4)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def tiled(network: nn.Module, images: Pictures, lost: int) -> NDArray[np.float32]:
    """Return the logits of pictures that are predicted tile by tile, each tile alone, and put together again."""
    context = mirrored(images, lost)
    whole = np.empty((len(images), 2, SIDE, SIDE), dtype=np.float32)
    for top in range(0, SIDE, TILE):
        for left in range(0, SIDE, TILE):
            cut = context[:, top : top + TILE + 2 * lost, left : left + TILE + 2 * lost]
            whole[:, :, top : top + TILE, left : left + TILE] = logits(network, cut)
    return whole


def distances() -> dict[str, NDArray[np.int64]]:
    """Return for each pixel of a picture its distance from the picture's border and from the nearest inner tile border.

    Pixels nearer than 32 to the picture's border have no distance from a tile's border: -1.
    """
    place = np.arange(SIDE)
    outer = np.minimum(place, SIDE - 1 - place)
    inner = np.minimum(place % TILE, TILE - 1 - place % TILE)
    whole = np.minimum(outer[:, None], outer[None])
    tile = np.minimum(inner[:, None], inner[None])
    return {"picture": whole, "tile": np.where(whole < 32, -1, tile)}


def by_distance(wrong: NDArray[np.bool_], distance: NDArray[np.int64]) -> list[float]:
    """Return the share of wrong pixels (N, rows, columns) in each band of distances (rows, columns)."""
    return [float(wrong[:, (distance >= first) & (distance <= last)].mean()) for first, last in BANDS]


def measure() -> Measurement:
    """Train both networks with each seed, and keep the errors by distance from the border, as means over the seeds."""
    images, labels = pictures(TESTED, seed=2)
    far = distances()
    errors: dict[str, list[list[float]]] = {}
    differences: dict[str, float] = dict.fromkeys(STRUCTURES, 0.0)
    for seed in range(SEEDS):
        for name, structure in STRUCTURES.items():
            lost = LOST if name == "valid" else 0
            torch.manual_seed(seed)
            network = network_of(structure, 1, 2)
            epoch = iter(range(EPOCHS))
            train(network, lambda: batches(lost, 100 * seed + next(epoch)), EPOCHS, RATE)  # noqa: B023 - called here
            whole, pieces = logits(network, mirrored(images, lost)), tiled(network, images, lost)
            differences[name] = max(differences[name], float(np.abs(whole - pieces).max()))
            for how, made in (("whole", whole), ("tiles", pieces)):
                wrong = made.argmax(axis=1) != labels
                errors.setdefault(f"{name} {how}", []).append(by_distance(wrong, far["picture"]))
                errors.setdefault(f"{name} {how} inner", []).append(by_distance(wrong, far["tile"]))
                errors.setdefault(f"{name} {how} all", []).append([float(wrong.mean())])
    numbers = {
        "largest_difference": {name: float(f"{value:.2g}") for name, value in differences.items()},
        "errors": {name: [round(float(each), 5) for each in np.mean(rows, 0)] for name, rows in errors.items()},
        "each_seed": {name: np.round(rows, 5).tolist() for name, rows in errors.items()},
    }
    return Measurement(numbers, {})


SERIES = {
    "same whole": "picture",
    "valid whole": "picture",
    "same tiles inner": "tile",
    "valid tiles inner": "tile",
}
"""The measured errors that are shown, and the border from which their distance counts."""


def error(name: str, band: int = 0) -> str:
    """Return the share of wrong pixels in a band of distances, in per cent."""
    return f"{100 * measured.numbers('borders')['errors'][name][band]:.1f}"


def total(name: str) -> str:
    """Return the share of wrong pixels of all pixels, in per cent: ``same tiles``."""
    return error(f"{name} all")


def difference(name: str) -> str:
    """Return the largest difference of a logit between a picture in one piece and in tiles."""
    value = measured.numbers("borders")["largest_difference"][name]
    return f"{value:.1g}" if value < 0.001 else f"{value:.1f}"


def tile_cost() -> str:
    """Return how many times its own pixels a tile of the network without zeros reads."""
    return f"{((TILE + 2 * LOST) / TILE) ** 2:.1f}"


def table() -> str:
    """Return the errors by distance as a table."""
    lines = [
        in_language(
            "| pixels from the border | picture's border: zeros | picture's border: valid, mirrored "
            "| tile's border: zeros | tile's border: valid, overlap-tile |",
            "| 距边界的像素数 | 图片边界：补零 | 图片边界：valid、镜像 | 图块边界：补零 | 图块边界：valid、重叠切片 |",
        ),
        "|---|--:|--:|--:|--:|",
    ]
    for band, (first, last) in enumerate(BANDS):
        cells = [f"{error(name, band)} %" for name in SERIES]
        lines.append(f"| {first}–{last} | {' | '.join(cells)} |")
    every = [f"{total(name)} %" for name in ("same whole", "valid whole", "same tiles", "valid tiles")]
    lines.append(f"| {in_language('all pixels of the pictures', '图片的全部像素')} | {' | '.join(every)} |")
    return "\n".join(lines)


_COLOURS = {"same": "#c8323f", "valid": "#4a86c5"}
_TALL, _BAR = 150.0, 16.0


def chart() -> str:
    """Return the errors by distance as a picture of bars."""
    found = {name: [100 * value for value in measured.numbers("borders")["errors"][name]] for name in SERIES}
    most = max(max(values) for values in found.values())
    canvas = Canvas()
    wide = len(BANDS) * (2 * _BAR + 16)
    for panel, border in enumerate(("picture", "tile")):
        left = panel * (wide + 60)
        canvas.text(left, -14, f"wrong pixels, by distance from the {border}'s border", TextStyle(12, anchor="start"))
        names = [name for name in SERIES if SERIES[name] == border]
        for band, (first, last) in enumerate(BANDS):
            x = left + band * (2 * _BAR + 16)
            for k, name in enumerate(names):
                high = _TALL * found[name][band] / most
                canvas.box(Box(x + k * _BAR, _TALL - high, _BAR, high), _COLOURS[name.split()[0]])
                canvas.text(x + (k + 0.5) * _BAR, _TALL - high - 4, f"{found[name][band]:.1f}", TextStyle(8))
            canvas.text(x + _BAR, _TALL + 15, f"{first}–{last}", TextStyle(10))
        canvas.text(left + wide / 2, _TALL + 31, "pixels from the border", TextStyle(10, colour=PALE))
    for k, (name, words) in enumerate((("same", "zeros (same)"), ("valid", "valid, mirrored / overlap-tile"))):
        canvas.box(Box(k * 130, _TALL + 50, 12, 12), _COLOURS[name])
        canvas.text(k * 130 + 18, _TALL + 60, words, TextStyle(11, anchor="start"))
    words = in_language(
        "Bars of wrong pixels in per cent, by distance from the picture's border and from a tile's border",
        "错误像素百分比的条形图，按到图片边界的距离和到图块边界的距离",
    )
    return picture("padding-borders", canvas.document("Errors at borders", note="Lesson 1."), words)

"""Synthetic micrographs: touching cells under a fluorescence microscope, with exact ground truth.

Cells are smooth closed outlines (the radius is a short Fourier series of the angle) that touch in clumps. The
pictures have the difficulties of real micrographs: uneven light, cells of very different brightness, narrow gaps,
blurred objects out of focus that are not cells, shot noise and read noise. No single threshold separates the cells;
a small network does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.errors import UsageError
from unpool.io.files import write_text
from unpool.io.write.images import write_image
from unpool.shapes import Size

SIZES = ((160, 200), (192, 192), (177, 233), (208, 176), (181, 199))
"""Sizes (rows, columns) of the pictures, used in turn; some are odd, as real ones are."""

MARKER = ".unpool-synthetic"
"""Name of a hidden file in a folder of ``write_synthetic_set``; it holds the count and the seed of the set."""

_PHOTONS = 110.0  # photons of a pixel at brightness 1; they set the shot noise
_READ_NOISE = 0.012
_ATTEMPTS = 400  # places tried for each picture; most fail once the picture is full


@dataclass(frozen=True)
class SyntheticPicture:
    """One picture with its ground truth.

    Attributes
    ----------
    name: the number of the picture, from 00.
    image: uint8 of shape (rows, columns).
    instances: uint16 of shape (rows, columns): object numbers from 1 without gaps, 0 for background.
    """

    name: str
    image: NDArray[np.uint8]
    instances: NDArray[np.uint16]


@dataclass(frozen=True)
class _Outline:
    """A closed curve around ``centre``, at a distance of ``radius * (1 + Fourier series of the angle)``."""

    centre: tuple[float, float]
    radius: float
    cosines: NDArray[np.float64]
    sines: NDArray[np.float64]


def synthetic_cells(count: int, seed: int = 0, sizes: Sequence[Size] = SIZES) -> Iterator[SyntheticPicture]:
    """Yield pictures of touching cells.

    Parameters
    ----------
    count: number of pictures.
    seed: the same seed gives the same pictures; a picture does not depend on ``count``.
    sizes: (rows, columns) of the pictures, used in turn; at least 48 pixels on each side.
    """
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        instances = _pack_cells(sizes[number % len(sizes)], rng)
        yield SyntheticPicture(f"{number:02d}", _photograph(instances, rng), instances)


def separated_mask(instances: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return object numbers (rows, columns) as a uint8 mask of 0 and 255, with touching cells two pixels apart.

    A pixel that touches another cell, diagonally too, becomes background.
    """
    highest = ndimage.maximum_filter(instances, size=3)
    others = np.where(instances == 0, np.iinfo(np.uint16).max, instances)
    lowest = ndimage.minimum_filter(others, size=3)
    alone = (highest == instances) & (lowest == instances)
    return np.where(alone & (instances > 0), 255, 0).astype(np.uint8)


def write_synthetic_set(folder: Path, count: int, seed: int) -> None:
    """Write ``images/NN.png`` and ``masks/NN.png`` (0 background, 255 cell) under ``folder``.

    An incomplete set with the same count and seed is completed; no existing file is replaced.

    Raises
    ------
    UsageError: ``folder`` holds other files.
    """
    _claim(folder, f"{count} synthetic pictures, seed {seed}\n")
    for picture in synthetic_cells(count, seed):
        for kind, pixels in (("images", picture.image), ("masks", separated_mask(picture.instances))):
            path = folder / kind / f"{picture.name}.png"
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                write_image(path, pixels)


def _claim(folder: Path, description: str) -> None:
    marker = folder / MARKER
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", "a new or empty folder", "name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        write_text(marker, description)
    elif not marker.is_file() or marker.read_bytes() != description.encode():
        found = "another synthetic set" if marker.is_file() else f"'{min(p.name for p in folder.iterdir())}'"
        raise UsageError(
            f"{folder} already holds {found}",
            "a new or empty folder for the synthetic pictures",
            "name another folder, or move its files elsewhere",
        )


def _pack_cells(size: Size, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Place cells one by one, most of them next to an earlier one, until the picture is well filled."""
    instances = np.zeros(size, dtype=np.uint16)
    placed: list[_Outline] = []
    coverage = rng.uniform(0.28, 0.46)
    for _ in range(_ATTEMPTS):
        cell = _draw_outline(size, placed, rng)
        inside = _interior(cell, size)
        if _has_room(inside, instances):
            placed.append(cell)
            instances[inside & (instances == 0)] = len(placed)
        if np.count_nonzero(instances) > coverage * instances.size:
            break
    return _without_fragments(instances)


def _draw_outline(size: Size, placed: Sequence[_Outline], rng: np.random.Generator) -> _Outline:
    radius = float(rng.uniform(9, 16))
    centre = (float(rng.uniform(0, size[0])), float(rng.uniform(0, size[1])))
    if placed and rng.random() < 0.8:
        neighbour = placed[int(rng.integers(len(placed)))]
        angle = rng.uniform(0, 2 * np.pi)
        reach = (radius + neighbour.radius) * rng.uniform(0.9, 1.05)
        centre = (
            neighbour.centre[0] + float(reach * np.sin(angle)),
            neighbour.centre[1] + float(reach * np.cos(angle)),
        )
    # Orders 2 to 5: ellipse, triangle, square, pentagon; order 1 would only shift the centre.
    strength = np.array([0.13, 0.06, 0.03, 0.015])
    return _Outline(centre, radius, rng.normal(0, strength), rng.normal(0, strength))


def _interior(cell: _Outline, size: Size) -> NDArray[np.bool_]:
    down = np.arange(size[0])[:, None] - cell.centre[0]
    right = np.arange(size[1])[None, :] - cell.centre[1]
    inside = np.zeros(size, dtype=bool)
    near = np.ix_(np.abs(down[:, 0]) < 2 * cell.radius, np.abs(right[0]) < 2 * cell.radius)
    distance = np.hypot(down, right)[near]
    angle = np.arctan2(down, right)[near]
    orders = np.arange(2, 2 + cell.cosines.size)[:, None, None]
    waves = np.tensordot(cell.cosines, np.cos(orders * angle), 1) + np.tensordot(cell.sines, np.sin(orders * angle), 1)
    inside[near] = distance < cell.radius * np.clip(1 + waves, 0.4, 1.9)
    return inside


def _has_room(inside: NDArray[np.bool_], instances: NDArray[np.uint16]) -> bool:
    """Return whether enough of a cell is in the picture, and at most an eighth of it under other cells."""
    area = np.count_nonzero(inside)
    return bool(area > 120 and np.count_nonzero(inside & (instances > 0)) <= area / 8)


def _without_fragments(instances: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return only the largest connected piece of every cell, numbered from 1 without gaps."""
    kept = np.zeros_like(instances)
    for number in range(1, int(instances.max()) + 1):
        pieces, _ = ndimage.label(instances == number)
        kept[pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])] = number
    return kept


def _photograph(instances: NDArray[np.uint16], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the picture that a camera takes of the cells, uint8 (rows, columns)."""
    light = _illumination(instances.shape, rng)
    scene = 0.07 + _cell_light(instances, rng) + _out_of_focus(instances.shape, rng)
    focused = ndimage.gaussian_filter(scene * light, 0.7)
    noisy = rng.poisson(focused * _PHOTONS) / _PHOTONS + rng.normal(0, _READ_NOISE, instances.shape)
    return np.asarray(np.clip(np.round(noisy * 235), 0, 255), dtype=np.uint8)


def _cell_light(instances: NDArray[np.uint16], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the light of the cells: each has its own brightness, a soft edge, a bright rim and a mottled inside."""
    cells = int(instances.max())
    brightness = np.clip(rng.lognormal(np.log(0.38), 0.48, cells + 1), 0.13, 0.8)
    brightness[0] = 0
    depth = _depth(instances)
    edge = 1 - np.exp(-((depth / 1.2) ** 2))
    rim = 0.35 * np.exp(-(((depth - 3.5) / 1.6) ** 2))
    mottle = 1 + 0.20 * _grain(instances.shape, 2.2, rng) + 0.12 * _grain(instances.shape, 6, rng)
    spots = np.clip(_grain(instances.shape, 2.4, rng) - 1.7, 0, 1) * (depth > 5)
    inside = edge * (0.9 + rim) * np.clip(mottle, 0.3, 2) * (1 - 0.55 * spots)
    return np.asarray(brightness[instances] * inside)


def _depth(instances: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return the distance, in pixels, of every cell pixel to the nearest pixel outside its cell."""
    depth = np.zeros(instances.shape)
    for number, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:
            continue
        # A margin of one pixel, but none at the picture's border: a cell that is cut there has no rim there.
        around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        own = instances[around] == number
        depth[around] += ndimage.distance_transform_edt(own) * own
    return depth


def _grain(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw smooth noise of mean 0 and standard deviation 1, with features about ``scale`` pixels wide."""
    noise = ndimage.gaussian_filter(rng.normal(size=shape), scale)
    return np.asarray((noise - noise.mean()) / noise.std())


def _out_of_focus(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw haze: broad blurred objects above and below the plane of focus, as bright as dim cells."""
    rows, columns = np.indices(shape)
    haze = 0.03 * np.clip(1 + _grain(shape, 24, rng), 0, None)
    for _ in range(int(rng.integers(4, 8))):
        down = (rows - rng.uniform(0, shape[0])) / rng.uniform(9, 22)
        right = (columns - rng.uniform(0, shape[1])) / rng.uniform(9, 22)
        haze += rng.uniform(0.12, 0.4) * np.exp(-(down**2 + right**2) / 2)
    return np.asarray(haze)


def _illumination(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw uneven light: brightest at a random place, and about half as bright at the corner farthest from it."""
    down = np.linspace(0, 1, shape[0])[:, None] - rng.uniform(0.1, 0.9)
    right = np.linspace(0, 1, shape[1])[None, :] - rng.uniform(0.1, 0.9)
    distance = down**2 + right**2
    return np.asarray(1.08 - rng.uniform(0.45, 0.72) * distance / distance.max())

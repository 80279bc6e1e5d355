"""Augmentation: random crops, moved by one field of coordinates and then changed in their grey values.

Shift, flip, rotation, scale and elastic deformation are combined in one field, so that each pixel is interpolated
once. Pictures are interpolated bilinearly and mirrored beyond their edges. Labels are taken from the nearest pixel
and are ignored beyond the edges, so that no class appears where there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unpool.class_table import IGNORE_ID, Labels
from unpool.data.samples import Sample
from unpool.normalisation import Normalisation
from unpool.shapes import Size

Field = NDArray[np.float32]
"""A coordinate, in pixels, for each pixel of a crop."""

Place: TypeAlias = tuple[float, float]
"""Row and column in a picture, in pixels."""


@dataclass(frozen=True)
class Augmentation:
    """Limits of the random changes to training pictures. With all of them zero or False, crops are only cut out.

    The fields are also settings, whose meanings are in ``unpool.config.schema.AugmentationSettings``. Noise is a share
    of the crop's own deviation, so that faint pictures of a set with mixed brightness keep their detail.
    """

    flip_rows: bool = True
    flip_columns: bool = True
    quarter_turns: bool = False
    rotation: float = 180.0
    scale: float = 0.25
    elastic: float = 4.0
    elastic_points: int = 0
    contrast: float = 0.25
    brightness: float = 0.25
    noise: float = 0.1
    rare: float = 0.33

    def none(self) -> Augmentation:
        """Return an augmentation that changes nothing: crops are only cut out."""
        return Augmentation(
            flip_rows=False, flip_columns=False, rotation=0.0, scale=0.0, elastic=0.0, contrast=0.0, brightness=0.0,
            noise=0.0, rare=0.0,
        )  # fmt: skip


class Crop(NamedTuple):
    """The size of a training crop: a part with labels, and a margin of picture pixels around it.

    Attributes
    ----------
    rows, columns: of the part with labels.
    margin: pixels of the picture on every side of that part, which a network without padding takes away.
    """

    rows: int
    columns: int
    margin: int = 0

    def with_margin(self) -> Size:
        """Return rows and columns with the margin."""
        return self.rows + 2 * self.margin, self.columns + 2 * self.margin


class CroppedSample(NamedTuple):
    """One crop of a sample.

    Attributes
    ----------
    image: float32 (channels, rows + 2 * margin, columns + 2 * margin), normalised.
    labels: int64 (rows, columns); ``IGNORE_ID`` beyond the picture's edges.
    emphasis: float32 (rows, columns), 0 beyond the edges; None where the sample has none.
    """

    image: Tensor
    labels: Tensor
    emphasis: Tensor | None


ELASTIC_SPACING = 128
"""Pixels between the points of the elastic grid, where ``elastic_points`` is 0."""


def augmented_crop(
    sample: Sample,
    crop: Crop,
    augmentation: Augmentation,
    normalisation: Normalisation,
    random: np.random.Generator,
    centre: Place | None = None,
) -> CroppedSample:
    """Cut one crop out of a picture, at a random place and with random changes.

    Parameters
    ----------
    normalisation: of the picture, see ``Normalisation.of_picture``.
    centre: of the crop; None for a random place.
    """
    rows, columns = crop_field(sample.labels, crop, augmentation, random, centre)
    image = _vary_grey_values(_picture(sample, rows, columns, normalisation), augmentation, random)
    inner = np.s_[crop.margin : crop.margin + crop.rows, crop.margin : crop.margin + crop.columns]
    return CroppedSample(image, *_ground_truth(sample, rows[inner], columns[inner]))


def crop_field(
    labels: Labels, crop: Crop, augmentation: Augmentation, random: np.random.Generator, centre: Place | None = None
) -> tuple[Field, Field]:
    """Return the row and the column of the picture for every pixel of a crop with its margin.

    ``augmented_crop`` takes the same for a generator in the same state.
    """
    turns = int(random.integers(4)) if augmentation.quarter_turns else 0
    if turns % 2:
        crop = Crop(crop.columns, crop.rows, crop.margin)
    if centre is None:
        centre = _centre(labels, (crop.rows, crop.columns), augmentation.rare, random)
    rows, columns = _field(centre, crop.with_margin(), augmentation, random)
    return np.rot90(rows, turns), np.rot90(columns, turns)


def _centre(labels: Labels, size: Size, rare: float, random: np.random.Generator) -> Place:
    rows, columns = labels.shape
    if random.random() < rare:
        present = np.flatnonzero(np.bincount(labels.ravel())[:IGNORE_ID])
        if present.size:
            places = np.flatnonzero(labels == random.choice(present))
            row, column = divmod(int(random.choice(places)), columns)
            return _inside(row, rows, size[0]), _inside(column, columns, size[1])
    return _anywhere(rows, size[0], random), _anywhere(columns, size[1], random)


def _inside(place: float, length: int, crop: int) -> float:
    """Return a centre near ``place`` at which the crop is inside; the middle where the picture is smaller."""
    half = (crop - 1) / 2
    return (length - 1) / 2 if length <= crop else min(max(place, half), length - 1 - half)


def _anywhere(length: int, crop: int, random: np.random.Generator) -> float:
    return (length - 1) / 2 if length <= crop else (crop - 1) / 2 + float(random.integers(0, length - crop + 1))


def _field(centre: Place, size: Size, augmentation: Augmentation, random: np.random.Generator) -> tuple[Field, Field]:
    """Return the row and the column of the picture for every pixel of the crop."""
    angle = math.radians(random.uniform(-augmentation.rotation, augmentation.rotation))
    zoom = math.exp(random.uniform(-1, 1) * math.log1p(augmentation.scale))
    flip_row = -1.0 if augmentation.flip_rows and random.random() < 0.5 else 1.0
    flip_column = -1.0 if augmentation.flip_columns and random.random() < 0.5 else 1.0
    down = np.arange(size[0], dtype=np.float32)[:, None] - (size[0] - 1) / 2
    across = np.arange(size[1], dtype=np.float32)[None, :] - (size[1] - 1) / 2
    if augmentation.elastic:
        points = [augmentation.elastic_points or side // ELASTIC_SPACING + 2 for side in size]
        bend = _smooth(random.normal(0.0, augmentation.elastic, (2, *points)).astype(np.float32), size)
        down, across = down + bend[0], across + bend[1]
    cosine, sine = math.cos(angle) * zoom, math.sin(angle) * zoom
    rows = centre[0] + flip_row * (cosine * down - sine * across)
    columns = centre[1] + flip_column * (sine * down + cosine * across)
    return rows.astype(np.float32, copy=False), columns.astype(np.float32, copy=False)


def _smooth(grid: Field, size: Size) -> Field:
    """Interpolate (2, points, points) bicubically to (2, rows, columns), with the outer points on the outer pixels."""
    # Bicubic interpolation is linear and separable, hence two small matrix products.
    down, across = (_cubic(points, side) for points, side in zip(grid.shape[1:], size, strict=True))
    smooth: Field = (down @ torch.from_numpy(grid) @ across.T).numpy()
    return smooth


def _cubic(points: int, side: int) -> Tensor:
    """Return the weight of each point at each pixel, (side, points)."""
    one_at_a_time = torch.eye(points)[None, None]
    return F.interpolate(one_at_a_time, size=(side, points), mode="bicubic", align_corners=True)[0, 0]


def _picture(sample: Sample, rows: Field, columns: Field, normalisation: Normalisation) -> Tensor:
    """Return the normalised picture at these coordinates, float32 (channels, rows, columns).

    Only the window around all coordinates is normalised.
    """
    height, width = sample.labels.shape
    rows, columns = _mirror(rows, height), _mirror(columns, width)
    top, left = int(rows.min()), int(columns.min())
    bottom, right = math.ceil(rows.max()) + 1, math.ceil(columns.max()) + 1
    # With one channel after the other in memory, normalisation and interpolation are several times faster.
    window = np.ascontiguousarray(np.moveaxis(sample.image[top:bottom, left:right], -1, 0))
    pixels = torch.from_numpy(normalisation.apply(np.moveaxis(window, 0, -1), sample.name)).movedim(-1, 0)
    whole = _whole_pixels(pixels, rows - top, columns - left)
    if whole is not None:
        return whole
    grid = torch.from_numpy(np.stack([_unit(columns - left, right - left), _unit(rows - top, bottom - top)], axis=-1))
    return F.grid_sample(pixels[None], grid[None], padding_mode="border", align_corners=True)[0]


def _whole_pixels(pixels: Tensor, rows: Field, columns: Field) -> Tensor | None:
    """Return the pixels (channels, rows, columns) of a field that takes whole rows and columns of a picture; else None.

    It does so without rotation, scale and elastic deformation. Interpolation would give the same values, in more time.
    """
    for exchanged in (False, True):
        along = (rows.T, columns.T) if exchanged else (rows, columns)
        down, across = np.rint(along[0][:, 0]).astype(np.int64), np.rint(along[1][0]).astype(np.int64)
        if np.all(along[0] == down[:, None]) and np.all(along[1] == across):
            taken = pixels.index_select(1, torch.from_numpy(down)).index_select(2, torch.from_numpy(across))
            return taken.transpose(1, 2).contiguous() if exchanged else taken
    return None


def _ground_truth(sample: Sample, rows: Field, columns: Field) -> tuple[Tensor, Tensor | None]:
    """Return labels and emphasis at the nearest pixels."""
    height, width = sample.labels.shape
    beyond = (rows < -0.5) | (rows > height - 0.5) | (columns < -0.5) | (columns > width - 0.5)
    places = _nearest(rows, height) * width + _nearest(columns, width)
    labels = sample.labels.take(places).astype(np.int64)
    labels[beyond] = IGNORE_ID
    if sample.emphasis is None:
        return torch.from_numpy(labels), None
    emphasis = sample.emphasis.take(places).astype(np.float32)
    emphasis[beyond] = 0
    return torch.from_numpy(labels), torch.from_numpy(emphasis)


def _nearest(place: Field, length: int) -> NDArray[np.int64]:
    return np.clip(np.rint(place), 0, length - 1).astype(np.int64)


def _mirror(place: Field, length: int) -> Field:
    """Reflect coordinates at the first and the last pixel into 0..length-1."""
    if length == 1:
        return np.zeros_like(place)
    period = 2 * (length - 1)
    from_nearest_period = np.abs(place - period * np.rint(place / period))
    mirrored: Field = np.minimum(from_nearest_period, np.float32(length - 1))  # rounding may exceed it
    return mirrored


def _unit(place: Field, length: int) -> Field:
    """Turn pixel coordinates 0..length-1 into -1..1, as grid_sample takes them with align_corners=True."""
    return place * np.float32(2 / max(length - 1, 1)) - np.float32(1)


def _vary_grey_values(image: Tensor, augmentation: Augmentation, random: np.random.Generator) -> Tensor:
    """Change contrast, brightness and noise of a normalised picture (channels, rows, columns).

    Three quarters of a change are common to all channels, and one quarter is drawn for each channel.
    """
    channels = image.shape[0]
    draw = random.uniform(-1, 1, (2, channels + 1)).astype(np.float32)
    common, own = draw[:, :1] * 0.75, draw[:, 1:] * 0.25
    gain, shift = common + own
    factor = torch.from_numpy(np.exp(gain * np.log1p(augmentation.contrast)).astype(np.float32))[:, None, None]
    offset = torch.from_numpy(shift * augmentation.brightness).float()[:, None, None]
    mean = image.mean(dim=(1, 2), keepdim=True)
    around = (image - mean).mul_(factor)
    varied = around + (mean + offset)
    strength = float(random.uniform(0, augmentation.noise))
    if strength > 0:
        deviation = around.square().mean(dim=(1, 2), keepdim=True).sqrt_()
        varied.addcmul_(_grain(tuple(image.shape), random), strength * deviation)
    return varied


def _grain(shape: tuple[int, ...], random: np.random.Generator) -> Tensor:
    """Draw standard normal values."""
    # torch draws them several times faster than numpy
    generator = torch.Generator().manual_seed(int(random.integers(1 << 63)))
    return torch.randn(shape, generator=generator)

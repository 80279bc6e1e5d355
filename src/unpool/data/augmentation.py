"""Augmentation: one composed warp, then grey values.

Shift, flip, rotation, scale and elastic deformation are folded into one field of coordinates, so each pixel is
interpolated once. Pictures are read bilinearly and mirrored beyond their edge; labels are read at the nearest
pixel and are ignored beyond it, so no class is invented anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unpool.classes import IGNORE_ID, Labels
from unpool.data.samples import Sample
from unpool.normalisation import Normalisation

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """How far training pictures are varied. All zero and False: crops are only cut out.

    Attributes
    ----------
    flip_rows, flip_columns: mirror top-bottom, left-right, each in half of the crops.
    rotation: largest rotation either way, in degrees; 180 is every direction.
    scale: largest change of size; 0.25 draws factors from 1/1.25 to 1.25, evenly in logarithm.
    elastic: standard deviation in pixels of the displacements on a coarse grid (Ronneberger et al. 2015, sec. 3.1).
    contrast, brightness: largest change, as a share of the contrast, and in standard deviations.
    noise: largest standard deviation of added Gaussian noise, as a share of the crop's own: what is faint in a set of
        mixed brightness must not drown.
    rare: share of crops centred on a class drawn evenly from those in the picture, not on a place drawn evenly.
    """

    flip_rows: bool = True
    flip_columns: bool = True
    rotation: float = 180.0
    scale: float = 0.25
    elastic: float = 4.0
    contrast: float = 0.25
    brightness: float = 0.25
    noise: float = 0.1
    rare: float = 0.33
    elastic_points: int = 0

    def none(self) -> Augmentation:
        """The same place of every crop in its picture, cut out as it is."""
        return Augmentation(
            flip_rows=False, flip_columns=False, rotation=0.0, scale=0.0, elastic=0.0, contrast=0.0, brightness=0.0,
            noise=0.0, rare=0.0,
        )  # fmt: skip


class Crop(NamedTuple):
    """A training crop: pixels with labels, and a margin around them that is only seen.

    Attributes
    ----------
    rows, columns: of the part with labels.
    margin: pixels of picture on every side of it, which a network without padding takes away.
    """

    rows: int
    columns: int
    margin: int = 0

    def with_margin(self) -> tuple[int, int]:
        """Rows and columns of the picture that is read."""
        return self.rows + 2 * self.margin, self.columns + 2 * self.margin


ELASTIC_SPACING = 128
"""Pixels between the points of the coarse elastic grid."""


def augmented_crop(
    sample: Sample,
    crop: Crop,
    augmentation: Augmentation,
    normalisation: Normalisation,
    random: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Cut one varied crop from a picture.

    Returns
    -------
    float32 (C, rows + 2 margins, columns + 2 margins), normalised; int64 labels (rows, columns), ``IGNORE_ID`` beyond
    the picture's edge.
    """
    centre = _centre(sample.labels, (crop.rows, crop.columns), augmentation.rare, random)
    rows, columns = _field(centre, crop.with_margin(), augmentation, random)
    image, labels = _read(sample, rows, columns, normalisation)
    inner = labels[crop.margin : crop.margin + crop.rows, crop.margin : crop.margin + crop.columns]
    return _vary_grey_values(image, augmentation, random), inner.contiguous()


def _centre(labels: Labels, size: tuple[int, int], rare: float, random: np.random.Generator) -> tuple[float, float]:
    rows, columns = labels.shape
    if random.random() < rare:
        present = np.unique(labels)
        present = present[present != IGNORE_ID]
        if present.size:
            places = np.flatnonzero(labels == random.choice(present))
            row, column = divmod(int(random.choice(places)), columns)
            return _inside(row, rows, size[0]), _inside(column, columns, size[1])
    return _anywhere(rows, size[0], random), _anywhere(columns, size[1], random)


def _inside(place: float, length: int, crop: int) -> float:
    """Keep a crop's centre so far from the edges that the crop fits; the middle where the picture is smaller."""
    half = (crop - 1) / 2
    return (length - 1) / 2 if length <= crop else min(max(place, half), length - 1 - half)


def _anywhere(length: int, crop: int, random: np.random.Generator) -> float:
    return (length - 1) / 2 if length <= crop else (crop - 1) / 2 + float(random.integers(0, length - crop + 1))


def _field(
    centre: tuple[float, float], size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator
) -> tuple[Field, Field]:
    """For every pixel of the crop the (row, column) of the picture that it shows."""
    angle = np.deg2rad(random.uniform(-augmentation.rotation, augmentation.rotation))
    zoom = np.exp(random.uniform(-1, 1) * np.log1p(augmentation.scale))
    flip_row = -1.0 if augmentation.flip_rows and random.random() < 0.5 else 1.0
    flip_column = -1.0 if augmentation.flip_columns and random.random() < 0.5 else 1.0
    down = np.arange(size[0], dtype=np.float32)[:, None] - (size[0] - 1) / 2
    across = np.arange(size[1], dtype=np.float32)[None, :] - (size[1] - 1) / 2
    if augmentation.elastic:
        shift = random.normal(0.0, augmentation.elastic, (2, *(side // ELASTIC_SPACING + 2 for side in size)))
        smooth = F.interpolate(
            torch.from_numpy(shift.astype(np.float32))[None], size=size, mode="bicubic", align_corners=True
        )[0].numpy()
        down, across = down + smooth[0], across + smooth[1]
    cosine, sine = np.cos(angle) * zoom, np.sin(angle) * zoom
    rows = centre[0] + flip_row * (cosine * down - sine * across)
    columns = centre[1] + flip_column * (sine * down + cosine * across)
    return np.broadcast_to(rows, size).astype(np.float32), np.broadcast_to(columns, size).astype(np.float32)


def _read(sample: Sample, rows: Field, columns: Field, normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    height, width = sample.labels.shape
    beyond = (rows < -0.5) | (rows > height - 0.5) | (columns < -0.5) | (columns > width - 0.5)
    rows, columns = _mirror(rows, height), _mirror(columns, width)
    top, left = int(rows.min()), int(columns.min())
    bottom, right = int(np.ceil(rows.max())) + 1, int(np.ceil(columns.max())) + 1
    window = normalisation.apply(sample.image[top:bottom, left:right], sample.name)
    grid = torch.from_numpy(np.stack([_unit(columns - left, right - left), _unit(rows - top, bottom - top)], axis=-1))
    image = F.grid_sample(
        torch.from_numpy(window).movedim(-1, 0)[None], grid[None], padding_mode="border", align_corners=True
    )[0]
    nearest_rows = np.clip(np.rint(rows), 0, height - 1).astype(np.int64)
    nearest_columns = np.clip(np.rint(columns), 0, width - 1).astype(np.int64)
    labels = sample.labels[nearest_rows, nearest_columns].astype(np.int64)
    labels[beyond] = IGNORE_ID
    return image, torch.from_numpy(labels)


def _mirror(place: Field, length: int) -> Field:
    """Fold coordinates back into 0..length-1 about the first and last pixel."""
    if length == 1:
        return np.zeros_like(place)
    period = 2 * (length - 1)
    folded = np.abs(place) % period
    mirrored: Field = np.minimum(folded, period - folded).astype(np.float32)
    return mirrored


def _unit(place: Field, length: int) -> Field:
    """Pixel coordinates 0..length-1 as grid_sample's -1..1 (align_corners=True)."""
    return (place * (2 / max(length - 1, 1)) - 1).astype(np.float32)


def _vary_grey_values(image: Tensor, augmentation: Augmentation, random: np.random.Generator) -> Tensor:
    """Change contrast, brightness and noise of a normalised picture (C, rows, columns).

    Three parts in four of the change are common to all channels, one is each channel's own.
    """
    channels = image.shape[0]
    draw = random.uniform(-1, 1, (2, channels + 1)).astype(np.float32)
    common, own = draw[:, :1] * 0.75, draw[:, 1:] * 0.25
    gain, shift = common + own
    factor = torch.from_numpy(np.exp(gain * np.log1p(augmentation.contrast)).astype(np.float32))[:, None, None]
    offset = torch.from_numpy(shift * augmentation.brightness).float()[:, None, None]
    mean = image.mean(dim=(1, 2), keepdim=True)
    image = (image - mean) * factor + mean + offset
    strength = float(random.uniform(0, augmentation.noise))
    if strength > 0:
        grain = torch.from_numpy(random.standard_normal(tuple(image.shape), dtype=np.float32))
        image = image + strength * image.std(dim=(1, 2), keepdim=True, correction=0) * grain
    return image.contiguous()

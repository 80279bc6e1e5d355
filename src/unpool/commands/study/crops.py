"""Crops to look at: parts of validation pictures with their ground truth, and as each variant predicts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from unpool.class_table import Labels
from unpool.data.samples import Sample
from unpool.io.read.images import read_image
from unpool.io.write.images import write_image
from unpool.prediction.predictor import Predictor
from unpool.report.pictures import displayable, levels_of, overlay
from unpool.study.folder import StudyFolder
from unpool.study.variants import Variant

CROPS = 3
"""Number of crops."""

SIDE = 176
"""Rows and columns of a crop in pixels; smaller pictures are shown whole."""


@dataclass(frozen=True)
class ShownCrop:
    """A part of a validation picture, and where it is."""

    sample: Sample
    rows: slice
    columns: slice

    @property
    def name(self) -> str:
        """The picture's name, and the crop's first row and column."""
        return f"{self.sample.name}, row {self.rows.start}, column {self.columns.start}"

    def of_prediction(self, predictor: Predictor) -> NDArray[uint8]:
        """Return the crop with the prediction of its picture over it, uint8 RGB."""
        labels = predictor.predict(self.sample.image, self.sample.name).prediction
        return self.tinted(labels, predictor.segmenter.classes.colours)

    def tinted(self, labels: Labels, colours: Sequence[tuple[int, int, int]]) -> NDArray[uint8]:
        """Return the crop with labels of its picture over it, uint8 RGB."""
        image = self.sample.image
        return overlay(
            image[self.rows, self.columns], labels[self.rows, self.columns], colours, levels=levels_of(image)
        )

    def plain(self) -> NDArray[uint8]:
        """Return the crop of the picture, uint8 RGB."""
        return displayable(self.sample.image[self.rows, self.columns], levels_of(self.sample.image))


def shown_crops(samples: Sequence[Sample]) -> list[ShownCrop]:
    """Return crops of some pictures, each where the most borders between classes are."""
    places = np.linspace(0, len(samples) - 1, min(CROPS, len(samples))).astype(int)
    return [_busiest(samples[int(place)]) for place in dict.fromkeys(places.tolist())]


def write_crops(folder: StudyFolder, variant: Variant, pictures: Sequence[NDArray[uint8]]) -> None:
    """Write the crops of a variant as PNG files. Raises RunError."""
    for number, picture in enumerate(pictures, start=1):
        write_image(folder.crops / f"{variant.slug}-{number}.png", picture)


def read_crops(folder: StudyFolder, slug: str) -> list[NDArray[uint8]]:
    """Return the crops of a variant, in their order.

    Raises
    ------
    DataError: a file is no picture.
    """
    files = [folder.crops / f"{slug}-{number}.png" for number in range(1, CROPS + 1)]
    return [read_image(file)[..., :3] for file in files if file.is_file()]


def _busiest(sample: Sample) -> ShownCrop:
    labels = sample.labels
    rows, columns = (min(SIDE, side) for side in labels.shape)
    borders = np.zeros(labels.shape, dtype=np.int64)
    borders[1:] += labels[1:] != labels[:-1]
    borders[:, 1:] += labels[:, 1:] != labels[:, :-1]
    sums = np.pad(borders.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return ShownCrop(sample, slice(int(row), int(row) + rows), slice(int(column), int(column) + columns))

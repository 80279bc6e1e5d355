"""Measurements of objects and classes, in pixels, by scikit-image's ``regionprops``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import degrees, isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.errors import UsageError
from unpool.objects.separation import CompleteObjects
from unpool.shapes import Region

ObjectFacts = dict[str, float]
"""The measurements of an object or a class by their names; NaN where there is none."""

SHAPE_COLUMNS = (
    "area", "perimeter", "centroid_row", "centroid_column", "box_top", "box_left", "box_bottom", "box_right",
    "major_axis", "minor_axis", "angle", "solidity", "at_edge",
)  # fmt: skip
"""The measurements of an object's shape.

``area`` is the number of pixels, ``perimeter`` the length of its outline as scikit-image computes it. Centroid and box
are in rows and columns from 0; ``box_bottom`` and ``box_right`` are the first that are outside. ``major_axis`` and
``minor_axis`` are those of the ellipse with the same second moments. ``angle`` is that of the major axis against the
picture's rows, counter-clockwise, in degrees from 0 to 180. ``solidity`` is the share of the convex hull that an object
fills. ``at_edge`` is 1 for an object at the edge of the picture, where a part of it may be missing.
"""

_PROPERTIES = (
    "label", "area", "perimeter", "centroid", "bbox", "axis_major_length", "axis_minor_length", "orientation",
    "solidity", "intensity_mean", "intensity_std",
)  # fmt: skip


def regionprops_table() -> Callable[..., dict[str, NDArray[Any]]]:
    """Return scikit-image's function.

    Raises
    ------
    UsageError: scikit-image is not installed.
    """
    try:
        from skimage.measure import regionprops_table as function  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise UsageError(
            f"objects are measured by scikit-image, which cannot be imported ({error})",
            "the extra unpool[objects]",
            'install it: pip install "unpool[objects]"',
        ) from error
    return function


@dataclass
class ClassSums:
    """Sums over the pixels of one class: their number, and of each channel the mean and the squares of distances to it.

    Sums of the values' own squares would lose the deviation of values that lie far from 0 (Chan, Golub, LeVeque 1983).
    """

    pixels: int = 0
    mean: NDArray[np.float64] | float = 0.0
    squares: NDArray[np.float64] | float = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Add the values (pixels, channels), one or more."""
        mean, before = values.mean(axis=0), self.pixels
        self.pixels += len(values)
        apart = mean - self.mean
        self.mean = self.mean + apart * (len(values) / self.pixels)
        self.squares = self.squares + ((values - mean) ** 2).sum(axis=0)
        self.squares = self.squares + apart**2 * (before * len(values) / self.pixels)

    def measured(self, all_pixels: int, objects: int) -> ObjectFacts:
        """Return area, share of all pixels, number of objects, and mean and deviation of each channel."""
        share = self.pixels / all_pixels if all_pixels else nan
        found: ObjectFacts = {"area": self.pixels, "share": share, "objects": objects}
        for number in range(np.size(self.mean) if self.pixels else 0):
            found[f"mean_{number + 1}"] = float(np.ravel(self.mean)[number])
            found[f"std_{number + 1}"] = (float(np.ravel(self.squares)[number]) / self.pixels) ** 0.5
        return found


@dataclass
class PictureMeasurements:
    """The measurements of one picture, collected while its rows are predicted.

    Attributes
    ----------
    size: rows and columns of the picture.
    objects: measurements of each object, by its key.
    classes: class id of each object, by its key.
    sums: of each class.
    """

    size: tuple[int, int]
    class_count: int
    objects: dict[int, ObjectFacts] = field(default_factory=dict)
    classes: dict[int, int] = field(default_factory=dict)
    sums: list[ClassSums] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sums = [ClassSums() for _ in range(self.class_count)]

    def add_rows(self, prediction: NDArray[np.uint8], pixels: NDArray[Any]) -> None:
        """Add rows of class ids (rows, columns), and the same rows of the picture (rows, columns, channels).

        Pixels with ``IGNORE_ID`` have no data, and count in no class.
        """
        for class_id in np.unique(prediction[prediction != IGNORE_ID]).tolist():
            self.sums[class_id].add(pixels[prediction == class_id].astype(np.float64))

    def add_objects(self, found: CompleteObjects, window: Callable[[Region], NDArray[Any]]) -> None:
        """Measure objects that are complete.

        Parameters
        ----------
        window: reads a part of the picture, (rows, columns, channels).
        """
        self.classes |= found.classes
        keys, places = np.unique(found.keys, return_inverse=True)
        ids = places.reshape(found.keys.shape) + int(keys[0] != 0)
        rows = np.flatnonzero(ids.any(axis=1))
        if not len(rows):
            return
        top = found.top + int(rows[0])
        ids = ids[rows[0] : rows[-1] + 1]
        pixels = window((slice(top, top + len(ids)), slice(0, found.keys.shape[1])))
        for measured in measured_objects(ids, pixels, top, self.size):
            self.objects[int(keys[int(measured.pop("number")) - int(keys[0] != 0)])] = measured

    def object_rows(self, numbers: dict[int, int]) -> list[tuple[int, int, ObjectFacts]]:
        """Return number, class id and measurements of each object, in the order of the numbers."""
        return sorted((numbers[key], self.classes[key], measured) for key, measured in self.objects.items())

    def class_rows(self) -> list[ObjectFacts]:
        """Return the measurements of each class."""
        counts = np.bincount(list(self.classes.values()), minlength=self.class_count)
        pixels = sum(each.pixels for each in self.sums)
        return [each.measured(pixels, int(count)) for each, count in zip(self.sums, counts, strict=True)]


def measured_objects(
    ids: NDArray[np.integer[Any]], pixels: NDArray[Any], top: int, size: tuple[int, int]
) -> Sequence[ObjectFacts]:
    """Return the measurements of the objects in some rows of a picture, with their ``number``, in its order.

    Parameters
    ----------
    ids: (rows, columns) numbers of whole objects, 0 for none.
    pixels: (rows, columns, channels) the same rows of the picture.
    top: the picture's row that the first row is; size: rows and columns of the picture.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convex hulls of a pixel or a line, whose solidity is set below
        values = pixels.astype(np.float64) if pixels.dtype == np.float32 else pixels  # else sums are in float32
        table = regionprops_table()(np.asarray(ids), values, properties=_PROPERTIES)
    channels = pixels.shape[2]
    rows = []
    for cells in zip(*table.values(), strict=True):
        value = dict(zip(table, [float(cell) for cell in cells], strict=True))
        box = [value[f"bbox-{k}"] for k in range(4)]
        measured: ObjectFacts = {
            "number": value["label"],
            "area": value["area"],
            "perimeter": value["perimeter"],
            "centroid_row": value["centroid-0"] + top,
            "centroid_column": value["centroid-1"],
            "box_top": box[0] + top,
            "box_left": box[1],
            "box_bottom": box[2] + top,
            "box_right": box[3],
            "major_axis": value["axis_major_length"],
            "minor_axis": value["axis_minor_length"],
            "angle": (90 + degrees(value["orientation"])) % 180,
            "solidity": value["solidity"] if isfinite(value["solidity"]) and value["solidity"] > 0 else nan,
            "at_edge": float(box[0] + top == 0 or box[1] == 0 or box[2] + top == size[0] or box[3] == size[1]),
        }
        for number in range(channels):
            measured[f"mean_{number + 1}"] = value.get(f"intensity_mean-{number}", value.get("intensity_mean", nan))
            measured[f"std_{number + 1}"] = value.get(f"intensity_std-{number}", value.get("intensity_std", nan))
        rows.append(measured)
    return rows

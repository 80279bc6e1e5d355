"""Where a pixel counts for more than its class: between objects that nearly touch, or along the edges of classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.class_table import IGNORE_ID, Labels

BACKGROUND = 0
"""The class id between objects."""

REACH = math.sqrt(2 * math.log(1000))
"""Deviations of a Gaussian at which it has fallen to a thousandth."""

Distances = NDArray[np.float32]


@dataclass(frozen=True)
class Emphasis:
    """What is emphasised in the cross-entropy, see ``unpool.losses.loss.Loss``.

    Attributes
    ----------
    kind: ``separation`` is Ronneberger et al. 2015, eq. 2: strength * exp(-(d1 + d2)^2 / (2 sigma^2)) on background
        pixels, with the distances d1 and d2 to the nearest and the second nearest object. It is 0 on objects: the
        border that the paper wants learned is background. ``boundary``: strength * exp(-d^2 / (2 sigma^2)) with the
        distance d to the nearest pixel of another class.
    strength: the weight at distance 0, above 0; the paper's is 10.
    sigma: in pixels, above 0; the paper's is about 5.
    """

    kind: Literal["separation", "boundary"]
    strength: float
    sigma: float


def emphasis_map(labels: Labels, instances: NDArray[np.int32] | None, emphasis: Emphasis) -> NDArray[np.float32]:
    """The weight that each pixel has beside its class's.

    Distances are Euclidean, in pixels from centre to centre. Ignored pixels are no object and no class, and have
    weight 0. The weight of separation may be too small by a thousandth of the strength.

    Parameters
    ----------
    labels: (rows, columns); class 0 is the background between objects.
    instances: (rows, columns) object numbers with 0 for background. Without them the objects are the 4-connected
        regions of pixels of any other class.
    """
    if emphasis.kind == "separation":
        distances = _to_two_objects(_objects(labels, instances), REACH * emphasis.sigma)
        distances[labels != BACKGROUND] = np.inf
    else:
        distances = _to_another_class(labels)
    return (emphasis.strength * np.exp(-((distances / emphasis.sigma) ** 2) / 2)).astype(np.float32)


def _objects(labels: Labels, instances: NDArray[np.int32] | None) -> NDArray[np.int32]:
    ignored = labels == IGNORE_ID
    if instances is not None:
        return np.where(ignored, 0, instances)
    regions: NDArray[np.int32] = ndimage.label((labels != BACKGROUND) & ~ignored)[0]
    return regions


def _to_two_objects(objects: NDArray[np.int32], reach: float) -> Distances:
    """Sum of the distances to the two nearest objects; infinite where one of them is farther than ``reach``.

    Each object is met within ``reach`` of its bounding box only, so that hundreds of them take a moment.
    """
    nearest = np.full(objects.shape, np.inf, np.float32)
    second = nearest.copy()
    margin = math.ceil(reach)
    for number, box in enumerate(ndimage.find_objects(objects), start=1):
        if box is not None:
            around = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)
            distance = ndimage.distance_transform_edt(objects[around] != number)
            second[around] = np.minimum(second[around], np.maximum(nearest[around], distance))
            nearest[around] = np.minimum(nearest[around], distance)
    return nearest + second


def _to_another_class(labels: Labels) -> Distances:
    """Distance to the nearest pixel of another class; infinite where there is none, and on ignored pixels.

    Two classes differ in a bit of their number, so it is the least, over the bits, of the distances to the pixels
    that differ in it: two transforms a bit, not one a class.
    """
    distances = np.full(labels.shape, np.inf, np.float32)
    counted = labels != IGNORE_ID
    present = np.unique(labels[counted])
    numbers = np.searchsorted(present, labels)
    for bit in range((len(present) - 1).bit_length() if len(present) else 0):
        high = (numbers >> bit & 1).astype(bool)
        for some, others in ((high, ~high), (~high, high)):
            away = ndimage.distance_transform_edt(~(others & counted))
            np.minimum(distances, away, out=distances, where=some & counted)
    return distances

"""The separation of touching objects in a prediction of classes, by a watershed on the network's own evidence.

The connected components of each class but the first are cut, each by itself:

* The **core** of a component are its pixels that surely lie inside an object: ``inside`` is at least a threshold. It is
  the probability of the predicted class, and where the network learned borders (``unpool.data.borders``), without that
  of the border.
* The **surface** is the distance of each core pixel from the next pixel outside the core, smoothed; of the other pixels
  it is minus the distance to the core. So its peaks are the middles of objects, and its passes their necks.
* Each peak that stands high enough above the pass to a higher one is an object, with all pixels of its basin
  (``unpool.objects.flooding``).

Nothing outside a component changes how it is cut. So the objects of a picture that is predicted by tiles and read by
strips are those of the picture in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.class_table import IGNORE_ID, Labels
from unpool.objects.flooding import basins

ObjectIds = NDArray[np.int32]
"""(rows, columns): the number of each pixel's object, from 1; 0 for background."""

_CORNERS = np.ones((3, 3))


@dataclass(frozen=True)
class Separation:
    """The numbers by which touching objects are separated.

    Attributes
    ----------
    core: least ``inside`` of a core pixel, 0..1.
    smoothing: standard deviation in pixels of the Gaussian that smooths the surface; 0 for none.
    depth: least height in pixels of a peak above the pass to a higher one.
    share: the same, as a share of the peak's height; the larger of the two holds.
    """

    core: float
    smoothing: float
    depth: float
    share: float

    def cut(self, component: NDArray[np.bool_], inside: NDArray[np.uint8]) -> ObjectIds:
        """Return the objects of one connected component, numbered from 1 by the order of their first pixels.

        Parameters
        ----------
        component: (rows, columns) the pixels of the component.
        inside: (rows, columns) round(255 p), see ``unpool.prediction.result.Prediction``.
        """
        return basins(self._surface(component, inside), component, self.depth, self.share)

    def _surface(self, component: NDArray[np.bool_], inside: NDArray[np.uint8]) -> NDArray[np.float64]:
        core = np.pad(component & (inside >= 255 * self.core), 1)
        if not core.any():
            core = np.pad(component, 1)
        surface: NDArray[np.float64] = ndimage.distance_transform_edt(core)
        if self.smoothing:
            surface = ndimage.gaussian_filter(surface, self.smoothing, mode="constant", truncate=3.0)
        if not core[1:-1, 1:-1][component].all():
            surface = np.where(core, surface, -ndimage.distance_transform_edt(~core))
        return surface[1:-1, 1:-1]


BY_PROBABILITY = Separation(core=0.5, smoothing=1.0, depth=0.5, share=0.15)
"""The separation by probabilities alone."""

BY_BORDERS = Separation(core=0.5, smoothing=1.0, depth=0.5, share=0.15)
"""The separation of a network that learned the borders of objects."""


def separation_for(borders: int) -> Separation:
    """Return the separation of a network's predictions, which learned borders of this width; 0 for none."""
    return BY_BORDERS if borders else BY_PROBABILITY


def separated(prediction: Labels, inside: NDArray[np.uint8], separation: Separation) -> ObjectIds:
    """Return the objects of a picture, numbered from 1 by the order of their first pixels.

    Parameters
    ----------
    prediction: uint8 (rows, columns) class ids; class 0 is the background.
    inside: uint8 (rows, columns) round(255 p), see ``unpool.prediction.result.Prediction``.
    """
    stream = ObjectStream(prediction.shape[1], separation)
    stream.add(prediction, inside)
    return stream.finish().ids


class CompleteObjects(NamedTuple):
    """Objects none of whose pixels lie in later rows.

    Attributes
    ----------
    top: the picture's row that the first row of ``keys`` is.
    keys: int64 (rows, columns): the key of each pixel's object; 0 where no object became complete. Keys are no object
        numbers yet, see ``ObjectStream.numbers``.
    classes: the class id of each object, by its key.
    """

    top: int
    keys: NDArray[np.int64]
    classes: dict[int, int]


class FinishedRows(NamedTuple):
    """Rows of a picture whose objects are all known."""

    top: int
    ids: ObjectIds


class ObjectStream:
    """The objects of a picture, of which some rows at a time are in memory.

    Rows are held until every component that reaches into them is complete.

    Parameters
    ----------
    columns: of the picture.

    Attributes
    ----------
    numbers: the number of each object in rows that are finished, by its key.
    """

    def __init__(self, columns: int, separation: Separation) -> None:
        self.numbers: dict[int, int] = {}
        self._separation = separation
        self._top, self._keys = 0, 0
        self._pending = np.zeros((0, columns), np.uint8)  # class ids of the pixels whose objects are not known yet
        self._inside = np.zeros((0, columns), np.uint8)
        self._known = np.zeros((0, columns), np.int64)

    @property
    def held(self) -> int:
        """Number of rows in memory."""
        return len(self._pending)

    def add(self, prediction: Labels, inside: NDArray[np.uint8], *, last: bool = True) -> CompleteObjects:
        """Add the next rows, of full width, and return the objects that are complete with them.

        Parameters
        ----------
        prediction: class ids (rows, columns); ``IGNORE_ID`` where there is no data, which no object has.
        last: whether these are the picture's last rows.
        """
        self._pending = np.concatenate([self._pending, np.where(prediction == IGNORE_ID, 0, prediction)])
        self._inside = np.concatenate([self._inside, inside])
        fresh = np.zeros(self._pending.shape, np.int64)
        classes: dict[int, int] = {}
        for class_id in np.unique(self._pending).tolist():
            if class_id:
                before = self._keys
                self._cut_complete(self._pending == class_id, fresh, last=last)
                classes |= dict.fromkeys(range(before + 1, self._keys + 1), class_id)
        self._pending[fresh > 0] = 0
        self._known = np.concatenate([self._known, np.zeros(prediction.shape, np.int64)])
        self._known += fresh
        return CompleteObjects(self._top, fresh, classes)

    def _cut_complete(self, mask: NDArray[np.bool_], fresh: NDArray[np.int64], *, last: bool) -> None:
        """Write the keys of the objects of one class into ``fresh``."""
        components = ndimage.label(mask, _CORNERS)[0]
        open_ones = set() if last else set(np.unique(components[-1]).tolist())
        for number, box in enumerate(ndimage.find_objects(components), start=1):
            if number in open_ones:
                continue
            component = components[box] == number
            ids = self._separation.cut(component, self._inside[box])
            fresh[box][component] = ids[component] + self._keys
            self._keys += int(ids.max())

    def take(self) -> FinishedRows:
        """Take out the rows above the first component that is not complete."""
        unknown = np.flatnonzero(self._pending.any(axis=1))
        return self._taken(int(unknown[0]) if len(unknown) else self.held)

    def finish(self) -> FinishedRows:
        """Take out all rows, after the last ones were added."""
        assert not self._pending.any()
        return self._taken(self.held)

    def _taken(self, rows: int) -> FinishedRows:
        keys = self._known[:rows]
        present, first, where = np.unique(keys, return_index=True, return_inverse=True)
        for key in present[np.argsort(first)].tolist():
            if key:
                self.numbers.setdefault(key, len(self.numbers) + 1)
        ids = np.array([self.numbers[key] if key else 0 for key in present.tolist()], dtype=np.int32)
        finished = FinishedRows(self._top, ids[where].reshape(keys.shape))
        self._top += rows
        self._pending, self._inside, self._known = self._pending[rows:], self._inside[rows:], self._known[rows:]
        return finished

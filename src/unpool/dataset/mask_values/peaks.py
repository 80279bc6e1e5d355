"""Peaks: the few values around which nearly all pixels of smeared masks lie, such as 0 and 255."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import MaskKind
from unpool.dataset.mask_values.tally import MaskTally

WIDTH = {"values": 24.0, "colours": 40.0}
"""Distance from a peak up to which smearing leaves values: JPEG moves colours farther than greys."""
_CORE = {"values": 4.0, "colours": 20.0}
_SHARP, _SHARPER = 0.4, 0.7
"""Least share of a peak's pixels that lie in its core, and of one beside another; pictures have no peaks."""
_LEAST = 0.005
"""Least share of all pixels in a peak."""
_UNCLEAR = {"values": 0.04, "colours": 0.025}
"""Least share of all pixels that are no peak from which they may be a class that was smeared beyond recognition."""
_BESIDE = 0.01
"""Least share of all pixels in a peak of colours beside another."""
_NEAR = {"values": 0.85, "colours": 0.9}
"""Least share of the pixels in all peaks."""
_MOST = {"values": 4, "colours": 16}
"""Most peaks; more of them would cover all greys."""
_LOOKED_AT = 64
"""Most masks that are looked at."""


def peaks(tallies: Sequence[MaskTally], kind: MaskKind) -> tuple[int, ...]:
    """Return the flat values of the peaks, sorted; empty where the values are not near a few.

    Parameters
    ----------
    tallies: of masks in the form of ``kind``, values of 8 bits.
    """
    step = max(1, len(tallies) // _LOOKED_AT)
    totals = sum((Counter(tally.counts) for tally in tallies[::step]), Counter[int]())
    values, pixels = (np.array(column, dtype=np.int64) for column in zip(*totals.items(), strict=True))
    everything, width, near = int(pixels.sum()), WIDTH[kind], 0
    places, found = _places(values, kind), list[NDArray[Any]]()
    while len(values):
        top = places[int(pixels.argmax())]
        distances = _distances(places, top)
        around = distances <= width
        share = int(pixels[around].sum()) / everything
        if share < _LEAST:
            break
        beside = bool(found) and bool(_distances(np.array(found), top).min() <= 2 * width)
        core = int(pixels[distances <= _CORE[kind]].sum()) / everything
        sharp = core >= _SHARP * share
        if beside:
            sharp = kind == "colours" and share >= _BESIDE and core >= _SHARPER * share
        if not sharp and share >= _UNCLEAR[kind]:
            return ()
        if sharp:
            found.append(top)
            near += int(pixels[around].sum())
        values, pixels, places = values[~around], pixels[~around], places[~around]
    if not 2 <= len(found) <= _MOST[kind] or near < _NEAR[kind] * everything:
        return ()
    return tuple(sorted(_flat(peak) for peak in found))


def _distances(places: NDArray[Any], place: NDArray[Any]) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.sqrt(((places - place) ** 2).sum(axis=1))
    return distances


def _flat(place: NDArray[Any]) -> int:
    channels = [int(part) for part in place]
    return channels[0] if len(channels) == 1 else channels[0] << 16 | channels[1] << 8 | channels[2]


def _places(values: NDArray[np.int64], kind: MaskKind) -> NDArray[Any]:
    if kind != "colours":
        return values[:, None].astype(float)
    return np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1).astype(float)

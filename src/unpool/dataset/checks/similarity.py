"""Pictures that are equal, or nearly equal: they must not be on both sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.wording import first_of

THUMBNAIL_SIDE = 24
"""Rows and columns of a thumbnail."""
NEARLY_EQUAL = 0.995
"""Correlation of two thumbnails above which pictures count as nearly equal."""
NEARLY_EQUAL_DETAIL = 0.95
"""Correlation of their details, also required: uneven light alone makes quite different pictures correlate."""
_BLOCK = 512


class SimilarPictures(NamedTuple):
    """Two nearly equal pictures by name, with the correlation of their thumbnails (up to 1)."""

    one: str
    other: str
    correlation: float


def thumbnail(pixels: NDArray[Any], missing: Collection[float] = ()) -> NDArray[np.float32]:
    """Return a picture (rows, columns, channels) as the means of its 24 x 24 cells, of mean 0 and length 1.

    A picture without structure gives zeros, which correlate with nothing.

    Parameters
    ----------
    missing: values that stand for missing data; such pixels count as the mean of the others.
    """
    grey = _grey(pixels, missing)
    rows = np.linspace(0, grey.shape[0], THUMBNAIL_SIDE, endpoint=False).astype(int)
    columns = np.linspace(0, grey.shape[1], THUMBNAIL_SIDE, endpoint=False).astype(int)
    cells = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1)
    heights = np.maximum(np.diff(np.append(rows, grey.shape[0])), 1)
    widths = np.maximum(np.diff(np.append(columns, grey.shape[1])), 1)
    means = (cells / heights[:, None] / widths[None, :]).ravel()
    means -= means.mean()
    length = float(np.linalg.norm(means))
    return (means / length if length > 1e-3 else np.zeros_like(means)).astype(np.float32)


def _grey(pixels: NDArray[Any], missing: Collection[float]) -> NDArray[Any]:
    """Return the means of the channels (rows, columns); of floats in 64 bits, in which their squares have room."""
    precise = np.float64 if pixels.dtype.kind == "f" else np.float32
    grey: NDArray[Any] = pixels.mean(axis=2, dtype=precise)
    if missing:
        known = ~np.isin(pixels, list(missing)).any(axis=2)
        grey[~known] = grey[known].mean() if known.any() else 0
    return grey


def similar_pictures(
    some: Mapping[str, NDArray[np.float32]], others: Mapping[str, NDArray[np.float32]]
) -> list[SimilarPictures]:
    """Return for each of ``others`` the most similar of ``some``, where both are nearly equal.

    Parameters
    ----------
    some, others: thumbnails by picture name.

    Returns
    -------
    The pairs with the highest correlation first.
    """
    if not some or not others:
        return []
    names = list(some)
    stack = np.stack(list(some.values()))
    similar: list[SimilarPictures] = []
    other_names = list(others)
    for start in range(0, len(other_names), _BLOCK):
        block = other_names[start : start + _BLOCK]
        correlation = np.stack([others[name] for name in block]) @ stack.T
        best = correlation.argmax(axis=1)
        similar += [
            SimilarPictures(names[best[k]], name, float(correlation[k, best[k]]))
            for k, name in enumerate(block)
            if correlation[k, best[k]] > NEARLY_EQUAL
            and _detail_correlation(stack[best[k]], others[name]) > NEARLY_EQUAL_DETAIL
        ]
    return sorted(similar, key=lambda pair: (-pair.correlation, pair.one, pair.other))


def _detail_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the correlation of two thumbnails less their smooth parts."""
    first, second = (
        thumb - ndimage.uniform_filter(thumb.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE), 5).ravel()
        for thumb in (one, other)
    )
    return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-12))


def equal_pictures(digests: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the groups of picture names with the same digest, sorted; an empty digest equals none."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, digest in digests.items():
        groups[digest].append(name)
    return sorted(tuple(sorted(names)) for digest, names in groups.items() if digest and len(names) > 1)


def groups_text(groups: Sequence[Sequence[str]]) -> str:
    """Return the first groups of equal pictures: ``a = b; c = d``."""
    return first_of([" = ".join(group[:4]) for group in groups], 3, "; ")

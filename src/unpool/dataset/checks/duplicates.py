"""Pictures that are the same, or nearly: what must not stand on both sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIDE = 24
"""Rows and columns of a thumbnail."""
NEARLY = 0.995
"""Correlation of two thumbnails from which pictures count as nearly the same."""
NEARLY_IN_DETAIL = 0.95
"""The same for thumbnails less their smooth part, which uneven light gives to quite different pictures."""
_BLOCK = 512


def thumbnail(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    """A picture (rows, columns, channels) as ``SIDE * SIDE`` means of its cells, of mean 0 and length 1.

    A picture without structure gives zeros, which are like nothing.
    """
    grey = pixels.mean(axis=2, dtype=np.float32)
    rows = np.linspace(0, grey.shape[0], SIDE, endpoint=False).astype(int)
    columns = np.linspace(0, grey.shape[1], SIDE, endpoint=False).astype(int)
    cells = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1)
    heights = np.maximum(np.diff(np.append(rows, grey.shape[0])), 1)
    widths = np.maximum(np.diff(np.append(columns, grey.shape[1])), 1)
    flat = (cells / heights[:, None] / widths[None, :]).ravel().astype(np.float32)
    flat -= flat.mean()
    length = float(np.linalg.norm(flat))
    return (flat / length if length > 1e-3 else np.zeros_like(flat)).astype(np.float32)


def near_copies(
    ours: Mapping[str, NDArray[np.float32]], theirs: Mapping[str, NDArray[np.float32]]
) -> list[tuple[str, str, float]]:
    """One name of each side whose thumbnails are nearly the same, with their correlation; the highest first.

    For every name of ``theirs`` only its best partner is told.
    """
    if not ours or not theirs:
        return []
    names = list(ours)
    stack = np.stack(list(ours.values()))
    found: list[tuple[str, str, float]] = []
    others = list(theirs)
    for start in range(0, len(others), _BLOCK):
        block = others[start : start + _BLOCK]
        likeness = np.stack([theirs[name] for name in block]) @ stack.T
        best = likeness.argmax(axis=1)
        found += [
            (names[best[k]], name, float(likeness[k, best[k]]))
            for k, name in enumerate(block)
            if likeness[k, best[k]] > NEARLY and _detail_likeness(stack[best[k]], theirs[name]) > NEARLY_IN_DETAIL
        ]
    return sorted(found, key=lambda item: (-item[2], item[:2]))


def _detail_likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    first, second = (thumb - ndimage.uniform_filter(thumb.reshape(SIDE, SIDE), 5).ravel() for thumb in (one, other))
    return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-12))


def copies(digests: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Groups of names with the same digest, sorted."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, digest in digests.items():
        groups[digest].append(name)
    return sorted(tuple(sorted(names)) for digest, names in groups.items() if digest and len(names) > 1)


def listed(groups: Sequence[Sequence[str]], most: int = 3) -> str:
    """The first groups in words: ``a = b; c = d``."""
    text = "; ".join(" = ".join(group[:4]) for group in groups[:most])
    return text + (f"; and {len(groups) - most} more" if len(groups) > most else "")

"""Masks that are joined from several files: one for each object, one for each class, or one mask in parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.io.files import write_json
from unpool.io.read.formats import read_header
from unpool.io.read.masks import read_mask
from unpool.io.write.assembled import assembled_file
from unpool.wording import first_of, size_text

Joining = Literal["objects", "classes", "area", "parts"]
"""How masks are joined: to object numbers, to class numbers, to 0 and 255, or to the values that the parts have."""

_RECIPE = "masks joined 1"
"""Changes when this module joins in another way, so that files in the cache are made again."""


class MaskPart(NamedTuple):
    """A file that holds a part of a mask, and the number that its pixels get; not used for ``parts``."""

    path: Path
    number: int = 1


@dataclass(frozen=True)
class JoinedMask:
    """A mask that was joined.

    Attributes
    ----------
    overlap: pixels that lie in more than one part; each belongs to the smallest part of it.
    """

    path: Path
    overlap: int


def joined_mask(parts: Sequence[MaskPart], how: Joining, name: str) -> JoinedMask:
    """Join the masks of one picture in a file of the cache folder.

    Parameters
    ----------
    name: of the file, without suffix.

    Raises
    ------
    DataError: a part cannot be read, has another size, or, except for ``parts``, more values than 0 and one other.
    RunError: there is no cache folder, or it cannot be written.
    """
    paths = [part.path for part in parts]
    numbers = " ".join(str(part.number) for part in parts)
    overlaps: list[int] = []
    path = assembled_file(paths, f"{_RECIPE} {how} {numbers}", name, partial(_joined, parts, how, overlaps), ".tif")
    note = path.with_name("overlap.json")
    if overlaps:
        write_json(note, {"overlap": overlaps[0]})
    try:
        overlap = int(json.loads(note.read_bytes()[:1000])["overlap"])
    except (OSError, ValueError, KeyError, TypeError):  # a note is small, and the files say the same
        _joined(parts, how, overlaps)
        overlap = overlaps[0]
        write_json(note, {"overlap": overlap})
    return JoinedMask(path, overlap)


def most_alike(paths: Sequence[Path]) -> float:
    """Return how much the two most alike masks share: intersection over union, 0 to 1. Raises DataError."""
    areas = [_area(path) for path in paths]
    shares = [
        float((one & other).sum()) / max(int((one | other).sum()), 1)
        for one, other in combinations(areas, 2)
        if one.shape == other.shape
    ]
    return max(shares, default=0.0)


def is_area(path: Path) -> bool:
    """Return whether a file can be read and holds 0 and at most one other value."""
    try:
        _area(path)
    except DataError:
        return False
    return True


def _area(path: Path) -> NDArray[np.bool_]:
    """Return where a mask of 0 and one other value is not 0. Raises DataError for other masks."""
    values = read_mask(path, "instances")
    area: NDArray[np.bool_] = values > 0
    if read_header(path).lossy:
        area = values > int(values.max()) // 2
        return area
    found = np.unique(values)
    if len(found[found > 0]) > 1:
        raise DataError(
            f"{path}: one of several masks of a picture, with the values {first_of([str(v) for v in found], 5)}",
            "0 and one other value, where each file shows one class or one object",
            "draw it again with two values, or join the masks of a picture in one file",
        )
    return area


def _joined(parts: Sequence[MaskPart], how: Joining, overlaps: list[int]) -> NDArray[Any]:
    if how == "parts":
        return _union(parts, overlaps)
    areas = [_area(part.path) for part in parts]
    _require_one_size(parts, [area.shape for area in areas])
    cover = np.zeros(areas[0].shape, np.uint16)
    for area in areas:
        cover += area
    overlaps[:] = [int((cover > 1).sum())]
    most = 255 if how == "area" else max(part.number for part in parts)
    joined = np.zeros(areas[0].shape, np.uint8 if most < 256 else np.uint16 if most < 65536 else np.int32)
    for k in sorted(range(len(areas)), key=lambda k: -int(areas[k].sum())):  # small ones are drawn over large ones
        joined[areas[k]] = 255 if how == "area" else parts[k].number
    return joined


def _union(parts: Sequence[MaskPart], overlaps: list[int]) -> NDArray[Any]:
    """Return the values of the parts, of a later one where an earlier one has 0; count where both have a value."""
    masks = list(_in_one_form([read_mask(part.path) for part in parts]))
    _require_one_size(parts, [mask.shape[:2] for mask in masks])
    joined, overlap = masks[0].copy(), np.zeros(masks[0].shape[:2], bool)
    for mask in masks[1:]:
        drawn, free = (_drawn(mask), ~_drawn(joined))
        overlap |= drawn & ~free
        joined[drawn & free] = mask[drawn & free]
    overlaps[:] = [int(overlap.sum())]
    return joined


def _in_one_form(masks: Sequence[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield masks as single values; all as colours where one has colours that are no greys."""
    coloured = any(mask.ndim == 3 and (mask != mask[..., :1]).any() for mask in masks)
    for mask in masks:
        if mask.ndim == 3:
            yield mask if coloured else mask[..., 0]
        else:
            yield np.repeat(mask.astype(np.uint8)[..., np.newaxis], 3, axis=2) if coloured else mask


def _drawn(mask: NDArray[Any]) -> NDArray[np.bool_]:
    drawn: NDArray[np.bool_] = mask != 0
    return np.logical_or.reduce(drawn, axis=2) if drawn.ndim == 3 else drawn


def _require_one_size(parts: Sequence[MaskPart], shapes: Sequence[tuple[int, ...]]) -> None:
    for part, shape in zip(parts, shapes, strict=True):
        if shape != shapes[0]:
            raise DataError(
                f"{part.path} is {size_text(shape)} and {parts[0].path} is {size_text(shapes[0])} (rows x columns)",
                "masks of one picture with one size",
                "draw or export the masks again at the picture's size",
            )

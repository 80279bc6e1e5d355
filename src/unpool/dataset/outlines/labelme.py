"""Annotations of labelme: a JSON file for each picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.filling import (
    OutlinePoints,
    fill_circle,
    fill_line,
    fill_point,
    fill_polygon,
    fill_rectangle,
)
from unpool.dataset.outlines.outline import (
    AnnotatedPicture,
    Annotations,
    Fill,
    Outline,
    label_of,
    list_of,
    points_of,
    size_of,
    table_of,
)
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.outlines.stored_masks import fill_png
from unpool.dataset.pairing.folder import PlacedFile
from unpool.io.text_files import read_text

_FILLS = {
    "polygon": (fill_polygon, 3),
    "oriented_rectangle": (fill_polygon, 4),
    "rectangle": (fill_rectangle, 2),
    "circle": (fill_circle, 2),
    "line": (fill_line, 2),
    "linestrip": (fill_line, 2),
    "point": (fill_point, 1),
}
"""How each kind of shape is drawn, and the fewest points that it has."""


_LISTS = ("labels.txt", "class_names.txt")
_MOST_LIST_BYTES = 1_000_000


def is_labelme(data: Any) -> bool:
    """Return whether a JSON document is labelme's."""
    return isinstance(data, dict) and isinstance(data.get("shapes"), list) and "imagePath" in data


def labelme_classes(others: Sequence[PlacedFile]) -> list[NamedClass]:
    """Return the classes of labelme's list, a name on each line, in its order; none without one. Raises DataError."""
    for file in sorted(others, key=lambda each: (len(each.path.parts), each.path)):
        if file.path.name.lower() in _LISTS:
            names = [line.strip() for line in read_text(file.path, _MOST_LIST_BYTES).splitlines() if line.strip()]
            if not any(re.search("[:;,=\t]", name) for name in names):
                return [NamedClass(name) for name in names]
    return []


def read_labelme(file: PlacedFile, data: Any, finder: PictureFinder, found: Annotations) -> None:
    """Add the picture of one JSON file. Raises ValueError or DataError where something in it is wrong."""
    written = data["imagePath"] if isinstance(data["imagePath"], str) else ""
    picture = finder.by_path(written, file)
    if picture is None or picture.path.parent != file.path.parent:
        own = finder.by_stem(file.path.stem, file)
        picture = own if own and (picture is None or own.path.parent == file.path.parent) else picture
    if picture is None:
        found.absent.append(written or file.path.stem)
        return
    outlines = []
    for number, shape in enumerate(data["shapes"], 1):
        try:
            outlines.append(_outline(table_of(shape, "it")))
        except ValueError as error:
            raise ValueError(f"shape {number}: {error}") from error
    size = size_of(data.get("imageHeight"), data.get("imageWidth"))
    found.pictures.append(AnnotatedPicture(picture, file.path, tuple(outlines), size))


def _outline(shape: dict[str, Any]) -> Outline:
    label, group = label_of(shape.get("label")), shape.get("group_id")
    kind = label_of(shape.get("shape_type") or "polygon")
    if group is not None and not isinstance(group, int | str):
        raise ValueError("its group_id is no number")
    if kind == "mask":
        fill = _mask(shape)
    elif kind in _FILLS:
        draw, fewest = _FILLS[kind]
        fill = partial(draw, points_of(list_of(shape.get("points"), "points"), fewest))
    else:
        raise ValueError(f"shape_type is {kind!r:.40}, none of {', '.join([*_FILLS, 'mask'])}")
    return Outline(label, kind, fill, group)


def _mask(shape: dict[str, Any]) -> Fill:
    corners: OutlinePoints = points_of(list_of(shape.get("points"), "points"), 2)
    (left, top), _ = corners[:2].clip(-(2**40), 2**40).astype(np.int64).tolist()
    text = shape.get("mask")
    if not isinstance(text, str):
        raise ValueError("a mask without its pixels")
    return partial(fill_png, text, top, left)

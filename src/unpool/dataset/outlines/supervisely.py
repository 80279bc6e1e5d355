"""Annotations of Supervisely: a JSON file for each picture in ``ann``, and ``meta.json`` with the classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import value_from_text
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.filling import Patch, fill_block, fill_nothing, fill_opencv
from unpool.dataset.outlines.outline import (
    AnnotatedPicture,
    Annotations,
    Fill,
    Outline,
    label_of,
    list_of,
    number_of,
    points_of,
    size_of,
    table_of,
)
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.outlines.stored_masks import fill_png
from unpool.dataset.pairing.folder import PlacedFile
from unpool.io.documents import read_json
from unpool.io.read.images import IMAGE_SUFFIXES
from unpool.shapes import Size


def is_supervisely(data: Any) -> bool:
    """Return whether a JSON document is Supervisely's for one picture."""
    return isinstance(data, dict) and isinstance(data.get("objects"), list) and isinstance(data.get("size"), dict)


def is_supervisely_meta(data: Any) -> bool:
    """Return whether a JSON document is Supervisely's list of classes."""
    classes = data.get("classes") if isinstance(data, dict) else None
    return isinstance(classes, list) and all(isinstance(each, dict) and "title" in each for each in classes)


def supervisely_classes(others: Sequence[PlacedFile]) -> list[NamedClass]:
    """Return the classes of ``meta.json`` in its order, with their colours; none without it. Raises DataError."""
    for file in sorted(others, key=lambda each: (len(each.path.parts), each.path)):
        if file.path.name == "meta.json" and is_supervisely_meta(data := read_json(file.path)):
            return [NamedClass(str(each["title"]), None, _colour(each.get("color"))) for each in data["classes"]]
    return []


def read_supervisely(file: PlacedFile, data: Any, finder: PictureFinder, found: Annotations) -> None:
    """Add the picture of one JSON file. Raises ValueError or DataError where something in it is wrong."""
    name = file.path.name.removesuffix(".json")
    named_whole = Path(name).suffix.lower() in IMAGE_SUFFIXES
    picture = finder.by_path(name, file) if named_whole else finder.by_stem(name, file)
    if picture is None:
        found.absent.append(name)
        return
    outlines = []
    for number, each in enumerate(data["objects"], 1):
        try:
            table = table_of(each, "it")
            kind = str(table.get("geometryType") or ("bitmap" if table.get("bitmap") else "polygon"))
            if kind in _FILLS:
                outlines.append(Outline(label_of(table.get("classTitle")), kind, _FILLS[kind](table)))
            else:
                found.undrawn[f"{kind} shapes"] += 1
        except ValueError as error:
            raise ValueError(f"object {number}: {error}") from error
    size = size_of(data["size"].get("height"), data["size"].get("width"))
    found.pictures.append(AnnotatedPicture(picture, file.path, tuple(outlines), size))


def _colour(text: Any) -> tuple[int, int, int] | None:
    if not isinstance(text, str) or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        return None
    value = value_from_text(text)
    return value if isinstance(value, tuple) else None


def _polygon(table: dict[str, Any]) -> Fill:
    points = table_of(table.get("points"), "points")
    rings = [_ring(points.get("exterior"))]
    holes = [_ring(hole) for hole in list_of(points.get("interior"), "interior")]
    return partial(_fill_with_holes, rings[0], holes)


def _fill_with_holes(border: NDArray[np.int64], holes: Sequence[NDArray[np.int64]], size: Size) -> Patch:
    outer = fill_opencv([border], size)
    if not holes or not outer.inside.size:
        return outer
    inner = fill_opencv(holes, size)
    mask = np.zeros(size, bool)
    for patch, value in ((outer, True), (inner, False)):
        rows, columns = patch.inside.shape
        mask[patch.top : patch.top + rows, patch.left : patch.left + columns][patch.inside] = value
    rows, columns = outer.inside.shape
    return Patch(outer.top, outer.left, mask[outer.top : outer.top + rows, outer.left : outer.left + columns])


def _rectangle(table: dict[str, Any]) -> Fill:
    corners = _ring(table_of(table.get("points"), "points").get("exterior"), 2)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return partial(_fill_box, (top, left, bottom, right))


def _fill_box(box: tuple[int, int, int, int], size: Size) -> Patch:
    top, left, bottom, right = max(box[0], 0), max(box[1], 0), min(box[2], size[0] - 1), min(box[3], size[1] - 1)
    if bottom < top or right < left:
        return fill_nothing(size)
    return fill_block(np.ones((bottom - top + 1, right - left + 1), bool), top, left, size)


def _bitmap(table: dict[str, Any]) -> Fill:
    bitmap = table_of(table.get("bitmap"), "bitmap")
    origin, text = list_of(bitmap.get("origin"), "origin"), bitmap.get("data")
    if len(origin) != 2 or not isinstance(text, str):
        raise ValueError("a bitmap without its origin or its data")
    left, top = (int(number_of(each)) for each in origin)
    return partial(fill_png, text, top, left)


def _ring(pairs: Any, fewest: int = 3) -> NDArray[np.int64]:
    return np.round(points_of(pairs, fewest)).clip(-(2**40), 2**40).astype(np.int64)


_FILLS = {"polygon": _polygon, "rectangle": _rectangle, "bitmap": _bitmap}
"""How each kind of shape with an area becomes pixels."""

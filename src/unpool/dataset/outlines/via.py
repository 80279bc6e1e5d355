"""Annotations of VIA, the VGG Image Annotator: a JSON or CSV file for many pictures, or a project."""

from __future__ import annotations

import csv
import io
from collections import Counter
from functools import partial
from typing import Any

import numpy as np

from unpool.dataset.outlines.filling import fill_ellipse, fill_to_border
from unpool.dataset.outlines.outline import (
    AnnotatedPicture,
    Annotations,
    Fill,
    Outline,
    label_of,
    number_of,
    points_of,
    table_of,
)
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.pairing.folder import PlacedFile
from unpool.io.documents import json_value
from unpool.wording import first_of

UNNAMED = "region"
"""The class of regions to which nobody gave a name."""

_CSV_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")

_CLASS_WORDS = ("class", "label", "name", "type", "category", "object", "region", "object_name")


def via_table(data: Any) -> dict[str, Any] | None:
    """Return VIA's table of pictures of a JSON document; None for other documents."""
    if isinstance(data, dict) and isinstance(data.get("_via_img_metadata"), dict):
        data = data["_via_img_metadata"]
    if not isinstance(data, dict) or not data:
        return None
    return data if all(isinstance(each, dict) and {"filename", "regions"} <= each.keys() for each in data.values()) \
        else None  # fmt: skip


def via_csv_table(text: str) -> dict[str, Any] | None:
    """Return the table of VIA's CSV file, as its JSON file has it; None for other texts.

    Raises
    ------
    ValueError: a row is broken.
    """
    heading, _, _ = text.partition("\n")
    if not {*_CSV_COLUMNS} <= {*heading.strip().removeprefix("#").split(",")}:
        return None
    table: dict[str, Any] = {}
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(text.removeprefix("#"))), 1):
            picture, *texts = (row.get(name) or "" for name in _CSV_COLUMNS)
            shape, attributes = (_table_in_cell(each, number) for each in texts)
            regions = table.setdefault(picture, {"filename": picture, "regions": []})["regions"]
            if shape:
                regions.append({"shape_attributes": shape, "region_attributes": attributes})
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return table


def _table_in_cell(text: str, row: int) -> dict[str, Any]:
    try:
        return table_of(json_value(text), "a cell")
    except ValueError as error:
        raise ValueError(f"row {row}: {error}") from error


def is_via(data: Any) -> bool:
    """Return whether a JSON document is VIA's."""
    return via_table(data) is not None


def read_via(file: PlacedFile, data: Any, finder: PictureFinder, found: Annotations) -> None:
    """Add the pictures of one JSON file. Raises ValueError or DataError where it cannot be read at all."""
    table = via_table(data) or {}
    regions = {key: _regions(each) for key, each in table.items()}
    attribute = _class_attribute([region for each in regions.values() for region in each])
    for key, each in table.items():
        written = label_of(each["filename"])
        picture = finder.by_path(written, file)
        if picture is None:
            found.absent.append(written)
            continue
        outlines = []
        try:
            for number, region in enumerate(regions[key], 1):
                outlines += _outlines(number, region, attribute, found)
        except ValueError as error:
            found.broken.append((file.path, f"{written}: {error}"))
            continue
        found.pictures.append(AnnotatedPicture(picture, file.path, tuple(outlines)))


def _regions(each: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the regions of a picture: a list, or in VIA 1 a table by number."""
    regions = each["regions"]
    regions = list(regions.values()) if isinstance(regions, dict) else regions
    if not isinstance(regions, list):
        raise ValueError("the regions of a picture are no list")
    return [table_of(region, "a region") for region in regions]


def _class_attribute(regions: list[dict[str, Any]]) -> str | None:
    """Return the attribute that gives the classes: the only one, or the one with a usual name; None without any."""
    counts = Counter(
        name
        for region in regions
        for name, value in table_of(region.get("region_attributes") or {}, "region_attributes").items()
        if value not in ("", None)
    )
    usual = [name for name in counts if name.lower().strip() in _CLASS_WORDS]
    if len(counts) > 1 and len(usual) != 1:
        raise ValueError(
            f"its regions have the attributes {first_of(list(counts))}, and none or several of them are called class, "
            "label, name or type"
        )
    return usual[0] if usual else next(iter(counts), None)


def _outlines(number: int, region: dict[str, Any], attribute: str | None, found: Annotations) -> list[Outline]:
    shape = table_of(region.get("shape_attributes"), f"the shape of region {number}")
    kind = str(shape.get("name"))
    if kind not in _FILLS:
        found.undrawn[f"{kind} shapes"] += 1
        return []
    attributes = region.get("region_attributes") or {}
    try:
        label = UNNAMED if attribute is None else _chosen(attributes.get(attribute))
        return [Outline(label, kind, _FILLS[kind](shape))]
    except ValueError as error:
        raise ValueError(f"region {number}, a {kind}: {error}") from error


def _chosen(value: Any) -> str:
    """Return the class that a region has; of boxes that are ticked, the only one."""
    if isinstance(value, dict):
        ticked = [name for name, each in value.items() if each is True]
        if len(ticked) != 1:
            raise ValueError(f"{len(ticked)} classes are ticked")
        return label_of(ticked[0])
    return label_of(value)


def _polygon(shape: dict[str, Any]) -> Fill:
    x, y = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
        raise ValueError("all_points_x and all_points_y are no lists of one length")
    return partial(fill_to_border, points_of(list(zip(x, y, strict=True))))


def _rectangle(shape: dict[str, Any]) -> Fill:
    left, top, width, height = (number_of(shape.get(name)) for name in ("x", "y", "width", "height"))
    right, bottom = left + width, top + height
    return partial(fill_to_border, np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))


def _ellipse(shape: dict[str, Any]) -> Fill:
    centre = number_of(shape.get("cx")), number_of(shape.get("cy"))
    if "r" in shape:
        return partial(fill_ellipse, centre, (number_of(shape["r"]),) * 2, 0.0)
    radii = number_of(shape.get("rx")), number_of(shape.get("ry"))
    return partial(fill_ellipse, centre, radii, number_of(shape.get("theta", 0)))


_FILLS = {"polygon": _polygon, "rect": _rectangle, "circle": _ellipse, "ellipse": _ellipse}
"""How each kind of shape with an area becomes pixels."""

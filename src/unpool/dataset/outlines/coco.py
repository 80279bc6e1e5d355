"""Annotations of COCO: a JSON file for many pictures, with polygons and runs of pixels."""

from __future__ import annotations

from functools import partial
from typing import Any

from unpool.class_table import Colour
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.filling import Patch, fill_coco, fill_runs
from unpool.dataset.outlines.outline import (
    AnnotatedPicture,
    Annotations,
    Fill,
    Outline,
    colour_of,
    id_in_document,
    label_of,
    list_of,
    points_of_numbers,
    size_of,
    table_of,
)
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.pairing.folder import PlacedFile
from unpool.io.coco_runs import runs_of_coco_text
from unpool.shapes import Size

_BOXES = "boxes without an outline"
_SHORT = "polygons of fewer than three points"


def is_coco(data: Any) -> bool:
    """Return whether a JSON document is a list of COCO's objects, and not one of captions or of panoptic masks."""
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("images", "annotations")):
        return False
    first = data["annotations"][0] if data["annotations"] else {"category_id": 0}
    return isinstance(first, dict) and "category_id" in first


def read_coco(file: PlacedFile, data: Any, finder: PictureFinder, found: Annotations) -> None:
    """Add the pictures of one JSON file. Raises ValueError or DataError where it cannot be read at all."""
    colours: dict[int, Colour | None] = {}
    names = _categories(data, colours)
    of_picture: dict[Any, list[Any]] = {}
    for each in data["annotations"]:
        owner = id_in_document(table_of(each, "an annotation").get("image_id"), "the image_id of an annotation")
        of_picture.setdefault(owner, []).append(each)
    used = {id_in_document(each.get("category_id"), "the category_id of an annotation") for each in data["annotations"]}
    found.classes += [
        NamedClass(name, number, colours[number]) for number, name in sorted(names.items()) if number or number in used
    ]
    for entry in data["images"]:
        table = table_of(entry, "a picture")
        written = label_of(table.get("file_name"))
        annotations = of_picture.pop(id_in_document(table.get("id"), "the id of a picture"), [])
        picture = finder.by_path(written, file)
        if picture is None:
            found.absent.append(written)
            continue
        try:
            outlines = [outline for each in annotations for outline in _outlines(each, names, found)]
            size = size_of(table.get("height"), table.get("width"))
        except ValueError as error:
            found.broken.append((file.path, f"{written}: {error}"))
            continue
        found.pictures.append(AnnotatedPicture(picture, file.path, tuple(outlines), size))
    if of_picture:
        number = next(iter(of_picture))
        raise ValueError(f"an annotation of the picture {number!r:.20}, which is not among its images")


def _categories(data: dict[str, Any], colours: dict[int, Colour | None]) -> dict[int, str]:
    """Return the names of the categories by their ids, and add their colours to ``colours``."""
    names: dict[int, str] = {}
    for entry in list_of(data.get("categories"), "categories"):
        table = table_of(entry, "a category")
        number = table.get("id")
        if not isinstance(number, int) or isinstance(number, bool) or number in names:
            raise ValueError(f"the id of a category is {number!r:.20}, no number of its own")
        names[number], colours[number] = label_of(table.get("name")), colour_of(table.get("color"))
    return names


def _outlines(each: dict[str, Any], names: dict[int, str], found: Annotations) -> list[Outline]:
    """Return the outline of an annotation; none where it has only a box."""
    number, category, drawn = each.get("id"), each.get("category_id"), each.get("segmentation")
    if not isinstance(category, int) or category not in names:
        raise ValueError(f"annotation {number!r:.20} is of category {category!r:.20}, which has no name")
    try:
        if not drawn:
            found.undrawn[_BOXES] += 1
            return []
        fill = _of_runs(drawn) if isinstance(drawn, dict) else _of_polygons(drawn, found)
    except ValueError as error:
        raise ValueError(f"annotation {number!r:.20}: {error}") from error
    kind = "RLE mask" if isinstance(drawn, dict) else "polygon"
    return [Outline(names[category], kind, fill, crowd=bool(each.get("iscrowd")))] if fill else []


def _of_polygons(drawn: Any, found: Annotations) -> Fill | None:
    rings = list_of(drawn, "segmentation")
    rings = rings if isinstance(rings[0], list) else [rings]
    long = [ring for ring in rings if len(list_of(ring, "a polygon")) >= 6]
    found.undrawn[_SHORT] += len(rings) - len(long)
    return partial(fill_coco, [points_of_numbers(ring) for ring in long]) if long else None


def _of_runs(drawn: dict[str, Any]) -> Fill:
    counts = drawn.get("counts")
    rows, columns = list_of(drawn.get("size"), "its size")[:2] or (None, None)
    size = size_of(rows, columns)
    if size is None or not isinstance(counts, str | list):
        raise ValueError("runs without a size or without counts")
    if isinstance(counts, list) and not all(isinstance(run, int) for run in counts):
        raise ValueError("counts that are no whole numbers")
    return partial(_fill_coded, counts, size)


def _fill_coded(counts: str | list[int], own: Size, size: Size) -> Patch:
    if own != size:
        raise ValueError(f"runs of {own[0]} x {own[1]} pixels, and the picture has {size[0]} x {size[1]}")
    return fill_runs(runs_of_coco_text(counts) if isinstance(counts, str) else counts, size)

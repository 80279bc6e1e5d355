"""Annotations of CVAT for images: an XML file for many pictures, with polygons, boxes, ellipses and masks."""

from __future__ import annotations

import math
import re
from functools import partial

import numpy as np

from unpool.class_table import value_from_text
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.filling import OutlinePoints, fill_coco
from unpool.dataset.outlines.outline import (
    AnnotatedPicture,
    Annotations,
    Fill,
    Outline,
    label_of,
    number_of,
    points_of,
    size_of,
)
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.outlines.stored_masks import fill_row_runs
from unpool.dataset.pairing.folder import PlacedFile
from unpool.io.xml_documents import XMLElement

_ELLIPSE_POINTS = 720
"""Corners of the polygon that CVAT's export makes of an ellipse."""

_NO_AREA = ("polyline", "points", "cuboid", "skeleton")


def is_cvat(root: XMLElement) -> bool:
    """Return whether an XML document is CVAT's for images."""
    return root.name == "annotations" and bool(root.named("image"))


def read_cvat(file: PlacedFile, root: XMLElement, finder: PictureFinder, found: Annotations) -> None:
    """Add the pictures of one XML file. Raises ValueError or DataError where it cannot be read at all."""
    for label in _labels(root):
        if label.name not in [named.name for named in found.classes]:
            found.classes.append(label)
    for image in root.named("image"):
        written = image.attributes.get("name", "")
        picture = finder.by_path(written, file)
        if picture is None:
            found.absent.append(written)
            continue
        try:
            size = size_of(image.attributes.get("height"), image.attributes.get("width"))
            outlines = _outlines(image, found)
        except ValueError as error:
            found.broken.append((file.path, f"{written}: {error}"))
            continue
        found.pictures.append(AnnotatedPicture(picture, file.path, outlines, size))


def _labels(root: XMLElement) -> list[NamedClass]:
    """Return the labels of the task, in its order, with their colours."""
    below = [each for meta in root.named("meta") for each in meta.children]
    found = []
    for label in [label for each in below for labels in each.named("labels") for label in labels.named("label")]:
        texts = {child.name: child.text.strip() for child in label.children}
        colour = value_from_text(texts["color"]) if re.fullmatch("#[0-9a-fA-F]{6}", texts.get("color", "")) else None
        if texts.get("name") and not label.named("parent"):
            found.append(NamedClass(texts["name"], None, colour if isinstance(colour, tuple) else None))
    return found


def _outlines(image: XMLElement, found: Annotations) -> tuple[Outline, ...]:
    """Return the shapes of a picture, those in front last."""
    drawn: list[tuple[float, Outline]] = []
    for number, shape in enumerate(image.children, 1):
        if shape.name in _NO_AREA:
            found.undrawn[f"{shape.name} shapes"] += 1
        if shape.name not in _FILLS:
            continue
        try:
            fill = _FILLS[shape.name](shape)
            label, group = label_of(shape.attributes.get("label")), shape.attributes.get("group_id", "0")
            depth = number_of(shape.attributes.get("z_order", "0"))
        except (KeyError, ValueError) as error:
            why = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"shape {number}, a {shape.name}: {why}") from error
        drawn.append((depth, Outline(label, shape.name, fill, None if group in ("", "0") else group)))
    return tuple(outline for _, outline in sorted(drawn, key=lambda each: each[0]))


def _polygon(shape: XMLElement) -> Fill:
    pairs = [pair.split(",") for pair in shape.attributes["points"].split(";")]
    return partial(fill_coco, [points_of(pairs)])


def _box(shape: XMLElement) -> Fill:
    left, top, right, bottom = (number_of(shape.attributes[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return partial(fill_coco, [_rotated(corners, ((left + right) / 2, (top + bottom) / 2), shape)])


def _ellipse(shape: XMLElement) -> Fill:
    x, y, across, down = (number_of(shape.attributes[name]) for name in ("cx", "cy", "rx", "ry"))
    angles = np.linspace(0, 2 * np.pi, _ELLIPSE_POINTS)
    corners = np.stack([x + across * np.cos(angles), y + down * np.sin(angles)], axis=1)
    return partial(fill_coco, [_rotated(corners, (x, y), shape)])


def _rotated(corners: OutlinePoints, centre: tuple[float, float], shape: XMLElement) -> OutlinePoints:
    """Return the corners rotated clockwise around a centre, by the degrees that the shape has."""
    angle = math.radians(number_of(shape.attributes.get("rotation", "0")))
    if not angle:
        return corners
    along = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    rotated: OutlinePoints = (corners - centre) @ along + centre
    return rotated


def _mask(shape: XMLElement) -> Fill:
    words = [word.strip() for word in shape.attributes["rle"].split(",")]
    if not all(word.isdecimal() and len(word) < 12 for word in words):
        raise ValueError("runs that are no whole numbers")
    top, left, rows, columns = (int(number_of(shape.attributes[name])) for name in ("top", "left", "height", "width"))
    return partial(fill_row_runs, list(map(int, words)), (top, left, rows, columns))


_FILLS = {"polygon": _polygon, "box": _box, "ellipse": _ellipse, "mask": _mask}
"""How each kind of shape with an area becomes pixels."""

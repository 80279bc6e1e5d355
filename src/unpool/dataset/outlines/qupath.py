"""Annotations of QuPath: a GeoJSON file for each picture, with polygons that may have holes."""

from __future__ import annotations

from functools import partial
from typing import Any

from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.filling import fill_centres
from unpool.dataset.outlines.outline import (
    AnnotatedPicture,
    Annotations,
    Outline,
    colour_of,
    label_of,
    list_of,
    points_of,
    table_of,
)
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.pairing.folder import PlacedFile

_OWN = frozenset({"objectType", "object_type", "classification", "isLocked"})
"""Properties of which QuPath writes one or more."""

UNCLASSIFIED = "unclassified object"
"""The class of objects to which nobody gave one."""


def geojson_features(data: Any) -> list[Any] | None:
    """Return the features of a GeoJSON document; None for other documents."""
    if (
        isinstance(data, list)
        and data
        and all(isinstance(each, dict) and each.get("type") == "Feature" for each in data)
    ):
        return data
    if not isinstance(data, dict):
        return None
    if data.get("type") == "FeatureCollection" and isinstance(data.get("features"), list):
        features: list[Any] = data["features"]
        return features
    return [data] if data.get("type") == "Feature" else None


def is_qupath(data: Any) -> bool:
    """Return whether a GeoJSON document is QuPath's, whose coordinates are pixels; others are places on the earth."""
    features = geojson_features(data)
    if features is None or (isinstance(data, dict) and data.get("crs")):
        return False
    properties = [each.get("properties") if isinstance(each, dict) else None for each in features]
    return all(isinstance(each, dict) and _OWN & each.keys() for each in properties)


def read_qupath(file: PlacedFile, data: Any, finder: PictureFinder, found: Annotations) -> None:
    """Add the picture of one GeoJSON file. Raises ValueError or DataError where something in it is wrong."""
    name = file.path.stem
    picture = finder.by_path(name, file) or finder.by_stem(name, file)
    if picture is None:
        found.absent.append(name)
        return
    outlines = []
    for number, feature in enumerate(geojson_features(data) or [], 1):
        try:
            outlines += _outlines(number, table_of(feature, "it"), found)
        except ValueError as error:
            raise ValueError(f"feature {number}: {error}") from error
    found.pictures.append(AnnotatedPicture(picture, file.path, tuple(outlines)))


def _outlines(number: int, feature: dict[str, Any], found: Annotations) -> list[Outline]:
    """Return the polygons of a feature, which are parts of one object."""
    geometry = table_of(feature.get("geometry"), "its geometry")
    kind, places = geometry.get("type"), list_of(geometry.get("coordinates"), "coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        found.undrawn[f"{kind} shapes"] += 1
        return []
    properties = feature.get("properties") or {}
    classification, value = properties.get("classification"), properties.get("value")
    table = classification if isinstance(classification, dict) else {"name": classification}
    label = UNCLASSIFIED if table.get("name") is None else label_of(table["name"])
    if all(named.name != label for named in found.classes):
        own = value if type(value) is int else None
        found.classes.append(NamedClass(label, own, colour_of(table.get("color"))))
        found.classes.sort(key=lambda named: (named.value or 0, named.name))
    polygons = places if kind == "MultiPolygon" else [places]
    rings = [[points_of(ring) for ring in list_of(polygon, "a polygon")] for polygon in polygons]
    return [Outline(label, "polygon", partial(fill_centres, each), number) for each in rings if each]

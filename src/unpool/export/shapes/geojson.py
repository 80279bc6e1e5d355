"""Shapes as GeoJSON for QuPath and QGIS: polygons along the edges of pixels, with holes, classes and colours."""

from __future__ import annotations

import json
from typing import Any

from unpool.export.shapes.map_place import MapPlace
from unpool.export.shapes.regions import Regions, ShapeRegion
from unpool.export.shapes.rings import ConnectedPart, Ring, region_parts


def geojson_text(regions: Regions, place: MapPlace | None) -> str:
    """Return the text of a GeoJSON file, a line for each region.

    Parameters
    ----------
    place: of the picture on the earth. None writes pixels: x to the right and y down, from the top left corner.
    """
    parts = region_parts(regions.numbers)
    lines = [
        json.dumps(_feature(region, parts[number], place), ensure_ascii=False, separators=(",", ":"))
        for number, region in enumerate(regions.regions, 1)
    ]
    system = ""
    if place is not None:
        name = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{place.epsg}"}}
        system = f'"crs":{json.dumps(name, separators=(",", ":"))},\n'
    return '{"type":"FeatureCollection",\n' + system + '"features":[\n' + ",\n".join(lines) + "\n]}\n"


def _feature(region: ShapeRegion, parts: list[ConnectedPart], place: MapPlace | None) -> dict[str, Any]:
    """Return one region: the properties are those that QuPath reads, then the class and its value for QGIS."""
    polygons = [[_closed(ring, place) for ring in (part.border, *part.holes)] for part in parts]
    geometry = (
        {"type": "Polygon", "coordinates": polygons[0]}
        if len(polygons) == 1
        else {"type": "MultiPolygon", "coordinates": polygons}
    )
    number = region.object_number
    properties: dict[str, Any] = {
        "objectType": "annotation" if number is None else "detection",
        "classification": {"name": region.of_class.name, "color": list(region.of_class.colour)},
        "class": region.of_class.name,
        "value": region.of_class.value,
    }
    if number is not None:
        properties |= {"name": str(number), "object": number}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _closed(ring: Ring, place: MapPlace | None) -> list[list[float]]:
    """Return a ring with its first corner again at its end, borders anticlockwise as GeoJSON has them."""
    points = ring[::-1]
    placed: list[list[float]] = points.tolist() if place is None else place.of(points).tolist()
    return [*placed, placed[0]]

"""The files of shapes in each format: a file for each mask, one for all masks, or a folder that belongs together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from unpool.errors import DataError
from unpool.export.shapes.coco_objects import coco_annotations, coco_categories, coco_image
from unpool.export.shapes.geojson import geojson_text
from unpool.export.shapes.imagej import roi_zip
from unpool.export.shapes.map_place import MapPlace, map_place
from unpool.export.shapes.regions import Regions, ShapeClass
from unpool.export.shapes.yolo_lines import yolo_names, yolo_text
from unpool.io.files import safe_child, write_bytes, write_text
from unpool.io.place_files import place_files
from unpool.io.read.file_facts import size_and_placement
from unpool.wording import count_text

ShapeFormat = Literal["geojson", "coco", "imagej", "yolo"]
"""A format of shapes."""

Coordinates = Literal["auto", "pixels", "map"]
"""The coordinates of GeoJSON: pixels, or places on the earth; ``auto`` takes these where a mask has a place there."""


class MaskFile(NamedTuple):
    """A mask file, its name below the folder of masks, and the name of its picture in COCO."""

    path: Path
    name: PurePosixPath
    picture: str


@dataclass
class ShapeFiles:
    """The files of one format while they are written.

    Attributes
    ----------
    target: the file or the folder to write.
    many: the target is a folder with a file for each mask.
    counts: number of shapes, by class.
    entries: pictures and annotations, of COCO.
    holes: number of holes that the format cannot hold, by mask.
    on_earth: number of masks whose shapes are written as places on the earth.
    without_system: number of masks with a place that names no system, as a world file, whose shapes are in pixels.
    """

    target: Path
    many: bool
    classes: Sequence[ShapeClass]
    coordinates: Coordinates = "auto"
    files: list[Path] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    entries: tuple[list[dict[str, Any]], list[dict[str, Any]]] = field(default_factory=lambda: ([], []))
    holes: dict[str, int] = field(default_factory=dict)
    on_earth: int = 0
    without_system: int = 0

    def add(self, to: ShapeFormat, mask: MaskFile, regions: Regions) -> None:
        """Write the shapes of a mask, or keep them until the end."""
        for region in regions.regions:
            self.counts[region.of_class.name] = self.counts.get(region.of_class.name, 0) + 1
        SHAPE_FORMATS[to].add(self, mask, regions)

    def finish(self, to: ShapeFormat) -> None:
        """Write what belongs to all masks together."""
        SHAPE_FORMATS[to].finish(self)

    def notes(self) -> tuple[str, ...]:
        """Return sentences on what the format cannot hold, and on the coordinates."""
        found = []
        if self.holes:
            count = count_text(sum(self.holes.values()), "hole")
            masks = count_text(len(self.holes), "mask")
            found.append(
                f"note: YOLO's polygons have no holes: {count} in {masks} are filled; COCO and GeoJSON keep them"
            )
        if self.on_earth:
            count = count_text(self.on_earth, "mask")
            found.append(f"{count} with a place on the earth: coordinates of the map; --coordinates pixels for QuPath")
        if self.without_system:
            count = count_text(self.without_system, "mask")
            found.append(
                f"note: {count} with a place that names no system of a map, as a world file does not: coordinates of "
                "pixels; for those of the map make GeoTIFFs of the masks, as gdal_translate -a_srs EPSG:32632 does"
            )
        return tuple(found)

    def path(self, mask: MaskFile, suffix: str, folder: str = "") -> Path:
        """Return the file of a mask. Its name keeps the mask's suffix where another mask differs by that alone."""
        if not self.many:
            self.files.append(self.target)
            return self.target
        path = safe_child(self.target, Path(folder, mask.name.with_suffix(suffix)))
        if path in self.files:
            path = safe_child(self.target, Path(folder, f"{mask.name}{suffix}"))
        self.files.append(path)
        return path


class ShapeFormatFiles(NamedTuple):
    """The way in which the files of a format are written.

    Attributes
    ----------
    suffix: of a file of shapes.
    layout: ``each``: a file for each mask; ``one``: one file for all; ``folder``: a folder, also for one mask.
    add: writes the shapes of a mask.
    finish: writes what belongs to all masks.
    """

    suffix: str
    layout: Literal["each", "one", "folder"]
    add: Callable[[ShapeFiles, MaskFile, Regions], None]
    finish: Callable[[ShapeFiles], None]


def _no_end(_: ShapeFiles) -> None:
    """Write nothing: each mask has a file of its own."""


def _add_geojson(files: ShapeFiles, mask: MaskFile, regions: Regions) -> None:
    place = None if files.coordinates == "pixels" else _place(mask.path, needed=files.coordinates == "map")
    files.on_earth += place is not None
    files.without_system += files.coordinates == "auto" and place is None and _has_place(mask.path)
    write_text(files.path(mask, ".geojson"), geojson_text(regions, place))


def _has_place(path: Path) -> bool:
    return bool(size_and_placement(path)[1].geography or place_files(path))


def _place(path: Path, *, needed: bool) -> MapPlace | None:
    """Return the place of a mask on the earth, in a system that has a number in EPSG's list."""
    place = map_place(size_and_placement(path)[1])
    if place is None and needed:
        raise DataError(
            f"{path}: no place on the earth" + (" in a system of a map that is named" if _has_place(path) else ""),
            "a GeoTIFF, which names the system of its map",
            "leave --coordinates out, or give GeoTIFF masks, as gdal_translate -a_srs EPSG:32632 makes them",
        )
    if place is not None and place.epsg is None:
        raise DataError(
            f"{path}: its coordinate system has no number in EPSG's list, so a GeoJSON file cannot name it",
            "a GeoTIFF in a system of EPSG, or coordinates in pixels",
            "give --coordinates pixels, or change the file's system, for example with gdalwarp",
        )
    return place


def _add_coco(files: ShapeFiles, mask: MaskFile, regions: Regions) -> None:
    images, annotations = files.entries
    rows, columns = regions.numbers.shape
    images.append(coco_image(len(images) + 1, mask.picture, (rows, columns)))
    annotations += coco_annotations(regions, len(images), len(annotations) + 1)


def _finish_coco(files: ShapeFiles) -> None:
    images, annotations = files.entries
    parts = {"images": images, "annotations": annotations, "categories": coco_categories(files.classes)}
    lines = [
        f'"{name}":[\n' + ",\n".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in entries)
        + "\n]"
        for name, entries in parts.items()
    ]  # fmt: skip
    write_text(files.target, "{" + ",\n".join(lines) + "}\n")
    files.files.append(files.target)


def _add_imagej(files: ShapeFiles, mask: MaskFile, regions: Regions) -> None:
    write_bytes(files.path(mask, ".zip"), roi_zip(regions))


def _add_yolo(files: ShapeFiles, mask: MaskFile, regions: Regions) -> None:
    lines = yolo_text(regions)
    if lines.holes:
        files.holes[str(mask.name)] = lines.holes
    write_text(files.path(mask, ".txt", "labels"), lines.text)


def _finish_yolo(files: ShapeFiles) -> None:
    files.files.append(files.target / "data.yaml")
    write_text(files.target / "data.yaml", yolo_names(files.classes))


SHAPE_FORMATS: dict[ShapeFormat, ShapeFormatFiles] = {
    "geojson": ShapeFormatFiles(".geojson", "each", _add_geojson, _no_end),
    "coco": ShapeFormatFiles(".json", "one", _add_coco, _finish_coco),
    "imagej": ShapeFormatFiles(".zip", "each", _add_imagej, _no_end),
    "yolo": ShapeFormatFiles(".txt", "folder", _add_yolo, _finish_yolo),
}
"""The formats by their names."""

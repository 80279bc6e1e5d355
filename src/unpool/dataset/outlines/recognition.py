"""Which files of a folder hold outlines, and of which tool: decided by their content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.aperio import is_aperio, read_aperio
from unpool.dataset.outlines.coco import is_coco, read_coco
from unpool.dataset.outlines.cvat import is_cvat, read_cvat
from unpool.dataset.outlines.labelme import is_labelme, labelme_classes, read_labelme
from unpool.dataset.outlines.outline import Annotations, UndrawnFormat
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.outlines.qupath import geojson_features, is_qupath, read_qupath
from unpool.dataset.outlines.run_tables import run_table
from unpool.dataset.outlines.supervisely import (
    is_supervisely,
    is_supervisely_meta,
    read_supervisely,
    supervisely_classes,
)
from unpool.dataset.outlines.via import is_via, read_via, via_csv_table
from unpool.dataset.outlines.yolo import read_yolo, yolo_classes, yolo_lines
from unpool.dataset.pairing.folder import PlacedFile, composed
from unpool.errors import DataError
from unpool.io.documents import read_json
from unpool.io.text_files import read_text
from unpool.io.xml_documents import XMLElement, read_xml
from unpool.wording import decodable

Read: TypeAlias = Callable[[PlacedFile, Any, PictureFinder, Annotations], None]
"""A function that adds the pictures of one annotation file."""

_MOST_TABLE_BYTES = 50_000_000
_LONGEST_LINE = 100_000
"""The most letters of a CSV file's line that are looked at."""

COCO_TASKS = ("person_keypoints", "captions", "stuff", "panoptic", "image_info")
"""First words of COCO's files that lie beside ``instances_…`` and hold the same pictures for another task."""


class Tool(NamedTuple):
    """An annotation tool whose outlines are drawn.

    Attributes
    ----------
    name: its name in messages.
    files: its files in messages.
    rule: how it draws, in words.
    read: adds the pictures of one of its files.
    classes: the classes that other files of the folder name, in order.
    smaller_on_top: smaller shapes hide larger ones; else later ones hide earlier ones.
    """

    name: str
    files: str
    rule: str
    read: Read
    classes: Callable[[Sequence[PlacedFile]], list[NamedClass]] | None = None
    smaller_on_top: bool = False


TOOLS = {
    "labelme": Tool(
        "labelme", "JSON file", "as labelme's own export draws them, by Pillow", read_labelme, labelme_classes
    ),
    "coco": Tool("COCO", "JSON file", "as pycocotools draws them", read_coco),
    "yolo": Tool(
        "YOLO", "text file", "as Ultralytics draws them, by OpenCV", read_yolo, yolo_classes, smaller_on_top=True
    ),
    "cvat": Tool("CVAT", "XML file", "as CVAT's own export of masks draws them", read_cvat),
    "supervisely": Tool(
        "Supervisely",
        "JSON file",
        "as Supervisely's own library draws them, by OpenCV",
        read_supervisely,
        supervisely_classes,
    ),
    "via": Tool("VIA", "file", "as scikit-image draws them, because VIA draws no masks", read_via),
    "aperio": Tool(
        "ImageScope", "XML file", "as scikit-image draws them, because ImageScope draws no masks", read_aperio
    ),
    "qupath": Tool("QuPath", "GeoJSON file", "as QuPath draws them, by the centres of pixels", read_qupath),
}
"""The tools by a short name."""


_VOC_BOXES = UndrawnFormat(
    "Pascal VOC's XML files hold boxes, not outlines",
    "draw outlines in the annotation tool, or make masks of the boxes with another program",
)
_LABELME_XML = UndrawnFormat(
    "XML files of the old LabelMe hold polygons, which are not drawn",
    "convert them to COCO, or export masks as PNG files into masks/",
)
_CVAT_VIDEO = UndrawnFormat(
    "CVAT's XML files for video hold tracks, which are not drawn",
    "export the task from CVAT as 'CVAT for images 1.1' or as 'Segmentation mask 1.1'",
)
_LABEL_STUDIO = UndrawnFormat(
    "Label Studio's own JSON files are not drawn",
    "export from Label Studio as COCO with images, or brush labels as PNG",
)
_PANOPTIC = UndrawnFormat(
    "COCO's panoptic JSON files describe masks in other files and hold no outlines",
    "use COCO's instances_… files, or turn the panoptic PNG files into masks of classes",
)
_DATUMARO = UndrawnFormat("Datumaro's JSON files are not drawn", "export as COCO, or as 'Segmentation mask 1.1'")
_VOTT = UndrawnFormat(
    "VoTT's JSON files are not drawn",
    "convert them to COCO with another program, or draw the objects in labelme or CVAT",
)
_SCALABEL = UndrawnFormat(
    "JSON files of Scalabel, as BDD100K has them, are not drawn",
    "use the masks of the set as PNG files (labels/sem_seg/masks), or convert them to COCO with Scalabel's own "
    "converter",
)
_PLACES = UndrawnFormat(
    "GeoJSON files with places on the earth, or without QuPath's classification, are not drawn",
    "draw them into a mask of the picture's size, for example with gdal_rasterize or QGIS, and save it as TIFF",
)


def annotation_files(files: Sequence[PlacedFile], finder: PictureFinder) -> Iterator[PlacedFile]:
    """Yield the files that may hold outlines, by their names; text files only with the name of a picture."""
    coco = any(file.path.name.startswith("instances") for file in files)
    for file in sorted(files, key=lambda file: file.path.suffix.lower() == ".csv"):
        suffix = file.path.suffix.lower()
        if any(folder.suffix.lower() == ".zarr" for folder in file.path.parents):
            continue
        whole = suffix in (".json", ".geojson") and not (coco and file.path.name.startswith(COCO_TASKS))
        if whole or suffix in (".xml", ".csv") or (suffix == ".txt" and finder.has_stem(composed(file.path.stem))):
            yield file


def recognised(file: PlacedFile) -> tuple[str, Any] | UndrawnFormat | None:
    """Return the tool of a file and its content; or its format, where that is known and not drawn; or else None.

    Raises
    ------
    DataError: the file cannot be read.
    """
    suffix = file.path.suffix.lower()
    if suffix == ".txt":
        lines = yolo_lines(file)
        return None if lines is None else ("yolo", lines)
    if suffix == ".xml":
        root = read_xml(file.path)
        tool = "cvat" if is_cvat(root) else "aperio" if is_aperio(root) else None
        return (tool, root) if tool else _undrawn_xml(root)
    if suffix == ".csv":
        return _recognised_table(file)
    data = read_json(file.path)
    tool = next((name for name, fits in _JSON_TESTS if fits(data)), None)
    if tool is None and data == {} and file.path.name.startswith("via"):
        tool = "via"  # a project without pictures
    return (tool, data) if tool else _undrawn_json(data)


def _recognised_table(file: PlacedFile) -> tuple[str, Any] | UndrawnFormat | None:
    """Return what a CSV file holds, see ``recognised``. Raises DataError."""
    try:
        with file.path.open("rb") as opened:
            heading, first = (opened.readline(_LONGEST_LINE).decode("utf-8", "replace").strip() for _ in range(2))
    except OSError:
        return None
    if "region_shape_attributes" not in heading:
        return run_table(file, heading.split(","), first.split(","))
    try:
        table = via_csv_table(read_text(file.path, _MOST_TABLE_BYTES))
    except ValueError as error:
        repair = "correct it in VIA and export again, or move the file out of the folder"
        raise DataError(f"{decodable(str(file.path))}: {error}", "annotations as VIA writes them", repair) from error
    return ("via", table) if table else None


_JSON_TESTS: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("labelme", is_labelme), ("coco", is_coco), ("supervisely", is_supervisely), ("qupath", is_qupath), ("via", is_via),
)  # fmt: skip


def _undrawn_xml(root: XMLElement) -> UndrawnFormat | None:
    if root.name == "annotations" and root.named("track"):
        return _CVAT_VIDEO
    objects = root.named("object") if root.name == "annotation" else []
    if any(each.named("polygon") for each in objects):
        return _LABELME_XML
    return _VOC_BOXES if any(each.named("bndbox") for each in objects) else None


def _undrawn_json(data: Any) -> UndrawnFormat | None:
    if is_supervisely_meta(data):
        return None
    if geojson_features(data) is not None:
        return _PLACES
    first = data[0] if isinstance(data, list) and data else None
    if isinstance(first, dict) and (
        ("data" in first and first.keys() & {"annotations", "completions"}) or any(map(_has_regions, first.values()))
    ):
        return _LABEL_STUDIO
    if isinstance(first, dict) and {"name", "labels"} <= first.keys():
        return _SCALABEL
    if not isinstance(data, dict):
        return None
    if {"asset", "regions"} <= data.keys():
        return _VOTT
    annotations = data.get("annotations")
    if isinstance(annotations, list) and annotations and isinstance(annotations[0], dict) \
            and "segments_info" in annotations[0]:  # fmt: skip
        return _PANOPTIC
    return _DATUMARO if isinstance(data.get("items"), list) and "categories" in data else None


def _has_regions(value: Any) -> bool:
    """Return whether a value of a task holds regions of Label Studio, as its JSON-MIN files do."""
    regions = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    return any(key.endswith("labels") and "original_width" in region for region in regions for key in region)

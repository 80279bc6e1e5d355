"""Annotations of Aperio ImageScope, as MoNuSeg has them: an XML file for each picture, with polygons in layers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from unpool.dataset.outlines.filling import fill_to_border
from unpool.dataset.outlines.outline import AnnotatedPicture, Annotations, Outline, points_of
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.pairing.folder import PlacedFile
from unpool.io.xml_documents import XMLElement

UNNAMED_LAYER = "object"
"""The class of a layer to which nobody gave a name."""

_AREAS = ("0", "1")
"""The types of regions whose vertices are the corners of an area: drawn by hand, and rectangles."""


def is_aperio(root: XMLElement) -> bool:
    """Return whether an XML document is ImageScope's."""
    return root.name == "Annotations" and any(each.named("Regions") for each in root.named("Annotation"))


def read_aperio(file: PlacedFile, root: XMLElement, finder: PictureFinder, found: Annotations) -> None:
    """Add the picture of one XML file. Raises ValueError or DataError where something in it is wrong."""
    picture = finder.by_stem(file.path.stem, file)
    if picture is None:
        found.absent.append(file.path.stem)
        return
    outlines = [outline for layer in root.named("Annotation") for outline in _outlines_of_layer(layer, found)]
    found.pictures.append(AnnotatedPicture(picture, file.path, tuple(outlines)))


def _outlines_of_layer(layer: XMLElement, found: Annotations) -> Iterator[Outline]:
    """Yield the regions of a layer, which is a class."""
    label = _label_of_layer(layer)
    for region in [region for regions in layer.named("Regions") for region in regions.named("Region")]:
        kind = region.attributes.get("Type", "0")
        if kind not in _AREAS or region.attributes.get("NegativeROA", "0") != "0":
            found.undrawn["regions that are holes" if kind in _AREAS else f"regions of type {kind}"] += 1
            continue
        corners = [corner.attributes for each in region.named("Vertices") for corner in each.named("Vertex")]
        if len(corners) < 3:
            found.undrawn["regions of fewer than 3 corners"] += 1
            continue
        points = points_of([(corner.get("X"), corner.get("Y")) for corner in corners])
        yield Outline(label, "polygon", partial(fill_to_border, points))


def _label_of_layer(layer: XMLElement) -> str:
    """Return the name of a layer: that of its attribute, as MoNuSAC has it, or its own."""
    attributes = [each for some in layer.named("Attributes") for each in some.named("Attribute")]
    names = [each.attributes.get("Name", "").strip() for each in (*attributes, layer)]
    return next((name for name in names if name), UNNAMED_LAYER)

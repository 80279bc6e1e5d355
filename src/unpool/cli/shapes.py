"""``unpool shapes``: masks as polygons for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from unpool.cli.options import ClassesOption, IgnoreOption, JsonOption, MasksOption, settings_of
from unpool.cli.program import app, print_result, run_command


@app.command
def shapes(
    masks: Annotated[Path, Parameter(help="A mask, or a folder of masks as `unpool predict` writes them.")],
    /,
    *,
    to: Annotated[
        Literal["geojson", "coco", "imagej", "yolo"],
        Parameter(help="Format: GeoJSON for QuPath and QGIS, COCO, ImageJ's ROI files, or YOLO's outlines."),
    ],
    out: Annotated[
        Path | None, Parameter(name=["--out", "-o"], help="File or folder to write; by default beside the masks.")
    ] = None,
    model: Annotated[
        Path | None, Parameter(help="The model that wrote the masks, for the names and colours of its classes.")
    ] = None,
    objects: Annotated[
        bool, Parameter(negative="", help="A shape for each connected object; else one for all pixels of a class.")
    ] = False,
    pictures: Annotated[
        Path | None, Parameter(help="Folder of the masks' pictures, for their file names in COCO.")
    ] = None,
    coordinates: Annotated[
        Literal["auto", "pixels", "map"],
        Parameter(help="Coordinates in GeoJSON; auto takes the map's where a mask is a GeoTIFF."),
    ] = "auto",
    kind: MasksOption = None,
    classes: ClassesOption = None,
    ignore: IgnoreOption = None,
    json_: JsonOption = False,
) -> int:
    """Write the shapes in masks for QuPath, QGIS, ImageJ, and programs that read COCO or YOLO.

    Example: unpool shapes masks --to geojson --objects --model runs/photos-unet
    """
    from unpool.commands.shapes import ShapeOptions
    from unpool.commands.shapes import shapes as command
    from unpool.config.settings import resolve
    from unpool.dataset.mask_values.options import MaskOptions

    given = resolve(settings_of(None, None, masks=kind, classes=classes, ignore=ignore)).data
    options = ShapeOptions(MaskOptions(given.masks, given.classes, given.ignore), model, objects, pictures, coordinates)
    result = run_command(command(masks, to, out, options), silent=json_)
    if json_:
        print_result(result.to_json())
    return 0

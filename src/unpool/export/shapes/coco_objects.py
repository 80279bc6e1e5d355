"""Shapes as COCO's JSON: runs of pixels with their class, area and box."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from unpool.export.shapes.regions import Regions, ShapeClass, region_boxes
from unpool.io.coco_runs import coco_text, runs_of_mask
from unpool.shapes import Size


def coco_categories(classes: Iterable[ShapeClass]) -> list[dict[str, Any]]:
    """Return COCO's categories: the number of a class in the table, without the background, is its id."""
    return [{"id": each.number, "name": each.name, "supercategory": "", "color": list(each.colour)} for each in classes]


def coco_image(number: int, name: str, size: Size) -> dict[str, Any]:
    """Return COCO's entry of a picture."""
    return {"id": number, "file_name": name, "height": size[0], "width": size[1]}


def coco_annotations(regions: Regions, image: int, first: int) -> list[dict[str, Any]]:
    """Return COCO's annotations of the regions of a picture.

    Parameters
    ----------
    image: the id of the picture.
    first: the id of the first annotation.
    """
    found = []
    for k, (region, box) in enumerate(zip(regions.regions, region_boxes(regions), strict=True)):
        rows, columns = box
        inside = regions.numbers[box] == k + 1
        found.append(
            {
                "id": first + k,
                "image_id": image,
                "category_id": region.of_class.number,
                "segmentation": {
                    "size": list(regions.numbers.shape),
                    "counts": coco_text(_whole_runs(inside, box, regions.numbers.shape)),
                },
                "area": int(np.count_nonzero(inside)),
                "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
                "iscrowd": 0,
            }
        )
    return found


def _whole_runs(inside: np.ndarray[Any, np.dtype[np.bool_]], box: Sequence[slice], size: tuple[int, ...]) -> list[int]:
    """Return the runs in the whole picture of pixels that are given in their box."""
    rows, columns = box
    band = np.zeros((size[0], columns.stop - columns.start), bool)
    band[rows] = inside
    runs = runs_of_mask(band)
    before, after = columns.start * size[0], (size[1] - columns.stop) * size[0]
    runs[0] += before
    if not after:
        return runs
    return [*runs, after] if len(runs) % 2 == 0 else [*runs[:-1], runs[-1] + after]

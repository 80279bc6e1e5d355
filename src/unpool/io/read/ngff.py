"""The picture that an OME-Zarr group describes: arrays, axes and place in space (OME-NGFF 0.3 to 0.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from unpool.errors import DataError
from unpool.io.placement import Axis, Space
from unpool.io.read.zarr_node import Node, odd_zarr, shown, typed
from unpool.wording import first_of


class Multiscale(NamedTuple):
    """A picture with its smaller copies.

    Attributes
    ----------
    array: the node of the picture at full size.
    axes: the name of each axis, in lower case.
    levels: smaller copies of the picture in the folder.
    space: of rows and columns; None where nothing is stated.
    """

    array: Node
    axes: tuple[str, ...]
    levels: int
    space: Space | None


def multiscale(node: Node) -> Multiscale:
    """Return the one picture of a group, or of an array without a group whose axes are known. Raises DataError."""
    if node.is_array:
        names = node.metadata.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS") or []
        axes = tuple(str(name).lower() for name in typed(node, names, list, "dimension_names"))
        flat = isinstance(shape := node.metadata["shape"], list) and len(shape) == 2
        return Multiscale(node, axes or (("y", "x") if flat else ()), 0, None)
    facts = _ome(node)
    if facts.get("multiscales") is None and "bioformats2raw.layout" in facts and not node.name:
        return multiscale(node.node(_only_series(node)))
    scales = typed(node, facts.get("multiscales") or [], list, "multiscales")
    if len(scales) != 1:
        what = "a plate" if "plate" in facts else f"{len(scales) or 'no'} pictures (multiscales)"
        raise several(node, f"a Zarr group with {what}", node.names())
    scale = typed(node, scales[0], dict, "multiscales")
    axes, units = _axes(node, scale.get("axes"))
    datasets = [typed(node, each, dict, "datasets") for each in typed(node, scale.get("datasets"), list, "datasets")]
    if not datasets:
        raise odd_zarr(node.root, "multiscales without datasets", "the arrays of a picture")
    array = node.node(typed(node, datasets[0].get("path"), str, "path"))
    places = [_placed(node, each.get("coordinateTransformations"), len(axes)) for each in datasets]
    shared = _placed(node, scale.get("coordinateTransformations"), len(axes))
    _check_first_is_largest(node, axes, places)
    space = {name: Axis(units[at], *places[0][at], shared[at]) for at, name in enumerate(axes) if name in "yx"}
    known = set(space) == {"y", "x"} and any(axis != Axis() for axis in space.values())
    return Multiscale(array, axes, len(datasets) - 1, (space["y"], space["x"]) if known else None)


def several(node: Node, found: str, names: Sequence[str]) -> DataError:
    """Return the error of a group that is not one picture, with the nodes that may be."""
    where = "/".join([str(node.root), *([node.name] if node.name else [])])
    repair = f"give one of them, such as {where}/{names[0]}" if names else "save one plane as a TIFF"
    below = f" ({first_of(names)})" if names else ""
    return DataError(f"{node.root}: {found}{below}", "one picture with the axes y, x and perhaps c", repair)


def _ome(node: Node) -> Mapping[str, Any]:
    """Return the attributes of OME: format 3 has them under a key of their own."""
    return typed(node, node.attributes.get("ome", node.attributes), dict, "ome")


def _only_series(node: Node) -> str:
    """Return the one series of a folder in the layout of bioformats2raw. Raises DataError where there are several."""
    names = [name for name in node.names() if name != "OME"]
    if "OME" in node.names():
        names = _ome(node.node("OME")).get("series") or names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise odd_zarr(node.root, "the series in OME are no list of names", "a list of names")
    if len(names) != 1:
        raise several(node, f"{len(names) or 'no'} pictures in the layout of bioformats2raw", names)
    return str(names[0])


def _axes(node: Node, value: Any) -> tuple[tuple[str, ...], list[str | None]]:
    """Return the names of the axes and their units. Raises DataError."""
    axes = typed(node, value, list, "axes")
    facts = [{"name": axis} if isinstance(axis, str) else typed(node, axis, dict, "axes") for axis in axes]
    names = tuple(typed(node, axis.get("name"), str, "an axis's name").lower() for axis in facts)
    units = [axis.get("unit") for axis in facts]
    return names, [None if unit is None else typed(node, unit, str, "an axis's unit") for unit in units]


def _placed(node: Node, changes: Any, count: int) -> list[tuple[float, float]]:
    """Return the scale and translation of each axis that transformations, one after the other, amount to."""
    places = [(1.0, 0.0)] * count
    for change in typed(node, changes or [], list, "coordinateTransformations"):
        kind = typed(node, change, dict, "coordinateTransformations").get("type")
        if kind == "identity":
            continue
        if kind not in ("scale", "translation"):
            raise odd_zarr(node.root, f"a transformation of the type {shown(kind)}", "identity, scale or translation")
        numbers = _numbers(node, change.get(kind), str(kind), count)
        if kind == "scale":
            places = [(scale * by, start * by) for (scale, start), by in zip(places, numbers, strict=True)]
        else:
            places = [(scale, start + by) for (scale, start), by in zip(places, numbers, strict=True)]
    if any(not scale or not isfinite(scale) or not isfinite(start) for scale, start in places):
        raise odd_zarr(node.root, "a scale of 0, or numbers that are not finite", "finite numbers, and a scale above 0")
    return places


def _numbers(node: Node, value: Any, kind: str, count: int) -> list[float]:
    numbers = typed(node, value, list, kind)
    if len(numbers) != count or any(isinstance(each, bool) or not isinstance(each, int | float) for each in numbers):
        raise odd_zarr(node.root, f"a {kind} of {shown(numbers)}", f"{count} numbers, one for each axis")
    try:
        return [float(each) for each in numbers]
    except OverflowError as error:
        raise odd_zarr(node.root, f"a {kind} beyond floating point", "finite numbers") from error


def _check_first_is_largest(node: Node, axes: Sequence[str], places: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Raise DataError where a copy has a finer scale than the first array, which is read as the full size."""
    for place in places[1:]:
        if any(abs(place[at][0]) < abs(places[0][at][0]) for at, name in enumerate(axes) if name in "yx"):
            raise odd_zarr(node.root, "datasets whose first is not the largest", "datasets from the largest")

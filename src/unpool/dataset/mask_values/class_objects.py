"""Classes in JSON: plain lists and tables of names, and the files of nnU-Net and Supervisely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unpool.class_table import Colour, value_from_text
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.wording import all_of

_NNUNET = "dataset.json"
_SUPERVISELY = ("meta.json", "obj_class_to_machine_color.json")
STRUCTURED = (_NNUNET, *_SUPERVISELY)
"""Names of JSON files with a structure of their own."""

_BLACK = (0, 0, 0)
_NAMES = ("name", "title", "label", "class", "category")
_VALUES = ("value", "pixel_value", "pixel", "index", "id")
_COLOURS = ("color", "colour", "rgb", "hex")
"""Keys of a class in a list of objects, the surest first."""


def classes_of_json(file: str, data: Any) -> tuple[Sequence[NamedClass], str]:
    """Return the classes in a JSON value, none where it has no class names, and a remark on how they were read.

    Parameters
    ----------
    file: name of the file, in small letters.

    Raises
    ------
    ValueError: a class has a colour that is none.
    """
    if file == _NNUNET:
        return _of_nnunet(data.get("labels") if isinstance(data, Mapping) else None)
    if file in _SUPERVISELY:
        return _of_supervisely(data)
    if isinstance(data, list) and all(isinstance(name, str) for name in data):
        return [NamedClass(name) for name in data], ""
    if isinstance(data, list):
        return _objects(data), ""
    return _items(data), ""


def colour_of_parts(parts: Any) -> Colour:
    """Return the colour of ``#rrggbb``, ``rrggbb`` or three numbers. Raises ValueError or TypeError for others."""
    if isinstance(parts, str):
        parts = value_from_text(parts if parts.startswith("#") else f"#{parts}")
    red, green, blue = (int(part) for part in parts)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"colour {red}, {green}, {blue}")
    return red, green, blue


def _items(data: Any) -> list[NamedClass]:
    classes = [_from_item(str(key), value) for key, value in data.items()] if isinstance(data, Mapping) else []
    return [named for named in classes if named] if all(classes) else []


def _from_item(key: str, value: object) -> NamedClass | None:
    """Return the class of ``"name": 1``, as nnU-Net writes it now, or of ``"1": "name"``, as it did; else None."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return NamedClass(key, value)
    if isinstance(value, str) and key.isdecimal() and len(key) < 10:
        return NamedClass(value, int(key))
    return None


def _of_nnunet(labels: Any) -> tuple[Sequence[NamedClass], str]:
    """Read the labels of nnU-Net: a value for each name, or the list of values that make up a region."""
    if isinstance(labels, list) and all(isinstance(name, str) for name in labels):
        return [NamedClass(name) for name in labels], ""
    if not isinstance(labels, Mapping) or not any(isinstance(value, list) for value in labels.values()):
        return _items(labels), ""
    regions = {str(name): set(value if isinstance(value, list) else [value]) for name, value in labels.items()}
    every = set().union(*regions.values())
    if not all(type(value) is int and value >= 0 for value in every):
        raise ValueError("a label is neither a mask value nor a list of mask values")
    classes = [NamedClass(_innermost(regions, value), value) for value in sorted(every)]
    nested = any(sum(value in region for region in regions.values()) > 1 for value in every)
    remark = "its regions lie in each other, so each mask value has the name of the smallest region around it"
    return classes, remark if nested else ""


def _innermost(regions: Mapping[str, set[int]], value: int) -> str:
    """Return the name of the smallest region with a value; of regions that only overlap, all names."""
    around = sorted((name for name, region in regions.items() if value in region), key=lambda name: len(regions[name]))
    if all(regions[around[0]] <= regions[name] for name in around):
        return around[0]
    return all_of(around)


def _of_supervisely(data: Any) -> tuple[Sequence[NamedClass], str]:
    """Read Supervisely's classes; what is in none of them is black, or 0, in its masks."""
    if isinstance(data, Mapping) and isinstance(data.get("classes"), list):
        classes = _objects([each for each in data["classes"] if isinstance(each, Mapping) and "title" in each])
        classes = [NamedClass(each.name, None, each.colour) for each in classes]  # its ids are those of a database
    elif isinstance(data, Mapping) and all(isinstance(parts, list) and parts for parts in data.values()):
        grey = all(set(parts) == {parts[0]} for parts in data.values())
        if not grey:
            return [NamedClass(str(name), None, colour_of_parts(parts)) for name, parts in data.items()], ""
        classes = [NamedClass(str(name), int(parts[0])) for name, parts in data.items()]
    else:
        return [], ""
    if not classes or any(each.colour == _BLACK or each.value == 0 or each.name == "background" for each in classes):
        return classes, ""
    numbered = classes[0].value is not None
    background = NamedClass("background", 0 if numbered else None, None if numbered else _BLACK)
    return [background, *classes], "what is in none of its classes, black or 0, is named background"


def _objects(data: Sequence[Any]) -> list[NamedClass]:
    """Read a list with an object for each class; empty where one of them has no name."""
    classes = []
    for each in data:
        name = _first(each, _NAMES) if isinstance(each, Mapping) else None
        if not isinstance(name, str) or not name:
            return []
        value, colour = _first(each, _VALUES), _first(each, _COLOURS)
        number = value if type(value) is int and 0 <= value < 1 << 31 else None
        classes.append(NamedClass(name, number, None if colour is None else colour_of_parts(colour)))
    numbered = [each.value for each in classes if each.value is not None]
    if len(set(numbered)) < len(classes):
        classes = [NamedClass(each.name, None, each.colour) for each in classes]
    return classes


def _first(each: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((each[key] for key in keys if key in each), None)

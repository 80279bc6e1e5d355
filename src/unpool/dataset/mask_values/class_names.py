"""Class names that a person gives: with the option ``--classes``, or in a file in the folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.class_table import Colour, value_from_text
from unpool.errors import DataError, UsageError
from unpool.io.documents import yaml_value

IGNORED_NAMES = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled", "unknown", "unlabel"})
"""Names of classes that count nowhere."""

_TEXTS = ("classes.txt", "codes.txt")
_YAMLS = ("classes.yaml", "classes.yml", "data.yaml", "data.yml", "dataset.yaml")
_TABLES = ("classes.csv", "class_dict.csv", "class_dict_seg.csv")
_FORMS = "name, value=name or #rrggbb=name"
_MOST_BYTES = 1_000_000
BY_HAND = "--classes"
"""The source of names that a person gives with the option."""


@dataclass(frozen=True)
class NamedClass:
    """A class name, with its mask value and its colour where the person gives them."""

    name: str
    value: int | None = None
    colour: Colour | None = None

    @property
    def ignored(self) -> bool:
        """Whether the name means that such pixels count nowhere."""
        return self.name.lower() in IGNORED_NAMES


@dataclass(frozen=True)
class ClassNames:
    """The classes that a person names.

    Attributes
    ----------
    classes: in the person's order.
    ignore: flat values to ignore; None where the person does not say.
    source: ``--classes`` or the name of a file.
    """

    classes: tuple[NamedClass, ...]
    ignore: tuple[int, ...] | None
    source: str


def names_by_hand(items: Sequence[str]) -> ClassNames:
    """Read ``name``, ``value=name`` and ``#rrggbb=name``. Raises UsageError for other texts, and for a name twice."""
    classes = tuple(_by_hand(item.strip()) for item in items)
    if twice := _twice(classes):
        raise UsageError(
            f"{BY_HAND} names '{twice}' twice",
            "a name of its own for every class",
            f"rename one, or give one name to two values: {BY_HAND} 1={twice} 2={twice}",
        )
    return ClassNames(classes, None, BY_HAND)


def names_in_folder(root: Path) -> ClassNames | None:
    """Read the class file of a folder; None without one. Raises DataError for a broken file, and for two files."""
    files = [root / name for name in (*_TEXTS, *_YAMLS, *_TABLES) if (root / name).is_file()]
    if not files:
        return None
    if len(files) > 1:
        raise DataError(
            f"{root}: several files with class names: {', '.join(path.name for path in files)}",
            "one file with class names",
            "keep the right one, or name the classes with --classes",
        )
    path = files[0]
    if path.stat().st_size > _MOST_BYTES:
        raise _broken(path, "it is larger than 1 MB")
    try:
        names = _reader(path)(path)
    except (OSError, ValueError, TypeError, LookupError, csv.Error) as error:
        raise _broken(path, str(error).split("\n")[0]) from error
    if twice := _twice(names.classes):
        raise _broken(path, f"it names '{twice}' twice")
    return names if names.classes else None


def _reader(path: Path) -> Any:
    return _from_yaml if path.name in _YAMLS else _from_csv if path.name in _TABLES else _from_text


def _broken(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} cannot be read as class names: {why}",
        "one name on a line (.txt), 'names: [...]' or 'names: {0: ...}' (.yaml), or name,r,g,b on a line (.csv)",
        "correct the file, or name the classes with --classes",
    )


def _by_hand(item: str) -> NamedClass:
    before, mark, name = item.partition("=")
    name = name.strip()
    if not mark:
        name, before = item, ""
    if not name:
        raise UsageError(f"--classes {item or '(empty)'} has no name", _FORMS, "add the name")
    if not before:
        return NamedClass(name)
    try:
        value = value_from_text(before.strip())
    except ValueError as error:
        raise UsageError(f"--classes {item}", _FORMS, "write the value as a number or as #rrggbb") from error
    return NamedClass(name, value=value) if isinstance(value, int) else NamedClass(name, colour=value)


def _twice(classes: Sequence[NamedClass]) -> str | None:
    """Return a name that two classes have, both without a mask value and a colour."""
    bare = [named.name for named in classes if named.value is None and named.colour is None]
    return next((name for name in bare if bare.count(name) > 1), None)


def _from_text(path: Path) -> ClassNames:
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    return ClassNames(tuple(NamedClass(line) for line in lines if line), None, path.name)


def _from_yaml(path: Path) -> ClassNames:
    data = yaml_value(path.read_bytes())
    if not isinstance(data, Mapping) or "names" not in data:
        return ClassNames((), None, path.name)
    names, palette, ignore = data["names"], data.get("palette") or (), data.get("ignore")
    if not isinstance(names, Mapping | list):
        raise ValueError(f"names is {names!r:.40}")
    items = list(names.items()) if isinstance(names, Mapping) else [(None, name) for name in names]
    colours = [_rgb(entry) for entry in palette] + [None] * len(items)
    classes = (
        NamedClass(_name(name), None if value is None else _value(value), colour)
        for (value, name), colour in zip(items, colours, strict=False)
    )
    ignored = None
    if ignore is not None:
        ignored = tuple(_value(value) for value in (ignore if isinstance(ignore, list) else [ignore]))
    return ClassNames(tuple(classes), ignored, path.name)


def _name(name: Any) -> str:
    if not isinstance(name, str | int) or name == "":
        raise ValueError(f"the name of a class is {name!r:.40}; write it in quotes")
    return str(name)


def _value(value: Any) -> int:
    number = value if type(value) is int else value_from_text(str(value))
    if not isinstance(number, int):
        raise ValueError(f"the value of a class is {value!r:.40}, a colour; write it under palette")
    return number


def _from_csv(path: Path) -> ClassNames:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    if rows and len(rows[0]) >= 4 and not any(cell.isdigit() for cell in rows[0][1:]):
        rows = rows[1:]
    for row in rows:
        if len(row) < 4 or not all(cell.isdigit() for cell in row[1:4]):
            raise ValueError(f"'{','.join(row)[:80]}' is not name,r,g,b")
    return ClassNames(tuple(NamedClass(row[0], colour=_rgb(row[1:4])) for row in rows), None, path.name)


def _rgb(parts: Any) -> Colour:
    if isinstance(parts, str):
        parts = value_from_text(parts if parts.startswith("#") else f"#{parts}")
    red, green, blue = (int(part) for part in parts)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"colour {red}, {green}, {blue}")
    return red, green, blue

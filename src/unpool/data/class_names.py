"""Class names a person gives: by hand, or in a file in the folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from unpool.classes import Colour, MaskValue
from unpool.errors import DataError, UsageError

IGNORED_NAMES = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled", "unknown", "unlabel"})
"""Names of classes that count nowhere."""

_TEXTS = ("classes.txt", "codes.txt")
_YAMLS = ("classes.yaml", "classes.yml", "data.yaml", "data.yml", "dataset.yaml")
_TABLES = ("classes.csv", "class_dict.csv", "class_dict_seg.csv")
_FORMS = "name, value=name or #rrggbb=name"
_LONGEST = 1_000_000
_COLOUR = re.compile(r"#([0-9a-fA-F]{6})$")


@dataclass(frozen=True)
class NamedClass:
    """A name with the mask value and colour that the person gave it, where they did."""

    name: str
    value: int | None = None
    colour: Colour | None = None

    @property
    def ignored(self) -> bool:
        """Whether the name says that such pixels count nowhere."""
        return self.name.lower() in IGNORED_NAMES


@dataclass(frozen=True)
class ClassNames:
    """Classes in the person's order, values they say to ignore, and where this was said."""

    classes: tuple[NamedClass, ...]
    ignore: tuple[int, ...] | None
    source: str


def names_by_hand(items: Sequence[str]) -> ClassNames:
    """Read ``name``, ``value=name`` and ``#rrggbb=name``. Raises UsageError."""
    return ClassNames(tuple(_by_hand(item.strip()) for item in items), None, "--classes")


def names_in_folder(root: Path) -> ClassNames | None:
    """Read the class file of a folder, if it has one. Raises DataError where it has two, or a broken one."""
    found = [root / name for name in (*_TEXTS, *_YAMLS, *_TABLES) if (root / name).is_file()]
    if not found:
        return None
    if len(found) > 1:
        raise DataError(
            f"{root}: several files with class names: {', '.join(path.name for path in found)}",
            "one of them",
            "keep the one that is right, or give --classes",
        )
    path = found[0]
    if path.stat().st_size > _LONGEST:
        raise _broken(path, "it is larger than 1 MB")
    try:
        names = _reader(path)(path)
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError, csv.Error) as error:
        raise _broken(path, str(error).split("\n")[0]) from error
    return names if names.classes else None


def _reader(path: Path) -> Any:
    return _from_yaml if path.name in _YAMLS else _from_csv if path.name in _TABLES else _from_text


def _broken(path: Path, why: str) -> DataError:
    return DataError(
        f"{path}: cannot be read as class names ({why})",
        "a name a line (.txt), 'names: [...]' or 'names: {0: ...}' (.yaml), or name,r,g,b a line (.csv)",
        "correct the file, or give --classes",
    )


def _by_hand(item: str) -> NamedClass:
    before, mark, name = item.partition("=")
    name = name.strip()
    if not mark:
        name, before = item, ""
    if not name:
        raise UsageError(f"--classes {item or '(empty)'}", _FORMS, "give the name")
    if not before:
        return NamedClass(name)
    if _COLOUR.match(before.strip()):
        return NamedClass(name, colour=_colour(before.strip()))
    if before.strip().isdigit():
        return NamedClass(name, value=int(before))
    raise UsageError(f"--classes {item}", _FORMS, "write the value as a number or as #rrggbb")


def _colour(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _from_text(path: Path) -> ClassNames:
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    return ClassNames(tuple(NamedClass(line) for line in lines if line), None, path.name)


def _from_yaml(path: Path) -> ClassNames:
    data = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    if not isinstance(data, Mapping) or "names" not in data:
        return ClassNames((), None, path.name)
    names, palette, ignore = data["names"], data.get("palette") or (), data.get("ignore")
    items = list(names.items()) if isinstance(names, Mapping) else [(None, name) for name in names]
    colours = [_rgb(entry) for entry in palette] + [None] * len(items)
    classes = (
        NamedClass(str(name), None if value is None else int(value), colour)
        for (value, name), colour in zip(items, colours, strict=False)
    )
    skipped = ignore if isinstance(ignore, list) else [] if ignore is None else [ignore]
    chosen = None if ignore is None else tuple(int(value) for value in skipped)
    return ClassNames(tuple(classes), chosen, path.name)


def _from_csv(path: Path) -> ClassNames:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    numbers = [row for row in rows if all(cell.isdigit() for cell in row[1:4]) and len(row) >= 4]
    if len(numbers) < len(rows) - 1:
        raise ValueError("a line has no r,g,b after the name")
    return ClassNames(tuple(NamedClass(row[0], colour=_rgb(row[1:4])) for row in numbers), None, path.name)


def _rgb(parts: Any) -> Colour:
    if isinstance(parts, str):
        return _colour(parts)
    red, green, blue = (int(part) for part in parts)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"colour {red}, {green}, {blue}")
    return red, green, blue


def value_of(named: NamedClass, colours: bool) -> MaskValue | None:
    """The mask value a person gave a class, in a set of colour masks or of single values."""
    return named.colour if colours else named.value

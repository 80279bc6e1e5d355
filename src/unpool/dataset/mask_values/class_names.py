"""Class names that a person gives: with the option ``--classes``, or in a file in the folder."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool.class_table import Colour, value_from_text
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.class_lines import LONGEST_LINE, Line, lines_of, named_classes
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.errors import DataError, UsageError
from unpool.io.documents import json_value, yaml_value
from unpool.io.text_files import read_text
from unpool.wording import decodable, first_of

_TEXTS = ("classes.txt", "codes.txt", "class_names.txt", "labels.txt", "labelmap.txt", "label_colors.txt")
_YAMLS = ("classes.yaml", "classes.yml", "data.yaml", "data.yml", "dataset.yaml")
_TABLES = ("classes.csv", "class_dict.csv", "class_dict_seg.csv", "_classes.csv")
_JSONS = ("classes.json", "dataset.json")
CLASS_FILES = (*_TEXTS, *_YAMLS, *_TABLES, *_JSONS)
"""Names of files with class names."""

_LIKE_CLASS_FILE = re.compile(
    r"_?(?:class|label|categor|code)(?:e?s|y|ies)?[ _-]?(?:names?|map|list|dict|colou?rs?|ids?)?"
    r"\.(?:txt|csv|tsv|json|xml|ya?ml|names|pbtxt|xlsx?)|obj\.names|meta\.json",
    re.IGNORECASE,
)
_FORMS = "name, value=name or #rrggbb=name"
_MOST_BYTES = 1_000_000
BY_HAND = "--classes"
"""The source of names that a person gives with the option."""


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

    @property
    def digest(self) -> str:
        """A digest of the classes, as they are named, in hex."""
        return hashlib.sha256(repr((self.classes, self.ignore)).encode()).hexdigest()


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


def names_in_folder(root: Path, files: Sequence[Path], otherwise: str) -> ClassNames | None:
    """Read the class file of a folder; None without one.

    Files in the folder itself are read, and only without one there those in its sub-folders. Several are one where
    they name the same classes.

    Parameters
    ----------
    files: the folder's files, of which those with a name of ``CLASS_FILES`` are read.
    otherwise: what a person can do without a class file, for messages.

    Raises
    ------
    DataError: a file is broken, or two files name different classes.
    """
    known = [path for path in files if path.name.lower() in CLASS_FILES]
    for paths in ([p for p in known if p.parent == root], [p for p in known if p.parent != root]):
        read = [names for path in sorted(paths) if (names := _names_of(path, root, otherwise))]
        if len({names.digest for names in read}) > 1:
            raise DataError(
                f"{root}: several files with class names: {first_of([names.source for names in read])}",
                "one file with class names, or files that name the same classes",
                f"keep the right one in the folder, or {otherwise}",
            )
        if read:
            return read[0]
    return None


def unread_class_files(root: Path, files: Sequence[Path], names: ClassNames | None) -> list[Finding]:
    """Return a note on files whose names say that they hold class names, and which are not read."""
    unread = [
        decodable(path.relative_to(root).as_posix())
        for path in files
        if _LIKE_CLASS_FILE.fullmatch(path.name) and path.name != Path(names.source if names else "").name
    ]
    if not unread or (names and names.source == BY_HAND):
        return []
    why = f", because the class names are from {names.source}" if names else ""
    return [
        Finding(
            "note",
            "class-file-unread",
            f"not read, although the name says that it holds class names: {first_of(unread, 3)}{why}",
            "",
            "" if names else "name the classes in a file classes.txt, with 'value: name' on every line",
        )
    ]


def _names_of(path: Path, root: Path, otherwise: str) -> ClassNames | None:
    """Return the class names of a file; None where it has none."""
    source = path.relative_to(root).as_posix()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is larger than 1 MB")
        classes, ignore = _reader(path)(path)
    except (OSError, ValueError, TypeError, LookupError, csv.Error) as error:
        raise _broken(path, str(error).split("\n")[0], otherwise) from error
    names = ClassNames(tuple(classes), ignore, source)
    if twice := _twice(names.classes):
        raise _broken(path, f"it names '{twice}' twice", otherwise)
    return names if names.classes else None


_COLUMNS = (
    ("value", "pixel value", "id", "index", "class id"),
    ("name", "class name", "class", "label"),
    ("r",),
    ("g",),
    ("b",),
)
"""Headings of the columns of a table: value, name, red, green, blue."""

_Read = tuple[Sequence[NamedClass], tuple[int, ...] | None]


def _reader(path: Path) -> Callable[[Path], _Read]:
    name = path.name.lower()
    return (
        _from_yaml if name in _YAMLS else _from_csv if name in _TABLES else _from_json if name in _JSONS else _from_text
    )


def _broken(path: Path, why: str, otherwise: str) -> DataError:
    return DataError(
        f"{path} cannot be read as class names: {why}",
        "one name on a line, or 'value: name' on every line (.txt); 'names: [...]' or 'names: {0: ...}' (.yaml); "
        "name,r,g,b or value,name on every line (.csv)",
        f"correct the file, or {otherwise}",
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


def _from_text(path: Path) -> _Read:
    lines = lines_of(read_text(path, _MOST_BYTES))
    if path.name.lower() == "labels.txt" and any(Path(line.text.split()[0]).suffix for line in lines):
        return (), None  # a list of files with their labels, as sets for classification have
    return named_classes(lines), None


def _from_yaml(path: Path) -> _Read:
    data = yaml_value(path.read_bytes())
    if not isinstance(data, Mapping) or "names" not in data:
        return (), None
    names, palette, ignore = data["names"], data.get("palette") or (), data.get("ignore")
    if not isinstance(names, Mapping | list):
        raise ValueError(f"names is {names!r:.40}")
    items = list(names.items()) if isinstance(names, Mapping) else [(None, name) for name in names]
    colours = [_rgb(entry) for entry in palette] + [None] * len(items)
    classes = [
        NamedClass(_name(name), None if value is None else _value(value), colour)
        for (value, name), colour in zip(items, colours, strict=False)
    ]
    if ignore is None:
        return classes, None
    return classes, tuple(_value(value) for value in (ignore if isinstance(ignore, list) else [ignore]))


def _name(name: Any) -> str:
    if not isinstance(name, str | int) or name == "":
        raise ValueError(f"the name of a class is {name!r:.40}; write it in quotes")
    return str(name)


def _value(value: Any) -> int:
    number = value if type(value) is int else value_from_text(str(value))
    if not isinstance(number, int):
        raise ValueError(f"the value of a class is {value!r:.40}, a colour; write it under palette")
    return number


def _from_csv(path: Path) -> _Read:
    text = read_text(path, _MOST_BYTES)
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    rows = csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True)
    lines = [Line(number, "\t".join(map(str.strip, row))) for number, row in enumerate(rows, 1) if any(row)]
    if long := next((line for line in lines if len(line.text) > LONGEST_LINE), None):
        raise ValueError(f"line {long.number} has {len(long.text):,} letters")
    return named_classes(list(_columns(lines))), None


def _columns(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield the lines of a table with the columns value, name and colour only, where its heading names them."""
    heading = [cell.lower().replace("_", " ") for cell in lines[0].text.split("\t")] if lines else []
    places = [next((heading.index(word) for word in words if word in heading), None) for words in _COLUMNS]
    if places[1] is None or any(cell.isdecimal() for cell in heading):
        yield from lines
        return
    for number, text in lines[1:]:
        cells = text.split("\t")
        yield Line(number, "\t".join(cells[place] for place in places if place is not None and place < len(cells)))


def _from_json(path: Path) -> _Read:
    data = json_value(read_text(path, _MOST_BYTES))
    if path.name.lower() == "dataset.json":
        data = data.get("labels") if isinstance(data, Mapping) else None  # nnU-Net
    if isinstance(data, list) and all(isinstance(name, str) for name in data):
        return [NamedClass(name) for name in data], None
    items = data.items() if isinstance(data, Mapping) else ()
    classes = [_from_item(str(key), value) for key, value in items]
    return [named for named in classes if named] if all(classes) else (), None


def _from_item(key: str, value: object) -> NamedClass | None:
    """Return the class of ``"name": 1``, as nnU-Net writes it now, or of ``"1": "name"``, as it did; else None."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return NamedClass(key, value)
    if isinstance(value, str) and key.isdecimal() and len(key) < 10:
        return NamedClass(value, int(key))
    return None


def _rgb(parts: Any) -> Colour:
    if isinstance(parts, str):
        parts = value_from_text(parts if parts.startswith("#") else f"#{parts}")
    red, green, blue = (int(part) for part in parts)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"colour {red}, {green}, {blue}")
    return red, green, blue

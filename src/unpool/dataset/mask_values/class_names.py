"""Class names that a person gives: with the option ``--classes``, or in a file in the folder."""

from __future__ import annotations

import csv
import hashlib
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unpool.class_table import value_from_text
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.class_lines import LONGEST_LINE, Line, lines_of, named_classes
from unpool.dataset.mask_values.class_objects import STRUCTURED, classes_of_json, colour_of_parts
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.errors import DataError, UsageError
from unpool.io.documents import json_value, yaml_value
from unpool.io.text_files import read_text
from unpool.wording import decodable, first_of

_TEXTS = (
    "classes.txt", "codes.txt", "class_names.txt", "labels.txt", "labelmap.txt", "label_colors.txt", "obj.names",
)  # fmt: skip
_OF_LABELME = "label_names.txt"
"""The classes of one picture, beside the mask that labelme_json_to_dataset makes of it."""
_YAMLS = ("classes.yaml", "classes.yml", "data.yaml", "data.yml", "dataset.yaml")
_ADE20K = ("objectinfo150.txt", "objectinfo150.csv")
_TABLES = ("classes.csv", "class_dict.csv", "class_dict_seg.csv", "_classes.csv", *_ADE20K)
_JSONS = ("classes.json", *STRUCTURED)
CLASS_FILES = (*_TEXTS, *_YAMLS, *_TABLES, *_JSONS)
"""Names of files with class names."""

_LIKE_CLASS_FILE = re.compile(
    r"_?(?:class|label|categor|code)(?:e?s|y|ies)?[ _-]?(?:names?|map|list|dict|colou?rs?|ids?)?"
    r"\.(?:txt|csv|tsv|json|xml|ya?ml|names|pbtxt|xlsx?)",
    re.IGNORECASE,
)
_FORMS = "name, value=name, value,value=name, low-high=name or #rrggbb=name"
_RANGE = re.compile(r"([0-9]{1,9})\s*[-–]\s*([0-9]{1,9})")
_MEASUREMENTS = re.compile(rb'(?:\xef\xbb\xbf)?"?picture"?[,;\t]"?class"?[,;\t]"?area_px\b')  # spreadsheets change it
_MOST_BYTES = 1_000_000
BY_HAND = "--classes"
"""The source of names that a person gives with the option."""
OF_OUTLINES = "the outlines of "
"""How the source of names begins that are those of outlines, with the class files of their tool."""


@dataclass(frozen=True)
class ClassNames:
    """The classes that a person names.

    Attributes
    ----------
    classes: in the person's order.
    ignore: flat values to ignore; None where the person does not say.
    source: ``--classes`` or the name of a file.
    remark: how the classes were read, where that is not plain; empty otherwise.
    """

    classes: tuple[NamedClass, ...]
    ignore: tuple[int, ...] | None
    source: str
    remark: str = ""

    @property
    def by_hand(self) -> bool:
        """Whether the person gives the names with the option."""
        return self.source == BY_HAND

    @property
    def stated(self) -> bool:
        """Whether every class has a value or a colour."""
        return all(not named.bare for named in self.classes)

    @property
    def in_order(self) -> tuple[str, ...]:
        """The names in the order of their values, or as they are given without values; none where colours decide."""
        if all(named.bare for named in self.classes):
            return tuple(named.name for named in self.classes)
        if any(named.value is None for named in self.classes):
            return ()
        return tuple(named.name for named in sorted(self.classes, key=_order))

    @property
    def digest(self) -> str:
        """A digest of the classes, as they are named, in hex."""
        # As earlier versions wrote it, which the cards of their models keep.
        classes = ", ".join(
            f"NamedClass(name={c.name!r}, value={c.value!r}, colour={c.colour!r})" for c in self.classes
        )
        text = f"(({classes}{',' * (len(self.classes) == 1)}), {self.ignore!r})"
        return hashlib.sha256(text.encode()).hexdigest()


def names_by_hand(items: Sequence[str]) -> ClassNames:
    """Read ``name``, ``value=name``, ``value,value=name``, ``low-high=name`` and ``#rrggbb=name``.

    Raises
    ------
    UsageError: another text, or a name twice.
    """
    classes = tuple(named for item in items for named in _by_hand(item.strip()))
    if twice := _twice(classes):
        raise UsageError(
            f"{BY_HAND} names '{twice}' twice",
            "a name of its own for every class",
            f"rename one, or give one name to two values: {BY_HAND} 1,2={shlex.quote(twice)}",
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
    if not known:
        return _of_each_picture(root, [path for path in files if path.name == _OF_LABELME], otherwise)
    for paths in ([p for p in known if p.parent == root], [p for p in known if p.parent != root]):
        read = [names for path in sorted(paths) if (names := _names_of(path, root, otherwise))]
        read.sort(key=_detail, reverse=True)
        if not all(_agree(read[0], names) for names in read[1:]):
            raise _several_files(root, read, otherwise)
        if read:
            return read[0]
    return None


def _of_each_picture(root: Path, files: Sequence[Path], otherwise: str) -> ClassNames | None:
    """Return the classes of labelme's ``label_names.txt``, which it numbers for each picture; None without such files.

    Raises
    ------
    DataError: a file is broken, or a value means different classes in two pictures.
    """
    read = [names for path in sorted(files) if (names := _names_of(path, root, otherwise))]
    longest = max(read, key=lambda names: len(names.classes), default=None)
    for names in read:
        for value, (one, other) in enumerate(zip(names.classes, longest.classes if longest else (), strict=False)):
            if longest and one.name != other.name:
                raise DataError(
                    f"{root}: mask value {value} means {one.name} by {names.source}, and {other.name} by "
                    f"{longest.source}, because labelme_json_to_dataset numbers the classes of each picture by itself",
                    "one meaning of each value in all masks",
                    "leave the pictures and labelme's JSON files alone in the folder: masks are drawn of them with one "
                    "numbering; or export all pictures at once with labelme's labelme2voc",
                )
    return longest


def _several_files(root: Path, read: Sequence[ClassNames], otherwise: str) -> DataError:
    """Return the error of files that name different classes; each may hold for the masks of its own folder."""
    repair = f"keep the right one in the folder, or {otherwise}"
    if len({Path(names.source).parent for names in read}) > 1:
        repair = (
            f"if one holds for all masks, {repair}; if each holds for the masks of its own folder, give a class the "
            "same value in all masks first, for example by exporting them together"
        )
    return DataError(
        f"{root}: several files with class names: {first_of(sorted(names.source for names in read))}",
        "one file with class names, or files that name the same classes",
        repair,
    )


def unread_class_files(root: Path, files: Sequence[Path], names: ClassNames | None) -> list[Finding]:
    """Return a note on files whose names say that they hold class names, and which are not read."""
    unread = [
        decodable(path.relative_to(root).as_posix())
        for path in files
        if _LIKE_CLASS_FILE.fullmatch(path.name) and path.name != Path(names.source if names else "").name
    ]
    if not unread or (names and (names.source == BY_HAND or names.source.startswith(OF_OUTLINES))):
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
        if _has_measurements(path):
            return None
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is larger than 1 MB")
        classes, ignore, remark = _reader(path)(path)
    except (OSError, ValueError, TypeError, LookupError, csv.Error) as error:
        raise _broken(path, str(error).split("\n")[0], otherwise) from error
    names = ClassNames(tuple(classes), ignore, source, remark)
    if twice := _twice(names.classes):
        raise _broken(path, f"it names '{twice}' twice", otherwise)
    return names if names.classes else None


def _has_measurements(path: Path) -> bool:
    """Return whether a file is the table of measured classes that ``predict --objects`` writes beside its masks."""
    with path.open("rb") as file:
        return _MEASUREMENTS.match(file.read(64)) is not None


_COLUMNS = (
    ("value", "pixel value", "id", "idx", "index", "class id"),
    ("name", "class name", "class", "label"),
    ("r",),
    ("g",),
    ("b",),
)
"""Headings of the columns of a table: value, name, red, green, blue."""

_Read = tuple[Sequence[NamedClass], tuple[int, ...] | None, str]
"""The classes of a file, the values that it ignores, and a remark."""


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


def _detail(names: ClassNames) -> tuple[int, int]:
    """Return how much a file says about its classes: the number of values, and of colours."""
    return sum(n.value is not None for n in names.classes), sum(n.colour is not None for n in names.classes)


def _agree(one: ClassNames, other: ClassNames) -> bool:
    """Return whether two files can both be right: the same names of the same values and colours.

    Names without values stand for 0, 1, …; a file may leave out the classes that count nowhere.
    """
    if one.digest == other.digest:
        return True
    if one.ignore is not None and other.ignore is not None and set(one.ignore) != set(other.ignore):
        return False
    ignored = {*(one.ignore or ()), *(other.ignore or ())}
    columns = []
    for names in (one, other):
        counted = [named for named in names.classes if not named.ignored and named.value not in ignored]
        columns.append(counted if all(n.value is None for n in counted) else sorted(counted, key=_order))
    if [named.name for named in columns[0]] != [named.name for named in columns[1]]:
        return False
    for place, (left, right) in enumerate(zip(*columns, strict=True)):
        values = {place if named.value is None else named.value for named in (left, right)}
        if len(values) > 1 or (left.colour and right.colour and left.colour != right.colour):
            return False
    return True


def _order(named: NamedClass) -> int:
    return -1 if named.value is None else named.value


def _by_hand(item: str) -> list[NamedClass]:
    before, mark, name = item.partition("=")
    name = name.strip()
    if not mark:
        name, before = item, ""
    if not name:
        raise UsageError(f"{BY_HAND} {item or '(empty)'} has no name", _FORMS, "add the name")
    if not before:
        return [NamedClass(name)]
    return [_stated(text.strip(), name, item) for text in before.split(",")]


def _stated(text: str, name: str, item: str) -> NamedClass:
    if span := _RANGE.fullmatch(text):
        low, high = int(span[1]), int(span[2])
        if low > high:
            raise UsageError(
                f"{BY_HAND} {item}: the range {text} has its higher value first",
                "the lower value first",
                f"write {low}-{high} the other way: {high}-{low}={name}",
            )
        return NamedClass(name, value=low, top=high if high > low else None)
    try:
        value = value_from_text(text)
    except ValueError as error:
        raise UsageError(
            f"{BY_HAND} {item}", _FORMS, "write each value as a number, as a range such as 0-127, or as #rrggbb"
        ) from error
    return NamedClass(name, value=value) if isinstance(value, int) else NamedClass(name, colour=value)


def _twice(classes: Sequence[NamedClass]) -> str | None:
    """Return a name that two classes have, both without a mask value and a colour."""
    bare = [named.name for named in classes if named.bare]
    return next((name for name in bare if bare.count(name) > 1), None)


def _from_text(path: Path) -> _Read:
    lines = lines_of(read_text(path, _MOST_BYTES))
    if path.name.lower() == "labels.txt" and any(Path(line.text.split()[0]).suffix for line in lines):
        return (), None, ""  # a list of files with their labels, as sets for classification have
    return named_classes(lines), None, ""


def _from_yaml(path: Path) -> _Read:
    data = yaml_value(path.read_bytes())
    if not isinstance(data, Mapping) or "names" not in data:
        return (), None, ""
    names, palette, ignore = data["names"], data.get("palette") or (), data.get("ignore")
    if not isinstance(names, Mapping | list):
        raise ValueError(f"names is {names!r:.40}")
    items = list(names.items()) if isinstance(names, Mapping) else [(None, name) for name in names]
    colours = [colour_of_parts(entry) for entry in palette] + [None] * len(items)
    classes = [
        NamedClass(_name(name), None if value is None else _value(value), colour)
        for (value, name), colour in zip(items, colours, strict=False)
    ]
    if ignore is None:
        return classes, None, ""
    return classes, tuple(_value(value) for value in (ignore if isinstance(ignore, list) else [ignore])), ""


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
    classes = named_classes(list(_columns(lines)))
    return _of_ade20k(classes) if path.name.lower() in _ADE20K else (classes, None, "")


def _of_ade20k(classes: Sequence[NamedClass]) -> _Read:
    """Return the classes of ADE20K's scene parsing with the first of their names; its masks have 0 for all others."""
    first = [re.split(r"[,;]", named.name)[0].strip() for named in classes]
    short = first if len(set(first)) == len(first) else [named.name for named in classes]
    named = [replace(each, name=name) for each, name in zip(classes, short, strict=True)]
    return (
        named,
        (0,),
        "0 is ADE20K's index for all other things, which its scene parsing does not score: it is ignored",
    )


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
    try:
        data = json_value(read_text(path, _MOST_BYTES))
    except ValueError:
        if path.name.lower() == "meta.json":
            return (), None, ""  # other programs write files of this name too
        raise
    classes, remark = classes_of_json(path.name.lower(), data)
    return classes, None, remark

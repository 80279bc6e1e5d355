"""Annotations of YOLO (Ultralytics): a text file for each picture; a line is an object, in shares of the sides."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unpool.class_table import MAX_CLASSES
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.filling import OutlinePoints, Patch, fill_opencv
from unpool.dataset.outlines.outline import AnnotatedPicture, Annotations, Outline, points_of_numbers
from unpool.dataset.outlines.picture_finder import PictureFinder
from unpool.dataset.pairing.folder import PlacedFile
from unpool.errors import DataError
from unpool.io.documents import read_yaml
from unpool.io.text_files import read_text
from unpool.shapes import Size
from unpool.wording import count_text

BOX_LINES = "boxes, lines of 5 numbers"

MOST_TEXT_BYTES = 50_000_000
_MOST_ABOVE = 1.01
"""The largest share that Ultralytics takes for 1."""

_NAMES = ("classes.txt", "obj.names", "class_names.txt")


def yolo_lines(file: PlacedFile) -> list[list[str]] | None:
    """Return the words of each line of a text file, where all lines look as YOLO's; else None."""
    try:
        lines = [line.split() for line in read_text(file.path, MOST_TEXT_BYTES).splitlines()]
    except DataError:
        return None
    lines = [words for words in lines if words]
    fits = all(words[0].isdecimal() and len(words) >= 5 and len(words) % 2 for words in lines)
    return lines if fits and all(_is_number(word) for words in lines for word in words[1:]) else None


def read_yolo(file: PlacedFile, lines: list[list[str]], finder: PictureFinder, found: Annotations) -> None:
    """Add the picture of one text file. Raises ValueError or DataError where something in it is wrong."""
    picture = finder.by_stem(file.path.stem, file)
    if picture is None:
        found.absent.append(file.path.stem)
        return
    outlines = []
    for number, words in enumerate(lines, 1):
        if len(words) == 5:
            found.undrawn[BOX_LINES] += 1
            continue
        points = points_of_numbers(words[1:])
        if points.min() < 0 or points.max() > _MOST_ABOVE:
            raise ValueError(f"line {number} has {points.min():g} to {points.max():g}, no shares of the sides (0 to 1)")
        name = _class_name(int(words[0]), found)
        outlines.append(Outline(name, "polygon", partial(_fill_shares, np.minimum(points, 1.0))))
    found.pictures.append(AnnotatedPicture(picture, file.path, tuple(outlines)))


def yolo_classes(others: Sequence[PlacedFile]) -> list[NamedClass]:
    """Return the classes that a YAML file or a list of names has, the nearest to the top first; none without one.

    Class 0 has the mask value 1, because 0 is the background.

    Raises
    ------
    DataError: the file is broken.
    """
    for file in sorted(others, key=lambda each: (len(each.path.parts), each.path)):
        if file.path.suffix.lower() in (".yaml", ".yml"):
            data = _yaml(file.path)
            names: Any = data.get("names") if isinstance(data, dict) else None
            if isinstance(names, list):
                names = dict(enumerate(names))
            if isinstance(names, dict) and all(isinstance(key, int) for key in names):
                return [NamedClass(str(name), key + 1) for key, name in sorted(names.items())]
        if file.path.name.lower() in _NAMES:
            lines = read_text(file.path, 1_000_000).splitlines()
            return [NamedClass(line.strip(), k) for k, line in enumerate(lines, 1) if line.strip()]
    return []


def _yaml(path: Path) -> Any:
    """Return the content of a YAML file; None where it is broken and its name is not one of YOLO's."""
    try:
        return read_yaml(path)
    except DataError:
        if path.stem.lower() in ("data", "dataset"):
            raise
        return None


def _class_name(number: int, found: Annotations) -> str:
    """Return the name of a class by its number; where no file names the classes, it is the number."""
    for named in found.classes:
        if named.value == number + 1:
            return named.name
    unnamed = all(named.name == _unnamed((named.value or 1) - 1) for named in found.classes)
    if not unnamed or number > MAX_CLASSES:
        raise ValueError(f"class {number}, which has no name ({count_text(len(found.classes), 'class')} have one)")
    found.classes.append(NamedClass(_unnamed(number), number + 1))
    return _unnamed(number)


def _unnamed(number: int) -> str:
    return f"class {number}"


def _fill_shares(points: OutlinePoints, size: Size) -> Patch:
    sides = np.array(size[::-1], np.float32)
    return fill_opencv([(points.astype(np.float32) * sides).astype(np.int64)], size)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

"""Outlines as annotation files give them: shapes with names of classes, for each picture."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from unpool.class_table import Colour
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.dataset.outlines.filling import OutlinePoints, Patch
from unpool.dataset.pairing.folder import PlacedFile
from unpool.shapes import Size
from unpool.wording import shortened

MOST_POINTS = 1_000_000
"""The most corners of one shape."""

Fill: TypeAlias = Callable[[Size], Patch]
"""A function that returns the pixels of a shape in a picture of some rows and columns.

It raises ValueError where the shape does not fit.
"""


class Outline(NamedTuple):
    """One shape of a picture.

    Attributes
    ----------
    label: the name of its class.
    kind: its form as the tool names it, such as ``polygon``.
    fill: its pixels.
    part_of: equal for shapes that are parts of one object; None for a shape that is an object of its own.
    crowd: the shape surrounds several objects, which nobody separated.
    """

    label: str
    kind: str
    fill: Fill
    part_of: Hashable | None = None
    crowd: bool = False


@dataclass(frozen=True)
class AnnotatedPicture:
    """One picture with the outlines that are drawn of it.

    Attributes
    ----------
    picture: the file.
    source: the file that has the outlines.
    outlines: in the order in which they are drawn, so that later ones hide earlier ones.
    size: rows and columns as the annotation file gives them; None where it gives none.
    """

    picture: PlacedFile
    source: Path
    outlines: tuple[Outline, ...]
    size: Size | None = None


@dataclass
class Annotations:
    """What the annotation files of one tool hold.

    Attributes
    ----------
    tool: its name, and the name of its format.
    rule: how the shapes are drawn, in words.
    pictures: the pictures that are there.
    classes: the classes in the order of the tool, with their values where it gives them. Names that are not here come
        from the shapes, in the order of the alphabet.
    absent: pictures that the files name, and that are not there.
    undrawn: numbers of shapes that surround no area, by kind.
    broken: for each file that is wrong, or each picture in a file, what is wrong.
    """

    tool: str
    rule: str
    pictures: list[AnnotatedPicture] = field(default_factory=list)
    classes: list[NamedClass] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    undrawn: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[Path, str]] = field(default_factory=list)


class UndrawnFormat(NamedTuple):
    """A known format of annotations that is not drawn: what its files hold, and what to do."""

    holds: str
    repair: str


def points_of(pairs: Any, fewest: int = 3) -> OutlinePoints:
    """Return the points of a list of pairs. Raises ValueError where they are no numbers, or too few or too many."""
    if not isinstance(pairs, Sequence) or isinstance(pairs, str):
        raise ValueError(f"points are {_short(pairs)}, no list")
    if not fewest <= len(pairs) <= MOST_POINTS:
        raise ValueError(f"{len(pairs):,} points; a shape has {fewest} to {MOST_POINTS:,}")
    if not all(isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) >= 2 for pair in pairs):
        raise ValueError(f"points are {_short(pairs)}, no pairs of x and y")
    return np.array([[number_of(pair[0]), number_of(pair[1])] for pair in pairs], np.float64)


def points_of_numbers(numbers: Any, fewest: int = 3) -> OutlinePoints:
    """Return the points of a list x1, y1, x2, y2, … Raises ValueError as ``points_of``."""
    if not isinstance(numbers, Sequence) or isinstance(numbers, str) or len(numbers) % 2:
        raise ValueError(f"points are {_short(numbers)}, no list of x, y, x, y, …")
    return points_of(list(zip(numbers[::2], numbers[1::2], strict=True)), fewest)


def number_of(value: Any) -> float:
    """Return a number of a document. Raises ValueError where it is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{_short(value)} is no number")
    try:
        number = float(value)
    except ValueError as error:
        raise ValueError(f"{_short(value)} is no number") from error
    if not math.isfinite(number):
        raise ValueError(f"{_short(value)} is not finite")
    return number


def size_of(rows: Any, columns: Any) -> Size | None:
    """Return rows and columns as a document gives them; None where it gives none. Raises ValueError."""
    if rows is None or columns is None:
        return None
    size = int(number_of(rows)), int(number_of(columns))
    if min(size) < 1:
        raise ValueError(f"a picture of {size[0]} x {size[1]} (rows x columns)")
    return size


def label_of(value: Any) -> str:
    """Return the name of a class. Raises ValueError where a document gives none."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f"the name of a class is {_short(value)}")
    return str(value).strip()


def id_in_document(value: Any, what: str) -> int | str:
    """Return the id that a document gives something. Raises ValueError where it is neither a number nor a text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{what} is {_short(value)}, no number")
    return value


def table_of(value: Any, what: str) -> dict[str, Any]:
    """Return a table of a document. Raises ValueError where it is none."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {_short(value)}, no table")
    return value


def list_of(value: Any, what: str) -> list[Any]:
    """Return a list of a document; an empty one where it has none. Raises ValueError where it is something else."""
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{what} is {_short(value)}, no list")
    return value or []


def colour_of(value: Any) -> Colour | None:
    """Return the colour of a class that a document gives as a list of red, green and blue; None for anything else."""
    samples = value if isinstance(value, list) else []
    if len(samples) != 3 or not all(type(each) is int and 0 <= each < 256 for each in samples):
        return None
    red, green, blue = samples
    return red, green, blue


def _short(value: Any) -> str:
    return shortened(repr(value), 40)

"""The class table: which mask value means which class.

In labels a pixel is a class id 0..K-1, or ``IGNORE_ID`` where it counts nowhere. In a mask it has the value that a
drawing tool wrote: an id, 0 or 255, a grey, a palette index, an RGB colour or an object number. Only the class table
knows both: ``ClassTable.encode`` turns a mask into labels, and ``ClassTable.decode`` turns class ids into mask values.

A class may have several values, and ranges of single values, as masks need that JPEG has smeared. A table that snaps
reads every value as the nearest one that it names.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError, UsageError
from unpool.wording import first_of

IGNORE_ID = 255
"""The label of a pixel that counts nowhere; class ids are below it."""

MAX_CLASSES = 254
"""Most classes in a table."""

Colour: TypeAlias = tuple[int, int, int]
MaskValue: TypeAlias = int | Colour
"""One value in a mask: an integer (id, grey, palette index, object number) or an RGB colour."""

MaskKind: TypeAlias = Literal["values", "colours", "instances"]
"""The meaning of mask pixels, see ``ClassTable``."""

StoredForm: TypeAlias = Literal["grey", "palette", "rgb", "one-bit"]
"""The way in which a mask file holds its pixels."""

Labels: TypeAlias = NDArray[np.uint8]
"""Class ids or ``IGNORE_ID``, (rows, columns)."""


_UNKNOWN = -1
"""The class id of a value that a table does not know."""
_TOGETHER = 1 << 16
"""Most values that are compared with all named colours at a time."""


class ValueRange(NamedTuple):
    """All single values from ``low`` to ``high``, which mean one class; their class id is ``IGNORE_ID`` if none."""

    low: int
    high: int
    class_id: int

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


class NearestValues(NamedTuple):
    """The reading of flat mask values by a table: an array for each attribute, with an item for each value.

    Attributes
    ----------
    ids: class ids, ``IGNORE_ID``, or -1 for a value that the table does not know.
    named: the flat value of the table that each is read as: itself, the first of its range, or the nearest one.
    distances: how far ``named``, or its range, is from the value; in colours the straight line through RGB.
    """

    ids: NDArray[np.int64]
    named: NDArray[np.int64]
    distances: NDArray[np.float64]


@dataclass(frozen=True)
class MaskForm:
    """The form of a person's mask files, in which predictions come back.

    Attributes
    ----------
    stored: ``grey``: one channel of 8 or 16 bits. ``palette``: indices with a colour for each. ``rgb``: three
        channels. ``one-bit``: 0 and 1 in one bit each.
    palette: RGB colours by index of palette masks; empty where the display colours of the classes are taken.
    """

    stored: StoredForm
    palette: tuple[Colour, ...] = ()

    def to_card(self) -> dict[str, Any]:
        """Return the form as JSON data, which ``MaskForm.from_card`` reads."""
        return {"stored": self.stored, "palette": [value_text(colour) for colour in self.palette]}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> MaskForm:
        """Read JSON data of ``MaskForm.to_card``. Raises KeyError, TypeError or ValueError for other data."""
        if card["stored"] not in ("grey", "palette", "rgb", "one-bit"):
            raise ValueError(f"masks stored as {card['stored']}")
        palette = tuple(value_from_text(text) for text in card["palette"])
        if len(palette) > 256:
            raise ValueError(f"a palette of {len(palette)} colours")
        return cls(card["stored"], tuple(_colour(colour) for colour in palette))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ClassTable:
    """The classes of one data set, with the mask values that mean them.

    Attributes
    ----------
    kind: what a mask pixel is. ``values``: an integer (id, grey or palette index). ``colours``: an RGB colour.
        ``instances``: an object number; 0 is class 0, every other number class 1.
    names: K class names, 2 to 254, all different.
    values: for each class the mask values that mean it; predictions are written with the first.
        For ``instances``: ``((0,), (1,))``.
    ignore: mask values of pixels that count nowhere.
    colours: K RGB colours 0..255 for display.
    ranges: further values of the classes, for ``values`` only; the value that a class is written with may be in one.
    snap: whether a value that is in no class is read as the nearest one that is, or that is ignored.
    form: the form of the mask files; None where it is not known. It changes no meaning, so tables are equal without it.
    """

    kind: MaskKind
    names: tuple[str, ...]
    values: tuple[tuple[MaskValue, ...], ...]
    ignore: tuple[MaskValue, ...]
    colours: tuple[Colour, ...]
    ranges: tuple[ValueRange, ...] = ()
    snap: bool = False
    form: MaskForm | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        count = len(self.names)
        if not 2 <= count <= MAX_CLASSES:
            raise UsageError(
                f"a class table with {count} classes ({', '.join(self.names) or 'none'})",
                f"2 to {MAX_CLASSES} classes",
                "name at least two classes; the background counts as one",
            )
        if len(set(self.names)) != count:
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise UsageError(
                f"class name used twice: {', '.join(twice)}", "a name of its own for every class", "rename one of them"
            )
        assert len(self.values) == len(self.colours) == count
        assert not (self.ranges and self.kind != "values")
        assert not (self.snap and self.kind == "instances")
        seen: dict[MaskValue, str] = {}
        for name, values in [*zip(self.names, self.values, strict=True), ("ignore", self.ignore)]:
            for value in values:
                if value in seen:
                    raise _given_twice(value_text(value), seen[value], name)
                seen[value] = name
        self._refuse_ranges_that_overlap()

    def _refuse_ranges_that_overlap(self) -> None:
        for one, other in pairwise(self._named if self.ranges else ()):
            if other.low <= one.high:
                shared = ValueRange(other.low, min(one.high, other.high), 0)
                text = str(shared.low if shared.low == shared.high else shared)
                raise _given_twice(text, self._name(one.class_id), self._name(other.class_id))

    def _name(self, class_id: int) -> str:
        return "ignore" if class_id == IGNORE_ID else self.names[class_id]

    @property
    def approximate(self) -> bool:
        """Whether the table reads values that nobody named one by one: it has ranges, or it snaps."""
        return self.snap or bool(self.ranges)

    @cached_property
    def _named(self) -> tuple[ValueRange, ...]:
        """The flat values and ranges of all classes, sorted; a value is a range of one."""
        owned = [(flatten_value(value), k) for k, values in enumerate(self.values) for value in values]
        owned += [(flatten_value(value), IGNORE_ID) for value in self.ignore]
        single = [ValueRange(v, v, k) for v, k in owned if not any(r.class_id == k and v in r for r in self.ranges)]
        return tuple(sorted([*self.ranges, *single]))

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, mask: NDArray[Any], source: str) -> Labels:
        """Turn a mask into labels.

        Parameters
        ----------
        mask: integers of shape (rows, columns), or uint8 of shape (rows, columns, 3) for a table of colours.
        source: the file's name, for messages.

        Returns
        -------
        uint8 labels of shape (rows, columns): class ids, or ``IGNORE_ID``.

        Raises
        ------
        DataError: the mask holds a value that is in no class and not ignored, or has the wrong shape.
        """
        self.check_form(mask.ndim == 3, source)
        pixels = flatten_colours(mask) if mask.ndim == 3 else mask.astype(np.int64)
        if self.kind == "instances":
            return self.nearest(pixels).ids.astype(np.uint8)
        distinct, inverse = np.unique(pixels, return_inverse=True)
        ids = self.nearest(distinct).ids
        if (ids == _UNKNOWN).any():
            raise self._unknown(distinct[ids == _UNKNOWN].tolist(), source)
        return ids.astype(np.uint8)[inverse].reshape(pixels.shape)

    def nearest(self, flat: NDArray[Any]) -> NearestValues:
        """Return the reading of flat mask values (N,), see ``unpool.class_table.flatten_value``."""
        flat = flat.astype(np.int64)
        if self.kind == "instances":
            ignored = np.isin(flat, self.ignore)
            return NearestValues(np.where(ignored, IGNORE_ID, flat > 0), flat, np.zeros(flat.shape))
        lows, highs, owners = (np.array(column) for column in zip(*self._named, strict=True))
        if self.kind == "colours" and self.snap:
            places, distances = _nearest_colours(flat, lows)
            return NearestValues(owners[places], lows[places], distances)
        before = np.clip(np.searchsorted(lows, flat, side="right") - 1, 0, None)
        after = np.minimum(before + 1, len(lows) - 1)
        to_before, to_after = (np.maximum(lows[k] - flat, 0) + np.maximum(flat - highs[k], 0) for k in (before, after))
        places, distances = np.where(to_after < to_before, after, before), np.minimum(to_before, to_after)
        if self.snap:
            return NearestValues(owners[places], lows[places], distances.astype(float))
        known = distances == 0
        return NearestValues(
            np.where(known, owners[places], _UNKNOWN), np.where(known, lows[places], flat), np.zeros(flat.shape)
        )

    def ids_of(self, values: Iterable[int]) -> dict[int, int]:
        """Return the class id, or ``IGNORE_ID``, of each of these flat mask values that the table knows."""
        flat = list(values)
        ids = self.nearest(np.array(flat, dtype=np.int64)).ids.tolist()
        return {value: k for value, k in zip(flat, ids, strict=True) if k != _UNKNOWN}

    def named_values(self) -> set[int]:
        """Return the flat values of all classes and of the ignored pixels, without the ranges."""
        return {flatten_value(value) for values in (*self.values, self.ignore) for value in values}

    def check_values(self, values: Iterable[int], source: str) -> None:
        """Refuse flat mask values that are in no class and not ignored.

        Raises
        ------
        DataError: names ``source`` and the first of these values.
        """
        given = list(values)
        known = self.ids_of(given)
        unknown = [value for value in given if value not in known]
        if unknown:
            raise self._unknown(unknown, source)

    def _unknown(self, values: list[int], source: str) -> DataError:
        texts = first_of([value_text(unflatten_value(value, self.kind)) for value in values], 5)
        return DataError(
            f"{source}: mask value{f' {texts} is' if len(values) == 1 else f's {texts} are'} in no class",
            f"one of {self.describe_values()}",
            "correct the mask, or name the value with --classes or --ignore",
        )

    def check_form(self, coloured: bool, source: str) -> None:
        """Refuse a colour mask where the table has single values, and the reverse. Raises DataError."""
        if coloured != (self.kind == "colours"):
            raise DataError(
                f"{source}: {'an RGB colour mask' if coloured else 'a mask of single values'}",
                f"{'single values' if coloured else 'RGB colours'}: {self.describe_values()}",
                "save all masks in this form",
            )

    def decode(self, prediction: Labels) -> NDArray[Any]:
        """Turn class ids (rows, columns) into mask values.

        Returns
        -------
        Integers (rows, columns) of the smallest type of uint8, uint16 and uint32 that holds every class; for a table
        of colours uint8 (rows, columns, 3).
        """
        first = np.array([values[0] for values in self.values])
        return first.astype(np.min_scalar_type(first.max()))[prediction]

    def describe_values(self) -> str:
        """Return one line with every mask value and its class: ``0 background, 255 cell``."""
        parts = [f"{'/'.join(self.value_texts(k))} {name}" for k, name in enumerate(self.names)]
        if self.kind == "instances":
            parts = [f"0 {self.names[0]}", f"1 and above {self.names[1]}"]
        parts += [f"{text} ignored" for text in self.value_texts(IGNORE_ID)]
        return ", ".join(parts) + (", and every other value as the nearest of these" if self.snap else "")

    def value_texts(self, class_id: int) -> list[str]:
        """Return the ranges and the mask values of a class, or of ``IGNORE_ID``, as a person writes them.

        The value that a class is written with comes first, or its range.
        """
        values = self.ignore if class_id == IGNORE_ID else self.values[class_id]
        ranges = [each for each in self.ranges if each.class_id == class_id]
        texts = []
        for value in values:
            own = [each for each in ranges if value in each]
            texts.append(str(own[0]) if own else value_text(value))
        return list(dict.fromkeys([*texts, *map(str, ranges)]))

    def to_card(self) -> dict[str, Any]:
        """Return the table as JSON data, which ``ClassTable.from_card`` reads."""
        card: dict[str, Any] = {
            "kind": self.kind,
            "classes": [
                {"name": name, "values": [_plain(v) for v in values], "colour": list(colour)}
                for name, values, colour in zip(self.names, self.values, self.colours, strict=True)
            ],
            "ignore": [_plain(v) for v in self.ignore],
        }
        # Only where they are used, so that the card of every other table stays as earlier versions wrote it.
        if self.ranges:
            card["ranges"] = [list(each) for each in self.ranges]
        return {**card, "snap": True} if self.snap else card

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> ClassTable:
        """Read JSON data of ``ClassTable.to_card``. Raises KeyError, TypeError or ValueError for other data."""
        classes = card["classes"]
        if card["kind"] not in ("values", "colours", "instances"):
            raise ValueError(f"unknown kind of masks: {card['kind']}")
        if not all(c["values"] for c in classes):
            raise ValueError("a class without a mask value")
        coloured = card["kind"] == "colours"
        return cls(
            kind=card["kind"],
            names=tuple(str(c["name"]) for c in classes),
            values=tuple(tuple(_from_plain(v, coloured) for v in c["values"]) for c in classes),
            ignore=tuple(_from_plain(v, coloured) for v in card["ignore"]),
            colours=tuple(_colour(c["colour"]) for c in classes),
            ranges=tuple(_range(each, card["kind"], len(classes)) for each in card.get("ranges", ())),
            snap=_flag(card.get("snap", False)),
        )


def _given_twice(value: str, one: str, other: str) -> UsageError:
    return UsageError(
        f"mask value {value} is given to both '{one}' and '{other}'",
        "every mask value to mean one class",
        "remove it from one of the two",
    )


def _nearest_colours(flat: NDArray[np.int64], named: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the place of the nearest named colour for each flat colour, and its distance; of equal ones the first."""
    places, distances = np.zeros(flat.shape, np.int64), np.zeros(flat.shape)
    targets = _channels(named)
    for start in range(0, len(flat), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        squared = ((_channels(flat[part])[:, None] - targets) ** 2).sum(axis=2)
        places[part] = squared.argmin(axis=1)
        distances[part] = np.sqrt(squared.min(axis=1))
    return places, distances


def _channels(flat: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.stack([flat >> 16, flat >> 8 & 255, flat & 255], axis=-1).astype(np.int32)


def flatten_colours(mask: NDArray[Any]) -> NDArray[np.int64]:
    """Turn RGB (rows, columns, 3) into integers 0xRRGGBB (rows, columns)."""
    wide = mask.astype(np.int64)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def flatten_value(value: MaskValue) -> int:
    """Return the flat mask value: an integer as it is, a colour as 0xRRGGBB."""
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


def unflatten_value(number: int, kind: MaskKind) -> MaskValue:
    """Return the mask value of a flat mask value, see ``unpool.class_table.flatten_value``."""
    return (number >> 16 & 255, number >> 8 & 255, number & 255) if kind == "colours" else number


def value_distance(one: int, other: int, kind: MaskKind) -> float:
    """Return the distance of two flat mask values; of colours the straight line through RGB."""
    if kind != "colours":
        return float(abs(one - other))
    return float(_nearest_colours(np.array([one]), np.array([other]))[1][0])


def value_text(value: MaskValue) -> str:
    """Return a mask value as a person writes it: ``255`` or ``#rrggbb``."""
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)


def value_from_text(text: str) -> MaskValue:
    """Read a mask value as a person writes it: ``255`` or ``#rrggbb``. Raises ValueError for other texts."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return unflatten_value(int(text[1:], 16), "colours")
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    raise ValueError(f"'{text}' is neither a number nor #rrggbb")


def range_from_text(text: str) -> ValueRange | None:
    """Read a range of ignored values as a person writes it, ``200-254``; None for other texts, and where it is none."""
    found = re.fullmatch(r"([0-9]{1,9})\s*[-–]\s*([0-9]{1,9})", text.strip())
    return ValueRange(int(found[1]), int(found[2]), IGNORE_ID) if found and int(found[1]) <= int(found[2]) else None


def distinct_colours(count: int) -> tuple[Colour, ...]:
    """Return ``count`` different colours for display; the first is black, as in the field's palettes."""
    colours: list[Colour] = [(0, 0, 0)]
    for k in range(1, count):
        # Steps by the golden ratio make neighbours in the table differ most.
        hue = (0.58 + (k - 1) * 0.6180339887) % 1.0
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.65 if k % 2 else 0.45, 0.95 if k % 3 else 0.8)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours[:count])


def _plain(value: MaskValue) -> int | list[int]:
    return value if isinstance(value, int) else list(value)


def _from_plain(value: int | Iterable[int], coloured: bool) -> MaskValue:
    if coloured:
        return _colour(value)  # type: ignore[arg-type]
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"mask value {value}")
    return value


def _range(parts: Iterable[int], kind: str, classes: int) -> ValueRange:
    low, high, class_id = (int(part) for part in parts)
    if kind != "values" or not 0 <= low <= high or not (0 <= class_id < classes or class_id == IGNORE_ID):
        raise ValueError(f"range {low}-{high} of class {class_id} in masks of {kind}")
    return ValueRange(low, high, class_id)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"snap is {value}")
    return value


def _colour(parts: Iterable[int]) -> Colour:
    red, green, blue = (int(part) for part in parts)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"colour {red}, {green}, {blue}")
    return red, green, blue

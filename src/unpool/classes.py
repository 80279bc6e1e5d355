"""The class table: which value in a person's mask means which class.

Inside Unpool a label is a class id 0..K-1, or ``IGNORE_ID`` where a pixel counts nowhere. A person's mask holds
whatever the person's tool wrote: ids, 0/255, a few greys, palette indices, RGB colours, instance numbers. The
table is the one place that knows both sides: it encodes masks to labels and decodes predictions back.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError, UsageError

IGNORE_ID = 255
"""The label of a pixel that counts nowhere; outside every legal class id."""

MAX_CLASSES = 254

Colour: TypeAlias = tuple[int, int, int]
MaskValue: TypeAlias = int | Colour
"""One value a mask can hold: an integer (id, grey, palette index) or an RGB colour."""

MaskKind: TypeAlias = Literal["values", "colours", "instances"]
Labels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class ClassTable:
    """The classes of one data set, with the mask values that mean them.

    ``kind`` says what a mask pixel is: ``values`` an integer (ids, greys, palette indices), ``colours`` an RGB
    colour, ``instances`` an object number (0 is class 0, every other number class 1).

    Attributes
    ----------
    names: K class names, unique.
    values: for every class the mask values that mean it; the first is the one written back.
        For ``instances``: ``((0,), (1,))``.
    ignore: mask values of pixels that count nowhere.
    colours: K RGB colours 0..255 for display.
    """

    kind: MaskKind
    names: tuple[str, ...]
    values: tuple[tuple[MaskValue, ...], ...]
    ignore: tuple[MaskValue, ...]
    colours: tuple[Colour, ...]

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
            raise UsageError(f"class name used twice: {', '.join(twice)}", "one name a class", "rename one of them")
        assert len(self.values) == len(self.colours) == count
        seen: dict[MaskValue, str] = {}
        for name, values in [*zip(self.names, self.values, strict=True), ("ignore", self.ignore)]:
            for value in values:
                if value in seen:
                    raise UsageError(
                        f"mask value {value} is given to both '{seen[value]}' and '{name}'",
                        "each mask value to mean one class",
                        "remove it from one of the two",
                    )
                seen[value] = name

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
        flat = self._flatten(mask, source)
        if self.kind == "instances":
            labels = (flat > 0).astype(np.uint8)
            for value in self.ignore:
                labels[flat == self._flat_value(value)] = IGNORE_ID
            return labels
        distinct, inverse = np.unique(flat, return_inverse=True)
        lookup = {self._flat_value(v): k for k, values in enumerate(self.values) for v in values}
        lookup |= {self._flat_value(v): IGNORE_ID for v in self.ignore}
        unknown = [int(v) for v in distinct if int(v) not in lookup]
        if unknown:
            shown = ", ".join(self._show(v) for v in unknown[:5]) + (", …" if len(unknown) > 5 else "")
            raise DataError(
                f"{source}: mask value {shown} is in no class",
                f"one of {self.describe_values()}",
                "correct the mask, or name the value with --classes or --ignore",
            )
        ids = np.array([lookup[int(v)] for v in distinct], dtype=np.uint8)
        return ids[inverse].reshape(flat.shape)

    def decode(self, prediction: Labels) -> NDArray[Any]:
        """Turn class ids (rows, columns) back into the person's mask values.

        Returns integers (rows, columns), uint8 where they fit and uint16 otherwise; uint8 (rows, columns, 3) for
        a table of colours.
        """
        first = np.array([values[0] for values in self.values])
        largest = int(first.max())
        return first[prediction].astype(np.uint8 if largest <= 255 else np.uint16)

    def describe_values(self) -> str:
        """One line: every mask value and the class it means."""
        parts = [
            f"{'/'.join(_value_text(v) for v in values)} {name}"
            for name, values in zip(self.names, self.values, strict=True)
        ]
        if self.kind == "instances":
            parts = [f"0 {self.names[0]}", f"1 and above {self.names[1]}"]
        parts += [f"{_value_text(v)} ignored" for v in self.ignore]
        return ", ".join(parts)

    def to_card(self) -> dict[str, Any]:
        """The table as plain JSON data; ``from_card`` reads it back."""
        return {
            "kind": self.kind,
            "classes": [
                {"name": name, "values": [_plain(v) for v in values], "colour": list(colour)}
                for name, values, colour in zip(self.names, self.values, self.colours, strict=True)
            ],
            "ignore": [_plain(v) for v in self.ignore],
        }

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> ClassTable:
        """Read a table written by ``to_card``. Raises KeyError, TypeError or ValueError on foreign data."""
        classes = card["classes"]
        if card["kind"] not in ("values", "colours", "instances"):
            raise ValueError(f"unknown kind of masks: {card['kind']}")
        return cls(
            kind=card["kind"],
            names=tuple(str(c["name"]) for c in classes),
            values=tuple(tuple(_from_plain(v) for v in c["values"]) for c in classes),
            ignore=tuple(_from_plain(v) for v in card["ignore"]),
            colours=tuple(_colour(c["colour"]) for c in classes),
        )

    def _flatten(self, mask: NDArray[Any], source: str) -> NDArray[np.int64]:
        wanted = 3 if self.kind == "colours" else 2
        if mask.ndim != wanted:
            found = "an RGB colour mask" if mask.ndim == 3 else "a mask of single values"
            raise DataError(
                f"{source}: {found}",
                "RGB colours as in the other masks" if wanted == 3 else "single values as in the other masks",
                "save all masks of a set in one form",
            )
        return flatten_colours(mask) if wanted == 3 else mask.astype(np.int64)

    def _flat_value(self, value: MaskValue) -> int:
        return value if isinstance(value, int) else (value[0] << 16) | (value[1] << 8) | value[2]

    def _show(self, flat: int) -> str:
        return _value_text(unflatten_colour(flat)) if self.kind == "colours" else str(flat)


def flatten_colours(mask: NDArray[Any]) -> NDArray[np.int64]:
    """RGB (rows, columns, 3) as one integer 0xRRGGBB a pixel, shape (rows, columns)."""
    wide = mask.astype(np.int64)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def unflatten_colour(flat: int) -> Colour:
    """The RGB colour of one integer 0xRRGGBB."""
    return (flat >> 16) & 255, (flat >> 8) & 255, flat & 255


def distinct_colours(count: int) -> tuple[Colour, ...]:
    """``count`` display colours; the first is black, as a background is in the field's palettes.

    Hues step by the golden ratio so that neighbours in the table differ most.
    """
    colours: list[Colour] = [(0, 0, 0)]
    for k in range(1, count):
        hue = (0.58 + (k - 1) * 0.6180339887) % 1.0
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.65 if k % 2 else 0.45, 0.95 if k % 3 else 0.8)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours[:count])


def _value_text(value: MaskValue) -> str:
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)


def _plain(value: MaskValue) -> int | list[int]:
    return value if isinstance(value, int) else list(value)


def _from_plain(value: int | Iterable[int]) -> MaskValue:
    return value if isinstance(value, int) else _colour(value)


def _colour(parts: Iterable[int]) -> Colour:
    red, green, blue = (int(part) for part in parts)
    return red, green, blue

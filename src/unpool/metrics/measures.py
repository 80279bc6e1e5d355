"""What is measured of pictures beside the counts of their pixels: families of scores, each a value with its rule.

A measure turns the evidence of one picture into numbers, and the numbers of a set's pictures into a table of scores.
So a picture is measured where it was predicted, and the table depends neither on the order of the pictures nor on who
measured them. The intervals of the table are those of ``unpool.metrics.intervals``: the same resamples of pictures or
groups, the table made anew of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import Labels
from unpool.metrics.intervals import SEED, Interval, drawn_units, interval_of, members_of

Numbers = NDArray[np.float64]
"""Of a picture (n,), of a set (N, n)."""

Table = NDArray[np.float64]
"""Scores (rows, columns); NaN where nothing counts."""


class Evidence(NamedTuple):
    """What a measure may look at in one picture.

    Attributes
    ----------
    labels: uint8 (rows, columns) class ids, ``IGNORE_ID`` where a pixel counts nowhere.
    instances: int32 (rows, columns) true object numbers, 0 for background; None where the masks have none.
    prediction: uint8 (rows, columns) class ids.
    confidence: float32 (rows, columns), the predicted class's probability.
    probabilities: float32 (K, rows, columns); None where no measure asks for them.
    variance: float32 (rows, columns), of the answers that were averaged, the mean over the classes; None where dropout
        was not sampled.
    """

    labels: Labels
    instances: NDArray[np.int32] | None
    prediction: Labels
    confidence: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    variance: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Column:
    """One score: its key in JSON and CSV, its title in tables, its unit, how many decimals it is shown with."""

    key: str
    title: str
    unit: Literal["ratio", "pixels", "count"] = "ratio"
    digits: int = 3
    better: Literal["higher", "lower", "neither"] = "higher"


@dataclass(frozen=True)
class Curve:
    """Points of a drawing, joined by a line."""

    label: str
    across: tuple[float, ...]
    up: tuple[float, ...]


@dataclass(frozen=True)
class Diagram:
    """A drawing that belongs to a table: curves over named axes.

    Attributes
    ----------
    diagonal: whether the line on which both axes agree is drawn too.
    """

    title: str
    across: str
    up: str
    curves: tuple[Curve, ...]
    diagonal: bool = False


@dataclass(frozen=True)
class Measure:
    """A family of scores.

    Attributes
    ----------
    key: of its scores in JSON; two rules for the same scores share it.
    name: what it is asked for by, a name of ``unpool.metrics.named.MEASURES`` where it stands there.
    rows: names of the table's rows; the last one stands for the whole picture or set.
    columns: of the table, the most telling one first.
    numbers: what has to be known of one picture, float64 (n,), with one n for all pictures.
    table: the scores of a set of pictures' numbers (N, n), or of one picture's (1, n): float64 (rows, columns).
    diagram: a drawing of a set's numbers, where there is one.
    probabilities: whether ``numbers`` looks at the probabilities of all classes.
    """

    key: str
    name: str
    title: str
    rule: str
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    numbers: Callable[[Evidence], Numbers]
    table: Callable[[Numbers], Table]
    diagram: Callable[[Numbers], Diagram] | None = None
    probabilities: bool = False


@dataclass(frozen=True)
class Measured:
    """A measure of a set.

    Attributes
    ----------
    names: of the pictures, of which there is at least one.
    numbers: float64 (pictures, n).
    table: the set's scores (rows, columns).
    intervals: of every score, row by row; None for counts, where a score is NaN, and where there are not two units to
        resample.
    """

    measure: Measure
    names: tuple[str, ...]
    numbers: Numbers
    table: Table
    intervals: tuple[tuple[Interval | None, ...], ...]

    def of_picture(self, place: int) -> Table:
        """The scores (rows, columns) of one picture."""
        return self.measure.table(self.numbers[place : place + 1])

    def value(self, column: str, row: str | None = None) -> float | None:
        """One score of the set by its column's key and its row's name (the last row); None where nothing counts."""
        rows = self.measure.rows
        keys = [each.key for each in self.measure.columns]
        return _known(self.table[len(rows) - 1 if row is None else rows.index(row), keys.index(column)])

    def to_json(self, images: bool = True) -> dict[str, Any]:
        """Plain JSON data, with or without the pictures' own."""
        keys = [column.key for column in self.measure.columns]
        return {
            "name": self.measure.name,
            "title": self.measure.title,
            "rule": self.measure.rule,
            "columns": {each.key: {"title": each.title, "unit": each.unit, "better": each.better}
                        for each in self.measure.columns},
            "scores": _named(self.measure.rows, keys, self.table),
            "intervals": {row: dict(zip(keys, cells, strict=True))
                          for row, cells in zip(self.measure.rows, self.intervals, strict=True)},
            "images": [{"name": name, "scores": _named(self.measure.rows, keys, self.of_picture(k)),
                        "numbers": [_known(number) for number in self.numbers[k]]}
                       for k, name in enumerate(self.names)],
        }  # fmt: skip


def measured(
    measure: Measure, images: Sequence[tuple[str, Numbers]], groups: Mapping[str, str], seed: int = SEED
) -> Measured:
    """The scores of a set and their 95 % intervals.

    Parameters
    ----------
    images: name and numbers of each picture, of which there is at least one.
    groups: the group of each picture, by name; resampled as ``unpool.metrics.intervals.bootstrap`` does.
    """
    names = tuple(name for name, _ in images)
    numbers = np.stack([each for _, each in images])
    table = measure.table(numbers)
    members = members_of([groups[name] for name in names])
    if len(members) < 2:
        intervals: tuple[tuple[Interval | None, ...], ...] = tuple((None,) * table.shape[1] for _ in table)
    else:
        drawn = np.stack([
            measure.table(numbers[np.concatenate([members[unit] for unit in units])])
            for units in drawn_units(len(members), seed)
        ])  # fmt: skip
        intervals = tuple(
            tuple(
                None if column.unit == "count" or np.isnan(table[r, c]) else interval_of(drawn[:, r, c])
                for c, column in enumerate(measure.columns)
            )
            for r in range(table.shape[0])
        )
    return Measured(measure, names, numbers, table, intervals)


def _named(rows: Sequence[str], keys: Sequence[str], table: Table) -> dict[str, dict[str, float | None]]:
    return {
        row: {key: _known(value) for key, value in zip(keys, values, strict=True)}
        for row, values in zip(rows, table, strict=True)
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

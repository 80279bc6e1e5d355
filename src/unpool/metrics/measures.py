"""Measures: families of scores that need more than counts of pixels, each a value with its rule.

A measure turns one picture into numbers, and the numbers of all pictures of a set into a table of scores. So a picture
is measured by the process that predicts it, and neither the order of the pictures nor the number of processes changes
the table. The intervals come from the same resamples of pictures or groups as those of ``unpool.metrics.intervals``:
the table is computed again for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import Labels
from unpool.metrics.intervals import SEED, Interval, interval_of, members_of, resampled_units

Numbers = NDArray[np.float64]
"""The numbers of one picture (n,), or of a set of N pictures (N, n)."""

ScoreTable = NDArray[np.float64]
"""Scores (rows, columns); NaN where no pixel counts."""


class Evidence(NamedTuple):
    """The data of one picture that a measure may read.

    Attributes
    ----------
    labels: uint8 (rows, columns) class ids; ``IGNORE_ID`` for ignored pixels.
    instances: int32 (rows, columns) true object numbers, 0 for background; None where the masks have none.
    prediction: uint8 (rows, columns) class ids.
    confidence: float32 (rows, columns), the probability of the predicted class.
    probabilities: float32 (K, rows, columns); None unless a measure needs them.
    variance: float32 (rows, columns), the variance over the averaged predictions, averaged over the classes; None
        unless dropout is sampled.
    separated: int32 (rows, columns), the numbers of the predicted objects, touching ones separated, 0 for background;
        None unless a measure needs them.
    """

    labels: Labels
    instances: NDArray[np.int32] | None
    prediction: Labels
    confidence: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    variance: NDArray[np.float32] | None = None
    separated: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Column:
    """One score: its key in JSON and CSV, its title in tables, its unit, its number of decimals in tables."""

    key: str
    title: str
    unit: Literal["ratio", "pixels", "count"] = "ratio"
    digits: int = 3
    better: Literal["higher", "lower", "neither"] = "higher"


@dataclass(frozen=True)
class Curve:
    """Points joined by a line: their label in the legend and their coordinates."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Diagram:
    """A drawing that belongs to a table: curves, and the labels of the two axes.

    Attributes
    ----------
    diagonal: whether the line x = y is drawn too.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    diagonal: bool = False


@dataclass(frozen=True)
class Measure:
    """A family of scores.

    Attributes
    ----------
    key: key of its scores in JSON. Two rules for the same scores share one key.
    name: name in ``--measures``, a key of ``unpool.metrics.named.MEASURES`` if it is there.
    rule: how the scores are counted, as reports show it. ``unpool compare`` refuses tests with different rules.
    rows: names of the table's rows; the last row stands for the whole picture or set.
    columns: scores of the table, the most important one first.
    numbers: function that returns the numbers of one picture: float64 (n,), with the same n for all pictures.
    table: function that returns the scores (rows, columns) for the numbers (N, n) of N pictures; N may be 1.
    diagram: function that draws the numbers (N, n) of a set; None for no drawing.
    probabilities: whether ``numbers`` reads the probabilities of all classes.
    separated: whether ``numbers`` reads the separated objects.
    """

    key: str
    name: str
    title: str
    rule: str
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    numbers: Callable[[Evidence], Numbers]
    table: Callable[[Numbers], ScoreTable]
    diagram: Callable[[Numbers], Diagram] | None = None
    probabilities: bool = False
    separated: bool = False


@dataclass(frozen=True)
class MeasureResult:
    """The result of a measure on a set.

    Attributes
    ----------
    names: names of the pictures, at least one.
    numbers: float64 (pictures, n).
    table: scores of the set (rows, columns).
    intervals: interval of every score, row by row; None for counts, for NaN, and where there are fewer than two units
        to resample.
    """

    measure: Measure
    names: tuple[str, ...]
    numbers: Numbers
    table: ScoreTable
    intervals: tuple[tuple[Interval | None, ...], ...]

    def of_picture(self, index: int) -> ScoreTable:
        """Return the scores (rows, columns) of one picture."""
        return self.measure.table(self.numbers[index : index + 1])

    def value(self, column: str, row: str | None = None) -> float | None:
        """Return one score of the set, by the column's key and the row's name; None where no pixel counts.

        Without a row it is the score of the last row.
        """
        rows = self.measure.rows
        keys = [each.key for each in self.measure.columns]
        return _none_for_nan(self.table[len(rows) - 1 if row is None else rows.index(row), keys.index(column)])

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data, with the scores and numbers of each picture."""
        keys = [column.key for column in self.measure.columns]
        return {
            "name": self.measure.name,
            "title": self.measure.title,
            "rule": self.measure.rule,
            "columns": {each.key: {"title": each.title, "unit": each.unit, "better": each.better}
                        for each in self.measure.columns},
            "scores": _named_cells(self.measure.rows, keys, self.table),
            "intervals": {row: dict(zip(keys, cells, strict=True))
                          for row, cells in zip(self.measure.rows, self.intervals, strict=True)},
            "images": [{"name": name, "scores": _named_cells(self.measure.rows, keys, self.of_picture(k)),
                        "numbers": [_none_for_nan(number) for number in self.numbers[k]]}
                       for k, name in enumerate(self.names)],
        }  # fmt: skip


def measure_set(
    measure: Measure, images: Sequence[tuple[str, Numbers]], groups: Mapping[str, str], seed: int = SEED
) -> MeasureResult:
    """Return the scores of a set and their 95 % intervals.

    Parameters
    ----------
    images: name and numbers of each picture, at least one.
    groups: group of each picture, by its name; resampled as ``unpool.metrics.intervals.bootstrap`` does.
    """
    names = tuple(name for name, _ in images)
    numbers = np.stack([each for _, each in images])
    table = measure.table(numbers)
    members = members_of([groups[name] for name in names])
    if len(members) < 2:
        intervals: tuple[tuple[Interval | None, ...], ...] = tuple((None,) * table.shape[1] for _ in table)
    else:
        resamples = np.stack([
            measure.table(numbers[np.concatenate([members[unit] for unit in units])])
            for units in resampled_units(len(members), seed)
        ])  # fmt: skip
        intervals = tuple(
            tuple(
                None if column.unit == "count" or np.isnan(table[r, c]) else interval_of(resamples[:, r, c])
                for c, column in enumerate(measure.columns)
            )
            for r in range(table.shape[0])
        )
    return MeasureResult(measure, names, numbers, table, intervals)


def _named_cells(rows: Sequence[str], keys: Sequence[str], table: ScoreTable) -> dict[str, dict[str, float | None]]:
    return {
        row: {key: _none_for_nan(value) for key, value in zip(keys, values, strict=True)}
        for row, values in zip(rows, table, strict=True)
    }


def _none_for_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

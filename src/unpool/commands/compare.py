"""``compare``: tests of several models on the same pictures in, what their difference is worth out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError, UsageError
from unpool.io.files import read_json
from unpool.metrics.comparison import Comparison, Difference, MeasuredTests
from unpool.metrics.comparison import compare as compare_tallies
from unpool.metrics.intervals import RESAMPLES
from unpool.metrics.measures import Measure, Numbers
from unpool.metrics.named import measure_of
from unpool.report.comparison import comparison_text, sentence

SCORES_FILE = "scores.json"
KINDS = ("hit_pixels", "truth_pixels", "predicted_pixels")


@dataclass(frozen=True)
class PictureCounts:
    """One picture of a test.

    Attributes
    ----------
    digest: of its pixels, or None where the test did not write it.
    group: the pictures of one source have one.
    tally: hit, true and predicted pixels of each class, int64 (3, K).
    """

    digest: str | None
    group: str
    tally: NDArray[np.int64]


class WrittenMeasure(NamedTuple):
    """A measure of a test, and the numbers of its pictures by their names."""

    measure: Measure
    pictures: Mapping[str, Numbers]


@dataclass(frozen=True)
class WrittenTest:
    """What ``unpool test`` wrote: its pictures by name, and its measures by key."""

    path: Path
    classes: tuple[str, ...]
    pictures: Mapping[str, PictureCounts]
    measures: Mapping[str, WrittenMeasure]


@dataclass(frozen=True)
class CompareResult:
    """What a comparison found; the first test is called A, the next B, and so on."""

    tests: tuple[Path, ...]
    comparison: Comparison

    @property
    def labels(self) -> str:
        """The letters of the tests."""
        return ascii_uppercase[: len(self.tests)]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What can be said of the best test and each of the others."""
        return tuple(sentence(self.comparison, duel, self.labels) for duel in self.comparison.duels)

    @property
    def text(self) -> str:
        """Everything as a page of text."""
        return comparison_text(self.comparison, self.labels, [str(path) for path in self.tests])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        found = self.comparison
        return {
            "tests": [
                {"label": label, "path": str(path), "mean_iou": value, "interval": interval}
                for label, path, (value, interval) in zip(self.labels, self.tests, found.mean_ious, strict=True)
            ],
            "pictures": found.pictures,
            "unit": found.unit,
            "units": found.units,
            "resamples": RESAMPLES,
            "seed": found.seed,
            "best": self.labels[found.best],
            "comparisons": [
                {
                    "other": self.labels[duel.other],
                    "sentence": said,
                    "more": duel.more,
                    "differences": {name: _plain(each) for name, each in duel.differences.items()},
                    "measures": {
                        key: {column.key: _plain(each) for column, each in differences.items()}
                        for key, differences in duel.measured.items()
                    },
                }
                for duel, said in zip(found.duels, self.sentences, strict=True)
            ],
        }


def compare(paths: Sequence[Path]) -> CompareResult:
    """Compare tests on the same pictures: the best with each of the others.

    Parameters
    ----------
    paths: two or more folders that ``unpool test`` wrote, or their scores.json.

    Raises
    ------
    UsageError: fewer than two tests, tests on other classes, pictures or masks, or a measure by several rules.
    DataError: a file is missing or holds no scores of single pictures.
    """
    if not 2 <= len(paths) <= len(ascii_uppercase):
        raise UsageError(
            f"{len(paths)} test{'' if len(paths) == 1 else 's'} to compare",
            f"2 to {len(ascii_uppercase)}",
            "name the folders that unpool test wrote",
        )
    tests = [read_test(path) for path in paths]
    for test in tests[1:]:
        require_same(tests[0], test)
    names = sorted(tests[0].pictures)
    groups = [tests[0].pictures[name].group for name in names]
    tallies = [[test.pictures[name].tally for name in names] for test in tests]
    compared = compare_tallies(tallies, groups, measures=_shared(tests, names))
    return CompareResult(tuple(paths), compared)


def read_test(path: Path) -> WrittenTest:
    """Read what ``unpool test`` wrote: its folder, or the scores.json in it.

    Raises
    ------
    DataError: the file is missing or holds no scores of single pictures, or a measure that this version does not have.
    """
    file = path / SCORES_FILE if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: no such file", "a folder that unpool test wrote", "run unpool test first")
    data = read_json(file)
    try:
        classes = tuple(str(name) for name in data["confusion"]["names"])
        rows = [(str(row["name"]), _picture(row, len(classes))) for row in data["images"]]
        if not rows or len(dict(rows)) < len(rows):
            raise ValueError("no pictures, or one twice")
        measures = {key: _measure(row, classes, dict(rows)) for key, row in data.get("measures", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{file}: no counts of single pictures ({error})",
            "the scores.json of this version's unpool test",
            "run unpool test again with the same model and folder",
        ) from error
    return WrittenTest(path, classes, dict(rows), measures)


def require_same(one: WrittenTest, other: WrittenTest) -> None:
    """Refuse two tests that cannot be compared picture by picture. Raises UsageError."""
    both = f"{one.path} and {other.path}"
    if one.classes != other.classes:
        raise UsageError(
            f"{both}: classes {_shown(one.classes)} and {_shown(other.classes)}",
            "the same classes in the same order",
            "test models of the same classes",
        )
    lone = sorted(one.pictures.keys() ^ other.pictures.keys())
    if lone:
        raise UsageError(
            f"{both}: only one has {_shown(lone)}",
            "tests on the same pictures",
            "run unpool test with both models on the same folder, with the same --split",
        )
    for name, picture in one.pictures.items():
        beside = other.pictures[name]
        if picture.digest and beside.digest and picture.digest != beside.digest:
            raise UsageError(
                f"{both}: picture {name} has other pixels",
                "tests on the same pictures",
                "run unpool test with both models on the same folder",
            )
        if not np.array_equal(picture.tally[1], beside.tally[1]):
            raise UsageError(
                f"{both}: picture {name} has another mask",
                "tests with the same masks",
                "run unpool test with both models on the same folder",
            )


def _picture(row: Mapping[str, Any], classes: int) -> PictureCounts:
    counts = [[each[kind] for each in row["classes"]] for kind in KINDS]
    if any(type(count) is not int or count < 0 for line in counts for count in line):
        raise ValueError("counts that are no numbers of pixels")
    tally = np.array(counts, dtype=np.int64)
    if tally.shape != (3, classes) or (tally[0] > tally[1:]).any() or tally[1].sum() != tally[2].sum():
        raise ValueError("counts that do not agree")
    return PictureCounts(row.get("digest"), str(row["group"]), tally)


def _measure(row: Mapping[str, Any], classes: Sequence[str], pictures: Collection[str]) -> WrittenMeasure:
    measure = measure_of(row["name"], row["rule"], classes)
    if measure is None:
        raise ValueError(f"{row['name']} by a rule that this version does not have")
    numbers = {image["name"]: np.array(image["numbers"], dtype=np.float64) for image in row["images"]}
    if numbers.keys() != set(pictures):
        raise ValueError(f"{row['name']} of other pictures")
    if measure.table(np.stack(list(numbers.values()))).shape != (len(measure.rows), len(measure.columns)):
        raise ValueError(f"{row['name']} of other numbers")
    return WrittenMeasure(measure, numbers)


def _shared(tests: Sequence[WrittenTest], names: Sequence[str]) -> list[MeasuredTests]:
    """The measures that all tests have. Raises UsageError where they have one by several rules."""
    first, shared = tests[0], []
    for key, (measure, _) in first.measures.items():
        if all(key in test.measures for test in tests):
            for test in tests:
                _require_same_rule(key, first, test)
            numbers = [np.stack([test.measures[key].pictures[name] for name in names]) for test in tests]
            shared.append(MeasuredTests(measure, numbers))
    return shared


def _require_same_rule(key: str, one: WrittenTest, other: WrittenTest) -> None:
    first, second = one.measures[key].measure, other.measures[key].measure
    if first.rule != second.rule:
        named = f"{first.name} and {second.name}" if first.name != second.name else "with samples and without"
        raise UsageError(
            f"{one.path} and {other.path}: {key} by two rules ({named})",
            "one rule",
            "run unpool test again with the same --measures",
        )


def _plain(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "shown": difference.shown}


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

"""``compare``: say whether one of several models is better, from their tests on the same pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unpool.commands.compared_models import changes_sentence, compared_model, unfairness_notes
from unpool.errors import DataError, UsageError
from unpool.io.documents import read_json
from unpool.metrics.comparison import Comparison, Difference, SharedMeasure, compare_tests
from unpool.metrics.intervals import RESAMPLES, PixelCounts
from unpool.metrics.measures import Measure, Numbers
from unpool.metrics.named import measure_of
from unpool.report.comparison import comparison_text, sentence
from unpool.wording import count_text, first_of, problem_text

SCORES_FILE = "scores.json"
COUNT_KEYS = ("hit_pixels", "truth_pixels", "predicted_pixels")

_Pixels = Annotated[int, Field(ge=0, lt=1 << 48)]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Counts(_Form):
    hit_pixels: _Pixels
    truth_pixels: _Pixels
    predicted_pixels: _Pixels


class _WrittenPicture(_Form):
    name: str
    group: str
    digest: str | None = None
    classes: list[_Counts]


class _PictureNumbers(_Form):
    name: str
    numbers: list[float | None]


class _MeasureRows(_Form):
    name: str
    rule: str
    images: list[_PictureNumbers]


class _ClassNames(_Form):
    names: list[str]


class _Written(_Form):
    """What a comparison reads of a scores.json; other keys may hold anything."""

    warnings: list[str] = []
    confusion: _ClassNames
    images: list[_WrittenPicture]
    measures: dict[str, _MeasureRows] = {}


@dataclass(frozen=True)
class TestedPicture:
    """One picture of a test.

    Attributes
    ----------
    digest: digest of its pixels; None if the test did not write it.
    group: group of the picture; pictures of one source share a group.
    counts: hit, true and predicted pixels of each class, int64 (3, K).
    """

    __test__ = False  # pytest takes a class of this name for a test

    digest: str | None
    group: str
    counts: PixelCounts


class WrittenMeasure(NamedTuple):
    """A measure of a test, and the numbers of the test's pictures by their names."""

    measure: Measure
    pictures: Mapping[str, Numbers]


@dataclass(frozen=True)
class WrittenTest:
    """A test as ``unpool test`` wrote it: its warnings, its pictures by name, and its measures by key."""

    path: Path
    warnings: tuple[str, ...]
    classes: tuple[str, ...]
    pictures: Mapping[str, TestedPicture]
    measures: Mapping[str, WrittenMeasure]


@dataclass(frozen=True)
class CompareResult:
    """The result of a comparison. The first test is called A, the next B, and so on.

    Attributes
    ----------
    changes: for each comparison a sentence on the settings in which the models differ; empty where they are unknown.
    notes: sentences on what makes a comparison unfair.
    """

    tests: tuple[Path, ...]
    comparison: Comparison
    changes: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def labels(self) -> str:
        """The letters of the tests."""
        return ascii_uppercase[: len(self.tests)]

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence on the best test and each of the others."""
        return tuple(sentence(self.comparison, each, self.labels) for each in self.comparison.others)

    @property
    def text(self) -> str:
        """The result as a page of text."""
        sources = [str(path) for path in self.tests]
        return comparison_text(self.comparison, self.labels, sources, self.changes, self.notes)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        comparison = self.comparison
        return {
            "tests": [
                {"label": label, "path": str(path), "mean_iou": value, "interval": interval}
                for label, path, (value, interval) in zip(self.labels, self.tests, comparison.mean_ious, strict=True)
            ],
            "pictures": comparison.pictures,
            "unit": comparison.unit,
            "units": comparison.units,
            "resamples": RESAMPLES,
            "seed": comparison.seed,
            "best": self.labels[comparison.best],
            "corrected_for": comparison.comparisons,
            "notes": list(self.notes),
            "comparisons": [
                {
                    "other": self.labels[each.other],
                    "sentence": text,
                    "changes": change,
                    "higher": each.higher,
                    "lower": each.lower,
                    "more": each.more,
                    "differences": {name: _to_json(difference) for name, difference in each.differences.items()},
                    "measures": {
                        key: {column.key: _to_json(difference) for column, difference in differences.items()}
                        for key, differences in each.measures.items()
                    },
                }
                for each, text, change in zip(comparison.others, self.sentences, self.changes, strict=True)
            ],
        }


def compare(paths: Sequence[Path]) -> CompareResult:
    """Compare tests on the same pictures: the best one with each of the others.

    Parameters
    ----------
    paths: two or more folders that ``unpool test`` wrote, or their scores.json.

    Raises
    ------
    UsageError: there are fewer than two tests, or they have different classes, pictures or masks, or one measure with
        different rules.
    DataError: a file is missing or has no scores of single pictures.
    """
    if not 2 <= len(paths) <= len(ascii_uppercase):
        raise UsageError(
            f"{count_text(len(paths), 'test')} to compare",
            f"2 to {len(ascii_uppercase)}",
            "name the folders that unpool test wrote",
        )
    tests = [read_test(path) for path in paths]
    for test in tests[1:]:
        require_comparable(tests[0], test)
    names = sorted(tests[0].pictures)
    groups = [tests[0].pictures[name].group for name in names]
    counts = [[test.pictures[name].counts for name in names] for test in tests]
    comparison = compare_tests(counts, groups, measures=_shared_measures(tests, names))
    models = [
        compared_model(label, path if path.is_dir() else path.parent, test.warnings)
        for label, path, test in zip(ascii_uppercase, paths, tests, strict=False)
    ]
    changes = tuple(changes_sentence(models[comparison.best], models[each.other]) for each in comparison.others)
    return CompareResult(tuple(paths), comparison, changes, tuple(unfairness_notes(models)))


def read_test(path: Path) -> WrittenTest:
    """Read a test: the folder that ``unpool test`` wrote, or the scores.json in it.

    Raises
    ------
    DataError: the file is missing, or has no scores of single pictures, or has a measure that this version lacks.
    """
    file = path / SCORES_FILE if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: no such file", "a folder that unpool test wrote", "run unpool test first")
    data = read_json(file)
    try:
        written = _Written.model_validate(data)
        classes = tuple(written.confusion.names)
        rows = [(row.name, _picture(row, len(classes))) for row in written.images]
        if not rows or len(dict(rows)) < len(rows):
            raise ValueError("no pictures, or one of them twice")
        measures = {key: _measure(row, classes, dict(rows)) for key, row in written.measures.items()}
    except (ValueError, UsageError) as error:
        why = problem_text(error.errors()[0]) if isinstance(error, ValidationError) else str(error)
        raise DataError(
            f"{file}: no counts of single pictures ({why})",
            "the scores.json of this version's unpool test",
            "run unpool test again with the same model and folder",
        ) from error
    return WrittenTest(path, tuple(written.warnings), classes, dict(rows), measures)


def require_comparable(one: WrittenTest, other: WrittenTest) -> None:
    """Raise UsageError unless two tests have the same classes, pictures and masks."""
    both = f"{one.path} and {other.path}"
    if one.classes != other.classes:
        raise UsageError(
            f"{both}: classes {first_of(one.classes, 3)} and {first_of(other.classes, 3)}",
            "the same classes in the same order",
            "test models of the same classes",
        )
    in_one_only = sorted(one.pictures.keys() ^ other.pictures.keys())
    if in_one_only:
        raise UsageError(
            f"{both}: only one has {first_of(in_one_only, 3)}",
            "tests on the same pictures",
            "run unpool test with both models on the same folder, with the same --split; trainings of different seeds "
            "have different splits, unless they are trained with the same --set split_seed=0",
        )
    for name, picture in one.pictures.items():
        counterpart = other.pictures[name]
        if picture.digest and counterpart.digest and picture.digest != counterpart.digest:
            raise UsageError(
                f"{both}: picture {name} has other pixels",
                "tests on the same pictures",
                "run unpool test with both models on the same folder",
            )
        if not np.array_equal(picture.counts[1], counterpart.counts[1]):
            raise UsageError(
                f"{both}: picture {name} has another mask",
                "tests with the same masks",
                "run unpool test with both models on the same folder",
            )


def _picture(row: _WrittenPicture, classes: int) -> TestedPicture:
    counts = np.array([[getattr(each, key) for each in row.classes] for key in COUNT_KEYS], dtype=np.int64)
    if counts.shape != (3, classes) or (counts[0] > counts[1:]).any() or counts[1].sum() != counts[2].sum():
        raise ValueError("counts that contradict each other")
    return TestedPicture(row.digest, row.group, counts)


def _measure(row: _MeasureRows, classes: Sequence[str], pictures: Collection[str]) -> WrittenMeasure:
    measure = measure_of(row.name, row.rule, classes)
    if measure is None:
        raise ValueError(f"{row.name} has a rule that this version does not have")
    numbers = {image.name: np.array(image.numbers, dtype=np.float64) for image in row.images}
    if numbers.keys() != set(pictures):
        raise ValueError(f"{row.name} has other pictures than the counts")
    if measure.table(np.stack(list(numbers.values()))).shape != (len(measure.rows), len(measure.columns)):
        raise ValueError(f"{row.name} has other numbers than its rule needs")
    return WrittenMeasure(measure, numbers)


def _shared_measures(tests: Sequence[WrittenTest], names: Sequence[str]) -> list[SharedMeasure]:
    """Return the measures that all tests have. Raise UsageError if a measure has different rules in two tests."""
    first, shared = tests[0], []
    for key, (measure, _) in first.measures.items():
        if all(key in test.measures for test in tests):
            for test in tests:
                _require_same_rule(key, first, test)
            numbers = [np.stack([test.measures[key].pictures[name] for name in names]) for test in tests]
            shared.append(SharedMeasure(measure, numbers))
    return shared


def _require_same_rule(key: str, one: WrittenTest, other: WrittenTest) -> None:
    first, second = one.measures[key].measure, other.measures[key].measure
    if first.rule != second.rule:
        rules = f"{first.name} and {second.name}" if first.name != second.name else "with samples and without"
        raise UsageError(
            f"{one.path} and {other.path}: {key} by two rules ({rules})",
            "one rule",
            "run unpool test again with the same --measures",
        )


def _to_json(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "shown": difference.shown}

"""A new measure takes one function and one line in ``MEASURES``; then it is in all that a test writes."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import tiny
from unpool.class_table import IGNORE_ID
from unpool.commands.compare import compare
from unpool.commands.events import finish
from unpool.commands.test.options import TestOptions
from unpool.commands.test.result import result_text
from unpool.commands.test.test import test as score
from unpool.commands.train.train import TrainedRun
from unpool.io.read.masks import read_mask
from unpool.metrics.arithmetic import ratio
from unpool.metrics.measures import Column, Evidence, Measure, Numbers, ScoreTable
from unpool.metrics.named import MEASURES


def coverage(names: Sequence[str]) -> Measure:
    """Return the measure of the area of the last class: its true and its predicted share of the pixels."""
    return Measure(
        key="coverage",
        name="coverage",
        title="Coverage",
        rule="The share of the counted pixels that are of the last class.",
        rows=(names[-1],),
        columns=(Column("true_share", "true", better="neither"), Column("predicted_share", "predicted")),
        numbers=lambda seen: _numbers(seen, len(names) - 1),
        table=_table,
    )


def _numbers(seen: Evidence, class_id: int) -> Numbers:
    known = seen.labels != IGNORE_ID
    areas = [(labels[known] == class_id).sum() for labels in (seen.labels, seen.prediction)]
    return np.array([*areas, known.sum()], dtype=np.float64)


def _table(numbers: Numbers) -> ScoreTable:
    true, predicted, pixels = numbers.sum(axis=0)
    return ratio(np.array([[true, predicted]]), pixels)


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> TestOptions:
    monkeypatch.setitem(MEASURES, "coverage", coverage)
    return TestOptions(device="cpu", precision="float32", measures=("coverage",))


def test_a_new_measure_is_in_all_that_a_test_writes(run: TrainedRun, options: TestOptions, tmp_path: Path) -> None:
    pictures = tiny.write_set(tmp_path / "new-cells", 6, seed=5)
    result = finish(score(run.folder, pictures, options, out=tmp_path / "test"))
    masks = [read_mask(path) == 255 for path in (pictures / "masks").iterdir()]
    share = sum(mask.sum() for mask in masks) / sum(mask.size for mask in masks)
    written = json.loads((tmp_path / "test" / "scores.json").read_text())["measures"]["coverage"]
    (row,) = written["scores"].values()
    assert row["true_share"] == share
    low, high = next(iter(written["intervals"].values()))["true_share"]
    assert low < share < high
    with (tmp_path / "test" / "images.csv").open() as file:
        shares = {picture["image"]: float(picture["true_share"]) for picture in csv.DictReader(file)}
    assert shares["00"] == pytest.approx((read_mask(pictures / "masks" / "00.png") == 255).mean(), abs=1e-6)
    assert "<h2>Coverage</h2>" in (tmp_path / "test" / "report.html").read_text()
    assert f"[{low:.3f}, {high:.3f}]" in result_text(result)
    (others,) = compare([tmp_path / "test", tmp_path / "test"]).to_json()["comparisons"]
    assert others["measures"]["coverage"]["predicted_share"]["value"] == 0

"""``test --boundaries``: the scores of ``metrics.boundaries``, in all that is written, said and shown."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tiny
from unpool.cli import app
from unpool.commands.events import finish
from unpool.commands.predicting import predict
from unpool.commands.testing import TestResult, result_text
from unpool.commands.testing import test as score
from unpool.commands.training import TrainedRun
from unpool.io import read_mask
from unpool.metrics import Counted, boundary_scores


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures the run has not seen. Read only."""
    return tiny.write_set(tmp_path_factory.mktemp("new") / "new-cells", 3, seed=5)


def of(run: TrainedRun, folder: Path, out: Path, boundaries: Counted | None = "either") -> TestResult:
    return finish(score(run.folder, folder, out=out, device="cpu", precision="float32", boundaries=boundaries))


def test_the_scores_are_those_of_the_written_masks(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = of(run, new, tmp_path / "test")
    assert result.boundaries
    finish(predict(run.folder, [str(new / "images")], tmp_path / "masks", device="cpu", precision="float32"))
    names = [each.name for each in result.scores.classes]
    for name, found in result.boundaries.images:
        truth, mask = (read_mask(folder / f"{name}.png") == 255 for folder in (new / "masks", tmp_path / "masks"))
        assert found == boundary_scores(names, truth.astype(np.uint8), mask.astype(np.uint8))
    means = [found.mean.bf for _, found in result.boundaries.images]
    assert result.boundaries.scores.mean.bf == pytest.approx(np.mean([mean for mean in means if mean is not None]))


def test_perfect_masks_have_perfect_boundaries(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    perfect = shutil.copytree(new / "images", tmp_path / "set" / "images").parent
    finish(predict(run.folder, [str(new / "images")], perfect / "masks", device="cpu", precision="float32"))
    result = of(run, perfect, tmp_path / "test")
    assert result.boundaries
    mean = result.boundaries.scores.mean
    assert (mean.bf, mean.boundary_iou, mean.hausdorff_95, mean.normalised_surface_distance) == (1, 1, 0, 1)


def test_what_is_written_and_said(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = of(run, new, tmp_path / "test", boundaries="truth")
    assert result.boundaries
    mean = result.boundaries.scores.mean
    written = json.loads((tmp_path / "test" / "scores.json").read_text())["boundaries"]
    assert written == json.loads(json.dumps(result.boundaries.to_json()))
    assert written["counted"] == "truth"
    with (tmp_path / "test" / "images.csv").open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    for name, found in result.boundaries.images:
        assert float(rows[name]["mean_hausdorff_95"]) == pytest.approx(found.mean.hausdorff_95, abs=1e-6)
        for each in found.classes:
            assert float(rows[name][f"bf {each.name}"]) == pytest.approx(each.bf, abs=1e-6)
    page = (tmp_path / "test" / "report.html").read_text()
    for text in (page, result_text(result).replace("\n", " ")):
        assert "BF score" in text
        assert f"{mean.boundary_iou:.3f}" in text
        assert f"{mean.hausdorff_95:.2f}" in text
        assert "that have a boundary in the truth." in text
    assert "--boundaries --bf-classes truth" in page


def test_boundaries_are_scored_only_when_asked_for(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = of(run, new, tmp_path / "test", boundaries=None)
    assert result.boundaries is None
    assert json.loads((tmp_path / "test" / "scores.json").read_text())["boundaries"] is None
    assert "mean_bf" not in (tmp_path / "test" / "images.csv").read_text()
    assert "Boundaries of each class" not in (tmp_path / "test" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "counted"),
    [([], None), (["--boundaries"], "either"), (["--boundaries", "--bf-classes", "truth"], "truth")],
)
def test_the_command_line(
    options: list[str],
    counted: str | None,
    run: TrainedRun,
    new: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = ["test", str(run.folder), str(new), "--out", str(tmp_path / "out"), "--device", "cpu", "--json", *options]
    app(line, exit_on_error=False, result_action="return_value")
    found = json.loads(capsys.readouterr().out)["boundaries"]
    assert (found and found["counted"]) == counted

"""``test --measures boundaries``: the scores of ``metrics.boundaries``, in all that is written, said and shown."""

import csv
import html
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import tiny
import unpool
from unpool.checkpoint.models import save_model
from unpool.cli.main import load_commands
from unpool.commands.events import finish
from unpool.commands.test.options import TestOptions
from unpool.commands.test.result import TestResult, result_text
from unpool.commands.test.test import test as score
from unpool.commands.train.train import TrainedRun, train
from unpool.data.synthetic import synthetic_cells
from unpool.errors import UsageError
from unpool.io.read.masks import read_mask
from unpool.io.write.images import write_image
from unpool.metrics.boundaries import boundary_scores
from unpool.metrics.measures import MeasureResult
from unpool.wording import PAGE_WIDTH


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures the run has not seen. Read only."""
    return tiny.write_set(tmp_path_factory.mktemp("new") / "new-cells", 3, seed=5)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A run on cells whose masks are object numbers; the folder is beside it. Read only."""
    folder = tmp_path_factory.mktemp("numbered")
    for picture in synthetic_cells(4, 3, tiny.SIZES):
        write_image(folder / "cells" / "images" / f"{picture.name}.png", picture.image)
        write_image(folder / "cells" / "masks" / f"{picture.name}.png", picture.instances)
    settings = {**tiny.settings(epochs=2), "data": {"masks": "instances"}}
    return finish(train(folder / "cells", settings, folder / "run"))


def of(run: TrainedRun, folder: Path, out: Path, *measures: str) -> tuple[TestResult, MeasureResult]:
    result = scored(run, folder, out, measures=measures)
    (found,) = result.measured
    return result, found


def test_the_scores_are_those_of_the_written_masks(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result, found = of(run, new, tmp_path / "test", "boundaries")
    finish(tiny.predict(run.folder, [str(new / "images")], tmp_path / "masks", device="cpu", precision="float32"))
    names = [each.name for each in result.scores.classes]
    means = []
    for k, name in enumerate(found.names):
        truth, mask = (read_mask(folder / f"{name}.png") == 255 for folder in (new / "masks", tmp_path / "masks"))
        wanted = boundary_scores(names, truth.astype(np.uint8), mask.astype(np.uint8))
        assert [row[0] for row in found.of_picture(k)] == [each.bf for each in (*wanted.classes, wanted.mean)]
        means.append(wanted.mean.bf)
    assert found.value("bf") == pytest.approx(np.mean([mean for mean in means if mean is not None]))


def test_perfect_masks_have_perfect_boundaries(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    perfect = shutil.copytree(new / "images", tmp_path / "set" / "images").parent
    finish(tiny.predict(run.folder, [str(new / "images")], perfect / "masks", device="cpu", precision="float32"))
    _, found = of(run, perfect, tmp_path / "test", "boundaries")
    assert list(found.table[-1]) == [1, 1, 0, 1]


def test_what_is_written_and_said(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result, found = of(run, new, tmp_path / "test", "boundaries-of-truth")
    written = json.loads((tmp_path / "test" / "scores.json").read_text())["measures"]["boundaries"]
    assert written == json.loads(json.dumps(found.to_json()))
    assert written["scores"]["mean"]["bf"] == found.value("bf")
    low, high = written["intervals"]["mean"]["bf"]
    assert low <= found.value("bf") <= high
    with (tmp_path / "test" / "images.csv").open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    for k, name in enumerate(found.names):
        table = found.of_picture(k)
        assert float(rows[name]["hausdorff_95"]) == pytest.approx(table[-1][2], abs=1e-6)
        for class_name, scores in zip(found.measure.rows[:-1], table, strict=False):
            assert float(rows[name][f"bf {class_name}"]) == pytest.approx(scores[0], abs=1e-6)
    page = (tmp_path / "test" / "report.html").read_text()
    for text in (page, " ".join(result_text(result).split())):
        assert "BF score" in text
        assert f"{found.value('boundary_iou'):.3f}" in text
        assert f"{found.value('hausdorff_95'):.2f}" in text
        assert f"[{low:.3f}, {high:.3f}]" in text
        assert "that have a boundary in the truth." in text
    assert "--measures boundaries-of-truth" in page


def test_nothing_is_measured_that_is_not_asked_for(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = scored(run, new, tmp_path / "test")
    assert not any(each.measure.key == "boundaries" for each in result.measured)
    assert "boundaries" not in json.loads((tmp_path / "test" / "scores.json").read_text())["measures"]
    assert "bf" not in (tmp_path / "test" / "images.csv").read_text()
    assert "<h2>Boundaries</h2>" not in (tmp_path / "test" / "report.html").read_text()


@pytest.mark.parametrize(
    ("names", "said"),
    [(["edges"], "no measure 'edges'"), (["boundaries", "boundaries-of-truth"], "two rules for boundaries")],
)
def test_measures_that_there_are_not(names: list[str], said: str, run: TrainedRun, new: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        of(run, new, tmp_path / "test", *names)
    assert not (tmp_path / "test").exists()


def scored(run: TrainedRun, folder: Path, out: Path, **options: Any) -> TestResult:
    return finish(score(run.folder, folder, TestOptions(device="cpu", precision="float32", **options), out=out))


def components_in(folder: Path) -> int:
    """How many components the masks of a folder have."""
    return sum(ndimage.label(read_mask(path), np.ones((3, 3)))[1] for path in folder.glob("*.png"))


def test_objects_are_measured_where_masks_number_them(numbered: TrainedRun, tmp_path: Path) -> None:
    cells = numbered.folder.parent / "cells"
    result = scored(numbered, cells, tmp_path / "test", which="all")
    _, found, separated = result.measured
    assert [each.measure.key for each in result.measured] == ["calibration", "objects", "separated_objects"]
    assert separated.value("true") == found.value("true")
    assert separated.value("predicted") >= found.value("predicted")
    assert found.measure.rows == (result.scores.classes[1].name,)
    true = sum(len(np.unique(read_mask(path))) - 1 for path in (cells / "masks").iterdir())
    assert found.value("true") == true
    page = (tmp_path / "test" / "report.html").read_text()
    assert "<h2>Objects</h2>" in page
    assert "IoU threshold" in page
    assert f"{found.value('seg'):.3f}" in result_text(result)
    assert "average_precision" in (tmp_path / "test" / "images.csv").read_text()
    finish(
        tiny.predict(numbered.folder, [str(cells / "images")], tmp_path / "masks", device="cpu", precision="float32")
    )
    assert found.value("predicted") == components_in(tmp_path / "masks")


def test_an_empty_list_measures_nothing(numbered: TrainedRun, tmp_path: Path) -> None:
    assert scored(numbered, numbered.folder.parent / "cells", tmp_path / "test", measures=()).measured == ()


def test_masks_of_classes_have_objects_when_asked(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    _, found = of(run, new, tmp_path / "test", "objects")
    assert found.value("true") == sum(
        ndimage.label(read_mask(path), np.ones((3, 3)))[1] for path in (new / "masks").iterdir()
    )


def test_means_over_pictures_are_beside_those_of_the_set(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = scored(run, new, tmp_path / "test")
    means = result.image_means
    for key, name in [("iou", "mean_iou"), ("global_accuracy", "global_accuracy")]:
        wanted = np.mean([getattr(each, name) for _, each in result.evaluation.images])
        assert means.value(key) == pytest.approx(wanted)
    written = json.loads((tmp_path / "test" / "scores.json").read_text())["image_means"]
    assert written["scores"]["mean"]["iou"] == means.value("iou")
    low, high = written["intervals"]["mean"]["iou"]
    text = result_text(result)
    assert f"IoU {means.value('iou'):.3f} [{low:.3f}, {high:.3f}]" in text
    page = (tmp_path / "test" / "report.html").read_text()
    assert "<summary>Means over pictures</summary>" in page
    assert f"[{low:.3f}, {high:.3f}]" in page
    assert max(map(len, text.splitlines()[:-1])) <= PAGE_WIDTH


def test_one_picture_has_no_mean_over_pictures(run: TrainedRun, tmp_path: Path) -> None:
    result = scored(run, tiny.write_set(tmp_path / "one", 1, seed=5), tmp_path / "test")
    assert "means over" not in result_text(result)
    assert "Means over" not in (tmp_path / "test" / "report.html").read_text()


def test_conventions_are_given_when_asked(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    plain = scored(run, new, tmp_path / "plain")
    result = scored(run, new, tmp_path / "test", conventions=True)
    assert plain.conventions == ()
    assert "mmsegmentation" not in result_text(plain) + (tmp_path / "plain" / "report.html").read_text()
    first, *others = result.conventions
    assert first.mean_iou == pytest.approx(result.scores.mean_iou)
    means = next(each for each in others if each.convention.users == ("Unpool, means over pictures",))
    assert means.mean_dice == pytest.approx(result.image_means.value("dice"))
    written = json.loads((tmp_path / "test" / "scores.json").read_text())["conventions"]
    assert written == [each.to_json() for each in result.conventions]
    page = html.unescape((tmp_path / "test" / "report.html").read_text())
    text = result_text(result)
    assert "--conventions" in page
    assert page.count('<tr class="ours">') == 1
    for each in result.conventions:
        for said in (page, text):
            assert ", ".join(each.convention.users) in said
    assert max(map(len, text.splitlines()[:-1])) <= PAGE_WIDTH


def test_the_command_line(run: TrainedRun, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["test", str(run.folder), str(new), "--out", str(tmp_path / "out"), "--device", "cpu", "--json"]
    load_commands()(
        [*line, "--measures", "boundaries", "--conventions"], exit_on_error=False, result_action="return_value"
    )
    said = json.loads(capsys.readouterr().out)
    assert "boundaries" in said["measures"]
    assert said["conventions"]


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with dropout. Read only."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    story = {"config": {"augmentation": {"orientation": "upright"}}, "citation": "none"}
    save_model(path, tiny.segmenter(dropout=0.5, dropout_after=("bottom", "decoder1")), story)
    return path


def test_calibration_is_measured_where_nothing_else_is_asked_for(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = scored(run, new, tmp_path / "test")
    (found,) = result.measured
    assert found.measure.key == "calibration"
    assert found.value("accuracy") == pytest.approx(result.scores.global_accuracy)
    likely = [unpool.load(run.folder, "cpu").probabilities(path) for path in sorted((new / "images").iterdir())]
    assert found.value("mean_confidence") == pytest.approx(
        np.concatenate([each.max(axis=0).ravel() for each in likely]).mean(), abs=0.005
    )
    page = (tmp_path / "test" / "report.html").read_text()
    assert "<h2>Calibration</h2>" in page
    assert "reliability" in page
    assert "--measures" not in page


def test_samples_are_measured_recorded_and_shown(dropping: Path, new: Path, tmp_path: Path) -> None:
    result = finish(score(dropping, new, TestOptions(device="cpu", tta="flips", samples=3), out=tmp_path / "test"))
    assert [each.measure.key for each in result.measured] == ["calibration", "uncertainty"]
    assert result.measured[1].measure.rows == ("by confidence", "by variance")
    written = json.loads((tmp_path / "test" / "scores.json").read_text())
    assert written["averaging"] == {"tta": "flips", "samples": 3, "seed": 0}
    assert any("trained on upright pictures" in warning for warning in written["warnings"])
    page = (tmp_path / "test" / "report.html").read_text()
    assert "4 orientations (flips), 3 dropout samples of each" in page
    assert "--tta flips --samples 3" in page
    assert page.count("root of the variance of 3 samples: black 0, lightest 0.25 or more") == 1
    assert page.count("<figcaption>uncertainty</figcaption>") == 3
    mirrored = finish(score(dropping, new, TestOptions(device="cpu", tta="mirror"), out=tmp_path / "mirrored"))
    assert not any("upright" in warning for warning in mirrored.warnings)
    again = unpool.load(dropping, "cpu").test(new, out=tmp_path / "again", tta="flips", samples=3)
    assert again.scores.mean_iou == pytest.approx(result.scores.mean_iou, abs=0.02)  # in another precision


def test_uncertainty_by_confidence_needs_no_samples(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    _, found = of(run, new, tmp_path / "test", "uncertainty")
    assert found.measure.rows == ("by confidence",)
    page = (tmp_path / "test" / "report.html").read_text()
    assert "1 − confidence: black 0, lightest 0.5 or more" in page


def test_samples_of_a_model_without_dropout_are_refused(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="5 samples of unet, which has no dropout"):
        finish(score(run.folder, new, TestOptions(device="cpu", samples=5), out=tmp_path / "test"))
    assert not (tmp_path / "test").exists()


def test_averaging_on_the_command_line(
    run: TrainedRun, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["test", str(run.folder), str(new), "--out", str(tmp_path / "out"), "--device", "cpu", "--json"]
    load_commands()([*line, "--tta", "d4"], exit_on_error=False, result_action="return_value")
    assert json.loads(capsys.readouterr().out)["averaging"] == {"tta": "d4", "samples": 0, "seed": 0}

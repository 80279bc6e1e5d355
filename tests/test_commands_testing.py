"""``test``: the scores are those a person would count by hand, and nobody is fooled by them."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from unpool.checkpoint.models import load_model
from unpool.commands.events import Event, Message, finish
from unpool.commands.test.options import TestOptions
from unpool.commands.test.page import run_history
from unpool.commands.test.result import TestResult, result_text
from unpool.commands.test.test import test as score
from unpool.commands.train.train import TrainedRun
from unpool.dataset.survey import survey
from unpool.errors import DataError, UsageError
from unpool.io.read.masks import read_mask
from unpool.io.write.images import write_image
from unpool.io.write.masks import write_mask
from unpool.metrics.intervals import Interval, bootstrap
from unpool.report.text import interval_text, ratio_text


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures the run has not seen. Read only."""
    return tiny.write_set(tmp_path_factory.mktemp("new") / "new-cells", 3, seed=5)


def of(run: TrainedRun, folder: Path, out: Path | None = None, **options: Any) -> TestResult:
    chosen = TestOptions(device="cpu", precision="float32", **options)
    return finish(score(run.folder, folder, chosen, out=out))


def test_the_scores_are_those_counted_by_hand(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = of(run, new, out=tmp_path / "test")
    finish(tiny.predict(run.folder, [str(new / "images")], tmp_path / "masks", device="cpu", precision="float32"))
    hits, unions, right, pixels = [0, 0], [0, 0], 0, 0
    for path in sorted((new / "masks").iterdir()):
        truth, found = read_mask(path), read_mask(tmp_path / "masks" / path.name)
        right, pixels = right + int((truth == found).sum()), pixels + truth.size
        for number, value in enumerate((0, 255)):
            hits[number] += int(((truth == value) & (found == value)).sum())
            unions[number] += int(((truth == value) | (found == value)).sum())
    assert result.scores.pixels == pixels
    assert result.scores.global_accuracy == right / pixels
    assert [c.iou for c in result.scores.classes] == [hit / union for hit, union in zip(hits, unions, strict=True)]
    assert result.scores.mean_iou == pytest.approx((hits[0] / unions[0] + hits[1] / unions[1]) / 2)


def test_perfect_masks_score_one(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    perfect = shutil.copytree(new / "images", tmp_path / "set" / "images").parent
    finish(tiny.predict(run.folder, [str(new / "images")], perfect / "masks", device="cpu", precision="float32"))
    result = of(run, perfect, out=tmp_path / "test")
    assert result.scores.mean_iou == 1.0
    assert result.scores.global_accuracy == 1.0


def test_classes_are_matched_by_name_and_it_is_said(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    plain = of(run, new, out=tmp_path / "plain")
    swapped = shutil.copytree(new, tmp_path / "set")
    for path in (swapped / "masks").iterdir():
        write_image(path, 255 - read_mask(path))
    (swapped / "classes.txt").write_text("255: background\n0: foreground\n")
    result = of(run, swapped, out=tmp_path / "swapped")
    assert result.scores == plain.scores
    assert any("classes.txt gives the classes other mask values" in warning for warning in result.warnings)
    (swapped / "classes.txt").write_text("255: background\n0: membrane\n")
    with pytest.raises(DataError, match="names classes that the model does not have: 'membrane'") as error:
        of(run, swapped, out=tmp_path / "refused")
    assert "--" not in error.value.repair
    assert "unpool check" not in error.value.repair


def test_other_class_names_are_other_data(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(new, tmp_path / "set")
    chosen = TestOptions(device="cpu", precision="float32")
    messages: list[list[str]] = []
    for k, text in enumerate(("0: background", "0: background", "0: background\n7: ignore")):
        (folder / "classes.txt").write_text(text)
        events: list[Event] = []
        finish(score(run.folder, folder, chosen, out=tmp_path / "tests" / f"{k}"), events.append)
        messages.append([event.text for event in events if isinstance(event, Message)])
    assert [any("has been run already" in text for text in each) for each in messages] == [False, True, False]


def test_what_is_written(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = of(run, new, out=tmp_path / "deep" / "test")
    folder = tmp_path / "deep" / "test"
    assert {path.name for path in folder.glob("[!.]*")} == {"scores.json", "images.csv", "report.html", "run.json"}
    written = json.loads((folder / "scores.json").read_text())
    assert written == json.loads(json.dumps(result.to_json()))
    assert np.sum(written["confusion"]["counts"]) == result.scores.pixels
    for k, each in enumerate(result.scores.classes):
        for kind in ("hit_pixels", "truth_pixels", "predicted_pixels"):
            assert sum(row["classes"][k][kind] for row in written["images"]) == getattr(each, kind)
    digests = {pair.name: survey(new).pictures[pair.name].digest for pair in survey(new).folder.pairs}
    assert {row["name"]: row["digest"] for row in written["images"]} == digests
    with (folder / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["image"] for row in rows) == ["00", "01", "02"]
    assert [float(row["mean_iou"]) for row in rows] == sorted(float(row["mean_iou"]) for row in rows)
    page = (folder / "report.html").read_text()
    assert ratio_text(result.scores.mean_iou) in page
    assert "new-cells" in page


def test_intervals_are_of_the_pictures_and_said(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = of(run, new, out=tmp_path / "test")
    found = bootstrap(result.evaluation.images, {name: name for name in ("00", "01", "02")})
    assert found is not None
    assert result.intervals == found
    assert json.loads((tmp_path / "test" / "scores.json").read_text())["intervals"] == json.loads(
        json.dumps(found.to_json())
    )
    said = f"mean IoU {ratio_text(result.scores.mean_iou)} {interval_text(found.mean_iou)}"
    assert said in result_text(result)
    assert "2,000 resamples of the 3 pictures with seed 0" in result_text(result)
    page = (tmp_path / "test" / "report.html").read_text()
    assert page.count(interval_text(found.iou[1])) >= 1
    assert interval_text(Interval(1 - found.global_accuracy[1], 1 - found.global_accuracy[0])) in page


def test_one_picture_gets_no_interval_and_it_is_said(run: TrainedRun, tmp_path: Path) -> None:
    result = of(run, tiny.write_set(tmp_path / "one", 1), out=tmp_path / "test")
    assert result.intervals is None
    assert json.loads((tmp_path / "test" / "scores.json").read_text())["intervals"] is None
    assert "No intervals: one picture" in result_text(result)
    assert "No intervals: one picture" in (tmp_path / "test" / "report.html").read_text()


def test_validation_pictures_of_the_training_are_chosen_and_it_is_said(
    run: TrainedRun, cells: Path, tmp_path: Path
) -> None:
    result = of(run, cells, out=tmp_path / "test")
    split = json.loads((run.folder / "split.json").read_text())
    assert result.which == "the val split of the folder the model was trained on"
    assert sorted(name for name, _ in result.evaluation.images) == sorted(split["val"])
    assert any("chose the best epoch" in warning for warning in result.warnings)
    assert result.scores.mean_iou == pytest.approx(run.best_mean_iou)


@pytest.mark.parametrize("which", ["train", "all"])
def test_pictures_that_were_trained_on_are_named(which: str, run: TrainedRun, cells: Path, tmp_path: Path) -> None:
    result = of(run, cells, which=which, out=tmp_path / "test")
    trained = len(json.loads((run.folder / "split.json").read_text())["train"])
    scored = trained if which == "train" else 8
    assert any(f"{trained} of the {scored} pictures were trained on" in warning for warning in result.warnings)
    assert "trained on" in (tmp_path / "test" / "report.html").read_text()


def test_renamed_copies_of_trained_pictures_are_recognised(run: TrainedRun, cells: Path, tmp_path: Path) -> None:
    name = json.loads((run.folder / "split.json").read_text())["train"][0]
    for kind in ("images", "masks"):
        (tmp_path / "other" / kind).mkdir(parents=True)
        shutil.copy(cells / kind / f"{name}.png", tmp_path / "other" / kind / "innocent.png")
    result = of(run, tmp_path / "other", out=tmp_path / "test")
    assert any("1 of the 1 pictures were trained on (innocent)" in warning for warning in result.warnings)


def test_new_pictures_are_all_scored_without_a_word_on_training(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    result = of(run, new, out=tmp_path / "test")
    assert result.which == "all pictures"
    assert len(result.evaluation.images) == 3
    assert not any("train" in warning for warning in result.warnings)


def test_a_folders_own_test_split_is_preferred(run: TrainedRun, tmp_path: Path) -> None:
    for part, seed in (("train", 6), ("val", 7), ("test", 8)):
        tiny.write_set(tmp_path / "set" / part, 2, seed)
    result = of(run, tmp_path / "set", out=tmp_path / "auto")
    assert result.which == "the test split"
    assert sorted(name for name, _ in result.evaluation.images) == ["test/00", "test/01"]
    whole = of(run, tmp_path / "set", out=tmp_path / "all", which="all")
    assert len(whole.evaluation.images) == 6


def test_a_single_film_is_known_by_the_films_of_the_other_split(run: TrainedRun, tmp_path: Path) -> None:
    for part, film in (("train", "film1"), ("val", "film2")):
        made = tiny.write_set(tmp_path / "made" / part, 3, seed=6)
        for kind in ("images", "masks"):
            (tmp_path / "films" / part / kind).mkdir(parents=True)
            for file in (made / kind).iterdir():
                file.rename(tmp_path / "films" / part / kind / f"{film}_{file.name}")
    result = finish(score(run.folder, tmp_path / "films", TestOptions("val", "cpu"), out=tmp_path / "test"))
    assert set(result.groups.values()) == {"film2"}
    assert result.intervals is not None
    assert (result.intervals.unit, result.intervals.units, result.intervals.groups) == ("picture", 3, 1)
    assert "of the 3 pictures (from 1 group, too few to resample)" in " ".join(result_text(result).split())
    assert [row["group"] for row in result.to_json()["images"]] == ["film2"] * 3


def test_a_split_that_is_not_there_is_refused(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no train split(.|\n)*--split all"):
        of(run, new, which="train", out=tmp_path / "test")


def test_default_folders_are_numbered_and_others_never_overwritten(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    copied.mkdir()
    shutil.copy(run.model, copied)
    for name in ("test-new-cells", "test-new-cells-2", "test-new-cells-3"):
        result = finish(score(copied / "model.safetensors", new, TestOptions(device="cpu")))
        assert result.report == copied / name / "report.html"
    with pytest.raises(UsageError, match="exists and is not empty"):
        of(run, new, out=copied / "test-new-cells")


def test_masks_with_a_value_the_model_does_not_know_are_refused(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    other = shutil.copytree(new, tmp_path / "set")
    mask = read_mask(other / "masks" / "01.png")
    mask[:2] = 128
    write_image(other / "masks" / "01.png", mask)
    with pytest.raises(DataError, match=r"mask value 128 is in no class\n  expected: one of 0 .*255"):
        of(run, other, out=tmp_path / "test")
    assert not (tmp_path / "test").exists()


def test_a_written_prediction_is_a_mask_that_can_be_tested_on(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    other = shutil.copytree(new / "images", tmp_path / "set" / "images").parent
    for path in sorted((new / "masks").iterdir()):
        write_mask(other / "masks" / path.name, (read_mask(path) == 255).astype(np.uint8), tiny.CELLS)
    assert of(run, other, out=tmp_path / "a").scores == of(run, new, out=tmp_path / "b").scores


def test_what_is_said_ends_with_the_scores(run: TrainedRun, new: Path, tmp_path: Path) -> None:
    events: list[Event] = list(score(run.folder, new, TestOptions(device="cpu"), out=tmp_path / "test"))
    texts = [event.text for event in events if isinstance(event, Message)]
    assert texts[0].startswith("scoring 3 pictures: all pictures")
    assert str(tmp_path / "test" / "report.html") in texts[-1]


def test_an_odd_log_is_named_and_the_curves_are_the_card_s(run: TrainedRun, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    story, log = load_model(folder / "model.safetensors").card["story"], folder / "log.jsonl"
    right = log.read_text()
    assert run_history(folder / "model.safetensors", story) == (list(run.history), ())
    for odd in ("5", "[" * 5000, '{"epoch": "first"}', '{"epoch": 1}', "{", right.splitlines()[0].replace("1", "x", 1)):
        log.write_text(right + odd + "\n")
        rows, warnings = run_history(folder / "model.safetensors", story)
        assert rows == story["history"]
        assert len(warnings) == 1
        assert warnings[0].startswith(f"{log}: line {len(run.history) + 1}: ")
        assert "are those on the model's card" in warnings[0]
    log.write_text(right + '{"epoch": ')  # of a killed training
    assert run_history(folder / "model.safetensors", story) == (list(run.history), ())

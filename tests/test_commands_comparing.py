"""``compare``: what ``test`` wrote is read back, and what cannot be compared is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from conftest import Program
from unpool.commands.compare import compare, read_test
from unpool.commands.events import finish
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import test as score
from unpool.commands.train.train import TrainedRun, train
from unpool.errors import DataError, UnpoolError, UsageError
from unpool.ledger.folders import read_record, write_record
from unpool.metrics.intervals import pixel_counts

NOT_A_TEST = r"no (counts of single pictures|valid JSON) \((.|\n)*(run unpool test|write it) again"
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures the runs have not seen. Read only."""
    return tiny.write_set(tmp_path_factory.mktemp("new") / "new-cells", 7, seed=5)


@pytest.fixture(scope="module")
def good(run: TrainedRun, new: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test of the run. Read only."""
    out = tmp_path_factory.mktemp("tests") / "good"
    finish(score(run.folder, new, TestOptions(device="cpu"), out=out))
    return out


@pytest.fixture(scope="module")
def poor(cells: Path, new: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test of a run that hardly learned. Read only."""
    home = tmp_path_factory.mktemp("poor")
    trained = finish(train(cells, tiny.settings(epochs=1, learning_rate=1e-6), home / "run"))
    finish(score(trained.folder, new, TestOptions(device="cpu"), out=home / "poor"))
    return home / "poor"


def changed(test: Path, target: Path, change: Change) -> Path:
    """A copy of a test whose scores.json is another."""
    shutil.copytree(test, target)
    data = json.loads((target / "scores.json").read_text())
    change(data)
    (target / "scores.json").write_text(json.dumps(data))
    return target


def test_what_was_written_is_read_back(run: TrainedRun, new: Path, good: Path, tmp_path: Path) -> None:
    result = finish(score(run.folder, new, TestOptions(device="cpu"), out=tmp_path / "again"))
    read = read_test(good)
    assert read.classes == ("background", "foreground")
    assert set(read.pictures) == {name for name, _ in result.evaluation.images}
    for name, found in result.evaluation.images:
        assert read.pictures[name].counts.tolist() == pixel_counts(found).tolist()
        assert read.pictures[name].digest == result.digests[name]


def test_the_scores_and_their_difference_are_those_of_the_tests(good: Path, poor: Path) -> None:
    first, second = (json.loads((path / "scores.json").read_text()) for path in (good, poor))
    result = compare([good, poor])
    assert result.comparison.best == (0 if first["scores"]["mean_iou"] >= second["scores"]["mean_iou"] else 1)
    for test, written in zip(result.comparison.mean_ious, (first, second), strict=True):
        assert test[0] == pytest.approx(written["scores"]["mean_iou"])
        assert list(test[1] or ()) == pytest.approx(written["intervals"]["mean_iou"])
    (duel,) = result.comparison.others
    for name, difference in duel.differences.items():
        apart = first["scores"][name] - second["scores"][name]
        assert difference.value == pytest.approx(apart if result.comparison.best == 0 else -apart)


def test_the_command_line_says_a_sentence_or_json(good: Path, poor: Path, program: Program) -> None:
    said = program("compare", good, poor / "scores.json")
    assert (said.code, said.err) == (0, "")
    (sentence,) = compare([good, poor]).sentences
    assert sentence in " ".join(said.out.split())
    told = json.loads(program("compare", good, poor, "--json").out)
    assert [test["label"] for test in told["tests"]] == ["A", "B"]
    assert told["comparisons"][0]["sentence"] == sentence
    assert set(told["comparisons"][0]["differences"]["mean_iou"]) == {
        "value", "interval", "error", "p", "alone", "shown"
    }  # fmt: skip


def test_a_test_against_itself_shows_nothing(good: Path) -> None:
    itself = compare([good, good])
    assert itself.sentences == ("A and B: 0.0 points: the same counts on every picture (7 pictures)",)
    assert itself.changes == ("A and B are tests of the same model.",)


def test_the_order_of_the_pictures_does_not_matter(good: Path, poor: Path, tmp_path: Path) -> None:
    turned = changed(poor, tmp_path / "turned", lambda data: data["images"].reverse())
    assert compare([good, turned]).comparison == compare([good, poor]).comparison


def test_a_test_without_digests_is_compared_by_names(good: Path, poor: Path, tmp_path: Path) -> None:
    def forget(data: dict[str, Any]) -> None:
        for row in data["images"]:
            del row["digest"]

    assert compare([good, changed(poor, tmp_path / "old", forget)]).comparison == compare([good, poor]).comparison


def other_classes(data: dict[str, Any]) -> None:
    data["confusion"]["names"][1] = "nucleus"


def fewer(data: dict[str, Any]) -> None:
    for images in (data["images"], data["measures"]["calibration"]["images"]):
        del images[2]


def other_pixels(data: dict[str, Any]) -> None:
    data["images"][3]["digest"] = "0" * 64


def other_mask(data: dict[str, Any]) -> None:
    for k, by in ((0, -1), (1, 1)):
        each = data["images"][4]["classes"][k]
        each["hit_pixels"], each["truth_pixels"] = 0, each["truth_pixels"] + by


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (other_classes, "classes background, foreground and background, nucleus"),
        (fewer, "only one has 02"),
        (other_pixels, "picture 03 has other pixels"),
        (other_mask, "picture 04 has another mask"),
    ],
)
def test_tests_of_other_things_are_refused(change: Change, found: str, good: Path, tmp_path: Path) -> None:
    other = changed(good, tmp_path / "other", change)
    with pytest.raises(UsageError, match=found) as refused:
        compare([good, other])
    assert f"{good} and {other}" in refused.value.found
    assert refused.value.expected
    assert refused.value.repair


@pytest.fixture(scope="module")
def edges(run: TrainedRun, new: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test of the run with boundaries, by the rule of SegNet's paper. Read only."""
    out = tmp_path_factory.mktemp("edges") / "edges"
    options = TestOptions(device="cpu", measures=("boundaries-of-truth", "calibration"))
    finish(score(run.folder, new, options, out=out))
    return out


def test_measures_that_both_have_are_compared(good: Path, poor: Path, edges: Path, program: Program) -> None:
    one, other = (
        json.loads((path / "scores.json").read_text())["measures"]["calibration"]["scores"]["all pixels"]
        for path in (good, poor)
    )
    result = compare([good, poor])
    assert result.comparison.best == 0
    for column, difference in result.comparison.others[0].measures["calibration"].items():
        assert difference.value == pytest.approx(one[column.key] - other[column.key])
    assert set(compare([edges, poor]).comparison.others[0].measures) == {"calibration"}
    assert set(compare([edges, edges]).comparison.others[0].measures) == {"boundaries", "calibration"}
    told = json.loads(program("compare", good, poor, "--json").out)["comparisons"][0]["measures"]["calibration"]
    assert told["expected_calibration_error"]["value"] == pytest.approx(
        one["expected_calibration_error"] - other["expected_calibration_error"]
    )
    assert "calibration: expected error" in result.text
    assert max(map(len, result.text.splitlines())) <= 100


def test_a_measure_by_two_rules_is_refused(run: TrainedRun, new: Path, edges: Path, tmp_path: Path) -> None:
    options = TestOptions(device="cpu", measures=("boundaries",))
    finish(score(run.folder, new, options, out=tmp_path / "test"))
    with pytest.raises(UsageError, match=r"boundaries by two rules \(boundaries and boundaries-of-truth\)"):
        compare([tmp_path / "test", edges])


def other_rule(data: dict[str, Any]) -> None:
    data["measures"]["calibration"]["rule"] = "By feeling."


def other_name(data: dict[str, Any]) -> None:
    data["measures"]["calibration"]["name"] = "feeling"


def too_short(data: dict[str, Any]) -> None:
    for image in data["measures"]["calibration"]["images"]:
        image["numbers"].pop()


def lone_picture(data: dict[str, Any]) -> None:
    data["measures"]["calibration"]["images"].pop()


@pytest.mark.parametrize("change", [other_rule, other_name, too_short, lone_picture])
def test_measures_that_cannot_be_are_refused(change: Change, good: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=NOT_A_TEST):
        compare([good, changed(good, tmp_path / "other", change)])


def without_counts(data: dict[str, Any]) -> None:
    del data["images"][0]["classes"][0]["hit_pixels"]


def set_hits(value: object) -> Change:
    def change(data: dict[str, Any]) -> None:
        data["images"][0]["classes"][0]["hit_pixels"] = value

    return change


def twice(data: dict[str, Any]) -> None:
    data["images"].append(data["images"][0])


@pytest.mark.parametrize(
    "change",
    [
        without_counts,
        *map(set_hits, (-1, 0.5, "1", True, None, 10**9, 10**30)),
        twice,
        lambda data: data["images"].clear(),
        lambda data: data["images"][0]["classes"].pop(),
        lambda data: data.pop("confusion"),
        lambda data: data.update(images=[1]),
        lambda data: data.update(confusion=None),
    ],
)
def test_counts_that_cannot_be_are_refused(change: Change, good: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=NOT_A_TEST):
        compare([good, changed(good, tmp_path / "other", change)])


def test_missing_and_foreign_files_are_refused(good: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file(.|\n)*run unpool test first"):
        compare([good, tmp_path])
    with pytest.raises(DataError, match="no such file"):
        compare([good, tmp_path / "nowhere"])
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match="no counts of single pictures"):
        compare([good, tmp_path / "list.json"])
    (tmp_path / "text.json").write_text("scores")
    with pytest.raises(DataError, match="no valid JSON"):
        compare([good, tmp_path / "text.json"])


@pytest.mark.parametrize("count", [0, 1, 27])
def test_it_takes_two_and_the_alphabet_ends(count: int, good: Path) -> None:
    with pytest.raises(UnpoolError, match=rf"{count} tests? to compare\n  expected: 2 to 26"):
        compare([good] * count)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(images=5),
        lambda data: data["images"][0].update(name=None),
        lambda data: data["images"][0].update(group=[]),
        lambda data: data["images"][0].update(digest=5),
        lambda data: data["images"][0]["classes"][0].update(hit_pixels=10**400),
        lambda data: data["images"][0]["classes"][0].update(hit_pixels=True),
        lambda data: data["confusion"].update(names=[None, None]),
        lambda data: data.update(measures=[]),
        lambda data: data["measures"]["calibration"].update(rule={"bins": 10**9}),
        lambda data: data["measures"]["calibration"].update(rule="[" * 5000),
        lambda data: data["measures"]["calibration"]["images"][0].update(numbers=["nan"]),
        lambda data: data["measures"]["calibration"]["images"][0].update(numbers=5),
    ],
)
def test_odd_scores_are_refused_with_their_file(change: Change, good: Path, tmp_path: Path) -> None:
    odd = changed(good, tmp_path / "odd", change)
    with pytest.raises(DataError, match=r"odd/scores\.json: no (counts of single pictures|valid JSON) \(.+\)"):
        compare([good, odd])


def test_scores_that_are_no_document_are_refused_with_their_file(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "odd")
    for content in ("", "[" * 5000, '{"images": NaN}', '{"images": 1, "images": 2}', "\udcff"):
        (tmp_path / "odd" / "scores.json").write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(DataError, match=r"odd/scores\.json: no (counts of single pictures|valid JSON) \(.+\)"):
            compare([good, tmp_path / "odd"])


def test_what_was_changed_between_the_models_is_named(good: Path, poor: Path, run: TrainedRun) -> None:
    (change,) = compare([good, poor]).changes
    assert change == "Settings that differ: learning_rate (A 0.01, B 1e-06), epochs (A 3, B 1)."
    words = " ".join(compare([poor, good]).text.split())
    assert "Settings that differ: learning_rate (B 0.01, A 1e-06), epochs (B 3, A 1)." in words


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"seed": 5},
            "have the same settings and different seeds (seed (A 0, B 5)): this difference comes from chance",
        ),
        ({}, "A and B have the same settings and the same seed."),
        ({"seed": 5, "crop": 64}, "Settings that differ: crop (A 32, B 64), seed (A 0, B 5)."),
    ],
)
def test_seeds_are_told_from_settings(
    change: dict[str, Any], sentence: str, good: Path, poor: Path, run: TrainedRun, tmp_path: Path
) -> None:
    """The poor test gets the record of a training that differs from the good one's in nothing else."""
    test = read_record(poor)
    assert test.model is not None
    model = test.model.model_copy(update={"file": str(tmp_path / "model.safetensors")})
    shutil.copytree(poor, tmp_path / "test")
    write_record(tmp_path / "test", test.model_copy(update={"model": model}))
    training = read_record(run.folder)
    settings = {**training.settings, "training": {**training.settings["training"], **change}}
    write_record(tmp_path, training.model_copy(update={"settings": settings, "model": model}))
    (found,) = compare([good, tmp_path / "test"]).changes
    assert sentence in found
    (tmp_path / "run.json").unlink()
    assert compare([good, tmp_path / "test"]).changes == ("",)


def test_two_ways_to_predict_with_one_model_are_named(run: TrainedRun, new: Path, good: Path, tmp_path: Path) -> None:
    finish(score(run.folder, new, TestOptions(device="cpu", tta="mirror"), out=tmp_path / "mirror"))
    (change,) = compare([good, tmp_path / "mirror"]).changes
    ways = ("tta (A –, B mirror)", "tta (B mirror, A –)")
    assert any(f"are tests of the same model, predicted in two ways: {way}." in change for way in ways)


def test_pictures_that_had_a_part_in_the_training_are_noted(
    run: TrainedRun, cells: Path, good: Path, poor: Path, tmp_path: Path, program: Program
) -> None:
    assert compare([good, poor]).notes == ()
    finish(score(run.folder, cells, TestOptions(device="cpu"), out=tmp_path / "val"))
    finish(score(run.folder, cells, TestOptions("all", device="cpu"), out=tmp_path / "all"))
    (note,) = compare([tmp_path / "val", tmp_path / "val"]).notes
    assert note.startswith("A and B were tested on their validation pictures, which chose the best epoch")
    notes = compare([tmp_path / "all", tmp_path / "all" / "scores.json"]).notes
    assert [each[:3] for each in notes] == ["A: ", "B: "]
    assert "6 of the 8 pictures were trained on" in notes[0]
    shown = program("compare", tmp_path / "all", tmp_path / "all")
    assert "note: A: 6 of the 8 pictures were trained on" in shown.out

"""``unpool ensemble``: one file of several models, which every command takes; what does not fit is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from conftest import Program
from test_verifying import rewrite
from unpool.appearance.seen import SeenPictures, SeenRange
from unpool.checkpoint.models import load_model, save_model
from unpool.commands.ensemble.ensemble import EnsembleResult, ensemble
from unpool.commands.ensemble.story import shared_data
from unpool.commands.events import finish
from unpool.commands.predict import predict as predicting
from unpool.commands.test.options import TestOptions
from unpool.commands.test.picture_choice import orientation_warnings
from unpool.commands.test.result import TestResult
from unpool.commands.test.test import test as score
from unpool.commands.train.train import TrainedRun, train
from unpool.errors import ModelFileError
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.io.write.images import write_image
from unpool.prediction.averaging import Averaging
from unpool.prediction.predictor import TILE
from unpool.prediction.tile_choice import fitting_tile
from unpool.shapes import Size

BIG = (208, 160)
"""Rows and columns of the predicted picture: sizes that every member takes as they are."""


@pytest.fixture(scope="module")
def others(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> list[TrainedRun]:
    """A SegNet on the split of ``run`` and a U-Net on another split, with other constants. Read only."""
    folder = tmp_path_factory.mktemp("others")
    settings = [tiny.settings("segnet-basic", learning_rate=1e-2), tiny.settings(seed=1, learning_rate=1e-2)]
    return [finish(train(cells, each, folder / f"run{k}")) for k, each in enumerate(settings)]


@pytest.fixture(scope="module")
def joined(run: TrainedRun, others: list[TrainedRun], tmp_path_factory: pytest.TempPathFactory) -> EnsembleResult:
    """The ensemble of all three. Read only."""
    models = [run.folder, *(other.folder for other in others)]
    return ensemble(models, tmp_path_factory.mktemp("joined") / "both" / "model.safetensors")


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is larger than the tiles that a tight limit of memory leaves."""
    path = tmp_path_factory.mktemp("big") / "big.png"
    write_image(path, np.random.default_rng(0).integers(0, 256, BIG, dtype=np.uint8))
    return path


def test_members_keep_their_own_constants(joined: EnsembleResult) -> None:
    constants = {json.dumps(load_model(path).card["normalisation"]) for path in joined.members}
    assert len(constants) == 2  # one split, and another one
    network: Any = load_model(joined.path).segmenter.network
    assert (network.scale[:2] == 1).all()
    assert network.scale[2] != 1
    assert network.shift[2] != 0


@pytest.mark.parametrize("memory", [None, 1e8])
def test_predicted_files_are_the_mean_of_the_members(
    joined: EnsembleResult, big: Path, tmp_path: Path, memory: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles: list[Size] = []
    monkeypatch.setattr("unpool.prediction.memory_limit.resident_memory", lambda: 0)
    monkeypatch.setattr(predicting, "fitting_tile", lambda *given: tiles.append(fitting_tile(*given)) or tiles[-1])
    for number, path in enumerate((*joined.members, joined.path)):
        limit = memory if path == joined.path else None
        options = {"probabilities": "float32", "uncertainty": True, "device": "cpu", "precision": "float32"}
        done = finish(tiny.predict(path, [str(big)], tmp_path / str(number), memory=limit, **options))
        assert not done.failed
    assert (tiles[-1] == TILE) == (memory is None)
    assert memory is None or tiles[-1][0] < BIG[0] / 2
    *each, found = [read_image(tmp_path / str(k) / "probabilities" / "big.tif") for k in range(4)]
    assert np.abs(each[0] - each[1]).max() > 0.05
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=2e-6)
    assert ((read_mask(tmp_path / "3" / "big.png") == 255) == (found.argmax(2) == 1)).all()
    np.testing.assert_array_equal(read_image(tmp_path / "3" / "uncertainty" / "big.tif")[..., 0], 1 - found.max(2))


def result_of(model: Path, folder: Path, out: Path, **options: Any) -> TestResult:
    return finish(score(model, folder, TestOptions(device="cpu", precision="float32", **options), out=out))


def test_a_test_knows_what_any_member_was_trained_on(
    run: TrainedRun, others: list[TrainedRun], joined: EnsembleResult, cells: Path, tmp_path: Path
) -> None:
    splits = [set(load_model(path).card["story"]["data"]["split"]["train"]) for path in joined.members]
    assert splits[0] == splits[1] != splits[2]
    data = load_model(joined.path).card["story"]["data"]
    assert set(data["split"]["train"]) == set.union(*splits) == set(data["digests"])
    assert not set(data["split"]["train"]) & {*data["split"]["val"], *data["split"]["test"]}
    result = result_of(joined.path, cells, tmp_path / "a", which="all")
    assert f"{len(set.union(*splits))} of the 8 pictures were trained on" in result.warnings[0]
    alike = ensemble([run.folder, others[0].folder], tmp_path / "alike" / "model.safetensors")
    assert load_model(alike.path).card["story"]["data"]["split"] == load_model(run.model).card["story"]["data"]["split"]
    result = result_of(alike.path, cells, tmp_path / "b")
    assert result.which == "the val split of the folder the model was trained on"
    assert not any("were trained on (" in warning for warning in result.warnings)


def test_pictures_of_any_member_are_known_where_the_members_have_other_data() -> None:
    one = {"name": "a", "fingerprint": "1", "class_file": "x", "split": {"train": ["00"], "val": ["01"]},
           "digests": {"00": "d0"}}  # fmt: skip
    other = {**one, "name": "b", "fingerprint": "2", "digests": {"00": "d5", "07": "d0"}}
    found = shared_data([one, other, {}])
    assert found["fingerprint"] == ""
    assert found["name"] == "a and b"
    assert found["class_file"] is None
    assert found["split"] == {"train": ["1 00", "2 00"]}
    assert sorted(found["digests"].values()) == ["d0", "d5"]
    moved = {**one, "split": {"train": ["01"], "val": ["00", "02"], "test": ["03"], "origin": "x"}}
    found = shared_data([{**one, "split": {"train": ["00"], "val": ["01"], "test": ["02", "03"]}}, moved])
    assert [found["split"][part] for part in ("train", "val", "test")] == [["00", "01"], ["02"], ["03"]]
    assert found["fingerprint"] == "1"


def test_the_command_line(joined: EnsembleResult, cells: Path, program: Program, tmp_path: Path) -> None:
    words = ["ensemble", *(path.parent for path in joined.members), "--out", tmp_path / "e" / "model.safetensors"]
    said = program(*words)
    assert said.code == 0, said.err
    assert "an ensemble of 3 models" in said.out
    assert program(*words).code == 2
    again = program(*words[:-1], tmp_path / "f.safetensors", "--json")
    assert [each["net"] for each in json.loads(again.out)["members"]] == ["unet", "segnet-basic", "unet"]
    model = tmp_path / "e"
    page = program("info", model).out
    assert "network     ensemble, 1 channel in, 2 classes out" in page
    assert "MEMBERS" in page
    for path in joined.members:
        assert path.parent.name in page
    assert "U-Net" in page
    assert "SegNet" in page
    assert program("verify", model).code == 0
    said = program("test", model, cells, "--device", "cpu", "--precision", "float32")
    assert said.code == 0, said.err
    report = (model / "test-cells" / "report.html").read_text()
    assert "an ensemble of 3 networks: unet [1], segnet-basic [2] and unet [1]" in report
    assert "None" not in report
    said = program("export", model, "--to", "torch-export", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["difference"]["probability"] < 1e-5


def test_in_onnx_it_computes_the_same(joined: EnsembleResult, program: Program, tmp_path: Path) -> None:
    for extra in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(extra, reason="the onnx extra is not installed")
    said = program("export", joined.path, "--to", "onnx", "--out", tmp_path / "m.onnx", "--json")
    assert said.code == 0, said.err
    difference = json.loads(said.out)["difference"]
    assert difference["probability"] < 1e-5
    assert difference["share"] == 0


def test_what_is_refused(run: TrainedRun, joined: EnsembleResult, program: Program, tmp_path: Path) -> None:
    out, other = tmp_path / "e" / "model.safetensors", tmp_path / "other.safetensors"
    names = ("cell", "background")
    model = tiny.segmenter(seed=3)
    save_model(other, replace(model, classes=replace(model.classes, names=names)), {})
    for words, text in (
        ((run.folder, other, "--out", out), "other.safetensors: the classes 0 cell, 255 background"),
        ((run.folder, "--out", out), "an ensemble of 1 model"),
        ((run.folder, run.model, "--out", out), "the same weights as"),
        ((run.folder, joined.path, "--out", out), "an ensemble already"),
        ((run.folder, other, "--out", run.folder / "both.safetensors"), "is the folder of a run"),
        ((run.folder, other, "--out", tmp_path / "e"), "a file whose name ends with .safetensors"),
        ((run.folder, other, "--out", other), "other.safetensors exists"),
        ((run.folder, other), "--out"),
    ):
        said = program("ensemble", *words)
        assert said.code == 2, said
        assert text in said.err
    assert not out.exists()


def test_what_the_members_saw_and_their_licences_are_joined(tmp_path: Path) -> None:
    ranges = [SeenRange(0, 9, 3, 8, (-9.0,)), SeenRange(2, 12, 1, 4)]
    seen = [SeenPictures({"uint8": ranges[0]}, (0.1, 0.2)), SeenPictures({"uint8": ranges[1]}, None)]
    for number, licence in enumerate(("CC-BY-4.0", "CC-BY-NC-4.0")):
        model = replace(tiny.segmenter(seed=number), seen=seen[number])
        save_model(tmp_path / f"{number}.safetensors", model, {}, licence)
    paths = [tmp_path / f"{number}.safetensors" for number in range(2)]
    segmenter, card = load_model(ensemble(paths, tmp_path / "e.safetensors").path)
    assert segmenter.seen == SeenPictures({"uint8": SeenRange(0, 12, 1, 8, (-9.0,))}, (0.1, 0.2))
    assert card["licence"] == "CC-BY-4.0 AND CC-BY-NC-4.0"
    save_model(paths[1], replace(tiny.segmenter(seed=1), seen=None), {})
    segmenter, card = load_model(ensemble(paths, tmp_path / "f.safetensors").path)
    assert segmenter.seen is None
    assert card["licence"] == "CC-BY-4.0"


def test_upright_members_make_an_upright_ensemble(run: TrainedRun, tmp_path: Path) -> None:
    segmenter, _ = load_model(run.model)
    story = {"config": {"augmentation": {"orientation": "upright"}}}
    for number, each in enumerate((story, {})):
        model = replace(segmenter, network=tiny.segmenter(seed=number).network)
        save_model(tmp_path / f"{number}.safetensors", model, each)
    paths = [tmp_path / f"{number}.safetensors" for number in range(2)]
    card = load_model(ensemble(paths, tmp_path / "e.safetensors").path).card
    assert card["story"]["config"] == story["config"]
    assert orientation_warnings(card, Averaging("d4"))


def test_a_damaged_card_is_refused(joined: EnsembleResult, tmp_path: Path) -> None:
    for number, change in enumerate((
        lambda card: card["structure"].update(members=7),
        lambda card: card["structure"]["members"].pop(),
        lambda card: card["structure"].pop("members"),
        lambda card: card["structure"]["members"].append({"kind": "odd"}),
        lambda card: card["story"].update(members=[3]),
    )):  # fmt: skip
        path = tmp_path / f"{number}.safetensors"
        shutil.copyfile(joined.path, path)
        rewrite(path, lambda card, _, change=change: change(card))
        with pytest.raises(ModelFileError, match="did not write this card"):
            load_model(path)

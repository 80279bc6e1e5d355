"""``train``: the files it writes and the folders it refuses."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
import unpool
from conftest import Program
from runs import weights
from unpool.checkpoint.checkpoints import load_checkpoint
from unpool.checkpoint.models import load_model
from unpool.commands.events import Event, Message, finish
from unpool.commands.train.train import TrainedRun, train
from unpool.config.recipes import read_recipe
from unpool.config.settings import merge, resolve
from unpool.errors import DataError, RunError, UsageError
from unpool.io.read.images import read_image
from unpool.io.write.images import write_image
from unpool.ledger.folders import read_record
from unpool.training import loop
from unpool.training.records import EpochRecord

SETTINGS = {net: tiny.settings(net, epochs=3, learning_rate=1e-2) for net in tiny.STRUCTURES}
SETTINGS["unet"]["structure"] = {
    **tiny.STRUCTURES["unet"], "dropout": 0.2, "dropout_after": ["encoder2", "bottom"]
}  # fmt: skip


def test_a_run_folder_holds_everything(run: TrainedRun) -> None:
    names = {path.name for path in run.folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        "config.toml", "log.jsonl", "split.json", "model.safetensors", "state.pt", "state.previous.pt", "curves.svg",
        "validation", "run.json",
    }  # fmt: skip
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert rows == list(run.history)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    split = json.loads((run.folder / "split.json").read_text())
    assert sorted(split["train"] + split["val"]) == [f"{k:02d}" for k in range(8)]
    written = sorted(path.stem for path in (run.folder / "validation").iterdir())
    assert written == [f"{number}-{name}" for number, name in enumerate(split["val"], start=1)]
    for path in (run.folder / "validation").iterdir():
        rows_, columns = tiny.SIZES[int(path.stem.partition("-")[2]) % 3]
        assert read_image(path).shape == (rows_, 3 * columns, 3)
    assert (run.folder / "curves.svg").read_text().lstrip().startswith("<svg")


def two_exposures(folder: Path) -> Path:
    """Synthetic cells of which every second picture is much lighter than the others."""
    for number, path in enumerate(sorted((tiny.write_set(folder, 8) / "images").iterdir())):
        write_image(path, read_image(path)[..., 0] // 6 + 190 * (number % 2))
    return folder


def test_pictures_of_two_exposures_are_normalised_each_by_its_own_constants_and_it_is_said(
    tmp_path: Path, program: Program
) -> None:
    folder = two_exposures(tmp_path / "cells")
    said: list[Event] = []
    given = tiny.settings(epochs=1)
    trained = finish(train(folder, given, tmp_path / "run"), said.append)
    plan = next(each.text for each in said if isinstance(each, Message) and each.text.startswith("Training\n"))
    assert "  normalisation  each picture by its own mean and deviation, because the classes then explain" in plan
    assert read_recipe(trained.folder / "config.toml")["data"]["normalisation"] == "picture"
    assert load_model(trained.model).segmenter.normalisation.by == "picture"
    assert "each picture's own mean and deviation" in program("info", trained.folder).out
    assert "data.normalisation" not in read_record(trained.folder).changed

    # The weights of a model know pictures as it normalises them.
    start = {"training": {"start": str(trained.folder)}}
    plain = tiny.write_set(tmp_path / "plain", 8)
    onwards = finish(train(plain, merge(given, start), tmp_path / "onwards"))
    assert load_model(onwards.model).segmenter.normalisation.by == "picture"


AUTO: dict[str, Any] = {"data": {"normalisation": "auto"}}


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_goes_on_with_the_normalisation_it_began_with(version: int, tmp_path: Path) -> None:
    folder, given = two_exposures(tmp_path / "cells"), tiny.settings(epochs=1)
    by_set = finish(train(folder, merge(given, {"data": {"normalisation": "set"}}), tmp_path / "run"))
    config = by_set.folder / "config.toml"
    if version == 1:  # as it was before the normalisation could be chosen
        text = config.read_text().replace("config_version = 2", "config_version = 1")
        config.write_text(text.replace('normalisation = "set"\n', ""))
    longer = finish(train(folder, merge(tiny.settings(epochs=2), AUTO), by_set.folder, resume=True))
    assert load_model(longer.model).segmenter.normalisation.by == "set"
    again = finish(train(folder, merge(read_recipe(config), {"training": {"epochs": 1}}), tmp_path / "again"))
    assert load_model(again.model).segmenter.normalisation.by == "set"


def test_the_card_says_how_the_model_came_to_be(run: TrainedRun, cells: Path) -> None:
    card = load_model(run.model).card
    story = card["story"]
    assert (story["epoch"], story["validation"]["mean_iou"]) == (run.best_epoch, run.best_mean_iou)
    assert story["data"]["name"] == cells.name
    assert set(story["data"]["digests"]) == set(story["data"]["split"]["train"])
    assert resolve(story["config"]) == resolve(read_recipe(run.folder / "config.toml"))
    assert card["classes"]["classes"][1]["values"] == [255]
    json.dumps(card, allow_nan=False)


def test_config_toml_is_a_recipe(run: TrainedRun, cells: Path, tmp_path: Path, program: Program) -> None:
    result = program("train", cells, "--recipe", run.folder / "config.toml", "--epochs", 1, "--out", tmp_path / "again")
    assert result.code == 0, result.err
    before, after = (read_recipe(folder / "config.toml") for folder in (run.folder, tmp_path / "again"))
    assert after.pop("training") == {**before.pop("training"), "epochs": 1}
    assert after == before


def test_a_folder_that_is_not_empty_is_refused(cells: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"already exists and is not empty(.|\n)*--resume"):
        finish(train(cells, SETTINGS["unet"], tmp_path))
    with pytest.raises(UsageError, match=r"mine\.txt is a file"):
        finish(train(cells, SETTINGS["unet"], tmp_path / "mine.txt"))
    with pytest.raises(UsageError, match=r"has no config\.toml"):
        finish(train(cells, SETTINGS["unet"], tmp_path, resume=True))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_default_folders_are_numbered_and_resumed(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = tiny.settings(epochs=1)
    started = finish(train(cells, settings, resume=True))
    assert started.folder == Path("runs/cells-unet")
    assert finish(train(cells, settings)).folder == Path("runs/cells-unet-2")
    resumed = finish(train(cells, settings, resume=True))
    assert (resumed.folder, len(resumed.history)) == (Path("runs/cells-unet-2"), 1)


def test_the_model_is_the_best_epochs_and_not_the_last(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate, scripted = loop.validate, iter([0.2, 0.9, 0.5])

    def doctored(*given: Any, last: bool) -> Any:
        found = validate(*given, last=last)
        scores = dataclasses.replace(found.evaluation.scores, mean_iou=next(scripted))
        evaluation = dataclasses.replace(found.evaluation, scores=scores)
        return dataclasses.replace(found, evaluation=evaluation, compared=evaluation)

    monkeypatch.setattr(loop, "validate", doctored)
    out, after = tmp_path / "run", []
    for event in train(cells, SETTINGS["unet"], out):
        if isinstance(event, EpochRecord):
            after.append((event.best, load_checkpoint(out / "state.pt")["network"]))
    best, last = weights(out)
    assert [chosen for chosen, _ in after] == [True, True, False]
    assert all(torch.equal(tensor, after[1][1][name]) for name, tensor in best.state_dict().items())
    assert any(not torch.equal(tensor, last[name]) for name, tensor in best.state_dict().items())
    assert load_model(out / "model.safetensors").card["story"]["epoch"] == 2


def test_unsound_data_is_refused_before_anything_is_written(cells: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(cells, tmp_path / "cells")
    (broken / "images" / "02.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"02\.png(.|\n)*see all:  unpool check"):
        finish(train(broken, SETTINGS["unet"], tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_validation_pictures_of_another_type_are_refused_before_the_first_epoch(tmp_path: Path) -> None:
    for part, seed in (("train", 1), ("val", 2)):
        tiny.write_set(tmp_path / "set" / part, 2, seed)
    deep = tmp_path / "set" / "val" / "images" / "01.png"
    write_image(deep, read_image(deep)[..., 0].astype("uint16") * 257)
    with pytest.raises(DataError, match=r"1 picture in val of type uint16, which no training picture has: val/01"):
        finish(train(tmp_path / "set", SETTINGS["unet"], tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_network_whose_output_is_smaller_trains_and_predicts_every_pixel(cells: Path, tmp_path: Path) -> None:
    settings = tiny.settings()
    settings["structure"] = {**settings["structure"], "padding": "valid"}
    run = finish(train(cells, settings, tmp_path / "run"))
    model = unpool.load(run.folder)
    assert model.predict(cells / "images" / "00.png").shape == (48, 56)
    crop = model.card["story"]["crop"]
    assert crop["margin"] > 0
    assert model.network.structure.output_size(crop["rows"] + 2 * crop["margin"]) == crop["rows"]


def test_the_python_call_is_the_same_command(cells: Path, tmp_path: Path) -> None:
    given = tiny.settings()
    model = unpool.train(cells, epochs=1, out=tmp_path / "run", settings={**given, "training": {"crop": 32}})
    assert len(model.classes) == 2
    labels = model.predict(cells / "images" / "00.png")
    assert labels.shape == (48, 56)
    assert (model.predict(read_image(cells / "images" / "00.png")) == labels).all()
    assert set(map(int, torch.from_numpy(model.mask(cells / "images" / "00.png")).unique())) <= {0, 255}


def test_a_run_folder_is_a_start_as_its_model_is(cells: Path, run: TrainedRun, tmp_path: Path) -> None:
    keys = {}
    for start in (run.folder, run.model):
        trained = finish(train(cells, tiny.settings(epochs=1, start=str(start)), tmp_path / start.name))
        record = json.loads((trained.folder / "run.json").read_text())
        assert record["start"]["file"] == str(run.model)
        keys[start] = record["key"]
    assert len(set(keys.values())) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"structure": {"width": 4096, "depth": 8}}, r"the weights take (.|\n)*--set width=\d+"),
        ({"machine": {"memory_gb": 1e-5}}, r"(.|\n)*memory is free(.|\n)*--set (width|batch_size)=\d+"),
    ],
)
def test_what_no_memory_holds_is_refused_before_it_is_taken(
    settings: dict[str, Any], message: str, cells: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=message):
        finish(train(cells, merge(tiny.settings(epochs=1), settings), tmp_path / "run"))

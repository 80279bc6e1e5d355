"""``train``: what it leaves, what it refuses, and that stopping it loses nothing."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
import unpool
from conftest import Program
from unpool.checkpoint import load_model, load_state
from unpool.commands import training as command
from unpool.commands.events import Event, Said, finish
from unpool.commands.training import TrainedRun, train
from unpool.config import read_recipe, resolve
from unpool.engine import EpochRecord, Recipe, StepRecord
from unpool.errors import DataError, ModelFileError, UsageError
from unpool.io import read_image, write_image
from unpool.nets import output_size

SETTINGS = {net: tiny.settings(net, epochs=3, learning_rate=1e-2) for net in tiny.STRUCTURES}
SETTINGS["unet"]["structure"] = {
    **tiny.STRUCTURES["unet"], "dropout": 0.2, "dropout_after": ["encoder2", "bottom"]
}  # fmt: skip


def weights(folder: Path) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """The best model and the last weights of a run."""
    return load_model(folder / "model.safetensors").segmenter.network, load_state(folder / "state.pt")["network"]


def assert_same_run(one: Path, other: Path) -> None:
    (best, last), (other_best, other_last) = weights(one), weights(other)
    assert tiny.same_weights(best, other_best)
    assert all(torch.equal(last[name], other_last[name]) for name in last)
    rows, other_rows = (
        [
            {k: v for k, v in json.loads(line).items() if k not in ("seconds", "waiting")}
            for line in (folder / "log.jsonl").read_text().splitlines()
        ]
        for folder in (one, other)
    )
    assert rows == other_rows
    assert len(rows) == 3


def until(
    folder: Path, out: Path, stop: Callable[[Event], bool], do: Callable[[], object], net: str = "unet"
) -> list[Event]:
    """Train until an event that ``stop`` knows, then do something; the events."""
    events: list[Event] = []
    steps = train(folder, SETTINGS[net], out)
    for event in steps:
        events.append(event)
        if stop(event):
            do()
            if do == steps.close:
                break
    return events


@pytest.fixture(scope="module")
def unbroken(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("unbroken")
    return {net: finish(train(cells, SETTINGS[net], folder / net)).folder for net in tiny.STRUCTURES}


def test_a_run_folder_holds_everything(run: TrainedRun) -> None:
    names = {path.name for path in run.folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        "config.toml", "log.jsonl", "split.json", "model.safetensors", "state.pt", "curves.svg", "validation",
    }  # fmt: skip
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert rows == list(run.history)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    split = json.loads((run.folder / "split.json").read_text())
    assert sorted(split["train"] + split["val"]) == [f"{k:02d}" for k in range(8)]
    assert sorted(path.stem for path in (run.folder / "validation").iterdir()) == sorted(split["val"])
    for path in (run.folder / "validation").iterdir():
        rows_, columns = tiny.SIZES[int(path.stem) % 3]
        assert read_image(path).shape == (rows_, 3 * columns, 3)
    assert (run.folder / "curves.svg").read_text().lstrip().startswith("<svg")


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
    said = program("train", cells, "--recipe", run.folder / "config.toml", "--epochs", 1, "--out", tmp_path / "again")
    assert said.code == 0, said.err
    before, after = (read_recipe(folder / "config.toml") for folder in (run.folder, tmp_path / "again"))
    assert after.pop("training") == {**before.pop("training"), "epochs": 1}
    assert after == before


def test_a_folder_that_is_not_empty_is_refused(cells: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"already exists and is not empty(.|\n)*--resume"):
        finish(train(cells, SETTINGS["unet"], tmp_path))
    with pytest.raises(UsageError, match=r"mine\.txt is a file"):
        finish(train(cells, SETTINGS["unet"], tmp_path / "mine.txt"))
    with pytest.raises(UsageError, match=r"holds no config\.toml"):
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


def test_a_finished_run_takes_no_further_step(cells: Path, run: TrainedRun, tmp_path: Path) -> None:
    copied = shutil.copytree(run.folder, tmp_path / "run")
    before = (copied / "model.safetensors").read_bytes()
    settings = tiny.settings(epochs=3, learning_rate=1e-2)
    steps = train(cells, settings, copied, resume=True)
    events: list[Event] = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            result = stop.value
            break
    assert not [event for event in events if isinstance(event, StepRecord | EpochRecord)]
    assert (copied / "model.safetensors").read_bytes() == before
    assert result.finished
    assert (result.best_epoch, result.history) == (run.best_epoch, run.history)


def test_a_longer_budget_goes_on(cells: Path, run: TrainedRun, tmp_path: Path) -> None:
    copied = shutil.copytree(run.folder, tmp_path / "run")
    settings = tiny.settings(epochs=4, learning_rate=1e-2)
    result = finish(train(cells, settings, copied, resume=True))
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"learning_rate": 0.5}}, r"training\.learning_rate = 0\.5, but the run in .* with 0\.01"),
        ({"net": "segnet-basic", "structure": {}}, "net = 'segnet-basic', but the run in .* was started with 'unet'"),
        ({"structure": {"width": 8}}, r"structure\.width = 8, but .* with 4"),
        ({"augmentation": {"rotation": 10}}, r"augmentation\.rotation = 10\.0, but .* with 180\.0"),
    ],
)
def test_resuming_with_another_setting_is_refused(
    changes: dict[str, Any], message: str, cells: Path, run: TrainedRun
) -> None:
    with pytest.raises(UsageError, match=message):
        finish(train(cells, changes, run.folder, resume=True))


def test_the_same_words_resume_even_where_they_leave_the_choice_open(
    cells: Path, run: TrainedRun, tmp_path: Path
) -> None:
    copied = shutil.copytree(run.folder, tmp_path / "run")
    asked = {**tiny.settings(epochs=3, learning_rate=1e-2), "augmentation": {"orientation": "auto"}}
    assert finish(train(cells, asked, copied, resume=True)).finished


def test_resuming_on_changed_data_is_refused(cells: Path, run: TrainedRun, tmp_path: Path) -> None:
    changed = shutil.copytree(cells, tmp_path / "cells")
    shutil.copy(changed / "masks" / "00.png", changed / "masks" / "03.png")
    shutil.copy(changed / "images" / "00.png", changed / "images" / "03.png")
    with pytest.raises(UsageError, match=r"has changed since the run in .* was started"):
        finish(train(changed, {}, run.folder, resume=True))


def test_resuming_with_classes_in_another_order_is_refused(cells: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(cells, tmp_path / "cells")
    (changed / "classes.txt").write_text("background\ncell\n")
    started = finish(train(changed, tiny.settings(epochs=1), tmp_path / "run"))
    assert load_model(started.model).segmenter.classes.names == ("background", "cell")
    (changed / "classes.txt").write_text("cell\nbackground\n")
    with pytest.raises(UsageError, match="has changed since the run"):
        finish(train(changed, tiny.settings(epochs=2), started.folder, resume=True))


def test_a_damaged_state_is_refused(cells: Path, run: TrainedRun, tmp_path: Path) -> None:
    copied = shutil.copytree(run.folder, tmp_path / "run")
    (copied / "state.pt").write_bytes((copied / "state.pt").read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="not a readable training state"):
        finish(train(cells, {}, copied, resume=True))


@pytest.mark.parametrize("net", list(tiny.STRUCTURES))
@pytest.mark.parametrize("step", [7, 20, 47, 60])
def test_an_interrupted_run_goes_on_as_if_unbroken(
    net: str, step: int, cells: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    out, taken = tmp_path / "run", iter(range(1, 100))
    events = until(
        cells, out,
        lambda event: isinstance(event, StepRecord) and next(taken) == step,
        lambda: signal.raise_signal(signal.SIGINT),
        net,
    )  # fmt: skip
    assert sum(isinstance(event, StepRecord) for event in events) == step
    assert any(isinstance(event, Said) and "the same command with --resume goes on" in event.text for event in events)
    assert (out / "model.safetensors").is_file()
    resumed = finish(train(cells, SETTINGS[net], out, resume=True))
    assert resumed.finished
    assert_same_run(out, unbroken[net])


@pytest.mark.parametrize("every", [0.0, 60.0])
def test_a_run_cut_off_without_warning_goes_on_as_if_unbroken(
    every: float, cells: Path, unbroken: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SAVE_EVERY", every)
    out = tmp_path / "run"
    steps = train(cells, SETTINGS["unet"], out)
    for event in steps:
        if isinstance(event, StepRecord) and event.epoch == 2 and event.step == 9:
            steps.close()
            break
    with (out / "log.jsonl").open("a") as log:
        log.write('{"epoch": 2}\n')  # as if it had been killed between the log and the state
    finish(train(cells, SETTINGS["unet"], out, resume=True))
    assert_same_run(out, unbroken["unet"])


def test_a_run_cut_off_before_its_first_state_starts_anew(
    cells: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    steps = train(cells, SETTINGS["unet"], out)
    for event in steps:
        if isinstance(event, StepRecord):
            steps.close()
            break
    (out / "state.pt").unlink()
    finish(train(cells, SETTINGS["unet"], out, resume=True))
    assert_same_run(out, unbroken["unet"])


def test_a_model_without_its_state_is_not_trained_over(cells: Path, run: TrainedRun, tmp_path: Path) -> None:
    copied = shutil.copytree(run.folder, tmp_path / "run")
    (copied / "state.pt").unlink()
    with pytest.raises(ModelFileError, match=r"state\.pt is missing, .*model\.safetensors is there"):
        finish(train(cells, {}, copied, resume=True))
    assert (copied / "model.safetensors").read_bytes() == run.model.read_bytes()


def test_the_model_is_the_best_epochs_and_not_the_last(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = sys.modules[Recipe.__module__]
    validate, scripted = loop.validate, iter([0.2, 0.9, 0.5])

    def doctored(*given: Any) -> Any:
        found = validate(*given)
        return dataclasses.replace(found, scores=dataclasses.replace(found.scores, mean_iou=next(scripted)))

    monkeypatch.setattr(loop, "validate", doctored)
    out, after = tmp_path / "run", []
    for event in train(cells, SETTINGS["unet"], out):
        if isinstance(event, EpochRecord):
            after.append((event.best, load_state(out / "state.pt")["network"]))
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
    with pytest.raises(DataError, match=r"1 val pictures of type uint16, which no training picture has: val/01"):
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
    assert output_size(model.network.structure, crop["rows"] + 2 * crop["margin"]) == crop["rows"]


def test_the_python_call_is_the_same_command(cells: Path, tmp_path: Path) -> None:
    given = tiny.settings()
    model = unpool.train(cells, epochs=1, out=tmp_path / "run", settings={**given, "training": {"crop": 32}})
    assert len(model.classes) == 2
    labels = model.predict(cells / "images" / "00.png")
    assert labels.shape == (48, 56)
    assert (model.predict(read_image(cells / "images" / "00.png")) == labels).all()
    assert set(map(int, torch.from_numpy(model.mask(cells / "images" / "00.png")).unique())) <= {0, 255}


def words(cells: Path, out: Path, epochs: int) -> list[str]:
    program = [sys.executable, "-m", "unpool", "train", str(cells), "--epochs", str(epochs), "--out", str(out)]
    return [*program, *tiny.options()]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_ends_cleanly_with_everything_saved(cells: Path, tmp_path: Path, program: Program) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(words(cells, out, 10_000), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(out / "state.pt", process)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors == ""
    assert "interrupted: everything is saved" in said
    done = len((out / "log.jsonl").read_text().splitlines())
    ended = program("train", cells, "--epochs", done + 1, "--out", out, "--resume", "--json", *tiny.options())
    assert ended.code == 0, ended.err
    assert [row["epoch"] for row in json.loads(ended.out)["history"]] == list(range(1, done + 2))


def kill_and_go_on(cells: Path, out: Path, delay: float) -> None:
    process = subprocess.Popen(words(cells, out, 10_000), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(out / "state.pt", process)  # type: ignore[arg-type]
    time.sleep(delay)
    process.kill()
    process.wait()
    done = load_state(out / "state.pt")["training"]["epoch"]
    settings = tiny.settings(epochs=done + 1)
    result = finish(train(cells, settings, out, resume=True))
    assert result.finished
    assert [row["epoch"] for row in result.history] == list(range(1, done + 2))
    load_model(result.model)


def test_a_killed_run_goes_on(cells: Path, tmp_path: Path) -> None:
    kill_and_go_on(cells, tmp_path / "run", 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(30))
def test_a_run_killed_at_any_moment_goes_on(number: int, cells: Path, tmp_path: Path) -> None:
    kill_and_go_on(cells, tmp_path / "run", 0.037 * number)

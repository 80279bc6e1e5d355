"""Resuming a run: as if it had never stopped, and never with other data or settings."""

import dataclasses
import shutil
import signal
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

import tiny
from runs import assert_same_run, weights
from unpool.checkpoint.checkpoints import load_checkpoint, save_checkpoint
from unpool.checkpoint.models import load_model
from unpool.commands.events import Event, Message, finish
from unpool.commands.train import rehearsal, run_state
from unpool.commands.train import train as training_command
from unpool.commands.train.train import TrainedRun, train
from unpool.convolution import choices, operation
from unpool.convolution.choices import WayChoices
from unpool.errors import ModelFileError, UsageError
from unpool.io.files import draft_beside
from unpool.training import loop
from unpool.training.records import EpochRecord, StepRecord

SETTINGS = {net: tiny.settings(net, epochs=3, learning_rate=1e-2) for net in tiny.STRUCTURES}
SETTINGS["unet"]["structure"] = {
    **tiny.STRUCTURES["unet"], "dropout": 0.2, "dropout_after": ["encoder2", "bottom"]
}  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("unbroken")
    return {net: finish(train(cells, SETTINGS[net], folder / net)).folder for net in tiny.STRUCTURES}


def until(steps: Generator[Event, None, TrainedRun], last: int, do: Callable[[], object]) -> list[Event]:
    """Train ``last`` steps, call ``do``, and continue to the end; return the events."""
    events: list[Event] = []
    for event in steps:
        events.append(event)
        if sum(isinstance(each, StepRecord) for each in events) == last and isinstance(event, StepRecord):
            do()
    return events


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_finished_run_takes_no_further_step(cells: Path, run: TrainedRun, tmp_path: Path) -> None:
    copied = shutil.copytree(run.folder, tmp_path / "run")
    before = (copied / "model.safetensors").read_bytes()
    settings = tiny.settings(epochs=3, learning_rate=1e-2)
    steps = train(cells, settings, copied, resume=True)
    events: list[Event] = []
    result = finish(steps, events.append)
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
    requested = {**tiny.settings(epochs=3, learning_rate=1e-2), "augmentation": {"orientation": "auto"}}
    assert finish(train(cells, requested, copied, resume=True)).finished


def test_a_compiled_run_continues_plain_where_that_is_requested(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("unpool.commands.train.rehearsal.worth_compiling", lambda *_: (True, "as requested"))
        patch.setattr("unpool.commands.train.rehearsal.compiles", lambda *_: "")
        patch.setattr("torch.compile", lambda function, **_: function)
        begun = finish(train(cells, tiny.settings(epochs=1), tmp_path / "run"))
    assert load_checkpoint(begun.folder / "state.pt")["training"]["compiled"]
    events = list(train(cells, tiny.settings(epochs=2), tmp_path / "run", resume=True))
    messages = [event.text for event in events if isinstance(event, Message)]
    assert any("was compiled, and continues without: as requested" in text for text in messages)
    assert not load_checkpoint(begun.folder / "state.pt")["training"]["compiled"]


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


def damage(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_state_is_reported_and_the_one_before_it_taken(
    cells: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    until(train(cells, SETTINGS["unet"], out), 27, ctrl_c)
    damage(out / "state.pt")
    before = load_checkpoint(out / "state.previous.pt")["training"]
    assert (before["epoch"], before["sums"]["done"]) == (1, 0)
    messages = []
    for event in train(cells, SETTINGS["unet"], out, resume=True):
        if isinstance(event, Message):
            messages.append(event.text)
        elif isinstance(event, StepRecord):
            load_checkpoint(out / "state.pt")  # whole again before the first step
    assert any(
        "state.pt: not a readable checkpoint (ValueError: the checksum of " in text
        and text.endswith("continuing from state.previous.pt, the state saved before it")
        for text in messages
    )
    assert any(text.startswith("resumed after step 20 (epoch 1 finished") for text in messages)
    assert_same_run(out, unbroken["unet"])


def test_a_missing_state_is_as_good_as_a_damaged_one(cells: Path, unbroken: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    until(train(cells, SETTINGS["unet"], out), 27, ctrl_c)
    (out / "state.pt").unlink()
    finish(train(cells, SETTINGS["unet"], out, resume=True))
    assert_same_run(out, unbroken["unet"])


def test_two_damaged_states_are_refused_and_nothing_is_touched(cells: Path, run: TrainedRun, tmp_path: Path) -> None:
    copied = shutil.copytree(run.folder, tmp_path / "run")
    damage(copied / "state.pt")
    damage(copied / "state.previous.pt")
    before = {path.name: path.read_bytes() for path in copied.iterdir() if path.is_file()}
    with pytest.raises(ModelFileError, match=r"state\.previous\.pt: not a readable(.|\n)*does not depend on it"):
        finish(train(cells, {}, copied, resume=True))
    assert {path.name: path.read_bytes() for path in copied.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(("net", "step"), [("unet", 7), ("unet", 20), ("segnet-basic", 47), ("segnet-basic", 60)])
def test_an_interrupted_run_goes_on_as_if_unbroken(
    net: str, step: int, cells: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    events = until(train(cells, SETTINGS[net], out), step, ctrl_c)
    assert sum(isinstance(event, StepRecord) for event in events) == step
    assert events[-1] == Message("interrupted: everything is saved; the same command with --resume continues from here")
    assert (out / "model.safetensors").is_file()
    assert finish(train(cells, SETTINGS[net], out, resume=True)).finished
    assert_same_run(out, unbroken[net])


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_every_kind_of_run_goes_on_in_the_middle_of_an_epoch(
    optimiser: str, norm: str, cells: Path, tmp_path: Path
) -> None:
    settings = tiny.settings(epochs=2, learning_rate=1e-2, optimiser=optimiser)
    settings["structure"] = {
        **settings["structure"], "norm": norm, "dropout": 0.4, "dropout_after": ["encoder1", "bottom"]
    }  # fmt: skip
    whole = finish(train(cells, settings, tmp_path / "whole"))
    until(train(cells, settings, tmp_path / "run"), 13, ctrl_c)
    until(train(cells, settings, tmp_path / "run", resume=True), 14, ctrl_c)
    finish(train(cells, settings, tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "run", whole.folder)


def test_a_run_keeps_its_ways_of_convolutions(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ways round differently, so a run that is resumed takes those of its state, whatever is measured by then."""
    for module in (operation, choices):
        monkeypatch.setattr(module, "LEAST_WORK", 1)
    held = WayChoices()
    for module in (operation, rehearsal, run_state, training_command):
        monkeypatch.setattr(module, "CHOICES", held)

    def prefer(name: str) -> None:
        held.chosen.clear()
        monkeypatch.setattr(choices, "fastest", lambda runs: name if name in runs else "channels-last")

    prefer("Winograd")
    whole = finish(train(cells, SETTINGS["unet"], tmp_path / "whole")).folder
    until(train(cells, SETTINGS["unet"], tmp_path / "run"), 7, ctrl_c)
    prefer("NCHW")
    other = finish(train(cells, SETTINGS["unet"], tmp_path / "other")).folder
    finish(train(cells, SETTINGS["unet"], tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "run", whole)
    assert not tiny.same_weights(weights(whole)[0], weights(other)[0])
    assert "Winograd" in load_checkpoint(tmp_path / "run" / "state.pt")["convolutions"].values()


@pytest.mark.parametrize("every", [0.0, 60.0])
def test_a_run_cut_off_without_warning_goes_on_as_if_unbroken(
    every: float, cells: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    out, found = tmp_path / "run", tmp_path / "found"
    for event in train(cells, SETTINGS["unet"], out, save_every=every):
        if isinstance(event, StepRecord) and (event.epoch, event.step) == (2, 9):
            shutil.copytree(out, found)  # what a power cut would leave
            break
    with (found / "log.jsonl").open("a") as log:
        log.write('{"epoch": 2}\n')  # as if it had been killed between the log and the state
    for folder in (found, found / "validation"):
        draft_beside(folder / "a.pt").touch()
    mine = found / ".mine.pt"
    mine.touch()
    before = load_checkpoint(found / "state.pt")["training"]["step"]
    assert before == (29 if every == 0.0 else 20)
    finish(train(cells, SETTINGS["unet"], found, resume=True))
    assert_same_run(found, unbroken["unet"])
    assert set(found.rglob(".*")) == {mine, found / ".unpool-output"}


def test_who_stops_listening_stops_the_run_with_everything_saved(
    cells: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    """As a broken pipe, a closed terminal or a ``break`` in somebody's own loop would."""
    out = tmp_path / "run"
    for event in train(cells, SETTINGS["unet"], out):
        if isinstance(event, StepRecord) and (event.epoch, event.step) == (2, 9):
            break
    del event
    assert load_checkpoint(out / "state.pt")["training"]["step"] == 29
    finish(train(cells, SETTINGS["unet"], out, resume=True))
    assert_same_run(out, unbroken["unet"])


def test_the_last_step_before_a_long_validation_is_saved(cells: Path, tmp_path: Path) -> None:
    """Validation cannot be cut in two, so a kill in it would cost more than the time between two saved states."""
    out = tmp_path / "run"
    until(train(cells, SETTINGS["unet"], out), 27, ctrl_c)
    state = load_checkpoint(out / "state.pt")
    state["training"]["last_validation"] = 100.0
    save_checkpoint(out / "state.pt", state)
    saved = []
    for event in train(cells, SETTINGS["unet"], out, resume=True, save_every=60.0):
        if isinstance(event, StepRecord):
            saved.append((event.step, load_checkpoint(out / "state.pt")["training"]["step"]))
        elif isinstance(event, EpochRecord):
            break
    assert saved[-3:] == [(18, 27), (19, 27), (20, 40)]


def test_until_an_epoch_is_the_best_the_model_is_the_newest(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be scored, an interruption changes nothing either."""
    validate = loop.validate

    def unscored(*given: Any, last: bool) -> Any:
        found = validate(*given, last=last)
        unknown = dataclasses.replace(found.evaluation.scores, mean_iou=None)
        evaluation = dataclasses.replace(found.evaluation, scores=unknown)
        return dataclasses.replace(found, evaluation=evaluation, compared=evaluation)

    monkeypatch.setattr(loop, "validate", unscored)
    whole = finish(train(cells, SETTINGS["unet"], tmp_path / "whole"))
    until(train(cells, SETTINGS["unet"], tmp_path / "run"), 7, ctrl_c)
    finish(train(cells, SETTINGS["unet"], tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "run", whole.folder)
    assert load_model(whole.model).card["story"]["epoch"] == 3


@pytest.mark.parametrize("left", [[], [".unpool-output"], [".unpool-output", ".unpool-0123456789ab.toml"]])
def test_a_run_cut_off_at_its_very_start_starts_anew(left: list[str], cells: Path, tmp_path: Path) -> None:
    for resume in (True, False):
        out = tmp_path / f"run-{resume}"
        out.mkdir()
        for name in left:
            (out / name).touch()
        assert finish(train(cells, tiny.settings(epochs=1), out, resume=resume)).finished
        assert [path.name for path in out.glob(".*")] == [".unpool-output"]


def test_a_run_cut_off_before_its_first_state_starts_anew(
    cells: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    for event in train(cells, SETTINGS["unet"], out):
        if isinstance(event, StepRecord):
            break
    for name in ("state.pt", "state.previous.pt", "model.safetensors"):
        (out / name).unlink()
    finish(train(cells, SETTINGS["unet"], out, resume=True))
    assert_same_run(out, unbroken["unet"])


def test_a_model_without_its_state_is_not_trained_over(cells: Path, run: TrainedRun, tmp_path: Path) -> None:
    copied = shutil.copytree(run.folder, tmp_path / "run")
    (copied / "state.pt").unlink()
    (copied / "state.previous.pt").unlink()
    with pytest.raises(ModelFileError, match=r"state\.pt is missing, .*model\.safetensors is there"):
        finish(train(cells, {}, copied, resume=True))
    assert (copied / "model.safetensors").read_bytes() == run.model.read_bytes()

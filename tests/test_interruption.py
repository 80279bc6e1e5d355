"""Runs in processes of their own: stopped by signals, killed at any moment, on a full disk. Nothing is lost."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runs
import tiny
from unpool.checkpoint.checkpoints import load_checkpoint, previous
from unpool.checkpoint.models import load_model
from unpool.commands.events import finish
from unpool.commands.interruption import ending_text, interruptible, resend_signal
from unpool.commands.train.train import train
from unpool.io.files import drafts

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="processes that start quickly, by forking"
)


def words(cells: Path, out: Path, epochs: int) -> list[str]:
    return ["train", str(cells), "--epochs", str(epochs), "--out", str(out), *tiny.options()]


@pytest.mark.parametrize(
    ("signals", "code", "how"),
    [
        ([signal.SIGINT], 130, "interrupted"),
        ([signal.SIGTERM, signal.SIGTERM], 143, "stopped by SIGTERM"),
        ([signal.SIGHUP], 129, "stopped by SIGHUP"),
    ],
)
def test_a_signal_ends_the_run_with_everything_saved(
    signals: list[signal.Signals], code: int, how: str, cells: Path, tmp_path: Path
) -> None:
    out, output = tmp_path / "run", tmp_path / "output"
    process = runs.start(runs.program, output, words(cells, out, 10_000))
    runs.wait_for(out / "curves.svg", process)
    for number in signals:
        os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == code
    *_, saved, model, _ = output.read_text().splitlines()
    assert saved == f"{how}: everything is saved; the same command with --resume continues from here"
    assert model.startswith("model: ")
    done = load_checkpoint(out / "state.pt")["training"]["epoch"]
    ended = finish(train(cells, tiny.settings(epochs=done + 1), out, resume=True))
    assert ended.finished
    assert [row["epoch"] for row in ended.history] == list(range(1, done + 2))


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The SIGTERMs that came through to who had handled them before."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def test_signals_are_noted_and_handled_as_before_afterwards(heard: list[int]) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with interruptible() as interruption:
        assert interruption.signal is None
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not heard
    assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [ending_text(number) for number in (2, 15)] == ["interrupted", "stopped by SIGTERM"]


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as interruption:
            signal.raise_signal(signal.SIGHUP)
            assert interruption.signal is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_a_script_was_to_be_ended_by_is_passed_on(heard: list[int]) -> None:
    for number in (None, signal.SIGINT, signal.SIGTERM):
        resend_signal(number)
    assert heard == [signal.SIGTERM]


def test_a_run_that_finds_no_room_says_so_and_goes_on_later(cells: Path, tmp_path: Path) -> None:
    """No file may grow to the size of a state with the optimiser's moments; the first state has none yet."""
    unbroken = finish(train(cells, tiny.settings(epochs=2), tmp_path / "unbroken")).folder
    room = (unbroken / "state.pt").stat().st_size * 2 // 3
    out, output = tmp_path / "run", tmp_path / "output"
    process = runs.start(runs.program, output, words(cells, out, 2), room)
    process.join(60)
    assert process.exitcode == 1
    *_, found, expected, repair = output.read_text().splitlines()
    assert found == f"unpool: {out}/state.pt: cannot be written (File too large)"
    assert expected == f"  expected: room for 0.1 MB in {out}"
    assert repair == (
        "  to do:    free some space there, or raise the quota or the limit on file sizes; "
        "the files saved before are intact: the same command with --resume continues from them"
    )
    assert load_checkpoint(out / "state.pt")["training"]["step"] == 0
    assert not (out / "model.safetensors").exists()
    finish(train(cells, tiny.settings(epochs=2), out, resume=True))
    runs.assert_same_run(out, unbroken)
    assert not drafts(out)


def place(out: Path) -> tuple[int, int]:
    """How far a run has been saved; everything in its folder must be readable, and the model the one of the state."""
    if not (out / "state.pt").exists():
        assert not (out / "model.safetensors").exists()
        return 0, 0
    stored = load_checkpoint(out / "state.pt")
    if previous(out / "state.pt").exists():
        load_checkpoint(previous(out / "state.pt"))
    if (out / "model.safetensors").exists():
        waiting = out / str(stored["model"])
        model = load_model(waiting if waiting.is_file() else out / "model.safetensors")
        if stored["training"]["best_epoch"]:
            assert model.card["story"]["epoch"] == stored["training"]["best_epoch"]
    return stored["training"]["epoch"], stored["training"]["step"]


def killed(cells: Path, settings: dict[str, Any], out: Path, delay: Callable[[], float]) -> int:
    """Start or resume a run and kill it, until one comes to its end; how often it was killed."""
    for kills in range(1000):
        before = place(out)
        process = runs.start(runs.training, cells, settings, out)
        process.join(delay())
        process.kill()
        process.join()
        assert place(out) >= before
        if process.exitcode == 0:
            return kills
        assert process.exitcode == -signal.SIGKILL
    raise AssertionError("the run does not get on")


def test_a_killed_run_goes_on(cells: Path, tmp_path: Path) -> None:
    settings, out = tiny.settings(epochs=3), tmp_path / "run"
    process = runs.start(runs.training, cells, settings, out)
    runs.wait_for(out / "curves.svg", process)
    time.sleep(0.1)
    process.kill()
    process.join()
    assert place(out) > (0, 0)
    finish(train(cells, settings, out, resume=True))
    runs.assert_same_run(out, finish(train(cells, settings, tmp_path / "unbroken")).folder)


VARIANTS = [
    ("unet", {}, {"dropout": 0.3, "dropout_after": ("bottom",)}),
    ("segnet-basic", {"optimiser": "sgd"}, {}),
    ("unet", {"optimiser": "sgd"}, {"norm": "none"}),
    ("segnet-basic", {}, {"dropout": 0.3, "dropout_after": ("encoder1", "decoder1")}),
]


@pytest.mark.slow
def test_a_run_killed_a_hundred_times_ends_as_if_it_had_not_been(cells: Path, tmp_path: Path) -> None:
    chance, kills, number = random.Random(0), 0, 0
    while kills < 100:
        net, changes, structure = VARIANTS[number % len(VARIANTS)]
        settings = tiny.settings(net, **{"epochs": 12, "learning_rate": 1e-2, **changes})
        settings["structure"] = {**settings["structure"], **structure}
        unbroken = finish(train(cells, settings, tmp_path / f"unbroken-{number}"))
        out = tmp_path / f"run-{number}"
        kills += killed(cells, settings, out, lambda: chance.uniform(0.0, 2.0))
        runs.assert_same_run(out, unbroken.folder)
        assert not drafts(out)
        number += 1

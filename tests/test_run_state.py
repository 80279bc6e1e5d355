"""Saving a run: at every moment the old files or the new ones are complete, in an order that loses nothing."""

import dataclasses
import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import tiny
from unpool.checkpoint.checkpoints import load_checkpoint, previous, save_checkpoint
from unpool.checkpoint.models import load_model
from unpool.commands.events import Message, finish
from unpool.commands.run_folder import RunFolder
from unpool.commands.train.preparation import TrainingJob, prepare
from unpool.commands.train.run_state import begin, draw_curves, found_state, keep_epoch
from unpool.config.settings import resolve
from unpool.dataset.survey import survey
from unpool.errors import ModelFileError, RunError
from unpool.io.files import drafts
from unpool.training.loop import training
from unpool.training.records import EpochRecord, TrainingState

DISK = ("fsync", "link", "open", "replace", "unlink")
"""Calls of the system by which saving changes the disk."""


class Second(NamedTuple):
    """A run whose first epoch is saved and whose second one, the best so far, is about to be."""

    job: TrainingJob
    run: RunFolder
    state: TrainingState
    record: EpochRecord


def job(cells: Path) -> TrainingJob:
    return prepare(survey(cells), resolve(tiny.settings(epochs=3)))


@pytest.fixture
def second(cells: Path, tmp_path: Path) -> Second:
    begun, run = job(cells), RunFolder(tmp_path / "run")
    state = TrainingState()
    begin(run, begun, state)
    for record in training(begun.segmenter, begun.setup, state):
        if isinstance(record, EpochRecord) and record.epoch == 1:
            keep_epoch(begun, run, state, record)
        elif isinstance(record, EpochRecord):
            break
    state.best_epoch = 2
    return Second(begun, run, state, dataclasses.replace(record, best=True))


def found_again(run: RunFolder, cells: Path, second: Second) -> int:
    """Return the epoch after which a run continues; all its files must belong to that epoch."""
    fresh = job(cells)
    state = finish(found_state(run, fresh))
    assert state is not None
    assert state.best_epoch == state.epoch
    model = load_model(run.model)
    assert model.card["story"]["epoch"] == state.epoch
    assert tiny.same_weights(model.segmenter.network, fresh.segmenter.network)
    assert tiny.same_weights(second.job.segmenter.network, fresh.segmenter.network) == (state.epoch == 2)
    assert [json.loads(line) for line in run.log.read_text().splitlines()] == state.history
    assert len(state.history) == state.epoch
    assert not drafts(run.path)
    return state.epoch


def dies(call: int, work: Callable[[], object]) -> bool:
    """Work in a process that dies before a call, given by number, that changes the disk; return whether it died."""
    process = os.fork()
    if process == 0:
        left = itertools.count()

        def dying(original: Callable[..., Any]) -> Callable[..., Any]:
            def instead(*given: Any, **named: Any) -> Any:
                return os._exit(9) if next(left) == call else original(*given, **named)

            return instead

        for name in DISK:
            setattr(os, name, dying(getattr(os, name)))
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_wherever_a_kill_falls_the_old_or_the_new_is_there_whole(cells: Path, second: Second, tmp_path: Path) -> None:
    epochs = []
    for call in itertools.count():
        run = RunFolder(shutil.copytree(second.run.path, tmp_path / f"killed-{call}"))
        died = dies(call, lambda run=run: keep_epoch(second.job, run, second.state, second.record))
        epochs.append(found_again(run, cells, second))
        if not died:
            break
    assert len(epochs) > 10
    assert epochs == sorted(epochs)
    assert set(epochs) == {1, 2}


@pytest.mark.parametrize("flush", range(4))
def test_wherever_the_disk_is_full_the_old_or_the_new_is_there_whole(
    flush: int, cells: Path, second: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, fsync = itertools.count(), os.fsync

    def full(handle: int) -> None:
        if next(count) == flush:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"cannot be written \(No space left on device\)") as error:
            keep_epoch(second.job, second.run, second.state, second.record)
    assert "room for 0." in error.value.expected
    assert error.value.repair.endswith(
        "the files saved before are intact: the same command with --resume continues from them"
    )
    assert found_again(second.run, cells, second) == (2 if flush > 2 else 1)


@pytest.mark.parametrize("name", ["log", "curves"])
def test_where_only_the_log_or_the_curves_cannot_be_written_nothing_is_lost(
    name: str, cells: Path, second: Second
) -> None:
    path = getattr(second.run, name)
    path.unlink(missing_ok=True)
    path.mkdir()

    def keep_and_draw() -> None:
        keep_epoch(second.job, second.run, second.state, second.record)
        draw_curves(second.job, second.run, second.state)

    with pytest.raises(RunError, match=rf"{path.name}: cannot be written(.|\n)*--resume continues from them"):
        keep_and_draw()
    path.rmdir()
    assert found_again(second.run, cells, second) == 2


def first_layer(state: dict[str, Any]) -> tuple[dict[str, Any], str]:
    return state["network"], next(name for name in state["network"] if name.endswith("weight"))


def set_first_layer(state: dict[str, Any], value: Any) -> None:
    network, name = first_layer(state)
    network[name] = value if not callable(value) else value(network[name])


def set_moment(state: dict[str, Any], value: Callable[[torch.Tensor], Any]) -> None:
    state["optimiser"]["state"][0]["exp_avg"] = value(state["optimiser"]["state"][0]["exp_avg"])


ODD_STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "more than 64 bits": lambda s: s["training"].update(epoch=10**400),
    "rows for 2 epochs": lambda s: s["training"].update(history=s["training"]["history"][:1]),
    "the best 5": lambda s: s["training"].update(best_epoch=5),
    "step = 'x'": lambda s: s["training"].update(step="x"),
    "seconds = nan": lambda s: s["training"].update(seconds=float("nan")),
    "a time or a count below 0": lambda s: s["training"].update(seconds=-1.0),
    "in 0 parts": lambda s: s["training"].update(parts=0),
    "history.0 = 5": lambda s: s["training"].update(history=[5, 5]),
    "mean_iou = '1'": lambda s: s["training"]["history"][0].update(mean_iou="1"),
    "EpochSums": lambda s: s["training"].update(sums=None),
    "'training'": lambda s: s.pop("training"),
    "values that are not finite": lambda s: set_first_layer(s, lambda t: t / 0),
    "is no plain tensor": lambda s: set_first_layer(s, [1.0]),
    "torch.float64 of shape": lambda s: set_first_layer(s, torch.Tensor.double),
    "of shape (5,)": lambda s: set_first_layer(s, torch.zeros(5)),
    "is in one of both only": lambda s: s["network"].pop(first_layer(s)[1]),
    "a list in place of tensors": lambda s: s.update(network=[]),
    "exp_avg has ": lambda s: set_moment(
        s, lambda t: t.index_put((torch.tensor(0),) * t.ndim, torch.tensor(torch.inf))
    ),
    "exp_avg_sq has values below 0": lambda s: s["optimiser"]["state"][0]["exp_avg_sq"].fill_(-1),
    "exp_avg is no plain tensor": lambda s: set_moment(s, lambda t: None),
    "exp_avg is torch.float32 of shape ()": lambda s: set_moment(s, torch.Tensor.sum),
    "exp_avg_sq is in one of both only": lambda s: s["optimiser"]["state"][0].pop("exp_avg_sq"),
    "a state of the parameter 999": lambda s: s["optimiser"]["state"].update({999: {}}),
    "the learning rates": lambda s: s["optimiser"]["param_groups"][0].update(lr=float("nan")),
    "'param_groups'": lambda s: s["optimiser"].pop("param_groups"),
    "a way of a convolution is no text": lambda s: s.update(convolutions={"output": 3}),
    "it has no version": lambda s: s.update(version="1"),
}


def test_a_state_with_odd_content_is_named_and_the_one_before_it_taken(second: Second, cells: Path) -> None:
    keep_epoch(second.job, second.run, second.state, second.record)
    path, right, fresh = second.run.state, load_checkpoint(second.run.state), job(cells)
    shutil.copy(path, previous(path))
    before = previous(path).read_bytes()
    for why, change in {**ODD_STATES, "it is a str": None}.items():
        odd = load_checkpoint(path) if change else None
        if change:
            change(odd)
        torch.save(odd if change else "version", path)
        messages = [event.text for event in found_state(second.run, fresh) if isinstance(event, Message)]
        assert len(messages) == 1, why
        assert why in messages[0]
        assert messages[0].startswith(f"{path}: ")
        assert messages[0].endswith("continuing from state.previous.pt, the state saved before it")
        assert tiny.same_weights(second.job.segmenter.network, fresh.segmenter.network)
        assert path.read_bytes() == before
        assert load_checkpoint(path)["training"] == right["training"]
        previous(path).write_bytes(before)


def test_a_state_with_odd_content_alone_is_refused(second: Second, cells: Path) -> None:
    path = second.run.state
    state = load_checkpoint(path)
    set_first_layer(state, lambda tensor: tensor * torch.nan)
    save_checkpoint(path, state)
    previous(path).unlink()
    with pytest.raises(ModelFileError, match=r"state\.pt: does not fit the run \(.*not finite\)"):
        finish(found_state(second.run, job(cells)))

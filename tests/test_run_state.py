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

import tiny
from unpool.checkpoint.models import load_model
from unpool.commands.events import finish
from unpool.commands.run_folder import RunFolder
from unpool.commands.train.preparation import TrainingJob, prepare
from unpool.commands.train.run_state import begin, found_state, keep_epoch
from unpool.config.settings import resolve
from unpool.dataset.survey import survey
from unpool.errors import RunError
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
    path.unlink()
    path.mkdir()
    with pytest.raises(RunError, match=rf"{path.name}: cannot be written(.|\n)*--resume continues from them"):
        keep_epoch(second.job, second.run, second.state, second.record)
    path.rmdir()
    assert found_again(second.run, cells, second) == 2

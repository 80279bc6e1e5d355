"""What several tests share: a small set on the disk, a small run trained on it, the command line in this process."""

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tiny
from unpool.commands.events import finish
from unpool.commands.train.train import TrainedRun, train


class Said(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


Program = Callable[..., Said]


@pytest.fixture(scope="session", autouse=True)
def _no_choices_of_a_person() -> Iterator[None]:
    """Keep measured convolutions out of the person's cache folder; machine code stays where it is found again."""
    from unpool.convolution.choices import CHOICES

    before, CHOICES.file = CHOICES.file, None
    yield
    CHOICES.file = before


@pytest.fixture(scope="module", autouse=True)
def _only_its_own_garbage() -> None:
    """Keep what earlier modules left out of every collection of this one, which would look through all of it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    with tiny.one_thread():
        yield


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small pictures of cells with 0/255 masks. Read only."""
    return tiny.write_set(tmp_path_factory.mktemp("data") / "cells", 8)


@pytest.fixture(scope="session")
def run(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A small U-Net trained on ``cells`` for three epochs. Read only."""
    return finish(train(cells, tiny.settings(epochs=3, learning_rate=1e-2), tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """Run ``unpool`` in this process."""
    from unpool.cli.main import main

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["unpool", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        code = stop.value.code
        assert isinstance(code, int)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call

"""The same train, test and predict run every named network unchanged."""

from pathlib import Path

import pytest

import tiny
from unpool.commands.events import finish
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import test as score
from unpool.commands.train.train import train
from unpool.data.synthetic import write_synthetic_set
from unpool.io.read.masks import read_mask
from unpool.nets.named import NAMED_NETS


@pytest.fixture(scope="module")
def demo_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "cells"
    write_synthetic_set(folder, 5, seed=1)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NAMED_NETS))
def test_train_test_and_predict(name: str, demo_set: Path, tmp_path: Path) -> None:
    width = 1 if name.startswith("fcn-") and not name.startswith("fcn-basic") else 4
    settings = {
        **tiny.settings(),
        "net": name,
        "structure": {"width": width},
        "training": {"epochs": 1, "crop": 64, "batch_size": 2},
    }
    run = finish(train(demo_set, settings, tmp_path / "run"))
    assert run.finished
    result = finish(score(run.model, demo_set, TestOptions(device="cpu", precision="float32")))
    assert result.scores.pixels > 0
    written = finish(
        tiny.predict(run.folder, [str(demo_set / "images")], tmp_path / "out", overlays=True, device="cpu")
    )
    assert len(written.written) == 5
    assert not written.failed
    assert set(read_mask(written.written[0][1]).ravel().tolist()) <= {0, 255}

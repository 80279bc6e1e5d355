"""What every named network, a short training, a prediction and a test gave when ``golden.json`` was written."""

from pathlib import Path

import numpy as np
import pytest

import golden
import tiny
from conftest import Program
from unpool.nets.named import NAMED_NETS

SAME_PIXELS = 0.95
"""Share of the class ids that rounding leaves alone after 40 steps: 0.968 with AVX-512 (they are of AVX2)."""


@pytest.mark.parametrize("name", NAMED_NETS)
def test_logits(name: str) -> None:
    expected, found = golden.written()[name], golden.logits_of(name)
    assert (found["size"], found["parameters"]) == (expected["size"], expected["parameters"])
    rounding = 1e-3 * expected["deviation"]
    for key in ("logits", "mean", "deviation"):
        assert found[key] == pytest.approx(expected[key], rel=1e-3, abs=rounding), key


@pytest.mark.parametrize("net", tiny.STRUCTURES)
def test_training_prediction_and_scores(net: str, tmp_path: Path, program: Program) -> None:
    def run(*words: object) -> None:
        said = program(*words)
        assert said.code == 0, said

    expected, found = golden.written()["training"][net], golden.training_of(net, tmp_path, run)
    assert found["steps"] == expected["steps"] == 40
    for key in ("train_loss", "val_loss"):
        assert found[key] == pytest.approx(expected[key], rel=5e-3), key
    same = np.array([list(row) for row in found["prediction"]]) == np.array(
        [list(row) for row in expected["prediction"]]
    )
    assert same.mean() >= SAME_PIXELS
    for key in ("scores", "images"):
        assert found[key] == pytest.approx(expected[key], abs=5e-3), key

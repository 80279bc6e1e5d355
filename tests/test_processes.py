"""Several processes take the steps that one would have taken."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from unpool.checkpoint.models import load_model
from unpool.commands.events import finish
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import test as score
from unpool.commands.train.train import TrainedRun, train

HERE = Path(__file__).parent


def start(count: int, words: list[str]) -> None:
    """Run a program in ``count`` processes, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join([str(HERE), *sys.path])
    started = [
        subprocess.Popen(
            [sys.executable, *words],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        for process in started:
            output, _ = process.communicate(timeout=100)
            assert process.returncode == 0, output
    finally:
        for process in started:
            process.kill()


def outcomes(folder: Path, count: int, net: str, norm: str, parts: int = 1) -> list[dict[str, Any]]:
    folder.mkdir()
    start(count, [str(HERE / "two_processes.py"), net, norm, str(folder), str(parts)])
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(count)]


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Length of the difference of all tensors, as a share of their length."""
    whole, rest = (torch.cat([state[name].double().flatten() for name in one]) for state in (one, other))
    return float((whole - rest).norm() / whole.norm())


def assert_close(one: Any, other: Any) -> None:
    """The first step is compared sharply; later steps may meet a ReLU or a maximum that rounding decides."""
    assert distance(one["gradients"], other["gradients"]) < 1e-4
    if one["statistics"]:
        assert distance(one["statistics"], other["statistics"]) < 1e-5
    assert distance(one["network"], other["network"]) < 1e-4
    for row, other_row in zip(one["history"], other["history"], strict=True):
        assert other_row["train_loss"] == pytest.approx(row["train_loss"], rel=1e-4)
        assert other_row["val_loss"] == pytest.approx(row["val_loss"], rel=1e-3)
        assert other_row["mean_iou"] == pytest.approx(row["mean_iou"], abs=2e-3)


@pytest.mark.parametrize(
    ("net", "norm"),
    [
        ("unet", "batch"),
        pytest.param("unet", "none", marks=pytest.mark.slow),
        pytest.param("segnet-basic", "batch", marks=pytest.mark.slow),
    ],
)
def test_two_processes_train_what_one_trains(net: str, norm: str, tmp_path: Path) -> None:
    """Five crops a step do not divide by two, and three validation pictures do not either."""
    (alone,) = outcomes(tmp_path / "one", 1, net, norm)
    first, second = outcomes(tmp_path / "two", 2, net, norm)
    assert_close(alone, first)
    assert all(torch.equal(first["network"][name], second["network"][name]) for name in first["network"])
    scores = [[row["mean_iou"] for row in each["history"]] for each in (first, second)]
    assert scores[0] == scores[1]


def test_processes_with_unequal_shares_work_in_as_many_parts(tmp_path: Path) -> None:
    """Shares of two and three crops in three parts: all processes have to meet in every sum."""
    first, second = outcomes(tmp_path / "two", 2, "unet", "batch", parts=3)
    assert all(torch.equal(first["network"][name], second["network"][name]) for name in first["network"])


@pytest.mark.slow
def test_a_run_continues_with_another_number_of_processes(tmp_path: Path) -> None:
    """Two processes begin, one continues the run; one process alone ends at the same weights."""
    cells = tiny.write_set(tmp_path / "cells", 6)
    options = [*tiny.options(), "--set", "optimiser=sgd", "--set", "learning_rate=0.001", "--set", "schedule=constant"]
    run = tmp_path / "run"
    words = ["-m", "unpool", "train", str(cells), *options, "--set", "settled=1", "--out", str(run)]
    start(2, [*words, "--epochs", "2"])
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]  # one process alone writes
    start(1, [*words, "--epochs", "3", "--resume"])
    given = tiny.settings(epochs=3, optimiser="sgd", learning_rate=0.001, schedule="constant", settled=1)
    alone = finish(train(cells, given, tmp_path / "alone"))
    for count in (1, 2):
        out = str(tmp_path / f"{count}"), str(tmp_path / f"m{count}")
        options_of_test = ["--split", "all", "--measures", "boundaries", "--out", out[0]]
        start(count, ["-m", "unpool", "test", str(run), str(cells), *options_of_test])
        start(count, ["-m", "unpool", "predict", str(run), str(cells / "images"), "--out", out[1]])
    reports = [(tmp_path / f"{count}" / "images.csv").read_text() for count in (1, 2)]
    assert reports[0] == reports[1]
    masks = [sorted((tmp_path / f"m{count}").glob("*.png")) for count in (1, 2)]
    assert len(masks[0]) == 6
    assert [mask.read_bytes() for mask in masks[0]] == [mask.read_bytes() for mask in masks[1]]
    together = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for row, other in zip(alone.history, together, strict=True):
        assert other["train_loss"] == pytest.approx(row["train_loss"], rel=1e-3)
    one, other = (load_model(path / "model.safetensors").segmenter.network for path in (run, tmp_path / "alone"))
    assert distance(one.state_dict(), other.state_dict()) < 1e-4


def test_two_processes_score_what_one_scores(run: TrainedRun, tmp_path: Path) -> None:
    """Every byte of scores.json but its own place, with every measure of two classes."""
    new = tiny.write_set(tmp_path / "new-cells", 3, seed=5)
    measures = ["calibration", "uncertainty", "objects", "boundaries", "membranes"]
    options = TestOptions(device="cpu", precision="float32", measures=measures)
    finish(score(run.folder, new, options, out=tmp_path / "one"))
    words = ["-m", "unpool", "test", str(run.folder), str(new), "--device", "cpu", "--precision", "float32"]
    start(2, [*words, *(word for name in measures for word in ("--measures", name)), "--out", str(tmp_path / "two")])
    one, two = ((tmp_path / name / "scores.json").read_text() for name in ("one", "two"))
    assert one.replace(str(tmp_path / "one"), str(tmp_path / "two")) == two
    assert list(json.loads(two)["measures"]) == measures
    assert (tmp_path / "two" / "report.html").is_file()

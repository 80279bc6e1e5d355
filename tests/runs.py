"""Training runs: comparing them, and running them in processes that can be stopped and killed."""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

import tiny
from unpool.checkpoint.checkpoints import load_checkpoint
from unpool.checkpoint.models import load_model
from unpool.commands.events import finish
from unpool.commands.train.train import train

CLOCKS = ("seconds", "reserved", "waiting", "validation_seconds", "last_validation")


def weights(folder: Path) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """Return the best model and the last weights of a run."""
    return load_model(folder / "model.safetensors").segmenter.network, load_checkpoint(folder / "state.pt")["network"]


def log(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's log, without times."""
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in CLOCKS} for line in lines]


def timeless(data: Any) -> Any:
    """Return nested data without times and without the name of a draft."""
    if isinstance(data, Mapping):
        return {key: timeless(value) for key, value in data.items() if key not in (*CLOCKS, "model")}
    return [timeless(each) for each in data] if isinstance(data, list | tuple) else data


def same(one: Any, other: Any) -> bool:
    """Tell whether nested data are equal, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def assert_same_run(one: Path, other: Path) -> None:
    """Check that weights, optimiser, history and log of both runs are equal, bit for bit, apart from times."""
    assert tiny.same_weights(weights(one)[0], weights(other)[0])
    assert same(*(timeless(load_checkpoint(folder / "state.pt")) for folder in (one, other)))
    assert log(one) == log(other)
    history = load_checkpoint(one / "state.pt")["training"]["history"]
    assert [json.loads(line) for line in (one / "log.jsonl").read_text().splitlines()] == history


def start(target: Callable[..., object], *given: object) -> ForkServerProcess:
    """Call a function in a process of its own, which starts in a tenth of a second because torch is preloaded."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["unpool.cli.main", "unpool.commands.train.train", "torch._dynamo"])
    process = server.Process(target=target, args=given, daemon=True)
    process.start()
    return process


def program(output: Path, words: list[str], largest_file: int | None = None) -> None:
    """Run ``unpool`` as a process: its output goes to a file; no file may exceed ``largest_file`` bytes."""
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if largest_file is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    from unpool.cli.main import main

    sys.argv = ["unpool", *words]
    with tiny.one_thread():
        main()


def training(cells: Path, settings: dict[str, Any], out: Path) -> None:
    """Run ``train`` in this process, saving after every step."""
    with tiny.one_thread():
        finish(train(cells, settings, out, resume=True, save_every=0.0))


def wait_for(path: Path, process: ForkServerProcess) -> None:
    """Wait until a process has written a file."""
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)

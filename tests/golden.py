"""Values that a change of the code's shape must not move. ``python tests/golden.py`` writes them to ``golden.json``.

They are written once on one machine and compared on all, so float32 is compared within rounding.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tiny
import unpool
from unpool.nets.named import NAMED_NETS, build

FILE = Path(__file__).with_suffix(".json")
CHANNELS, CLASSES, PLACES = 3, 5, 12


def logits_of(name: str) -> dict[str, Any]:
    """Some logits of a named network with its first weights, their mean and deviation, and its parameters."""
    side = 236 if name.startswith("unet-2015") else 64
    torch.manual_seed(0)
    network = build(name, CHANNELS, CLASSES).eval()
    image = torch.randn(1, CHANNELS, side, side, generator=torch.Generator().manual_seed(1))
    if name.startswith("fcn-") and hasattr(network, "score_fr"):  # its scores begin at 0
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d) and layer.out_channels == CLASSES:
                torch.nn.init.normal_(layer.weight, std=0.01)
    with torch.inference_mode():
        logits = network(image)
    numbers = logits.flatten()
    places = torch.linspace(0, len(numbers) - 1, PLACES).long()
    return {
        "size": list(logits.shape),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "logits": numbers[places].tolist(),
        "mean": numbers.mean().item(),
        "deviation": numbers.std().item(),
    }


def training_of(net: str, folder: Path, run: Callable[..., object]) -> dict[str, Any]:
    """The mean losses of 40 steps, the class ids of one picture, and the scores of a test, through the command line.

    Parameters
    ----------
    folder: where the pictures and the run are written.
    run: calls the command line with these words.
    """
    data = tiny.write_set(folder / "cells", 8)
    out = folder / net
    run("train", data, "--epochs", 2, "--out", out, "--set", "class_weights=balanced", *tiny.options(net))
    run("test", out, data, "--split", "all", "--device", "cpu", "--out", folder / f"{net}-test")
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    scores = json.loads((folder / f"{net}-test" / "scores.json").read_text())
    _, image, _ = next(tiny.pictures(1))
    prediction = unpool.load(out, device="cpu").predict(image)
    return {
        "train_loss": [row["train_loss"] for row in log],
        "val_loss": [row["val_loss"] for row in log],
        "steps": log[-1]["steps"],
        "prediction": ["".join(map(str, row)) for row in prediction.tolist()],
        "scores": {key: scores["scores"][key] for key in ("mean_iou", "mean_dice", "global_accuracy")},
        "images": {row["name"]: row["mean_iou"] for row in scores["images"]},
    }


def written() -> dict[str, Any]:
    """The values of the file."""
    values: dict[str, Any] = json.loads(FILE.read_text())
    return values


def _run(*words: object) -> None:
    from unpool.cli.main import main

    sys.argv = ["unpool", *map(str, words)]
    try:
        main()
    except SystemExit as end:
        assert not end.code, words


if __name__ == "__main__":
    torch.set_num_threads(1)
    values: dict[str, Any] = {name: logits_of(name) for name in NAMED_NETS}
    with tempfile.TemporaryDirectory() as place:
        values["training"] = {net: training_of(net, Path(place), _run) for net in tiny.STRUCTURES}
    FILE.write_text(json.dumps(values, indent=1) + "\n")
    np.testing.assert_equal(written(), values)

"""A segmenter as a ``torch.export`` file: a graph and its weights, without the code that made it.

The file holds no pickle: weights are raw bytes, the graph is JSON, and the example inputs, which torch would pickle,
are left out. ``torch.export.load`` itself would unpickle what a forged file holds, so it is for files one trusts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unpool.checkpoint.card import Card
from unpool.export.equality import Run, RuntimeOutput
from unpool.export.extras import quiet
from unpool.export.graph import Portable, recorded
from unpool.segmenter import Segmenter


def write_program(path: Path, segmenter: Segmenter, pixels: str, card: Card, facts: dict[str, Any]) -> None:
    """Write a ``.pt2`` file that gives probabilities, float32 (N, K, rows, columns), for raw pixels of any size.

    Its extra files ``unpool.json`` and ``unpool-export.json`` are the card and what the export adds to it.

    Raises
    ------
    UsageError: the sizes that the network takes follow no simple rule.
    """
    with quiet():
        program = recorded(Portable(segmenter, pixels, "probabilities"), segmenter, getattr(torch, pixels))
        program.example_inputs = None
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine
        told = {"unpool.json": card, "unpool-export.json": facts}
        files = {name: json.dumps(value, ensure_ascii=False) for name, value in told.items()}
        torch.export.save(program, path, extra_files=files)


def program_runner(path: Path) -> Run:
    """Run a file that ``write_program`` wrote, on the CPU."""
    with quiet():
        module = torch.export.load(path).module()

    def run(batch: NDArray[Any]) -> RuntimeOutput:
        with torch.inference_mode():
            found = module(torch.from_numpy(batch)).numpy()
        return RuntimeOutput(found, found.argmax(axis=1).astype(np.uint8))

    return run

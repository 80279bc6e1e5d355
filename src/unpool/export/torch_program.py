"""A segmenter as a ``torch.export`` file: a graph and its weights, without the code that made it.

The file has no pickle: the weights are raw bytes, the graph is JSON, and the example inputs, which torch would pickle,
are left out. A forged file may have a pickle, which ``torch.export.load`` would run. Load only files that you trust.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unpool.checkpoint.card import Card
from unpool.export.equality import BatchRunner, RuntimeOutput
from unpool.export.extras import without_warnings
from unpool.export.graph import ExportModule, trace_program
from unpool.segmenter import Segmenter


def write_program(path: Path, segmenter: Segmenter, pixels: str, card: Card, facts: dict[str, Any]) -> None:
    """Write a ``.pt2`` file that gives probabilities, float32 (N, K, rows, columns), for raw pixels of any size.

    Its extra files are ``unpool.json``, the card, and ``unpool-export.json``, the facts of the export.

    Raises
    ------
    UsageError: the legal sizes of the network follow no simple rule.
    """
    with without_warnings():
        program = trace_program(ExportModule(segmenter, pixels, "probabilities"), getattr(torch, pixels))
        program.example_inputs = None
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # it has paths of this machine
        descriptions = {"unpool.json": card, "unpool-export.json": facts}
        files = {name: json.dumps(value, ensure_ascii=False) for name, value in descriptions.items()}
        torch.export.save(program, path, extra_files=files)


def program_runner(path: Path) -> BatchRunner:
    """Return a function that runs a file of ``write_program`` on the CPU."""
    with without_warnings():
        module = torch.export.load(path).module()

    def run(batch: NDArray[Any]) -> RuntimeOutput:
        with torch.inference_mode():
            probabilities = module(torch.from_numpy(batch)).numpy()
        return RuntimeOutput(probabilities, probabilities.argmax(axis=1).astype(np.uint8))

    return run

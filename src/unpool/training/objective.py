"""From a part of a batch to its loss: the forward half of a training step, plain or compiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from unpool.data.batches import Batch
from unpool.losses.loss import Loss, LossValue
from unpool.machine.device import Machine
from unpool.nets.blocks import crop_to
from unpool.nets.network import Network
from unpool.processes import ALONE, Processes

Compile = Literal["auto", "yes", "no"]
Objective = Callable[[Batch], LossValue]

PAYS_BACK = 20.0
"""Minutes of training above which compiling is worth its wait.

On two cores the first calls took 28 to 62 s, twice in a training (batch normalisation settles); a U-Net's step was 3 to
15 % faster then, a FusionNet's slower (``benchmarks/train_step.py`` gives both for any network).
"""


def objective(network: Network, loss: Loss, machine: Machine, processes: Processes, *, compiled: bool) -> Objective:
    """The function that gives the loss of a part of a batch; network and loss are one graph where it is compiled."""

    def forward(images: Tensor, labels: Tensor, emphasis: Tensor | None) -> LossValue:
        with machine.arithmetic():
            logits = network(images)
        return loss(crop_to(logits, labels.shape[1:]), labels, emphasis, processes.total)

    run = torch.compile(forward, dynamic=False) if compiled else forward

    def value(batch: Batch) -> LossValue:
        emphasis = None if batch.emphasis is None else machine.send(batch.emphasis)
        return run(machine.put(batch.images), machine.send(batch.labels), emphasis)

    return value


def in_parts(batch: Batch, parts: int) -> Iterator[Batch]:
    """Cut a batch into so many parts, as even as can be."""
    if parts == 1:
        yield batch
        return
    total = len(batch.names)
    bounds = [round(total * part / parts) for part in range(parts + 1)]
    for start, end in pairwise(bounds):
        if start < end:
            emphasis = None if batch.emphasis is None else batch.emphasis[start:end]
            yield Batch(batch.images[start:end], batch.labels[start:end], batch.names[start:end], emphasis)


def worth_compiling(
    asked: Compile, minutes: float, network: Network, machine: Machine, processes: Processes
) -> tuple[bool, str]:
    """Whether to compile a training of so many minutes, and why, in a few words."""
    if asked == "no":
        return False, "as asked"
    lacking = missing(network, machine, processes)
    if lacking:
        return False, lacking
    if asked == "yes":
        return True, "as asked"
    if minutes < PAYS_BACK:
        return False, f"it pays back above {PAYS_BACK:g} minutes"
    return True, f"it pays back within {minutes:.0f} minutes"


def compiles(network: Network, loss: Loss, machine: Machine, batch: Batch) -> str:
    """Compile a step and run it, leaving nothing changed; why it failed, or nothing where it did not.

    What is compiled is kept by torch, so the training that follows does not compile it again.
    """
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.train()
    try:
        run = objective(network, loss, machine, ALONE, compiled=True)
        run(batch).total.backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # the compiler's chain ends in errors of many kinds, and none may stop a training
        return f"it failed here ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
    finally:
        network.zero_grad(set_to_none=True)
        network.load_state_dict(before, strict=False)
    return ""


def missing(network: Network, machine: Machine, processes: Processes) -> str:
    """What compiling lacks here, or nothing."""
    if network.structure.unpools:
        return "unpooling is faster as it is"  # 0.43 s a step of segnet-basic against 1.18 s compiled
    if processes.count > 1:
        return "several processes share each batch"
    if machine.device.type == "mps":
        return "torch does not compile for this device"
    if machine.device.type == "cpu" and not any(map(shutil.which, _compilers())):
        return "there is no C++ compiler; install g++ for a faster step"
    return ""


def _compilers() -> tuple[str, ...]:
    return (os.environ.get("CXX", "g++"), "g++", "clang++")

"""Whether compiling the training step pays, is possible here, and works."""

from __future__ import annotations

import os
import shutil
from typing import Literal

from unpool.data.batches import Batch
from unpool.losses.loss import Loss
from unpool.machine.device import Machine
from unpool.nets.network import Network
from unpool.processes import ALONE, Processes
from unpool.training.objective import objective

Compile = Literal["auto", "yes", "no"]

PAYS_BACK = 20.0
"""Minutes of training above which compiling is worth its wait.

On two cores the first calls took 28 to 62 s, twice in a training (batch normalisation settles); a U-Net's step was 3 to
15 % faster then, a FusionNet's slower (``benchmarks/train_step.py`` gives both for any network).
"""


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

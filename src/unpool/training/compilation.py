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
"""Minutes of training above which compiling saves time.

Measured on two cores: compiling took 28 to 62 s, twice in a training (again when batch normalisation settles). A step
of a U-Net was then 3 to 15 % faster, a step of a FusionNet slower (``benchmarks/train_step.py`` measures any network).
"""


def worth_compiling(
    requested: Compile, minutes: float, network: Network, machine: Machine, processes: Processes
) -> tuple[bool, str]:
    """Return whether to compile a training of ``minutes`` minutes, and the reason in a few words."""
    if requested == "no":
        return False, "as requested"
    lacking = missing(network, machine, processes)
    if lacking:
        return False, lacking
    if requested == "yes":
        return True, "as requested"
    if minutes < PAYS_BACK:
        return False, f"worth it only for trainings over {PAYS_BACK:g} minutes"
    if machine.device.type == "cpu" and not machine.reduced:
        return False, "the measured convolutions are faster"
    return True, f"worth it for a training of {minutes:.0f} minutes"


def compiles(network: Network, loss: Loss, machine: Machine, batch: Batch) -> str:
    """Compile a step, run it and undo its changes; return why it failed, or an empty text where it did not.

    torch keeps the compiled code, so the training that follows does not compile it again.
    """
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.train()
    try:
        run = objective(network, loss, machine, ALONE, compiled=True)
        run(batch).total.backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # compilers raise many kinds of errors, and none may stop a training
        return f"it failed here ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
    finally:
        network.zero_grad(set_to_none=True)
        network.load_state_dict(before, strict=False)
    return ""


def missing(network: Network, machine: Machine, processes: Processes) -> str:
    """Return why this network cannot be compiled here, or an empty text where it can."""
    if network.structure.unpools:
        return "unpooling is faster as it is"  # 0.43 s per step of segnet-basic against 1.18 s compiled
    if processes.count > 1:
        return "several processes share each batch"
    if machine.device.type == "mps":
        return "torch does not compile for this device"
    if machine.device.type == "cpu" and not any(map(shutil.which, _compilers())):
        return "there is no C++ compiler; install g++ for a faster step"
    return ""


def _compilers() -> tuple[str, ...]:
    return (os.environ.get("CXX", "g++"), "g++", "clang++")

"""The memory that a training step will take, and the parts in which a batch fits into the free memory."""

from __future__ import annotations

import math

from torch import nn

from unpool.data.batches import Batch
from unpool.errors import TrainingError
from unpool.machine.device import out_of_memory
from unpool.nets.saved_tensors import SavedTensors
from unpool.training.objective import Objective
from unpool.training.setup import TrainingSetup
from unpool.training.step import in_parts, no_room
from unpool.wording import bytes_text

PLANNED_SHARE = 0.8
"""Share of the free memory that a training plans to use; the rest is for memory that the forecast does not count."""

STEP_FACTOR = 2.2
"""Memory of a step as a multiple of what autograd saves; gradients and working memory of one layer come on top.

Measured: peak resident memory of three steps without the weights' share, divided by what autograd saved, was 0.8
(FusionNet), 1.9 (U-Net) and 2.6 (SegNet-Basic, of 0.3 GB in all, the program's own memory included); batches of 4 crops
of 128 and 256 pixels.
"""


def crop_bytes(network: nn.Module, batch: Batch, loss_of: Objective) -> int:
    """Return the bytes that one crop of ``batch`` takes in a step.

    Raises
    ------
    TrainingError: the memory does not hold one crop.
    """
    one = next(in_parts(batch, len(batch.names)))
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:  # one crop may have a single value a feature map, which batch normalisation refuses in training
        norm.eval()
    saved = SavedTensors(network.parameters())
    try:
        with saved.counting():
            loss_of(one)
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            raise no_room(one) from error
        raise
    for norm in norms:
        norm.train()
    return int(STEP_FACTOR * saved.bytes)


def fixed_bytes(network: nn.Module, setup: TrainingSetup) -> int:
    """Return the bytes of weights, gradients and the optimiser's state."""
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    moments = 2 if "betas" in setup.optimiser.defaults else 1
    in_bfloat16 = 0.5 if setup.machine.reduced else 0.0  # autocast keeps a copy of the weights
    return int(weights * (2 + moments + in_bfloat16))


def parts_that_fit(crops: int, one_crop: int, fixed: int, free: int | None) -> int:
    """Return the fewest parts, doubled from 1, in which ``crops`` crops fit into the free memory.

    Parameters
    ----------
    one_crop, fixed, free: bytes of one crop in a step, of weights and optimiser, and of free memory; None is unknown.

    Raises
    ------
    TrainingError: one crop does not fit.
    """
    if free is None:
        return 1
    room = PLANNED_SHARE * free - fixed
    if one_crop > room:
        raise TrainingError(
            f"one crop takes about {bytes_text(one_crop)} of memory in a step and the weights {bytes_text(fixed)}; "
            f"{bytes_text(free)} is free",
            "memory for at least one crop",
            "set a smaller --set crop=…, a narrower network (--set width=…), or end other programs",
        )
    parts = 1
    while math.ceil(crops / parts) * one_crop > room:
        parts = min(2 * parts, crops)
    return parts

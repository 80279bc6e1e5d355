"""A few steps on one batch before a long training: does it learn, how long is a step, will the memory hold?

Everything a rehearsal changes is put back, so the training that follows is the one that would have been without it.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from unpool.data.batches import Batch
from unpool.errors import RunError
from unpool.machine.device import Machine, out_of_memory
from unpool.nets.network import Network
from unpool.optim import set_learning_rate
from unpool.training.loop import TrainingSetup, no_room, step_that_fits
from unpool.training.objective import Objective, in_parts, objective
from unpool.training.records import TrainingState

STEPS = 8
"""Steps of a rehearsal, fewer where they take more than ``SECONDS`` together; at least 3."""

SECONDS = 15.0

ROOM = 0.8
"""Share of the free memory that training is planned into; the rest is for what is not counted."""

WORKING = 2.2
"""Memory of a step as a multiple of what autograd keeps: gradients and scratch of the layer at work come on top.

Peak resident memory of three steps, less the weights' share, was 0.8 (FusionNet) to 1.9 (U-Net) and 2.6 (SegNet-Basic,
of 0.3 GB in all, the program's own memory with it) times what autograd kept; batches of 4 crops of 128 and 256.
"""


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found.

    Attributes
    ----------
    step_seconds: time of one step, without waiting for data.
    losses: of the steps, all on one batch.
    crop_bytes: memory that one crop takes in a step; ``fixed_bytes``: weights, gradients and the optimiser's state.
    parts: parts that a batch has to be computed in.
    """

    step_seconds: float
    losses: tuple[float, ...]
    crop_bytes: int
    fixed_bytes: int
    parts: int

    @property
    def peak_bytes(self) -> int:
        """Memory a step is expected to take beside the pictures and the program."""
        return self.fixed_bytes + self.crop_bytes

    @property
    def learns(self) -> bool:
        """Whether repeating one batch lowered its loss."""
        return min(self.losses[1:]) < self.losses[0]


def rehearse(network: Network, recipe: TrainingSetup, parts: int | None, free: int | None) -> Rehearsal:
    """Overfit one batch for a few steps at a tenth of the learning rate, and put everything back.

    Where memory runs out in spite of the plan, the batch is cut again, as in the training.

    Parameters
    ----------
    parts: parts asked for; None takes as few as ``free`` bytes allow (None: unknown, one part).

    Raises
    ------
    RunError: the loss of the very first batch is not finite, or a single crop does not fit.
    """
    before = copy.deepcopy([network.state_dict(), recipe.optimiser.state_dict()])
    random = torch.get_rng_state()
    batches = recipe.batches.epoch(0, 0, (recipe.processes.rank, recipe.processes.count))
    batch = next(batches)
    batches.close()
    network.train()
    recipe.processes.share_batch_statistics(network)
    loss_of = objective(network, recipe.loss, recipe.machine, recipe.processes, compiled=False)
    try:
        kept = _kept_for_backward(batch, loss_of, recipe.machine, network)
        fixed = _fixed_bytes(network, recipe)
        crop = int(WORKING * kept)
        largest = math.ceil(recipe.batches.batch_size / recipe.processes.count)
        planned = parts or int(recipe.processes.agree(_parts(largest, crop, fixed, free)))
        state = TrainingState(parts=min(planned, recipe.most_parts))
        set_learning_rate(recipe.optimiser, recipe.learning_rate / 10)
        seconds, losses = _steps(network, batch, recipe, loss_of, state)
    finally:
        network.load_state_dict(before[0])
        recipe.optimiser.load_state_dict(before[1])
        recipe.optimiser.zero_grad(set_to_none=True)
        torch.set_rng_state(random)
        recipe.machine.release()
    in_a_part = math.ceil(largest / state.parts)
    return Rehearsal(recipe.processes.agree(seconds), losses, crop * in_a_part, fixed, state.parts)


def _steps(
    network: nn.Module, batch: Batch, recipe: TrainingSetup, loss_of: Objective, state: TrainingState
) -> tuple[float, tuple[float, ...]]:
    losses: list[float] = []
    times: list[float] = []
    while len(losses) < STEPS and (len(losses) < 3 or recipe.processes.agree(sum(times)) < SECONDS):
        started = time.monotonic()
        loss, _ = step_that_fits(network, batch, recipe, loss_of, state)
        times.append(time.monotonic() - started)
        losses.append(loss)
        if not math.isfinite(losses[0]):
            raise RunError(
                f"the loss of the first batch ({', '.join(sorted(set(batch.names))[:4])}) is not finite",
                "a network that gives finite numbers for these pictures",
                "look for damaged pixels in these pictures, or try --set precision=float32",
            )
    return median(times[1:]), tuple(losses)


def _kept_for_backward(batch: Batch, loss_of: Objective, machine: Machine, network: nn.Module) -> int:
    """Bytes that autograd keeps for one crop, parameters left out; each storage counted once."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []  # an address may be used again once its tensor is gone

    def keep(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in own:
            sizes[address] = max(sizes.get(address, 0), tensor.untyped_storage().nbytes())
            alive.append(tensor)
        return tensor

    one = next(in_parts(batch, len(batch.names)))
    modes = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for module in modes:  # a single crop may leave one value a map, which batch normalisation refuses to normalise
        module.eval()
    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            loss_of(one)
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            raise no_room(one) from error
        raise
    for module in modes:
        module.train()
    return sum(sizes.values())


def _fixed_bytes(network: nn.Module, recipe: TrainingSetup) -> int:
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    moments = 2 if "betas" in recipe.optimiser.defaults else 1
    lowered = 0.5 if recipe.machine.reduced else 0.0  # autocast keeps a copy in bfloat16
    return int(weights * (2 + moments + lowered))


def _parts(crops: int, crop: int, fixed: int, free: int | None) -> int:
    """The fewest parts, halving the batch again and again, in which ``crops`` fit."""
    if free is None:
        return 1
    room = ROOM * free - fixed
    if crop > room:
        raise RunError(
            f"one crop takes about {gigabytes(crop)} of memory in a step and the weights {gigabytes(fixed)}, "
            f"{gigabytes(free)} is free",
            "room for one crop at least",
            "set a smaller --set crop=…, a narrower network (--set width=…), or end other programs",
        )
    parts = 1
    while math.ceil(crops / parts) * crop > room:
        parts = min(2 * parts, crops)
    return parts


def gigabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"

"""A rehearsal: a few steps on one batch before a long training.

It shows whether the network learns, how long a step takes, and whether the memory is enough. It restores everything it
changes, so the training that follows is the same as without it.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from unpool.data.batches import Batch
from unpool.errors import TrainingError
from unpool.nets.network import Network
from unpool.optim import set_learning_rate
from unpool.training.memory_forecast import crop_bytes, fixed_bytes, parts_that_fit
from unpool.training.objective import Objective, objective
from unpool.training.records import TrainingState
from unpool.training.setup import TrainingSetup
from unpool.training.step import step_that_fits

STEPS = 8
"""Steps of a rehearsal; fewer, but at least 3, where together they take more than ``SECONDS``."""

SECONDS = 15.0


@dataclass(frozen=True)
class Rehearsal:
    """The result of a rehearsal.

    Attributes
    ----------
    step_seconds: time of one step, without waiting for data.
    losses: loss of each step, all on the same batch.
    crop_bytes: memory of the crops that a step computes at once; fixed_bytes: weights, gradients, optimiser's state.
    parts: parts in which each batch is computed.
    """

    step_seconds: float
    losses: tuple[float, ...]
    crop_bytes: int
    fixed_bytes: int
    parts: int

    @property
    def peak_bytes(self) -> int:
        """Memory that a step is expected to take, without the pictures and the program."""
        return self.fixed_bytes + self.crop_bytes

    @property
    def learns(self) -> bool:
        """Whether the loss of the batch fell."""
        return min(self.losses[1:]) < self.losses[0]


def rehearse(network: Network, setup: TrainingSetup, parts: int | None, free: int | None) -> Rehearsal:
    """Train on one batch for a few steps at a tenth of the learning rate, then restore everything.

    Where memory runs out in spite of the forecast, the parts are doubled, as in the training.

    Parameters
    ----------
    parts: requested parts of a batch; None takes as few as ``free`` bytes allow (one if that is None too).

    Raises
    ------
    TrainingError: the loss of the first batch is not finite, or a single crop does not fit.
    """
    before = copy.deepcopy([network.state_dict(), setup.optimiser.state_dict()])
    random = torch.get_rng_state()
    batches = setup.batches.epoch(0, 0, (setup.processes.rank, setup.processes.count))
    batch = next(batches)
    batches.close()
    network.train()
    setup.processes.share_batch_statistics(network)
    loss_of = objective(network, setup.loss, setup.machine, setup.processes, compiled=False)
    try:
        one_crop, fixed = crop_bytes(network, batch, loss_of), fixed_bytes(network, setup)
        largest_share = math.ceil(setup.batches.batch_size / setup.processes.count)
        planned = parts or int(setup.processes.agree(parts_that_fit(largest_share, one_crop, fixed, free)))
        state = TrainingState(parts=min(planned, setup.most_parts))
        set_learning_rate(setup.optimiser, setup.learning_rate / 10)
        seconds, losses = _steps(network, batch, setup, loss_of, state)
    finally:
        network.load_state_dict(before[0])
        setup.optimiser.load_state_dict(before[1])
        setup.optimiser.zero_grad(set_to_none=True)
        torch.set_rng_state(random)
        setup.machine.release()
    crops_at_once = math.ceil(largest_share / state.parts)
    return Rehearsal(setup.processes.agree(seconds), losses, one_crop * crops_at_once, fixed, state.parts)


def _steps(
    network: nn.Module, batch: Batch, setup: TrainingSetup, loss_of: Objective, state: TrainingState
) -> tuple[float, tuple[float, ...]]:
    """Return the median seconds of a step (the first warms up and does not count), and every step's loss."""
    losses: list[float] = []
    times: list[float] = []
    while len(losses) < STEPS and (len(losses) < 3 or setup.processes.agree(sum(times)) < SECONDS):
        started = time.monotonic()
        loss, _ = step_that_fits(network, batch, setup, loss_of, state)
        times.append(time.monotonic() - started)
        losses.append(loss)
        if not math.isfinite(losses[0]):
            raise TrainingError(
                f"the loss of the first batch ({', '.join(sorted(set(batch.names))[:4])}) is not finite",
                "a network that gives finite numbers for these pictures",
                "look for damaged pixels in these pictures, or try --set precision=float32",
            )
    return median(times[1:]), tuple(losses)

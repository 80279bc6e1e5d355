"""One step of a training: from a batch to new weights, in parts where memory is short."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import nn

from unpool.data.batches import Batch
from unpool.errors import TrainingError
from unpool.machine.device import out_of_memory
from unpool.processes import Processes
from unpool.training.objective import Objective
from unpool.training.records import TrainingState
from unpool.training.setup import TrainingSetup


def step_that_fits(
    network: nn.Module, batch: Batch, setup: TrainingSetup, loss_of: Objective, state: TrainingState
) -> tuple[float, dict[str, float]]:
    """Run ``train_step``; where memory runs out, double the parts in ``state`` and run the step again.

    Raises
    ------
    TrainingError: the memory does not hold a single crop, or it ran out in one of several processes.
    """
    while True:
        torch.manual_seed(_seed_of(setup, state.step))
        try:
            return train_step(network, batch, setup, loss_of, state.parts)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if setup.processes.count > 1:  # the other processes wait in a sum and do not know of new parts
                raise TrainingError(
                    f"memory ran out in process {setup.processes.rank} of {setup.processes.count}",
                    "memory for its share of a batch",
                    "start again with --set parts=…, a smaller crop or batch_size, or fewer processes on this machine",
                ) from error
            if state.parts >= len(batch.names):
                raise no_room(batch) from error
        setup.machine.release()
        state.parts = min(2 * state.parts, len(batch.names))


def train_step(
    network: nn.Module, batch: Batch, setup: TrainingSetup, loss_of: Objective, parts: int = 1
) -> tuple[float, dict[str, float]]:
    """Take one step of the optimiser; return the loss and its terms, or NaN where the step was left out.

    In several parts, the gradients of the parts are averaged by their number of crops (or summed, where the loss is a
    sum). Batch normalisation, Dice and the divisor of the cross-entropy then see one part at a time. Where the loss or
    the gradient is not finite, nothing changes, not even the running statistics of batch normalisation.
    """
    processes = setup.processes
    statistics = [buffer.clone() for buffer in network.buffers()]
    setup.optimiser.zero_grad(set_to_none=True)
    loss = torch.zeros((), device=setup.machine.device)
    terms: dict[str, torch.Tensor] = {}
    try:
        for part in in_parts(batch, min(parts, setup.most_parts)):
            value = loss_of(part)
            share = 1.0 if setup.loss.division == "sum" else _share(part, batch, processes)
            (value.total * (share / processes.count)).backward()  # type: ignore[no-untyped-call]
            loss = loss + share * value.total.detach()
            terms = {name: terms.get(name, 0) + share * term.detach() for name, term in value.terms.items()}
        processes.sum_gradients(network)
        norm = nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
        if torch.isfinite(loss) and torch.isfinite(norm):
            if setup.clip and norm > setup.clip:
                nn.utils.clip_grads_with_norm_(network.parameters(), setup.clip, norm)
            setup.optimiser.step()
            return loss.item(), {name: float(term) for name, term in terms.items()}
    except BaseException:
        _restore_buffers(network, statistics)
        raise
    _restore_buffers(network, statistics)
    return math.nan, {}


def in_parts(batch: Batch, parts: int) -> Iterator[Batch]:
    """Yield a batch in ``parts`` parts of nearly equal numbers of crops."""
    if parts == 1:
        yield batch
        return
    total = len(batch.names)
    bounds = [round(total * part / parts) for part in range(parts + 1)]
    for start, end in pairwise(bounds):
        if start < end:
            emphasis = None if batch.emphasis is None else batch.emphasis[start:end]
            yield Batch(batch.images[start:end], batch.labels[start:end], batch.names[start:end], emphasis)


def no_room(batch: Batch) -> TrainingError:
    """Return the error for a memory that does not hold one crop of ``batch``."""
    return TrainingError(
        f"memory ran out on a single crop ({', '.join(batch.names[:3])})",
        "memory for at least one crop",
        "set a smaller --set crop=…, a narrower network (--set width=…), or end other programs",
    )


def _seed_of(setup: TrainingSetup, step: int) -> int:
    # Seeds of neighbouring steps and processes are far apart; torch takes 64 bits.
    return (setup.batches.seed * 0x9E3779B97F4A7C15 + step * 0x1000003 + setup.processes.rank) % (1 << 63)


def _share(part: Batch, batch: Batch, processes: Processes) -> float:
    """Return the share of a part in the crops of a batch, over all processes."""
    crops = processes.sum_counts(torch.tensor([len(part.names), len(batch.names)]))
    return float(crops[0] / crops[1])


def _restore_buffers(network: nn.Module, saved: Sequence[torch.Tensor]) -> None:
    with torch.no_grad():
        for buffer, before in zip(network.buffers(), saved, strict=True):
            buffer.copy_(before)

"""The forward half of a training step: from a batch to its loss, plain or compiled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unpool.data.batches import Batch
from unpool.losses.loss import Loss, LossValue
from unpool.machine.device import Machine
from unpool.nets.blocks import crop_to
from unpool.nets.network import Network
from unpool.processes import Processes

Objective = Callable[[Batch], LossValue]
"""A function that computes the loss of a batch, or of a part of one."""


def objective(network: Network, loss: Loss, machine: Machine, processes: Processes, *, compiled: bool) -> Objective:
    """Return the function that computes the loss of a batch; compiled, network and loss are one graph."""

    def forward(images: Tensor, labels: Tensor, emphasis: Tensor | None) -> LossValue:
        with machine.arithmetic():
            logits = network(images)
        return loss(crop_to(logits, labels.shape[1:]), labels, emphasis, processes.total)

    run = torch.compile(forward, dynamic=False) if compiled else forward

    def value(batch: Batch) -> LossValue:
        emphasis = None if batch.emphasis is None else machine.send(batch.emphasis)
        return run(machine.put(batch.images), machine.send(batch.labels), emphasis)

    return value

"""From a part of a batch to its loss: the forward half of a training step, plain or compiled."""

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

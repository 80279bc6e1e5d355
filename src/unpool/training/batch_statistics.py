"""Batch-normalisation statistics computed from the training pictures, as SegNet's release does before testing."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from unpool.data.batches import Batch
from unpool.machine.device import Machine


def recompute(network: nn.Module, batches: Iterable[Batch], machine: Machine) -> None:
    """Replace the running statistics by the mean over batches of each batch's mean and variance.

    Variances are unbiased (n - 1), as in the release's ``compute_bn_statistics.py``; dropout is off. Leaves the network
    in evaluation mode. Does nothing to a network without batch normalisation.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    network.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # torch then computes a cumulative mean
    with torch.no_grad():
        for batch in batches:
            with machine.arithmetic():
                network(machine.put(batch.images))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()

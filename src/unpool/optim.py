"""The optimiser and the schedule of its learning rate."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

WARM_UP = 0.1
"""Share of the training during which the learning rate rises."""

FLOOR = 1e-3
"""Last learning rate as a share of the peak."""

STATE_NAMES: dict[type[Optimizer], tuple[str, ...]] = {
    AdamW: ("step", "exp_avg", "exp_avg_sq"),
    SGD: ("momentum_buffer",),
}
"""The tensors that each optimiser keeps for a parameter after its first step; ``step`` is one number."""

Schedule = Literal["one-cycle", "constant"]


def optimiser(
    network: nn.Module, name: str, learning_rate: float, weight_decay: float, momentum: float = 0.9
) -> Optimizer:
    """Return AdamW or SGD with momentum.

    Weight decay applies to weights only; biases and normalisation scales, which are one-dimensional, have none. torch's
    fused kernels are used on devices that have them.

    Parameters
    ----------
    name: ``adamw`` or ``sgd``; momentum: of ``sgd``.
    """
    wide = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    narrow = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": wide, "weight_decay": weight_decay}, {"params": narrow, "weight_decay": 0.0}]
    fused = all(p.device.type in ("cpu", "cuda") for p in wide)
    if name == "adamw":
        return AdamW(groups, lr=learning_rate, fused=fused)
    return SGD(groups, lr=learning_rate, momentum=momentum, fused=fused)


def share_of_peak(schedule: Schedule, progress: float) -> float:
    """Return the learning rate as a share of its peak, when ``progress`` (0..1) of the training is done."""
    return one_cycle(progress) if schedule == "one-cycle" else 1.0


def one_cycle(progress: float) -> float:
    """Return the learning rate of one cycle as a share of its peak, when ``progress`` (0..1) of the training is done.

    It rises linearly, then falls along half a cosine (after Smith, arXiv 1708.07120).
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < WARM_UP:
        return FLOOR + (1 - FLOOR) * progress / WARM_UP
    fall = (progress - WARM_UP) / (1 - WARM_UP)
    return FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * fall)) / 2


def set_learning_rate(optimiser: Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate

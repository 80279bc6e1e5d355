"""The processes, started by torchrun, that share the work of one command; usually there is only one.

In a training each process has a share of every batch. The quantities of the whole batch (the divisor of the loss, the
statistics of batch normalisation, the gradient) are summed over the processes. Every process then takes the same step:
the step that one process alone would take, up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function

from unpool.errors import UsageError

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Processes:
    """This process among all that share the work.

    Attributes
    ----------
    rank: number of this process, 0..count - 1; process 0 writes files and messages.
    neighbours: number of processes on this machine, this one included; they share its main memory.
    """

    rank: int = 0
    count: int = 1
    neighbours: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sum a tensor over the processes, where it has the same shape in all; differentiable.

        Every process computes the same loss from such sums. Each therefore starts the backward pass with its share
        (``1 / count``) of the loss, and the backward pass adds the shares up again.
        """
        return values if self.count == 1 else _Total.apply(values)  # type: ignore[no-untyped-call]

    def sum_gradients(self, network: nn.Module) -> None:
        """Replace every parameter's gradient by its sum over the processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def sum_counts(self, values: Tensor) -> Tensor:
        """Sum int64 or float64 values over the processes; not differentiable."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def share(self, values: Sequence[_Item]) -> Iterator[_Item]:
        """Yield this process's share of the values: every ``count``-th, from the ``rank``-th on."""
        return (values[index] for index in range(self.rank, len(values), self.count))

    def send(self, values: Tensor) -> None:
        """Send a tensor to process 0."""
        distributed.send(values, 0)

    def receive(self, values: Tensor, rank: int) -> Tensor:
        """Fill a tensor with the values that process ``rank`` sends, and return it."""
        distributed.recv(values, rank)
        return values

    def agree(self, value: float, rank: int = 0) -> float:
        """Return the value of process ``rank`` in every process; clocks and signals differ between processes."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, rank)
        return float(shared)

    def agree_text(self, text: str, rank: int = 0) -> str:
        """Return the text of process ``rank`` in every process."""
        if self.count == 1:
            return text
        length = int(self.agree(len(text.encode()), rank))
        shared = torch.frombuffer(bytearray(text.encode().ljust(length)[:length]), dtype=torch.uint8)
        distributed.broadcast(shared, rank)
        return shared.numpy().tobytes().decode()

    def share_batch_statistics(self, network: nn.Module) -> None:
        """Turn every batch normalisation of the network into one over the batch of all processes."""
        if self.count == 1:
            return
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and not isinstance(module, SharedBatchNorm):
                module.__class__ = SharedBatchNorm
                module.processes = self  # type: ignore[assignment]


ALONE = Processes()
"""The usual case: one process."""


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over a batch that several processes share.

    torch's own ``SyncBatchNorm`` runs on GPUs only. Parameters and buffers are those of ``BatchNorm2d``.
    """

    processes: Processes

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, H, W) maps; the result has their shape and type. Sums are float32."""
        if not self.training:
            return super().forward(input)
        maps = input.float()
        axes = (0, 2, 3)
        count = maps.new_full((1,), maps.numel() / maps.shape[1])
        sums = self.processes.total(torch.cat([maps.sum(axes), count]))
        mean, pixels = sums[:-1] / sums[-1], sums[-1]
        centred = maps - mean[:, None, None]
        variance = self.processes.total(centred.square().sum(axes)) / pixels
        with torch.no_grad():
            self._update_running(mean, variance * pixels / (pixels - 1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _Total(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed = gradient.contiguous().clone()
        distributed.all_reduce(summed)
        return summed


def join(device: str) -> Processes:
    """Connect with the processes that torchrun started; return ``ALONE`` where it started none.

    Raises
    ------
    UsageError: ``device`` names one GPU for several processes.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return ALONE
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    processes = Processes(rank, count, int(os.environ.get("LOCAL_WORLD_SIZE", count)))
    if processes.count == 1 or distributed.is_initialized():
        return processes
    if device.startswith("cuda:"):
        raise UsageError(
            f"--device {device} for {processes.count} processes",
            "a GPU for each",
            "leave --device out, or give --device cuda",
        )
    on_gpu = device != "cpu" and torch.cuda.is_available()
    # Each process has its own GPU; gloo exchanges values in main memory (clocks, counts, texts).
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    return processes


def leave() -> None:
    """Disconnect from the other processes at the end of a command."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()  # a process that leaves early would break the connections of the others
        distributed.destroy_process_group()

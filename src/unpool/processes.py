"""The processes that share one training, started by torchrun; one process alone is the plain case.

A batch is shared out, so what belongs to the whole batch (the divisor of the loss, the statistics of batch
normalisation, the gradient) is summed over the processes. Every process then takes the same step, and it is the step
that one process alone would have taken, up to rounding.
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

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is.

    Attributes
    ----------
    rank: 0..count - 1; the one with rank 0 writes and speaks.
    neighbours: processes on this machine, this one too; they share its main memory.
    """

    rank: int = 0
    count: int = 1
    neighbours: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sum a tensor of one shape over the processes; differentiable.

        Every process computes the same loss from such sums, so each seeds the backward pass with its share
        (``1 / count``) of it, and the backward pass sums again.
        """
        return values if self.count == 1 else _Total.apply(values)  # type: ignore[no-untyped-call]

    def sum_gradients(self, network: nn.Module) -> None:
        """Add up every parameter's gradient over the processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def sum_counts(self, values: Tensor) -> Tensor:
        """Sum over the processes, outside any gradient; int64 or float64."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def share(self, values: Sequence[Value]) -> Iterator[Value]:
        """Those of the values that are this process's to work on: every so-maniest."""
        return (values[index] for index in range(self.rank, len(values), self.count))

    def send(self, values: Tensor) -> None:
        """Send a tensor to the first process."""
        distributed.send(values, 0)

    def receive(self, values: Tensor, rank: int) -> Tensor:
        """Fill a tensor with what another process sends, and return it."""
        distributed.recv(values, rank)
        return values

    def agree(self, value: float, rank: int = 0) -> float:
        """What one process says, for everyone: clocks and signals differ between processes."""
        if self.count == 1:
            return value
        said = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(said, rank)
        return float(said)

    def agree_text(self, text: str, rank: int = 0) -> str:
        """The same for a text."""
        if self.count == 1:
            return text
        length = int(self.agree(len(text.encode()), rank))
        said = torch.frombuffer(bytearray(text.encode().ljust(length)[:length]), dtype=torch.uint8)
        distributed.broadcast(said, rank)
        return said.numpy().tobytes().decode()

    def share_batch_statistics(self, network: nn.Module) -> None:
        """Let every batch normalisation of the network see the whole batch."""
        if self.count == 1:
            return
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SharedBatchNorm
                module.processes = self  # type: ignore[assignment]


ALONE = Processes()


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the parts of a batch that all processes hold.

    torch's own ``SyncBatchNorm`` runs on GPUs only. The state is ``BatchNorm2d``'s.
    """

    processes: Processes

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape and type; sums are float32."""
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
            self._remember(mean, variance * pixels / (pixels - 1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
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
    """Join the processes that torchrun started; ``ALONE`` where it did not.

    Raises
    ------
    UsageError: a process was asked for the GPU of all.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return ALONE
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    processes = Processes(rank, count, int(os.environ.get("LOCAL_WORLD_SIZE", count)))
    if processes.count == 1 or distributed.is_initialized():
        return processes
    if device.startswith("cuda:"):
        raise UsageError(
            f"--device {device} for {processes.count} processes", "a GPU for each", "leave --device out, or say cuda"
        )
    on_gpu = device != "cpu" and torch.cuda.is_available()
    # Each process takes its own GPU; gloo carries what lies in main memory (clocks, counts, texts).
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    return processes


def leave() -> None:
    """Part from the others at the end of a command."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()  # who leaves early takes the connections of the others away
        distributed.destroy_process_group()

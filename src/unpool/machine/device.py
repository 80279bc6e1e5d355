"""What the computation runs on: device, number type and memory format."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from unpool.errors import UsageError
from unpool.machine.process_memory import available, left_in_group

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Machine:
    """A device and the number type of its convolutions.

    Attributes
    ----------
    reduced: whether convolutions run in bfloat16; losses, sums and optimiser state are float32 in any case.
    by_rows: whether large windows are computed some rows at a time, see ``unpool.nets.inference.streaming``.
    """

    device: torch.device
    reduced: bool
    by_rows: bool = True

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network here, in channels-last format, which the convolutions of every backend prefer."""
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def put(self, images: Tensor) -> Tensor:
        """Move a batch (N, C, H, W) here, in channels-last format."""
        return self._pinned(images).to(self.device, memory_format=torch.channels_last, non_blocking=True)

    def send(self, values: Tensor) -> Tensor:
        """Move labels or weights here."""
        return self._pinned(values).to(self.device, non_blocking=True)

    def _pinned(self, values: Tensor) -> Tensor:
        # A GPU copies from pinned memory while it computes.
        return values.pin_memory() if self.device.type == "cuda" else values

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Run the network inside this: bfloat16 where the machine is good at it."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.reduced):
            yield

    def rows_at_once(self, columns: int, stride: int) -> int:
        """Rows of maps that wide that are best computed at a time: whole strides, of few enough pixels for the cache.

        On a CPU a map of 64 channels in bfloat16 then takes 8 MB. A GPU wants more work at a time. Without ``by_rows``
        more than there can be.
        """
        if not self.by_rows:
            return sys.maxsize
        pixels = 1 << (16 if self.device.type == "cpu" else 22)
        return max(pixels // columns // stride, 1) * stride

    def release(self) -> None:
        """Give memory that torch keeps for later back to the device."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def describe(self) -> str:
        """One line for people: device, threads, number type."""
        if self.device.type == "cuda":
            place = torch.cuda.get_device_name(self.device)
        else:
            place = f"{self.device.type}, {torch.get_num_threads()} of {os.cpu_count()} cores, {platform.machine()}"
        return f"{place}, {'bfloat16 convolutions' if self.reduced else 'float32'}"


def choose_machine(device: str = "auto", precision: Precision = "auto") -> Machine:
    """Pick the device and number type.

    ``auto`` takes a CUDA GPU, then Apple's GPU, then the CPU; bfloat16 where the device has matrix units for it.

    Raises
    ------
    UsageError: the device does not exist here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen).cpu()  # there and back: torch's 'meta' device holds nothing
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device '{device}' ({str(error).splitlines()[0]})",
            "auto, cpu, cuda, cuda:1 or mps, present on this machine",
            "leave --device out to let the machine decide",
        ) from error
    reduced = _has_bfloat16_units(chosen) if precision == "auto" else precision == "bfloat16"
    return Machine(chosen, reduced)


def _has_bfloat16_units(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # The query is private in torch and may go; without it float32 is always right, only slower.
        amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
        return bool(amx and amx())
    return False


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; on the CPU torch has no type of its own for it."""
    text = str(error)
    said = ("can't allocate memory", "bad_alloc")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in said)


def free_memory(machine: Machine, limit_gb: float | None, sharing: int = 1) -> int | None:
    """Bytes that may be taken here, or None where the system does not say.

    The memory a control group leaves (containers, schedulers) counts where it is less than the machine's.

    Parameters
    ----------
    limit_gb: what one process may take in any case.
    sharing: processes that divide the machine's main memory among them.
    """
    found: list[int] = [] if limit_gb is None else [int(limit_gb * 1e9)]
    if machine.device.type == "cuda":
        found.append(torch.cuda.mem_get_info(machine.device)[0])
    elif machine.device.type == "cpu":
        found += [value // sharing for value in (available(), left_in_group()) if value is not None]
    return min(found, default=None)

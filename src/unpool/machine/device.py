"""The machine that computes: device, number type and memory format."""

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
from unpool.machine.processor import has_bfloat16_units, units

Precision = Literal["auto", "float32", "bfloat16"]

DEVICES = ("cpu", "cuda", "mps")
"""Types of devices that networks are computed on, by torch's names."""


@dataclass(frozen=True)
class Machine:
    """A device and the number type of its convolutions.

    Attributes
    ----------
    reduced: whether convolutions run in bfloat16; losses, sums and optimiser state are float32 in any case.
    by_rows: whether large windows are computed by rows, see ``unpool.nets.inference.streaming``.
    pixels_at_once: pixels that are then computed at a time.
    """

    device: torch.device
    reduced: bool
    by_rows: bool = True
    pixels_at_once: int = 1 << 16

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device, in channels-last format, which is fastest for convolutions on every device."""
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def put(self, images: Tensor) -> Tensor:
        """Move a batch (N, C, H, W) to the device, in channels-last format."""
        return self._pinned(images).to(self.device, memory_format=torch.channels_last, non_blocking=True)

    def send(self, values: Tensor) -> Tensor:
        """Move labels or weights to the device."""
        return self._pinned(values).to(self.device, non_blocking=True)

    def _pinned(self, values: Tensor) -> Tensor:
        # From pinned memory a GPU copies while it computes.
        return values.pin_memory() if self.device.type == "cuda" else values

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Compute convolutions inside this context in bfloat16, where ``reduced`` is set."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.reduced):
            yield

    def rows_at_once(self, columns: int, stride: int) -> int:
        """Return how many rows of feature maps are computed at a time: a multiple of ``stride``.

        Without ``by_rows`` the number is larger than any picture has rows.

        Parameters
        ----------
        columns: width of the maps in pixels.
        """
        if not self.by_rows:
            return sys.maxsize
        return max(self.pixels_at_once // columns // stride, 1) * stride

    def release(self) -> None:
        """Give back to the device the memory that torch keeps for later."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def describe(self) -> str:
        """Return device, threads, units and number type as one line of text."""
        numbers = "bfloat16 convolutions" if self.reduced else "float32"
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)}, {numbers}"
        place = f"{self.device.type}, {torch.get_num_threads()} of {os.cpu_count()} cores, {platform.machine()}"
        if self.device.type == "cpu":
            place += "".join(f" with {unit}" for unit in units()[:1])
            if self.reduced and not has_bfloat16_units():
                numbers += ", 40 to 500 times slower than float32 here: this processor has no units for them"
        return f"{place}, {numbers}"


def choose_machine(device: str = "auto", precision: Precision = "auto") -> Machine:
    """Choose the device and the number type.

    ``auto`` takes a CUDA GPU, else Apple's GPU, else the CPU; bfloat16 where the device has matrix units for it.

    Raises
    ------
    UsageError: this machine does not have the device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        if chosen.type not in DEVICES:
            raise RuntimeError("not a device that networks are computed on")
        torch.empty(1, device=chosen).cpu()  # a copy back shows that the device works
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device '{device}' ({(str(error).splitlines() or ['it does not work'])[0]})",
            "auto, cpu, cuda, cuda:1 or mps, present on this machine",
            "leave --device out to let the machine decide",
        ) from error
    reduced = _has_bfloat16_units(chosen) if precision == "auto" else precision == "bfloat16"
    return Machine(chosen, reduced, pixels_at_once=_pixels_at_once(chosen, reduced=reduced))


def _pixels_at_once(device: torch.device, *, reduced: bool) -> int:
    """Return the pixels that are computed at a time by rows.

    On a CPU, 64 maps of 2^16 pixels in bfloat16 take 8 MB, which is in the cache. In float32 the cache matters less
    than the weights, which Winograd's convolution transforms for each piece. A GPU needs more work at a time.
    """
    if device.type != "cpu":
        return 1 << 22
    return 1 << (16 if reduced else 17)


def _has_bfloat16_units(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return has_bfloat16_units()
    return False


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out; on the CPU torch has no type of its own for it."""
    messages = ("can't allocate memory", "bad_alloc")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in messages)


def free_memory(machine: Machine, limit_gb: float | None, sharing: int = 1) -> int | None:
    """Return the bytes that this process may take, or None where the system does not tell.

    Where a control group (container, scheduler) leaves less than the machine has, that counts.

    Parameters
    ----------
    limit_gb: limit of one process in GB; None for none.
    sharing: number of processes that share the machine's main memory.
    """
    limits: list[int] = [] if limit_gb is None else [int(limit_gb * 1e9)]
    if machine.device.type == "cuda":
        limits.append(torch.cuda.mem_get_info(machine.device)[0])
    elif machine.device.type == "cpu":
        limits += [value // sharing for value in (available(), left_in_group()) if value is not None]
    return min(limits, default=None)

"""What the computation runs on: device, number type and memory format."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from unpool.errors import UsageError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Precision = Literal["auto", "float32", "bfloat16"]

_IS_GLIBC = platform.libc_ver()[0] == "glibc"

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -3, -4, -8
"""Parameters of mallopt(3)."""


@dataclass(frozen=True)
class Machine:
    """A device and the number type of its convolutions.

    Attributes
    ----------
    reduced: whether convolutions run in bfloat16; losses, sums and optimiser state are float32 in any case.
    by_rows: whether large windows are computed some rows at a time, see ``unpool.nets.streaming``.
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


def keep_memory() -> None:
    """Let the C library keep what tensors leave, for the tensors of the next step.

    By default it gives large blocks back to the system, which hands them out again page by page. A step of a U-Net of
    64 to 1024 maps on one 512 x 512 picture took 1.34 to 1.47 s with that and 1.02 to 1.16 s without (two cores,
    bfloat16, with large pages). Does nothing where the library is not glibc.
    """
    _tell_malloc({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 1 << 28})


def return_memory(block: int) -> None:
    """Let the C library give what tensors leave back to the system, so that a ceiling can be held.

    Blocks of so many bytes and more are given back at once. Smaller ones it keeps, in a heap that falls to pieces where
    their sizes differ: of a U-Net's windows of 700 x 700 pixels, computed at once, a process held 300 MB more than it
    used. Maps computed by rows have few sizes, and giving 8 MB back each time took half as long again as the
    convolutions. Does nothing where the library is not glibc.
    """
    _tell_malloc({_M_MMAP_THRESHOLD: block, _M_TRIM_THRESHOLD: block, _M_ARENA_MAX: 1})


def trim_memory() -> None:
    """Let the C library give back what nobody uses of what it keeps."""
    if _IS_GLIBC:
        ctypes.CDLL(None).malloc_trim(0)


def _tell_malloc(parameters: Mapping[int, int]) -> None:
    if _IS_GLIBC:
        library = ctypes.CDLL(None)
        for parameter, value in parameters.items():
            library.mallopt(parameter, value)


def peak_memory() -> int | None:
    """Most bytes of main memory that this process has held at a time so far; None where the system does not count."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def resident_memory() -> int | None:
    """Bytes of main memory that this process holds now; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return peak_memory()


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
        found += [value // sharing for value in (_available(), _left_in_group()) if value is not None]
    return min(found, default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        except (AttributeError, ValueError, OSError):
            return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _left_in_group(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    # Files that were read count as used, but the system drops them for who asks for memory.
    cached = sum(int(line.split()[1]) for line in lines if line.startswith(("active_file ", "inactive_file ")))
    return None if limit == "max" else max(int(limit) - max(used - cached, 0), 0)

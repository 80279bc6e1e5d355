"""The processor: its name, the units that speed up convolutions, and the sizes of its caches."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import torch

_QUERIES = (
    ("AMX", "_is_amx_tile_supported"),
    ("AVX-512 bfloat16", "_is_avx512_bf16_supported"),
    ("AVX-512", "_is_avx512_supported"),
    ("AVX2", "_is_avx2_supported"),
)
"""Units of x86 processors, with the functions of torch that know of them. These are private and may disappear."""

USUAL_CACHE = 1 << 19
"""Bytes of a core's own cache where the system does not tell."""


def processor_name() -> str:
    """Return the processor's name; only Linux's own list has it in full."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def units() -> tuple[str, ...]:
    """Return the units of the processor that torch uses for convolutions, the fastest first."""
    return tuple(name for name, query in _QUERIES if getattr(torch.cpu, query, bool)())


def has_bfloat16_units() -> bool:
    """Return whether the processor multiplies bfloat16 numbers faster than float32."""
    return bool({"AMX", "AVX-512 bfloat16"} & set(units()))


@cache
def nearest_cache() -> int:
    """Return the bytes of the largest cache that a core has for itself (level 2)."""
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, size = ((folder / name).read_text(encoding="ascii").strip() for name in ("level", "size"))
        except (OSError, ValueError):
            continue
        if level == "2" and size.removesuffix("K").isdecimal():
            return int(size.removesuffix("K")) << 10
    return USUAL_CACHE

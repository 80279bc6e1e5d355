"""The results of a benchmark as JSON, with the machine and the date."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch


def circumstances() -> dict[str, Any]:
    """Return machine and date as plain JSON data."""
    return {
        "machine": {
            "cpu": _cpu_name(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "torch": torch.__version__,
        },
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_results(results: Mapping[str, Any], table: str, target: str | None) -> None:
    """Print a table, and write the results to the file ``target``.

    Where ``target`` is ``-``, the results go to the standard output and the table to the error output.
    """
    (sys.stderr if target == "-" else sys.stdout).write(table)
    if target is None:
        return
    text = json.dumps(results, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        Path(target).write_text(text, encoding="utf-8")


def _cpu_name() -> str:
    """Return the processor's name; only Linux's own list has it in full."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())

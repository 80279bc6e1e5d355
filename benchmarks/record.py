"""The results of a benchmark as JSON, with the machine and the date."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from unpool.machine.processor import processor_name, units


def circumstances() -> dict[str, Any]:
    """Return machine and date as plain JSON data."""
    return {
        "machine": {
            "cpu": processor_name(),
            "units": list(units()),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "torch": torch.__version__,
        },
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def machine_text(machine: Mapping[str, Any]) -> str:
    """Return the machine of ``circumstances`` as a line: processor, its fastest unit, threads, torch."""
    unit = "".join(f" with {unit}" for unit in machine["units"][:1])
    return f"{machine['cpu']}{unit}, {machine['threads']} threads, torch {machine['torch']}"


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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(circumstances()))

"""Speed of every way to compute a convolution and its two gradients, in 10^9 multiplications and additions a second.

    python benchmarks/convolution_ways.py
    python benchmarks/convolution_ways.py --case 4,32,32,192 --json ways.json

A case is pictures, channels in, channels out and side of square maps, for a 3x3 convolution with padding 1. The number
is that of the definition of a convolution divided by the time, so a way that needs fewer multiplications may exceed the
processor's peak. Conversions of memory formats count. ``--bfloat16`` adds the same cases in bfloat16.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from statistics import median
from time import perf_counter
from typing import Any, get_args

import torch
from torch import Tensor

from record import circumstances, machine_text, write_results
from unpool.convolution.ways import WAYS, ConvolutionCase, Task, compute, possible_ways
from unpool.machine.process_memory import keep_memory

CASES = (
    (1, 64, 64, 256), (1, 128, 128, 128), (1, 256, 256, 64), (1, 1024, 1024, 32), (1, 1024, 1024, 16),
    (4, 8, 8, 256), (4, 16, 16, 256), (4, 32, 32, 192), (4, 64, 64, 96), (4, 256, 256, 24),
)  # fmt: skip
TASKS: tuple[Task, ...] = get_args(Task)
QUICK = (1, 4, 4, 16)


def speeds(case: ConvolutionCase, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the speed of each way for each task, timed for about ``seconds`` each."""
    maps = torch.randn(case.images, case.inputs, case.rows, case.columns).to(case.dtype)
    weight = torch.randn(case.weight_shape).to(case.dtype)
    gradient = torch.randn(case.images, case.outputs, *case.size).to(case.dtype)
    tensors: dict[Task, tuple[Tensor | None, ...]] = {
        "output": (maps, weight, None),
        "gradient of maps": (gradient, weight),
        "gradient of weight": (gradient, maps),
    }
    for task in TASKS:
        given = [each if each is None else each.contiguous(memory_format=torch.channels_last) for each in tensors[task]]
        for name in possible_ways(task, case):
            compute(name, task, case, *given)
            times, began = [], perf_counter()
            while len(times) < 3 or perf_counter() - began < seconds:
                started = perf_counter()
                compute(name, task, case, *given)
                times.append(perf_counter() - started)
            yield {"task": task, "way": name, "gflops": 2e-9 * case.multiplications / median(times)}


def table_of(results: dict[str, Any]) -> str:
    """Return the speeds as a table: a line for each case and task, a column for each way."""
    names = [name for name in WAYS if any(row["way"] == name for row in results["rows"])]
    lines = [machine_text(results["machine"]), f"{'':38}" + "".join(f"{name:>15}" for name in names)]
    for case in dict.fromkeys(row["case"] for row in results["rows"]):
        for task in TASKS:
            found = {row["way"]: row["gflops"] for row in results["rows"] if (row["case"], row["task"]) == (case, task)}
            cells = "".join(f"{found[name]:>15.0f}" if name in found else f"{'–':>15}" for name in names)
            lines.append(f"{case:20}{task:18}{cells}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Time every way for every case and print the table."""
    parser = argparse.ArgumentParser(description="Speed of every way to compute a convolution.")
    parser.add_argument("--case", action="append", help="pictures,channels in,channels out,side; may be repeated")
    parser.add_argument("--bfloat16", action="store_true", help="the same cases in bfloat16 too")
    parser.add_argument("--seconds", type=float, default=0.3, help="time for each number")
    parser.add_argument("--json", metavar="FILE", help="write the results there; - for the standard output")
    parser.add_argument("--quick", action="store_true", help="one tiny case: does it run?")
    given = parser.parse_args(arguments)
    keep_memory()
    cases = [tuple(int(number) for number in text.split(",")) for text in given.case or ()] or CASES
    rows = []
    for dtype in (torch.float32, torch.bfloat16) if given.bfloat16 else (torch.float32,):
        for images, inputs, outputs, side in [QUICK] if given.quick else cases:
            case = ConvolutionCase(dtype, images, inputs, outputs, side, side, (3, 3), (1, 1))
            name = f"{images}, {inputs}, {outputs}, {side}" + (" bf16" if dtype == torch.bfloat16 else "")
            rows += [{"case": name, **row} for row in speeds(case, 0.0 if given.quick else given.seconds)]
    results = {"rows": rows, **circumstances()}
    write_results(results, table_of(results), given.json)


if __name__ == "__main__":
    main()

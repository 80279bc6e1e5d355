"""The hunt as a program: python -m fuzz COUNT.

Its last line has the inputs and the findings; the exit code is 1 if there are any.
"""

import argparse
import os
import sys
import time
from collections import Counter

from fuzz.hunt import hunt, keep, parts_of, seeds
from fuzz.kinds import KINDS


def main() -> int:
    """Read COUNT faulty inputs, print findings as they come, and keep one input of each cause."""
    options = argparse.ArgumentParser(prog="python -m fuzz", description="Read faulty files with every reader.")
    options.add_argument("count", type=int, help="number of inputs, divided among the kinds")
    options.add_argument("--seed", type=int, default=0, help="seed of the faults")
    options.add_argument("--kind", action="append", choices=sorted(KINDS), help="only this kind; repeatable")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="workers at the same time")
    given = options.parse_args()
    asked = given.kind or list(KINDS)
    names = [name for name in asked if KINDS[name].available]
    for name in sorted({*asked} - {*names}):
        print(f"{name}: left out, because the package {KINDS[name].package} is not installed")
    begun, inputs, causes, findings = time.monotonic(), Counter[str](), set[str](), 0
    with seeds(names) as folders:
        for result in hunt(parts_of(folders, given.count, given.seed), given.jobs):
            inputs[result.kind] += result.inputs
            findings += len(result.findings)
            for finding in result.findings:
                if finding.cause not in causes:
                    causes.add(finding.cause)
                    print(f"{finding.kind} {finding.number}, {finding.reader}: {finding.wrong}\n  {keep(finding)}")
            print(f"{inputs.total():,} inputs, {findings:,} findings, {time.monotonic() - begun:.0f} s", flush=True)
    print(", ".join(f"{name} {count:,}" for name, count in inputs.items()))
    print(f"{inputs.total():,} inputs of {len(inputs)} kinds, {findings:,} findings of {len(causes)} causes")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

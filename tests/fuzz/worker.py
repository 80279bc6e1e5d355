"""A process that reads inputs and reports what each reader did. A fault may kill it, and nothing else.

It takes parts of work as lines of JSON from standard input: a kind, the folder of its seeds, and the seed and numbers
of the inputs, or none to read the seeds as they are. It answers with lines of JSON on standard output.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from fuzz.kinds import KINDS, Reader
from fuzz.mutations import Tree, faulty
from fuzz.seeds import read_tree, write_tree
from unpool.errors import UnpoolError

CPU_SECONDS = 10
"""Processor time of one reader on one input. The system then ends this process, whatever it does."""
MEMORY = 2 << 30
"""Bytes that a reader may take beyond its result."""
ADDRESSES = 8 << 30
"""Bytes of addresses that this process may take beyond those it begins with; a safeguard of the machine."""


def main(work: Path) -> None:
    """Read every part that is asked for. ``work`` is an empty folder."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    screen = os.open(work / "screen.txt", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(screen, 1)
    os.dup2(screen, 2)
    warnings.simplefilter("always")
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + ADDRESSES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        part = json.loads(line)
        for number, tree in _inputs(part["kind"], Path(part["seeds"]), part["numbers"]):
            _read(part["kind"], number, tree, work / "input", screen, report)
        _say(report, done=True)


def _inputs(kind: str, folder: Path, numbers: list[int] | None) -> Iterator[tuple[int, Tree]]:
    trees = [read_tree(path) for path in sorted(folder.iterdir())]
    if numbers is None:
        yield from enumerate(trees)
        return
    seed, first, stop = numbers
    for number in range(first, stop):
        chance = random.Random(f"{seed} {kind} {number}")
        yield number, faulty(chance.choice(trees), chance)


def _read(kind: str, number: int, tree: Tree, folder: Path, screen: int, report: Any) -> None:
    """Let every reader of a kind read an input, and say what was wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_tree(tree, folder)
    _say(report, number=number)
    for reader in KINDS[kind].readers:
        _say(report, reader=reader.__name__)
        if wrong := fault_of(reader, folder, screen):
            _say(report, wrong=wrong)


def fault_of(reader: Reader, folder: Path, screen: int) -> str:
    """Run a reader; return what it did wrong in one line, or an empty text.

    Parameters
    ----------
    screen: the descriptor of the file that standard output and errors go to.
    """
    os.ftruncate(screen, 0)
    os.lseek(screen, 0, os.SEEK_SET)
    Path("/proc/self/clear_refs").write_text("5")  # begins a new highest use of memory
    before, needed, wrong = _status("VmRSS"), 0, ""
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        needed = reader(folder)
    except UnpoolError as error:
        wrong = "" if all(map(str.strip, error.args)) else f"a message without all its parts: {error.args}"
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"[:200].replace("\n", " ") + f" ({_place(error)})"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    taken = _status("VmHWM") - before - needed
    if not wrong and taken > MEMORY:
        wrong = f"{taken / (1 << 30):.1f} GiB of memory"
    sys.stdout.flush()
    sys.stderr.flush()
    if not wrong and (printed := os.pread(screen, 200, 0)):
        wrong = f"on the screen: {printed!r}"
    return wrong


def _place(error: BaseException) -> str:
    """Return the innermost line of Unpool that an error passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/unpool/" in frame.filename]
    frame = (own or frames)[-1]
    return f"{frame.filename.rpartition('/unpool/' if own else '/')[2]}:{frame.lineno}"


def _status(name: str) -> int:
    """Return a number of bytes that the system tells about this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _say(report: Any, **said: object) -> None:
    report.write(json.dumps(said) + "\n")
    report.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

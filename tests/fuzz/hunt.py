"""A hunt for findings: workers read inputs of all kinds, and what kills a worker is a finding too."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from fuzz.kinds import KINDS
from fuzz.mutations import Tree
from fuzz.seeds import read_tree, seeds_of, write_tree

CORPUS = Path(__file__).parent / "corpus"
"""The inputs of findings, as KIND/DIGEST/FILES. They are read again by the tests, and are further seeds."""
SILENCE = 180.0
"""Seconds without a word after which a worker is taken for blocked. They are not processor time: a load may slow it."""
PROGRAM = ("-m", "fuzz.worker")
"""What Python runs as a worker."""
PART = 500
"""The most inputs of a part, the work that is given to a worker at once."""


@dataclass(frozen=True)
class Part:
    """Inputs of one kind.

    Attributes
    ----------
    seeds: the folder of the kind's seeds.
    numbers: the seed of the faults, the first input and the one after the last; None for the seeds as they are.
    """

    kind: str
    seeds: Path
    numbers: tuple[int, int, int] | None


@dataclass(frozen=True)
class Finding:
    """What a reader did wrong with an input."""

    kind: str
    number: int
    reader: str
    wrong: str
    tree: Tree = field(repr=False)

    @property
    def cause(self) -> str:
        """What findings of one cause share: the reader, and the error without its values."""
        head, mark, place = self.wrong.rpartition(" (")
        return f"{self.kind} {self.reader} " + (head.partition(":")[0] + mark + place if mark else self.wrong[:60])


@dataclass
class Result:
    """The number of inputs that were read, and the findings."""

    kind: str
    inputs: int = 0
    findings: list[Finding] = field(default_factory=list)


@contextmanager
def seeds(names: Iterable[str]) -> Iterator[Mapping[str, Path]]:
    """Write the seeds of some kinds, and yield the folder of each kind."""
    with tempfile.TemporaryDirectory(prefix="unpool-fuzz-") as home:
        folders = {name: Path(home) / name for name in names}
        for name, folder in folders.items():
            trees = [*seeds_of(name, Path(home) / "made"), *corpus(name).values()]
            for number, tree in enumerate(trees):
                write_tree(tree, folder / f"{number:03}")
        yield folders


def corpus(kind: str) -> dict[str, Tree]:
    """Return the inputs of earlier findings, by their digests."""
    folder = CORPUS / kind
    return {path.name: read_tree(path) for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def keep(finding: Finding) -> Path:
    """Add the input of a finding to the corpus; return its folder."""
    digest = sha256(repr(sorted(finding.tree.items())).encode()).hexdigest()[:12]
    folder = CORPUS / finding.kind / digest
    write_tree(finding.tree, folder)
    return folder


def parts_of(folders: Mapping[str, Path], count: int, seed: int) -> list[Part]:
    """Divide a number of inputs among kinds by their weights, and among parts."""
    kinds = [KINDS[name] for name in folders]
    weights = sum(kind.weight for kind in kinds)
    parts = []
    for kind in kinds:
        of_kind = max(1, -(-count * kind.weight // weights))
        for first in range(0, of_kind, PART):
            parts.append(Part(kind.name, folders[kind.name], (seed, first, min(first + PART, of_kind))))
    return parts


def hunt(parts: Iterable[Part], jobs: int) -> Iterator[Result]:
    """Read parts with a number of workers; yield the result of each part, in their order."""
    workers: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for _ in range(jobs):
        workers.put(Worker())

    def read(part: Part) -> Result:
        worker = workers.get()
        try:
            return worker.read(part)
        finally:
            workers.put(worker)

    try:
        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(read, parts)
    finally:
        while not workers.empty():
            workers.get().close()


class Worker:
    """A process of ``fuzz.worker``, and a new one after each that dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._work = tempfile.TemporaryDirectory(prefix="unpool-fuzz-")

    def read(self, part: Part) -> Result:
        """Read all inputs of a part."""
        result = Result(part.kind)
        waiting: Part | None = part
        while waiting is not None:
            died_at = self._read(waiting, result)
            waiting = None
            if died_at is not None and part.numbers is not None:
                waiting = Part(part.kind, part.seeds, (part.numbers[0], died_at + 1, part.numbers[2]))
        return result

    def close(self) -> None:
        """End the process."""
        self._stop()
        self._work.cleanup()

    def _stop(self) -> int:
        """End the process; return its exit code."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()
        return process.wait()

    def _read(self, part: Part, result: Result) -> int | None:
        """Read a part until its end or the worker's; return the input that ended the worker, or None."""
        process = self._running()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"kind": part.kind, "seeds": str(part.seeds), "numbers": part.numbers}) + "\n")
        process.stdin.flush()
        number, reader, folder = part.numbers[1] if part.numbers else 0, "start", Path(self._work.name, "input")
        while said := self._next():
            if "number" in said:
                number, reader = said["number"], ""
                result.inputs += 1
            elif "wrong" in said:
                result.findings.append(Finding(part.kind, number, reader, said["wrong"], read_tree(folder)))
            elif "done" in said:
                return None
            reader = said.get("reader", reader)
        result.findings.append(Finding(part.kind, number, reader, _end(self._stop()), read_tree(folder)))
        return number

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is not None:
            return self._process
        place = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, *PROGRAM, self._work.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": place, "OMP_NUM_THREADS": "1"},
        )
        self._said = said = queue.SimpleQueue()
        output = self._process.stdout
        assert output is not None
        threading.Thread(target=lambda: [*map(said.put, output), said.put("")], daemon=True).start()
        return self._process

    def _next(self) -> dict[str, Any] | None:
        """Return what the worker says next; None where it has ended or is silent for too long."""
        try:
            line = self._said.get(timeout=SILENCE)
        except queue.Empty:
            return None
        return json.loads(line) if line else None


def _end(code: int) -> str:
    if code == -signal.SIGPROF:
        return "a hang: too much processor time"
    if code == -signal.SIGKILL:
        return f"a hang: nothing for {SILENCE:.0f} s"
    return f"the process ended with {signal.Signals(-code).name if code < 0 else code}"

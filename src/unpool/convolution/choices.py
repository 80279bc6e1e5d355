"""The choices: for each case and task the fastest way, found by measuring once, and remembered.

The first process of a machine that meets a case measures it, while others that meet it wait; a file in the person's
cache folder keeps the choice for all later ones (``unpool.convolution.choices_file``). So two runs on one machine, and
all processes of one run, compute alike. A training keeps the choices that it used with its state: they hold when it is
resumed, whatever the file says then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from unpool.convolution.choices_file import ChoicesFile
from unpool.convolution.ways import DIRECT, WAYS, ConvolutionCase, Task, compute, possible_ways
from unpool.machine_code.check import compiling_seconds
from unpool.wording import count_text

LEAST_WORK = 1 << 24
"""Multiplications from which a case is worth measuring; below, torch's own way is taken."""

ROUNDS = 2
"""Times that each way is timed; its fastest counts, since other programs only make it slower."""

HOPELESS = 1.7
"""A way that took this much longer than the best one so far is not run again."""

ENOUGH_WORK, ENOUGH_ROWS = 1 << 30, 32
"""Multiplications on which the ways for one picture are measured, and the fewest rows: a part of larger maps."""


MACHINE_CODE = "machine code"
"""The name of a way that has one alternative, torch's own."""


class Measured(NamedTuple):
    """The cases that a process measured, the seconds that this took, and those for which it compiled machine code."""

    cases: int = 0
    seconds: float = 0.0
    compiling: float = 0.0

    def text_since(self, before: Measured) -> str:
        """Return a sentence about what was compiled and measured since ``before``; empty where there is nothing."""
        found = []
        if self.compiling > before.compiling:
            found.append(
                f"compiled machine code in {self.compiling - before.compiling:.0f} s, once after an installation"
            )
        if self.cases > before.cases:
            count, seconds = count_text(self.cases - before.cases, "case"), self.seconds - before.seconds
            found.append(f"measured the fastest way to compute {count} of convolutions in {seconds:.0f} s, "
                         "once on this machine")  # fmt: skip
        return "\n".join(found)


@dataclass
class WayChoices:
    """The choices of this process.

    Attributes
    ----------
    file: the file of this machine's choices; None keeps them in memory.
    chosen: name of the way by the key of task and case.
    given: choices of a training that is resumed; they come first.
    used: choices that this process took.
    missing: whether a given choice is not possible in this process, so that numbers round differently.
    """

    file: ChoicesFile | None = None
    chosen: dict[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    missing: bool = False
    _measured: Measured = field(default_factory=Measured)
    _quick: dict[tuple[Task, ConvolutionCase, int], str] = field(default_factory=dict)

    @property
    def measured(self) -> Measured:
        """What this process measured itself, and what it compiled."""
        return self._measured._replace(compiling=compiling_seconds())

    def way(self, task: Task, case: ConvolutionCase, *tensors: Tensor | None) -> str:
        """Return the name of the way for a task of a case, which is measured on these tensors if it is new."""
        if case.multiplications < LEAST_WORK:
            return DIRECT
        quick = task, case, torch.get_num_threads()
        known = self._quick.get(quick)
        if known is None:
            known = self._quick[quick] = self._looked_up(task, case, tensors)
        return known

    def uses_machine_code(self, what: str, works: bool) -> bool:
        """Return whether something is computed by machine code: where it works, and a resumed training did so."""
        name = self.given.get(what, MACHINE_CODE if works else DIRECT)
        self.missing |= name == MACHINE_CODE and not works
        self.used[what] = name
        return name == MACHINE_CODE and works

    def begin(self, given: Mapping[str, str]) -> None:
        """Begin a training: forget what was used before, and take the choices of its state first."""
        self.given, self.used, self._quick, self.missing = dict(given), dict(given), {}, False

    def _looked_up(self, task: Task, case: ConvolutionCase, tensors: tuple[Tensor | None, ...]) -> str:
        key, possible = key_of(task, case), possible_ways(task, case)
        name = self.given.get(key) or self.chosen.get(key)
        self.missing |= key in self.given and name not in possible
        if name not in possible:
            with self.file.locked() if self.file else nullcontext():
                if self.file:
                    self.chosen |= self.file.read()
                name = self.chosen.get(key)
                if name not in possible:
                    started = perf_counter()
                    part = _upper_part(task, case, tensors)
                    # The likely winner first: the others are then given up after one run.
                    likely = sorted(possible, key=lambda each: each != "Winograd")
                    name = fastest({each: _run_of(each, task, *part) for each in likely})
                    seconds = self._measured.seconds + perf_counter() - started
                    self._measured = Measured(self._measured.cases + 1, seconds)
                    self.chosen[key] = name
                    if self.file:
                        self.file.add(key, name)
        assert name is not None
        self.used[key] = name
        return name


def key_of(task: Task, case: ConvolutionCase) -> str:
    """Return the text under which a choice is kept; maps of nearly equal sizes share it."""
    dtype = str(case.dtype).removeprefix("torch.")
    kernel = "x".join(map(str, case.kernel))
    # Areas within a power of four: the rows of a picture's first and last pieces should not be measured again.
    size = f"{case.images}x4^{((case.rows * case.columns).bit_length() + 1) // 2}"
    kind = "up-convolution" if case.up else "convolution"
    threads = f"{torch.get_num_threads()} threads"
    return f"{kind}, {task}, {kernel} from {case.inputs} to {case.outputs}, {size}, {dtype}, {threads}"


def fastest(runs: Mapping[str, Callable[[], object]]) -> str:
    """Return the name of the fastest of several runs; one that fails, for want of memory too, is passed over.

    Where all fail, the error of the last is raised.
    """
    best, name, failure = float("inf"), "", None
    for each, run in runs.items():
        try:
            for number in range(1 + ROUNDS):  # the first run may make machine code, or fetch memory
                started = perf_counter()
                run()
                seconds = perf_counter() - started
                if seconds > HOPELESS * best:
                    break
                if number and seconds < best:
                    best, name = seconds, each
        except (RuntimeError, MemoryError, ValueError) as error:
            failure = error
    if not name and failure is not None:
        raise failure
    return name


def _upper_part(
    task: Task, case: ConvolutionCase, tensors: tuple[Tensor | None, ...]
) -> tuple[ConvolutionCase, tuple[Tensor | None, ...]]:
    """Return the upper rows of a case of one picture, with their tensors, where the whole would take long."""
    rows = max(ENOUGH_ROWS, case.rows * ENOUGH_WORK // case.multiplications)
    if case.images > 1 or rows >= case.rows:
        return case, tensors
    part = case._replace(rows=rows)
    first, second, *rest = tensors
    assert first is not None
    assert second is not None
    if task == "output":
        return part, (first[:, :, :rows], second, *rest)
    gradient = first[:, :, : part.size[0]]
    return part, (gradient, second if task == "gradient of maps" else second[:, :, :rows], *rest)


def _run_of(name: str, task: Task, case: ConvolutionCase, tensors: tuple[Tensor | None, ...]) -> Callable[[], Tensor]:
    return lambda: compute(name, task, case, *tensors)


CHOICES = WayChoices(ChoicesFile.of_this_machine(tuple(WAYS)))
"""The choices of this process, for all networks in it."""

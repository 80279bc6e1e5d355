"""Time of one training step of our networks, compared with the same network as others train it.

    python benchmarks/train_step.py                          # U-Net, 64 to 1024 maps, 512 x 512, one picture
    python benchmarks/train_step.py --net segnet --batch 2 --json step.json

All steps do the same: batch to the device, gradients cleared, forward, cross-entropy and Dice, backward, gradients
clipped, optimiser, loss read. The contenders take turns, so other work of the machine slows all of them. A ratio is the
median of 'float32 default' divided by the row's median: above 1, the row is faster. Our steps run in a process of their
own, because they set up memory as ``unpool train`` does, while the others keep their defaults.

float32 default         NCHW float32, plain PyTorch: for ``unet`` a network written out in ``peers``, with RMSprop; for
                        the other nets our own network and optimiser
float32 channels-last   as 'float32 default', in the other memory format
ours                    the package's own step: channels-last, each convolution in the way that is measured as fastest
                        here (``unpool.convolution``), in bfloat16 where the machine has such units, AdamW, checks for
                        finite numbers; forward and loss plain (eager), or through torch.compile with torch's own
                        convolutions. The time of the first call includes compiling only while torch's cache
                        (TORCHINDUCTOR_CACHE_DIR) is empty
convolution ceiling     forward and backward of our network's convolutions alone, one after another, in the number type
                        and the ways of our step: no step can be shorter without faster convolutions
MONAI, nnU-Net          their U-Nets of the same widths, where installed (``unet`` only)
"""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.optim import Optimizer

from convolutions import convolutions, lone_convolutions
from loading import sampler
from peers import PACKAGED, PLAIN, Peer, plain_loss
from record import circumstances, machine_text, write_results
from unpool.cli.main import HUGE_PAGES
from unpool.config.schema import TrainingSettings
from unpool.convolution.operation import torch_alone
from unpool.data.batches import Batch
from unpool.losses.loss import Loss
from unpool.machine.device import Machine, choose_machine
from unpool.machine.process_memory import keep_memory
from unpool.nets.blocks import crop_to
from unpool.nets.families import network_of, structure_of
from unpool.nets.named import named_net
from unpool.nets.network import Network
from unpool.optim import optimiser
from unpool.processes import ALONE
from unpool.training.objective import objective
from unpool.training.records import Budget
from unpool.training.setup import TrainingSetup
from unpool.training.step import train_step

NETS = ("unet", "segnet", "segnet-basic", "fusionnet", "fcn-8s")
DEFAULT, LAST, EAGER, COMPILED = "float32 default", "float32 channels-last", "ours, eager", "ours, compiled"
CEILING = "convolution ceiling"
WARM_UP = 2
"""Number of first rounds that do not count."""

QUICK = {"size": 32, "batch": 1, "width": 4, "repeats": 2}

PlainObjective = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """The network and the batch that all contenders train.

    Attributes
    ----------
    width: feature maps of the first stage.
    images: float32 (N, channels, size, size); labels: int64 (N, size, size).
    """

    net: str
    width: int
    images: Tensor
    labels: Tensor
    classes: int = 2

    def network(self) -> Network:
        """Return our network."""
        structure = structure_of({**named_net(self.net).structure.model_dump(), "width": self.width})
        return network_of(structure, self.images.shape[1], self.classes)


@dataclass(frozen=True)
class Training:
    """Everything that a step needs, apart from the batch; ``objective`` computes the loss from images and labels."""

    network: nn.Module
    objective: PlainObjective
    optimiser: Optimizer
    clip: float
    device: torch.device
    memory_format: torch.memory_format


@dataclass(frozen=True)
class Contender:
    """A step to time; ``run`` is None where it cannot run, and ``note`` has the reason."""

    name: str
    parameters: int | None = None
    run: Callable[[], object] | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """The result of a contender: seconds of each round, their median and best; bytes needed at the peak."""

    name: str
    parameters: int | None
    times_s: tuple[float, ...]
    median_s: float | None
    best_s: float | None
    ratio: float | None
    peak_bytes: int | None
    note: str


def step(training: Training, images: Tensor, labels: Tensor) -> float:
    """Take one training step; return the loss."""
    training.optimiser.zero_grad(set_to_none=True)
    images = images.to(training.device, memory_format=training.memory_format)
    loss = training.objective(images, labels.to(training.device))
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(training.network.parameters(), training.clip)
    training.optimiser.step()
    return loss.item()


def objective_of(network: nn.Module, machine: Machine, loss: PlainObjective) -> PlainObjective:
    """Return forward and loss as one function, so that they are compiled together."""

    def objective(images: Tensor, labels: Tensor) -> Tensor:
        with machine.arithmetic():
            logits = network(images)
        return loss(crop_to(logits, labels.shape[1:]), labels)

    return objective


def ours(task: Task, machine: Machine, *, compiled: bool) -> Contender:
    """Return the package's step with its default settings."""
    network = task.network()
    machine.place(network).train()
    given = TrainingSettings()
    setup = TrainingSetup(
        batches=sampler((), task.images.shape[-1], len(task.images), steps=1),
        validation=(),
        loss=Loss(),
        optimiser=optimiser(network, given.optimiser, given.learning_rate, given.weight_decay),
        learning_rate=given.learning_rate,
        budget=Budget(epochs=1),
        machine=machine,
    )
    batch = Batch(task.images, task.labels, ("random",) * len(task.images))
    loss_of = objective(network, setup.loss, machine, ALONE, compiled=compiled)
    run = partial(train_step, network, batch, setup, loss_of)
    return Contender(COMPILED if compiled else EAGER, _count(network), run, machine.describe())


def own_in_float32(task: Task, machine: Machine, memory_format: torch.memory_format) -> Training:
    """Return our network and optimiser as a peer runs them: in float32, in the given memory format."""
    network = task.network().to(machine.device, memory_format=memory_format)  # type: ignore[call-overload]
    given = TrainingSettings()
    made = optimiser(network, given.optimiser, given.learning_rate, given.weight_decay)
    loss = as_torch_computes(objective_of(network, machine, plain_loss))
    return Training(network, loss, made, TrainingSetup.clip, machine.device, memory_format)


def as_torch_computes(objective: PlainObjective) -> PlainObjective:
    """Return an objective whose convolutions are torch's own."""

    def plain(images: Tensor, labels: Tensor) -> Tensor:
        with torch_alone():
            return objective(images, labels)

    return plain


def theirs(task: Task, peer: Peer, machine: Machine, memory_format: torch.memory_format) -> Training:
    """Return a peer's step. Raises ImportError where its package is missing."""
    network = peer.build(task.images.shape[1], task.classes, task.width)
    network = network.to(machine.device, memory_format=memory_format)  # type: ignore[call-overload]
    objective = objective_of(network, machine, plain_loss)
    return Training(network, objective, peer.optimiser(network.parameters()), peer.clip, machine.device, memory_format)


def contender(name: str, training: Training, task: Task, note: str = "") -> Contender:
    """Return a training step as a contender."""
    return Contender(name, _count(training.network), partial(step, training, task.images, task.labels), note)


def contenders(task: Task, machine: Machine, *, quick: bool) -> Iterator[Contender]:
    """Yield all contenders, in the order of the table."""
    single = Machine(machine.device, reduced=False)
    for name, memory_format in ((DEFAULT, torch.contiguous_format), (LAST, torch.channels_last)):
        plain = partial(theirs, task, PLAIN) if task.net == "unet" else partial(own_in_float32, task)
        yield contender(name, plain(single, memory_format), task)
    yield from elsewhere(task, machine, quick=quick)
    if task.net == "unet":
        for peer in PACKAGED:
            yield packaged(task, peer, single, f"{peer.name}, float32")
            if machine.reduced:
                yield packaged(task, peer, machine, f"{peer.name}, bfloat16")


def elsewhere(task: Task, machine: Machine, *, quick: bool) -> Iterator[Contender]:
    """Yield our steps and the ceiling, in a process that sets up its memory as ``unpool train`` does."""
    here, there = get_context("spawn").Pipe()
    with patch.dict(os.environ, HUGE_PAGES):
        get_context("spawn").Process(target=serve, args=(there, task, machine, quick), daemon=True).start()
    atexit.register(here.send, None)
    for number, (name, parameters, runs, note) in enumerate(here.recv()):
        yield Contender(name, parameters, partial(turn, here, number) if runs else None, note)


def turn(pipe: Connection, number: int) -> object:
    """Run a contender once in the other process, and wait for it."""
    pipe.send(number)
    return pipe.recv()


def serve(pipe: Connection, task: Task, machine: Machine, quick: bool) -> None:
    """Make the contenders in the other process, send their descriptions, and run them on demand."""
    keep_memory()
    torch.manual_seed(0)
    made = [ours(task, machine, compiled=False), compiled(task, machine, quick=quick), ceiling(task, machine)]
    pipe.send([(one.name, one.parameters, one.run is not None, one.note) for one in made])
    for number in iter(pipe.recv, None):
        run = made[number].run
        assert run is not None
        pipe.send(seconds(run, machine.device))


def compiled(task: Task, machine: Machine, *, quick: bool) -> Contender:
    """Return our compiled step, or why there is none: the compiler of the device's language may be missing."""
    made = ours(task, machine, compiled=True)
    if quick:
        return Contender(COMPILED, made.parameters, note="left out of a quick look")
    assert made.run is not None
    try:
        first = seconds(made.run, machine.device)
    except TorchDynamoException as error:
        reason = " ".join(str(error).partition("\n\n")[0].split())  # torch's advice on logging follows
        return Contender(COMPILED, made.parameters, note=f"not compiled: {reason}")
    return Contender(COMPILED, made.parameters, made.run, f"first call {first:.1f} s")


def packaged(task: Task, peer: Peer, machine: Machine, name: str) -> Contender:
    """Return a peer from a package in its default memory format, or how to install it."""
    try:
        return contender(name, theirs(task, peer, machine, torch.contiguous_format), task)
    except ImportError as error:
        missing = str(error.name).partition(".")[0].replace("_", "-")
        lacks = "not installed" if missing == peer.package else f"{missing} is missing"
        return Contender(name, note=f"{lacks}: pip install {peer.package}")


def ceiling(task: Task, machine: Machine) -> Contender:
    """Return our network's convolutions alone, one after another."""
    network = task.network()
    found = lone_convolutions(network, task.images, machine)
    parameters = sum(_count(layer) for layer in convolutions(network))
    return Contender(CEILING, parameters, lambda: [one.run() for one in found], f"{len(found)} convolutions")


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Return the time of one call, until the device has finished."""
    _wait(device)
    start = perf_counter()
    run()
    _wait(device)
    return perf_counter() - start


def timed(everyone: Sequence[Contender], repeats: int, device: torch.device) -> list[tuple[float, ...]]:
    """Return the seconds of each contender in each round; empty for a contender that cannot run."""
    times: list[list[float]] = [[] for _ in everyone]
    for number in range(WARM_UP + repeats):
        if sys.stderr.isatty():
            sys.stderr.write(f"\rround {number + 1} of {WARM_UP + repeats}, the first {WARM_UP} not counted \r")
        for one, series in zip(everyone, times, strict=True):
            if one.run is not None:
                series.append(seconds(one.run, device))
    return [tuple(series[WARM_UP:]) for series in times]


def peak(run: Callable[[], object], device: torch.device) -> int | None:
    """Return the bytes that a call needs beyond those in use before it; None where the device does not count."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    return torch.cuda.max_memory_allocated(device) - before


def rows_of(everyone: Sequence[Contender], times: Sequence[tuple[float, ...]], device: torch.device) -> list[Row]:
    """Return the rows of the table; ratios are relative to the first contender."""
    return [row_of(one, series, median(times[0]), device) for one, series in zip(everyone, times, strict=True)]


def row_of(one: Contender, times: tuple[float, ...], measure: float, device: torch.device) -> Row:
    """Return the row of one contender; its ratio is ``measure`` divided by its median."""
    if one.run is None:
        return Row(one.name, one.parameters, (), None, None, None, None, one.note)
    middle = median(times)
    needed = peak(one.run, device)
    return Row(one.name, one.parameters, times, middle, min(times), measure / middle, needed, one.note)


def results_of(rows: Sequence[Row], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all results as plain JSON data; ``ours_s`` is the faster of eager and compiled."""
    medians = {row.name: row.median_s for row in rows if row.median_s is not None}
    best = min((name for name in (EAGER, COMPILED) if name in medians), key=lambda name: medians[name])
    return {
        "ours": best,
        "ours_s": medians[best],
        "float32_default_s": medians[DEFAULT],
        "ratio": medians[DEFAULT] / medians[best],
        "convolution_ceiling_s": medians[CEILING],
        "rows": [asdict(row) for row in rows],
        "settings": dict(settings),
        **circumstances(),
    }


def table_of(rows: Sequence[Row], results: Mapping[str, Any]) -> str:
    """Return the rows as text, without empty columns."""
    given, machine = results["settings"], results["machine"]
    columns: dict[str, list[Any]] = {
        "parameters": [row.parameters and f"{row.parameters:,}" for row in rows],
        "seconds": [row.median_s and f"{row.median_s:.4f}" for row in rows],
        "best": [row.best_s and f"{row.best_s:.4f}" for row in rows],
        "ratio": [row.ratio and f"{row.ratio:.2f}" for row in rows],
        "peak MiB": [row.peak_bytes and f"{row.peak_bytes / 2**20:.0f}" for row in rows],
    }
    shown = {head: cells for head, cells in columns.items() if any(cells)}
    lines = [
        f"{given['net']}, width {given['width']}, {given['batch']} x 3 x {given['size']} x {given['size']}, "
        f"{given['repeats']} rounds; {machine_text(machine)}",
        f"{'':32}" + "".join(f"{head:>12}" for head in shown),
    ]
    for row, cells in zip(rows, zip(*shown.values(), strict=True), strict=True):
        lines.append(f"{row.name:32}" + "".join(f"{cell or '–':>12}" for cell in cells) + f"  {row.note}".rstrip())
    lines.append(f"{DEFAULT} / {results['ours']}: {results['ratio']:.2f}")
    return "\n".join(lines) + "\n"


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; exit where the network cannot take the size."""
    parser = argparse.ArgumentParser(description="Time of one training step, ours against others'.")
    parser.add_argument("--net", choices=NETS, default="unet")
    parser.add_argument("--size", type=int, default=512, help="side of the square pictures in pixels")
    parser.add_argument("--batch", type=int, default=1, help="pictures a step")
    parser.add_argument("--width", type=int, default=64, help="feature maps of the first stage")
    parser.add_argument("--repeats", type=int, default=10, help="rounds that count")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--json", metavar="FILE", help="write the results there; - for the standard output")
    parser.add_argument("--quick", action="store_true", help="a tiny size and nothing compiled: does it run?")
    given = parser.parse_args(arguments)
    if given.quick:
        vars(given).update(QUICK)
    legal = named_net(given.net).structure.legal_size(given.size)
    if legal != given.size:
        parser.error(f"{given.net} cannot take {given.size} pixels; the next size is {legal}")
    if min(given.batch, given.width, given.repeats) < 1:
        parser.error("--batch, --width and --repeats are 1 or more")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    """Time all contenders and print the table."""
    given = options(arguments)
    torch.manual_seed(0)
    machine = choose_machine(given.device)
    images = torch.randn(given.batch, 3, given.size, given.size)
    task = Task(given.net, given.width, images, torch.randint(2, (given.batch, given.size, given.size)))
    everyone = list(contenders(task, machine, quick=given.quick))
    rows = rows_of(everyone, timed(everyone, given.repeats, machine.device), machine.device)
    results = results_of(rows, vars(given))
    write_results(results, table_of(rows, results), given.json)


if __name__ == "__main__":
    main()

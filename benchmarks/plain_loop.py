"""A peer's network in a plain training loop, in a process of its own: ``ten_minutes.py`` starts it with a job.

The loop is what a person writes with such a package: all pictures in memory, random crops and mirrors from a thread,
a step until the time is up, the last weights kept. Nothing is validated. The clock starts with the process, so imports,
reading and writing count. The withheld pictures are then predicted whole, padded to multiples of 32 by mirroring, and
counted by the package's own confusion matrix and measures.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from peers import RECIPES, PlainLoss, Recipe
from unpool.class_table import ClassTable, Labels
from unpool.data.samples import Pair, Sample, read_sample
from unpool.data.training_normalisation import training_normalisation
from unpool.io.write.images import write_image
from unpool.machine.device import Machine, choose_machine
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.measures import Evidence
from unpool.metrics.named import MEASURES
from unpool.metrics.scores import scores
from unpool.normalisation import Normalisation
from unpool.read_ahead import read_ahead
from unpool.report.pictures import displayable, overlay

STRIDE = 32
"""Sides of crops and of predicted pictures are multiples of it: of five poolings."""

TRIALS = 4
"""First steps of a tuned recipe, in float32 and bfloat16 by turns; the second of each kind is timed."""


@dataclass(frozen=True)
class Job:
    """A training and its scoring, as plain JSON data.

    Attributes
    ----------
    recipe: key of ``peers.RECIPES``.
    table: the class table's card; channels: of the pictures as the network gets them.
    train, withheld: name, picture file and mask file of each pair.
    started: time at which the process was started, in seconds since 1970.
    upright: whether pictures have an up and a down, so that crops are only mirrored left to right.
    width: feature maps of the first stage; 0 for the recipe's own.
    crop: longest side of a crop.
    weights, result: files to write.
    pictures: folder for some predictions to look at; empty for none.
    """

    recipe: str
    table: Mapping[str, Any]
    channels: int
    train: Sequence[tuple[str, str, str]]
    withheld: Sequence[tuple[str, str, str]]
    minutes: float
    started: float
    seed: int
    device: str
    upright: bool
    width: int
    crop: int
    weights: str
    result: str
    pictures: str = ""


class Picture(NamedTuple):
    """A picture in memory: uint8 or other pixels (rows, columns, channels), labels, and its normal constants."""

    pixels: NDArray[Any]
    labels: Labels
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def normal(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return a part of it, normalised: float32 (channels, rows', columns')."""
        part = (self.pixels[rows, columns].astype(np.float32) - self.mean) / self.std
        return part.transpose(2, 0, 1)


@dataclass(frozen=True)
class Clock:
    """The time of a training, from the start of its process."""

    started: float
    seconds: float

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.time() - self.started

    @property
    def share(self) -> float:
        """Share 0..1 of the time that is over."""
        return min(self.elapsed / self.seconds, 1.0)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - self.elapsed


@dataclass
class Taken:
    """The steps of a training: their number, the last loss, and whether they ended in bfloat16."""

    steps: int = 0
    loss: float = float("nan")
    reduced: bool = False


def read_all(listed: Sequence[tuple[str, str, str]], table: ClassTable) -> list[Sample]:
    """Read pairs in two threads."""
    pairs = [Pair(name, Path(image), Path(mask), None) for name, image, mask in listed]
    return list(read_ahead(lambda pair: read_sample(pair, table), pairs, ahead=8, threads=2))


def normaliser(recipe: Recipe, samples: Sequence[Sample], channels: int) -> Normalisation | None:
    """Return the constants of the training pictures, where the recipe normalises by them."""
    return training_normalisation(samples, channels) if recipe.normal == "set" else None


def picture_of(sample: Sample, recipe: Recipe, constants: Normalisation | None, channels: int) -> Picture:
    """Return a sample as the recipe's network gets it; grey pictures are repeated for three channels."""
    pixels = Normalisation(channels, {}).match_channels(sample.image, sample.name)
    if constants is not None:
        own = constants.constants[str(pixels.dtype)]
        mean, std = np.array(own.mean), np.array(own.std)
    elif recipe.normal == "picture":
        mean, std = pixels.mean((0, 1), dtype=np.float64), np.maximum(pixels.std((0, 1), dtype=np.float64), 1e-8)
    else:
        mean, std = np.zeros(channels), np.full(channels, _white(pixels))
    return Picture(pixels, sample.labels, mean.astype(np.float32), std.astype(np.float32))


def _white(pixels: NDArray[Any]) -> float:
    return float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0


def crop_side(pictures: Sequence[Picture], longest: int) -> int:
    """Return the side of the square crops: a multiple of the stride that fits into every picture."""
    shortest: int = min(min(picture.labels.shape) for picture in pictures)
    return max(min(longest, shortest) // STRIDE * STRIDE, STRIDE)


def batches(
    pictures: Sequence[Picture], size: int, side: int, seed: int, *, upright: bool
) -> Generator[tuple[Tensor, Tensor]]:
    """Yield batches without end: random crops and mirrors of the pictures, shuffled again when all were seen."""

    @lru_cache(maxsize=2)
    def order(epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((seed, epoch)).permutation(len(pictures))

    def batch(number: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng((seed, number, 1))
        cuts = []
        for place in range(number * size, (number + 1) * size):
            epoch, index = divmod(place, len(pictures))
            cuts.append(cut(pictures[order(epoch)[index]], side, random, upright=upright))
        images, labels = zip(*cuts, strict=True)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels).astype(np.int64))

    yield from read_ahead(batch, count(), ahead=3)


def cut(
    picture: Picture, side: int, random: np.random.Generator, *, upright: bool
) -> tuple[NDArray[np.float32], Labels]:
    """Return a random crop of a picture, mirrored or not."""
    top, left = (int(random.integers(length - side + 1)) for length in picture.labels.shape)
    rows, columns = slice(top, top + side), slice(left, left + side)
    image, labels = picture.normal(rows, columns), picture.labels[rows, columns]
    if random.random() < 0.5:
        image, labels = image[:, :, ::-1], labels[:, ::-1]
    if not upright and random.random() < 0.5:
        image, labels = image[:, ::-1], labels[::-1]
    return image, labels


def train(
    network: nn.Module,
    recipe: Recipe,
    loss: PlainLoss,
    source: Iterator[tuple[Tensor, Tensor]],
    clock: Clock,
    machine: Machine,
) -> Taken:
    """Take steps until the time is up, one at least; a later one that would not end in time is not begun."""
    optimiser = recipe.optimiser(network.parameters())
    rates = [float(group["lr"]) for group in optimiser.param_groups]
    network.train()
    taken = Taken()
    trying = recipe.tuned and machine.reduced
    last, trials = 0.0, [0.0] * TRIALS
    while not taken.steps or clock.left > last:
        begun = time.perf_counter()
        if trying:
            taken.reduced = taken.steps % 2 == 1 if taken.steps < TRIALS else trials[-1] < trials[-2]
            trying = taken.steps < TRIALS
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * recipe.schedule(clock.share)
        images, labels = next(source)
        taken.loss = step(network, recipe, loss, optimiser, images, labels, Machine(machine.device, taken.reduced))
        last = time.perf_counter() - begun
        if taken.steps < TRIALS:
            trials[taken.steps] = last
        taken.steps += 1
    return taken


def step(
    network: nn.Module,
    recipe: Recipe,
    loss: PlainLoss,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    machine: Machine,
) -> float:
    """Take one step; return its loss."""
    optimiser.zero_grad(set_to_none=True)
    with machine.arithmetic():
        logits = network(placed(images, recipe, machine))
    value = loss(logits.float(), labels.to(machine.device))
    value.backward()  # type: ignore[no-untyped-call]
    if recipe.clip:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
    optimiser.step()
    return value.item()


def placed(images: Tensor, recipe: Recipe, machine: Machine) -> Tensor:
    """Move a batch to the device, in the recipe's memory format."""
    return images.to(machine.device, memory_format=_format(recipe))


def _format(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.tuned else torch.contiguous_format


@torch.inference_mode()
def predict(network: nn.Module, picture: Picture, recipe: Recipe, machine: Machine) -> Labels:
    """Return the class ids of a whole picture."""
    rows, columns = picture.labels.shape
    image = picture.normal(slice(None), slice(None))
    padded = np.pad(image, ((0, 0), (0, -rows % STRIDE), (0, -columns % STRIDE)), mode="reflect")
    with machine.arithmetic():
        logits = network(placed(torch.from_numpy(np.ascontiguousarray(padded))[None], recipe, machine))[0]
    found = logits[0] > 0 if len(logits) == 1 else logits.float().argmax(0)
    ids: Labels = found[:rows, :columns].cpu().numpy().astype(np.uint8)
    return ids


def scored(
    network: nn.Module, samples: Sequence[Sample], pictures: Sequence[Picture], job: Job, machine: Machine
) -> dict[str, float | None]:
    """Predict the withheld pictures and count them with the package's own metrics."""
    recipe, table = RECIPES[job.recipe], ClassTable.from_card(job.table)
    objects = MEASURES["objects"](table.names) if table.kind == "instances" else None
    matrix, numbers = ConfusionMatrix.empty(table.names), []
    network.eval()
    for number, (sample, picture) in enumerate(zip(samples, pictures, strict=True)):
        ids = predict(network, picture, recipe, machine)
        matrix += ConfusionMatrix.of(table.names, sample.labels, ids)
        if objects is not None:
            unsure = np.zeros(ids.shape, np.float32)  # no score of objects reads the confidence
            numbers.append(objects.numbers(Evidence(sample.labels, sample.instances, ids, unsure, None)))
        if job.pictures and number < 4:
            sheets = [displayable(sample.image), overlay(sample.image, sample.labels, table.colours)]
            sheets.append(overlay(sample.image, ids, table.colours))
            name = sample.name.replace("/", "_")
            write_image(Path(job.pictures) / f"{number}-{name}.png", np.concatenate(sheets, axis=1))
    precision = None
    if objects is not None:
        column = [each.key for each in objects.columns].index("average_precision")
        precision = float(objects.table(np.stack(numbers))[-1, column])
    return {**plain_scores(scores(matrix).to_json()), "average_precision": precision}


def plain_scores(found: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the scores that the tables read, from the JSON data of ``unpool.metrics.scores``."""
    accuracy = found["global_accuracy"]
    return {
        "mean_iou": found["mean_iou"],
        "mean_dice": found["mean_dice"],
        "foreground_dice": found["classes"][1]["dice"] if len(found["classes"]) == 2 else None,
        "pixel_error": None if accuracy is None else 1 - accuracy,
    }


def run(job: Job) -> dict[str, Any]:
    """Train and score; return the numbers."""
    clock = Clock(job.started, 60 * job.minutes)
    recipe, table = RECIPES[job.recipe], ClassTable.from_card(job.table)
    torch.manual_seed(job.seed)
    machine = choose_machine(job.device)
    samples = read_all(job.train, table)
    constants = normaliser(recipe, samples, job.channels)
    pictures = [picture_of(sample, recipe, constants, job.channels) for sample in samples]
    side = crop_side(pictures, job.crop)
    outputs = 1 if recipe.single and len(table) == 2 else len(table)
    network = recipe.build(job.channels, outputs, job.width or recipe.width)
    network = network.to(machine.device, memory_format=_format(recipe))  # type: ignore[call-overload]
    with closing(batches(pictures, recipe.batch, side, job.seed, upright=job.upright)) as source:
        taken = train(network, recipe, recipe.loss(len(table)), source, clock, machine)
    torch.save(network.state_dict(), job.weights)
    wall = clock.elapsed
    withheld = read_all(job.withheld, table)
    shown = [picture_of(sample, recipe, constants, job.channels) for sample in withheld]
    own = Machine(machine.device, taken.reduced)
    return {
        "wall_s": wall,
        "steps": taken.steps,
        "crops": f"{recipe.batch} x {side} x {side}",
        "numbers": "bfloat16" if taken.reduced else "float32",
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "last_loss": taken.loss,
        "scores": scored(network, withheld, shown, job, own),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Read a job file, run it, and write its result."""
    (file,) = sys.argv[1:] if arguments is None else arguments
    job = Job(**json.loads(Path(file).read_text(encoding="utf-8")))
    Path(job.result).write_text(json.dumps(run(job)), encoding="utf-8")


if __name__ == "__main__":
    main()

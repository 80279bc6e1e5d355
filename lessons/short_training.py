"""Short trainings on made cells: the same time for each network, and what each of them learned in it."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

from lessons.pages import in_language
from lessons.panels import table
from unpool.class_table import IGNORE_ID, Labels
from unpool.convolution.choices import CHOICES
from unpool.data.augmentation import Augmentation, Crop
from unpool.data.batches import Batch, CropSampler
from unpool.data.samples import Sample
from unpool.data.synthetic import separated_mask, synthetic_cells
from unpool.data.training_normalisation import training_normalisation
from unpool.machine.device import choose_machine
from unpool.metrics.boundaries import boundary_scores
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.objects import object_counts
from unpool.metrics.scores import scores
from unpool.nets.families import network_of
from unpool.nets.network import Network, NetworkStructure
from unpool.normalisation import Normalisation
from unpool.optim import one_cycle, optimiser

SIDE, CROP, CROPS = 192, 96, 6
"""Pixels of a made picture and of a crop along one side; crops in a step."""

PEAK = 3e-3
"""Highest learning rate: it rises in the first tenth of a training and then falls to nothing."""

CLASSES = ("background", "cell")
SCORES = ("iou", "bf", "merged")
"""IoU of the cells; BF score of their outlines; share of the true cells that share a predicted object with another."""

LITTLE = Augmentation(rotation=0.0, scale=0.0, elastic=0.0, noise=0.0)
"""Mirrored crops with other grey values, as in the package's own short trainings."""


@dataclass(frozen=True)
class Task:
    """What is trained: the pictures, and how long.

    Attributes
    ----------
    trained, tested: pictures with labels; no picture is in both.
    steps: of the first network; the others take as many as fit into the same time.
    seeds: one training for each.
    """

    trained: Sequence[Sample]
    tested: Sequence[Sample]
    steps: int = 120
    seeds: tuple[int, ...] = (0, 1, 2)
    augmentation: Augmentation = LITTLE

    @property
    def normalisation(self) -> Normalisation:
        """Mean and deviation of the training pictures."""
        return training_normalisation(self.trained, 1)


@cache
def cells(count: int, seed: int) -> tuple[Sample, ...]:
    """Return made pictures of cells with labels: 0 background, 1 cell, two pixels of background between cells."""
    return tuple(
        Sample(made.name, made.image[..., None], (separated_mask(made.instances) > 0).astype(np.uint8), None)
        for made in synthetic_cells(count, seed, [(SIDE, SIDE)])
    )


class Trainer:
    """A network from random weights, the rule by which a step changes them, and the batches of its training."""

    def __init__(self, structure: NetworkStructure, task: Task, seed: int) -> None:
        torch.manual_seed(seed)
        self.machine = choose_machine("cpu")
        self.network = network_of(structure, 1, len(CLASSES)).train()
        self.machine.place(self.network)
        self.rule = optimiser(self.network, "adamw", PEAK, 1e-2)
        self._batches = _batches(task, seed)

    def step(self, progress: float) -> None:
        """Take one step; ``progress`` 0..1 is the share of the training that is done."""
        batch = next(self._batches)
        for group in self.rule.param_groups:
            group["lr"] = PEAK * one_cycle(progress)
        self.rule.zero_grad()
        with self.machine.arithmetic():
            logits = self.network(self.machine.put(batch.images))
        loss = F.cross_entropy(logits.float(), batch.labels, ignore_index=IGNORE_ID)
        loss.backward()
        self.rule.step()

    def close(self) -> None:
        """Stop the thread that makes batches."""
        self._batches.close()


def step_times(networks: Mapping[str, tuple[NetworkStructure, Task]]) -> dict[str, float]:
    """Return the seconds of a step of each network: the shortest of some, so that other programs count little."""
    CHOICES.begin({})
    times: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(3):
        for name, (structure, task) in networks.items():
            trainer = Trainer(structure, task, 0)
            for step in range(5):
                began = time.perf_counter()
                trainer.step(0.0)
                if turn and step:  # the first steps find the fastest ways to convolve
                    times[name].append(time.perf_counter() - began)
            trainer.close()
    return {name: min(found) for name, found in times.items()}


def trained(structure: NetworkStructure, task: Task, seed: int, steps: int) -> Network:
    """Train a network from random weights for some steps."""
    trainer = Trainer(structure, task, seed)
    for step in range(steps):
        trainer.step(step / steps)
    trainer.close()
    return trainer.network.eval()


def predicted(network: Network, sample: Sample, normalisation: Normalisation) -> Labels:
    """Return the most probable class of each pixel of a picture."""
    pixels = np.moveaxis(normalisation.apply(sample.image, sample.name), -1, 0)
    machine = choose_machine("cpu")
    with torch.no_grad(), machine.arithmetic():
        logits = network(machine.put(torch.from_numpy(np.ascontiguousarray(pixels))[None])).float()
    return np.asarray(logits[0].argmax(dim=0).numpy(), dtype=np.uint8)


def scored(truth: Sequence[Labels], found: Sequence[Labels]) -> dict[str, float]:
    """Return the scores of some pictures: pixels and objects are counted over all, outlines are a mean."""
    matrix = ConfusionMatrix.empty(CLASSES)
    outlines, merged, objects = [], 0, 0
    for labels, prediction in zip(truth, found, strict=True):
        matrix += ConfusionMatrix.of(CLASSES, labels, prediction)
        outlines.append(boundary_scores(CLASSES, labels, prediction).classes[1].bf or 0.0)
        counts = object_counts(ndimage.label(labels)[0], ndimage.label(prediction)[0])
        merged, objects = merged + counts.merged, objects + counts.true
    return {"iou": scores(matrix).classes[1].iou or 0.0, "bf": mean(outlines), "merged": merged / objects}


class Comparison(NamedTuple):
    """Networks that trained for the same time.

    Attributes
    ----------
    seconds: of each training, on a machine that does nothing else.
    rows: for each network its parameters, its steps, and the scores of each training.
    predictions: of one tested picture, by the training with the first seed: uint8 (rows, columns), 0 or 255.
    """

    seconds: float
    rows: dict[str, dict[str, Any]]
    predictions: dict[str, NDArray[np.uint8]]


def compared(networks: Mapping[str, tuple[NetworkStructure, Task]], shown: int) -> Comparison:
    """Train each network with each seed, all for the time that the first takes for its steps, and score them.

    The number of steps is fixed before: a machine that is busy makes a training slower, but not shorter.

    Parameters
    ----------
    shown: number of the tested picture whose predictions are kept.
    """
    first = next(iter(networks.values()))[1]
    times = step_times(networks)
    seconds = first.steps * times[next(iter(networks))]
    steps = {name: max(round(seconds / each), 1) for name, each in times.items()}
    rows: dict[str, dict[str, Any]] = {}
    predictions: dict[str, NDArray[np.uint8]] = {}
    for seed in first.seeds:
        for name, (structure, task) in networks.items():
            network = trained(structure, task, seed, steps[name])
            found = [predicted(network, sample, task.normalisation) for sample in task.tested]
            known = {"parameters": sum(p.numel() for p in network.parameters()), "steps": steps[name], "trainings": []}
            values = scored([sample.labels for sample in task.tested], found)
            rows.setdefault(name, known)["trainings"].append({key: round(value, 4) for key, value in values.items()})
            predictions.setdefault(name, found[shown] * np.uint8(255))
            sys.stderr.write(f"{name}, seed {seed}: {values}\n")
    return Comparison(round(seconds, 1), rows, predictions)


def score_titles() -> tuple[str, ...]:
    """Return the titles of the columns of ``SCORES``."""
    return (
        in_language("IoU of the cells", "细胞的 IoU"),
        in_language("BF score of the outlines", "轮廓的 BF 分数"),
        in_language("cells merged with another", "与别的细胞粘连的细胞"),
    )


def score_text(name: str, value: float) -> str:
    """Return a score of ``SCORES`` as it stands in a table."""
    return f"{100 * value:.0f} %" if name == "merged" else f"{value:.3f}"


def score_table(rows: Mapping[str, Any], titles: Mapping[str, str], head: str) -> str:
    """Return measured scores as a table: for each row the mean of its trainings, with the lowest and the highest."""
    lines = []
    for name, title in titles.items():
        shown = [title, f"{rows[name]['parameters']:,}", rows[name]["steps"]]
        for score in SCORES:
            values = [each[score] for each in rows[name]["trainings"]]
            low, middle, high = (score_text(score, value) for value in (min(values), mean(values), max(values)))
            shown.append(in_language(f"{middle} ({low} to {high})", f"{middle}（{low} 至 {high}）"))
        lines.append(shown)
    names = (in_language("parameters", "参数量"), in_language("steps", "步数"))
    return table((head, *names, *score_titles()), lines)


def _batches(task: Task, seed: int) -> Generator[Batch]:
    sampler = CropSampler(
        samples=task.trained,
        areas=[SIDE * SIDE] * len(task.trained),
        crop=Crop(CROP, CROP),
        batch_size=CROPS,
        augmentation=task.augmentation,
        normalisation=task.normalisation,
        seed=seed,
    )
    epoch = 0
    while True:
        yield from sampler.epoch(epoch)
        epoch += 1

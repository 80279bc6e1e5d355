"""Time of making training crops, and the share of its time that a training loop waits for them.

    python benchmarks/loading.py                             # crops of 256 and 512, steps of 0.3 s
    python benchmarks/loading.py --step 0.05 --batch 8       # a faster machine

Pictures are synthetic, with three channels and sides 1.5 times those of the crop. Milliseconds are medians in one
thread: of a crop, and of its parts (the place in the picture, the field of coordinates, reading the picture there, the
grey values). Then the sampler makes batches in its thread, as in training, while the main thread multiplies matrices on
all cores for the time of a step. Steps on a GPU leave the cores free, so the share is smaller there. The wait for the
first batch is reported separately, because nothing can be computed before it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from record import circumstances, write_results
from unpool.data import augmentation
from unpool.data.augmentation import Augmentation, Crop
from unpool.data.batches import Batch, CropSampler
from unpool.data.samples import Sample
from unpool.data.synthetic import separated_mask, synthetic_cells
from unpool.normalisation import ChannelConstants, Normalisation

PARTS = {
    "place": "_centre",
    "field": "_field",
    "picture": "_picture",
    "labels": "_ground_truth",
    "grey_values": "_vary_grey_values",
}
"""Parts of a crop, and the functions of ``unpool.data.augmentation`` that make them."""

CHANNELS = 3
NORMALISATION = Normalisation(CHANNELS, {"uint8": ChannelConstants((60.0,) * CHANNELS, (50.0,) * CHANNELS)})
QUICK = {"sizes": [64, 96], "batch": 2, "step": 0.01, "steps": 4, "repeats": 3, "pictures": 1}


@dataclass(frozen=True)
class Row:
    """The times of crops of one size.

    Attributes
    ----------
    crop: its side in pixels.
    crop_ms, parts_ms: median milliseconds of a crop and of each part.
    first_wait_s: seconds until the first batch.
    waited_s, computed_s: seconds of all later steps; waiting_share: share of waiting in them.
    """

    crop: int
    crop_ms: float
    parts_ms: dict[str, float]
    first_wait_s: float
    waited_s: float
    computed_s: float
    waiting_share: float


def pictures(count: int, side: int) -> list[Sample]:
    """Return samples of touching cells: uint8 (side, side, 3) with labels 0 and 1."""
    samples = []
    for cells in synthetic_cells(count, sizes=((side, side),)):
        image = np.repeat(cells.image[..., None], CHANNELS, axis=2)
        samples.append(Sample(cells.name, image, separated_mask(cells.instances) // 255, None))
    return samples


def sampler(samples: Sequence[Sample], side: int, batch: int, steps: int) -> CropSampler:
    """Return a sampler with the default settings of a training, ``steps`` steps an epoch."""
    areas = [sample.labels.size for sample in samples]
    return CropSampler(
        samples, areas, Crop(side, side), batch, Augmentation(), NORMALISATION, 0, least_steps=steps, most_steps=steps
    )


def crop_times(samples: Sequence[Sample], side: int, repeats: int) -> tuple[float, dict[str, float]]:
    """Return the median milliseconds of a crop and of its parts, in one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole: list[float] = []
    with clocked(augmentation, PARTS) as parts:
        for number in range(repeats + 1):
            random = np.random.default_rng(number)
            start = perf_counter()
            augmentation.augmented_crop(
                samples[number % len(samples)], Crop(side, side), Augmentation(), NORMALISATION, random
            )
            whole.append(perf_counter() - start)
    torch.set_num_threads(threads)
    # The first crop warms up.
    return 1e3 * median(whole[1:]), {name: 1e3 * median(series[1:]) for name, series in parts.items()}


@contextmanager
def clocked(module: Any, functions: dict[str, str]) -> Iterator[dict[str, list[float]]]:
    """Time every call of a module's functions inside this context; yield the seconds by key."""
    times: dict[str, list[float]] = {name: [] for name in functions}

    def timed(function: Callable[..., Any], series: list[float]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            start = perf_counter()
            result = function(*arguments)
            series.append(perf_counter() - start)
            return result

        return call

    with ExitStack() as stack:
        for name, attribute in functions.items():
            stack.enter_context(patch.object(module, attribute, timed(getattr(module, attribute), times[name])))
        yield times


def waits(batches: Iterable[Batch], step: float) -> tuple[list[float], float]:
    """Return the seconds waited for each batch, and the seconds computed between the first and the end."""
    waited: list[float] = []
    computed = 0.0
    started = perf_counter()
    for _ in batches:
        came = perf_counter()
        waited.append(came - started)
        compute(step)
        started = perf_counter()
        computed += started - came
    return waited, computed


def compute(duration: float) -> None:
    """Keep all threads busy for ``duration`` seconds."""
    end = perf_counter() + duration
    matrix = torch.full((256, 256), 1 / 256)
    while perf_counter() < end:
        matrix = matrix @ matrix


def row_of(side: int, given: argparse.Namespace) -> Row:
    """Measure crops of one size and return their row."""
    samples = pictures(given.pictures, side + side // 2)
    crop_ms, parts_ms = crop_times(samples, side, given.repeats)
    (first, *later), computed = waits(sampler(samples, side, given.batch, given.steps).epoch(0), given.step)
    waited = sum(later)
    return Row(side, crop_ms, parts_ms, first, waited, computed, waited / (waited + computed))


def table_of(rows: Sequence[Row], results: dict[str, Any]) -> str:
    """Return the rows as text."""
    given, machine = results["settings"], results["machine"]
    lines = [
        f"{given['batch']} crops a step of {given['step']} s, {given['steps']} steps; {machine['cpu']}, "
        f"{machine['threads']} threads, torch {machine['torch']}",
        f"{'crop':>6} {'ms':>8}" + "".join(f"{name.replace('_', ' '):>13}" for name in PARTS) + f"{'waiting':>10}",
    ]
    for row in rows:
        parts = "".join(f"{row.parts_ms[name]:13.2f}" for name in PARTS)
        lines.append(f"{row.crop:6} {row.crop_ms:8.2f}{parts}{row.waiting_share:10.1%}")
    return "\n".join(lines) + "\n"


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description="Time of a training crop, and of waiting for crops.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="sides of the crops in pixels")
    parser.add_argument("--batch", type=int, default=4, help="crops a step")
    parser.add_argument("--step", type=float, default=0.3, help="seconds that a step computes")
    parser.add_argument("--steps", type=int, default=20, help="steps of the training loop")
    parser.add_argument("--repeats", type=int, default=30, help="crops that are timed")
    parser.add_argument("--pictures", type=int, default=4, help="pictures that crops are cut from")
    parser.add_argument("--json", metavar="FILE", help="write the results there; - for the standard output")
    parser.add_argument("--quick", action="store_true", help="small and few: does it run?")
    given = parser.parse_args(arguments)
    if given.quick:
        vars(given).update(QUICK)
    if min(*given.sizes, given.batch, given.repeats, given.pictures) < 1 or given.steps < 2 or given.step <= 0:
        parser.error("--steps is 2 or more, --step above 0, all other numbers 1 or more")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each size and print the table."""
    given = options(arguments)
    rows = [row_of(side, given) for side in given.sizes]
    results = {"rows": [asdict(row) for row in rows], "settings": vars(given), **circumstances()}
    write_results(results, table_of(rows, results), given.json)


if __name__ == "__main__":
    main()

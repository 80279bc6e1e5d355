"""Training batches: crops drawn from a set, prepared ahead of the step that asks for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unpool.class_table import ClassTable
from unpool.data.augmentation import Augmentation, Crop, Cut, augmented_crop
from unpool.data.samples import Pair, Sample, read_sample
from unpool.data.weight_maps import Emphasis
from unpool.errors import DataError, UnpoolError, UsageError
from unpool.normalisation import Normalisation

AHEAD = 3
"""Batches kept ready."""


@dataclass(frozen=True)
class Batch:
    """Crops for one step.

    Attributes
    ----------
    images: float32 (N, C, rows, columns), normalised; with the crop's margin.
    labels: int64 (N, rows, columns): class ids, or ``IGNORE_ID``; without it.
    names: N names of the pictures the crops were cut from.
    emphasis: float32 (N, rows, columns), weights of pixels beside those of their classes; None where there are none.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    emphasis: Tensor | None = None


class SampleStore(Sequence[Sample]):
    """The pairs of a split, decoded once and kept while they fit in ``limit`` bytes; the rest is read when asked.

    With an ``emphasis`` its map is computed when a pair is read, and kept with it.
    """

    def __init__(
        self, pairs: Sequence[Pair], table: ClassTable, limit: int = 4 << 30, emphasis: Emphasis | None = None
    ) -> None:
        self.pairs = tuple(pairs)
        self._table = table
        self._emphasis = emphasis
        self._kept: dict[int, Sample] = {}
        self._free = limit

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """The sample of a pair. Raises DataError, with the names of the files, for whatever goes wrong."""
        if index >= len(self.pairs):
            raise IndexError(index)
        if index in self._kept:
            return self._kept[index]
        pair = self.pairs[index]
        with _blaming(f"{pair.image} with {pair.mask}"):
            sample = read_sample(pair, self._table, self._emphasis)
        if sample.nbytes <= self._free:
            self._free -= sample.nbytes
            self._kept[index] = sample
        return sample


@contextmanager
def _blaming(files: str) -> Iterator[None]:
    """Say which files were in hand when something unforeseen happened; errors of this package say it themselves."""
    try:
        yield
    except UnpoolError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(
            f"{files}: {what}",
            "a picture and a mask of which a training crop can be made",
            "open the files: mend them or leave them out; if they are sound, please report the error",
        ) from error


@dataclass(frozen=True)
class CropSampler:
    """Draws the batches of an epoch; every crop depends only on (seed, epoch, place in the epoch).

    Attributes
    ----------
    samples: the training pictures.
    areas: pixels of each picture; larger ones give more crops.
    crop: what is cut out for one place in a batch.
    """

    samples: Sequence[Sample]
    areas: Sequence[int]
    crop: Crop
    batch_size: int
    augmentation: Augmentation
    normalisation: Normalisation
    seed: int
    least_steps: int = 20
    most_steps: int = 400

    @property
    def steps(self) -> int:
        """Steps in an epoch: enough crops to cover the training pixels once, within bounds."""
        crops = sum(max(1, round(area / (self.crop.rows * self.crop.columns))) for area in self.areas)
        return min(max(crops // self.batch_size, self.least_steps), self.most_steps)

    def epoch(self, number: int, first: int = 0, part: tuple[int, int] = (0, 1)) -> Generator[Batch]:
        """The batches of epoch ``number`` from step ``first`` on, made in a thread while the caller computes.

        Parameters
        ----------
        part: (rank, of): of every batch only the share of process ``rank`` among ``of``. Shares are neighbouring
            places, differ by one at most, and make up the batch in the order of the ranks.

        Raises
        ------
        UsageError: more processes than places in a batch.
        DataError: a picture cannot be read or used; the message names its files, whatever the cause was.
        """
        mine = self._share(part)
        order = self._order(number)
        with ThreadPoolExecutor(1, thread_name_prefix="unpool-batches") as pool:
            ready: deque[Future[Batch]] = deque()
            try:
                for step in range(first, self.steps):
                    places = [step * self.batch_size + place for place in mine]
                    ready.append(pool.submit(self._batch, number, places, order))
                    if len(ready) > AHEAD:
                        yield ready.popleft().result()
                while ready:
                    yield ready.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _share(self, part: tuple[int, int]) -> range:
        """Places of a batch that one process makes."""
        rank, of = part
        if of > self.batch_size:
            raise UsageError(
                f"{self.batch_size} crops a step for {of} processes",
                "at least one for each",
                f"raise --set batch_size=… to {of} or more, or start fewer processes",
            )
        return range(self.batch_size * rank // of, self.batch_size * (rank + 1) // of)

    def _order(self, epoch: int) -> list[int]:
        """Which picture each crop of the epoch is cut from: all of them in turn, larger ones more often."""
        random = np.random.default_rng((self.seed, epoch, 0))
        count = self.steps * self.batch_size
        shares = np.asarray(self.areas, dtype=np.float64)
        shares = np.maximum(shares, self.crop.rows * self.crop.columns)
        wanted = shares / shares.sum() * count
        times = np.floor(wanted).astype(int)
        rest = count - int(times.sum())
        if rest:
            left = wanted - times
            extra = random.choice(len(times), size=rest, replace=rest > len(times), p=left / left.sum())
            np.add.at(times, extra, 1)
        order = np.repeat(np.arange(len(times)), times)
        random.shuffle(order)
        return [int(index) for index in order]

    def _batch(self, epoch: int, places: Sequence[int], order: Sequence[int]) -> Batch:
        names, cuts = zip(*(self._cut(epoch, place, order[place]) for place in places), strict=True)
        weights = [cut.emphasis for cut in cuts if cut.emphasis is not None]
        return Batch(
            images=torch.stack([cut.image for cut in cuts]),
            labels=torch.stack([cut.labels for cut in cuts]),
            names=names,
            emphasis=torch.stack(weights) if weights else None,
        )

    def _cut(self, epoch: int, place: int, index: int) -> tuple[str, Cut]:
        sample = self.samples[index]
        random = np.random.default_rng((self.seed, epoch, place + 1))
        with _blaming(sample.name):
            return sample.name, augmented_crop(sample, self.crop, self.augmentation, self.normalisation, random)


def crop_size(sizes: Sequence[tuple[int, int]], largest: int, step: int) -> tuple[int, int]:
    """A crop for pictures of these sizes: median sides as multiples of ``step`` up to ``largest``, at least one."""
    rows, columns = (
        max(min(int(np.median(sides)), largest) // step * step, step) for sides in zip(*sizes, strict=True)
    )
    return rows, columns

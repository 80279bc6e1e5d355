"""Training batches: random crops of the training pictures, prepared ahead of the training step."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unpool.class_table import ClassTable
from unpool.data.augmentation import Augmentation, Crop, CroppedSample, augmented_crop
from unpool.data.samples import Pair, Sample, read_sample
from unpool.data.weight_maps import Emphasis
from unpool.errors import DataError, UnpoolError, UsageError
from unpool.normalisation import Normalisation
from unpool.read_ahead import read_ahead
from unpool.shapes import Size

AHEAD = 3
"""Number of batches prepared ahead."""


@dataclass(frozen=True)
class Batch:
    """The crops of one training step.

    Attributes
    ----------
    images: float32 (N, channels, rows + 2 * margin, columns + 2 * margin), normalised.
    labels: int64 (N, rows, columns): class ids, or ``IGNORE_ID``.
    names: the names of the N pictures that the crops come from.
    emphasis: float32 (N, rows, columns), weights of pixels added to those of their classes; None without emphasis.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    emphasis: Tensor | None = None


class SampleStore(Sequence[Sample]):
    """The samples of some pairs, read on first use and kept in memory while they fit.

    Samples that do not fit are read again at each use.

    Parameters
    ----------
    limit: bytes of samples to keep.
    emphasis: computed when a pair is read, and kept with the sample; None for none.
    borders: width in pixels of the borders of objects in the labels; 0 for none.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        table: ClassTable,
        limit: int = 4 << 30,
        emphasis: Emphasis | None = None,
        borders: int = 0,
    ) -> None:
        self.pairs = tuple(pairs)
        self._table = table
        self._emphasis = emphasis
        self._borders = borders
        self._kept: dict[int, Sample] = {}
        self._free = limit

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """Return the sample of a pair. Raises DataError with the names of the files for every failure."""
        if index >= len(self.pairs):
            raise IndexError(index)
        if index in self._kept:
            return self._kept[index]
        pair = self.pairs[index]
        with _naming_files(f"{pair.image} with {pair.mask}"):
            sample = read_sample(pair, self._table, self._emphasis, self._borders)
        if sample.nbytes <= self._free:
            self._free -= sample.nbytes
            self._kept[index] = sample
        return sample


@contextmanager
def _naming_files(files: str) -> Iterator[None]:
    """Turn an unexpected error into a DataError that names the files; errors of this package already name them."""
    try:
        yield
    except UnpoolError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(
            f"{files}: {cause}",
            "a picture and a mask from which a training crop can be cut",
            "open the files, and repair or remove them; if they are in order, please report the error",
        ) from error


@dataclass(frozen=True)
class CropSampler:
    """The source of the training batches; a crop depends only on the seed, the epoch and its place in the epoch.

    Attributes
    ----------
    samples: the training pictures with labels.
    areas: pixels of each picture; larger pictures give more crops.
    crop: size of the crops.
    batch_size: crops in a batch.
    least_steps, most_steps: bounds of the steps in an epoch.
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
    _own: dict[str, Normalisation] = field(default_factory=dict, init=False, repr=False, compare=False)

    def normalisation_of(self, sample: Sample) -> Normalisation:
        """Return the normalisation of one of the pictures and its crops, whose constants are computed once."""
        if sample.name not in self._own:
            self._own[sample.name] = self.normalisation.of_picture(sample.image, sample.name)
        return self._own[sample.name]

    @property
    def steps(self) -> int:
        """Number of steps in an epoch, with enough crops to cover the training pixels once, within the bounds."""
        crops = sum(max(1, round(area / (self.crop.rows * self.crop.columns))) for area in self.areas)
        return min(max(crops // self.batch_size, self.least_steps), self.most_steps)

    def epoch(self, number: int, first: int = 0, part: tuple[int, int] = (0, 1)) -> Generator[Batch]:
        """Yield the batches of an epoch, made in a thread while the caller computes.

        Parameters
        ----------
        number: of the epoch, from 0.
        first: the step to begin with.
        part: (rank, count): yield only the share of process ``rank`` among ``count``. The shares are neighbouring
            crops of the batch, in the order of the ranks; their sizes differ by one at most.

        Raises
        ------
        UsageError: there are more processes than crops in a batch.
        DataError: a picture cannot be read or used; the message names its files.
        """
        mine = self._share(part)
        order = self._order(number)

        def batch(step: int) -> Batch:
            places = [step * self.batch_size + place for place in mine]
            return self._batch(number, places, order)

        yield from read_ahead(batch, range(first, self.steps), ahead=AHEAD)

    def _share(self, part: tuple[int, int]) -> range:
        """Return the places in a batch whose crops one process makes."""
        rank, count = part
        if count > self.batch_size:
            raise UsageError(
                f"{self.batch_size} crops per step for {count} processes",
                "at least one crop for each process",
                f"use --set batch_size={count} or more, or start fewer processes",
            )
        return range(self.batch_size * rank // count, self.batch_size * (rank + 1) // count)

    def _order(self, epoch: int) -> list[int]:
        """Return the picture of each crop in an epoch: all pictures in random order, larger ones more often."""
        random = np.random.default_rng((self.seed, epoch, 0))
        count = self.steps * self.batch_size
        shares = np.asarray(self.areas, dtype=np.float64)
        shares = np.maximum(shares, self.crop.rows * self.crop.columns)
        exact = shares / shares.sum() * count
        times = np.floor(exact).astype(int)
        rest = count - int(times.sum())
        if rest:
            left = exact - times
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

    def _cut(self, epoch: int, place: int, index: int) -> tuple[str, CroppedSample]:
        sample = self.samples[index]
        random = np.random.default_rng((self.seed, epoch, place + 1))
        with _naming_files(sample.name):
            normalisation = self.normalisation_of(sample)
            return sample.name, augmented_crop(sample, self.crop, self.augmentation, normalisation, random)


def crop_size(sizes: Sequence[Size], largest: int, step: int) -> Size:
    """Return rows and columns of a crop for pictures of these sizes (rows, columns).

    Each side is the median side, cut to ``largest`` and to a multiple of ``step``, and at least ``step``.
    """
    rows, columns = (
        max(min(int(np.median(sides)), largest) // step * step, step) for sides in zip(*sizes, strict=True)
    )
    return rows, columns

"""The mean over several orientations of a picture and several dropout samples of the network.

* **Test-time augmentation**: the picture is predicted in several orientations, each result is put back upright, and the
  mean is taken. U-Net's result is the mean over 7 rotated versions (arXiv 1505.04597, sec. 4).
* **Dropout samples** (Monte-Carlo dropout): dropout stays switched on and the picture is predicted several times. The
  mean of the probabilities is the prediction, their variance its uncertainty (Bayesian SegNet, arXiv 1511.02680,
  sec. 3).

Probabilities are averaged, not logits. A sample depends only on the seed, the sample's number, the orientation and the
place of the tile. So neither the order of pictures nor the number of processes changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from unpool.errors import UsageError
from unpool.machine.device import Machine
from unpool.orientation import ORIENTATION_SETS, Orientation, OrientationSet
from unpool.segmenter import Segmenter
from unpool.shapes import Region
from unpool.wording import count_text, shortened

MOST_SAMPLES = 10_000
"""The most dropout samples of a prediction."""


@dataclass(frozen=True)
class Averaging:
    """The orientations and dropout samples that a prediction is the mean of.

    Attributes
    ----------
    tta: the set of orientations, a name of ``unpool.orientation.ORIENTATION_SETS``.
    samples: dropout samples of each orientation; 0 predicts once, without dropout.
    seed: the number that the samples' random numbers begin with.
    """

    tta: OrientationSet = "none"
    samples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tta not in ORIENTATION_SETS:
            names = list(ORIENTATION_SETS)
            raise UsageError(f"tta {self.tta!r}", f"one of {', '.join(names)}", f"give for example --tta {names[-1]}")
        if not 0 <= self.samples <= MOST_SAMPLES:
            right = 0 if self.samples < 0 else MOST_SAMPLES
            raise UsageError(
                f"{shortened(str(self.samples), 40)} samples",
                f"a whole number from 0 to {MOST_SAMPLES}",
                f"give --samples {right}",
            )

    @property
    def orientations(self) -> tuple[Orientation, ...]:
        """The orientations, in the order in which they are predicted."""
        return ORIENTATION_SETS[self.tta]

    @property
    def runs(self) -> int:
        """Number of runs of the network that are averaged."""
        return len(self.orientations) * max(self.samples, 1)

    @property
    def once(self) -> bool:
        """Whether the network runs once, without dropout, so that nothing is averaged."""
        return self.runs == 1 and not self.samples

    def describe(self) -> str:
        """Return the averaging in words; an empty text where nothing is averaged."""
        views = [f"{len(self.orientations)} orientations ({self.tta})"] if self.tta != "none" else []
        samples = count_text(self.samples, "dropout sample") + (" of each" if views else "")
        return ", ".join([*views, *([samples] if self.samples else [])])

    def options(self) -> list[str]:
        """Return the options of the command line; none where nothing is averaged."""
        tta = [] if self.tta == "none" else ["--tta", self.tta]
        return [*tta, *(["--samples", str(self.samples)] if self.samples else [])]


ONCE = Averaging()


class Mean(NamedTuple):
    """Mean and variance of the probabilities of several runs: float32 (K, rows, columns).

    The variance is divided by the number of runs, not by one less.
    """

    probabilities: Tensor
    variance: Tensor


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(dim=0)


def mean_of(runs: Iterable[Tensor], probabilities_of: Callable[[Tensor], Tensor] = _softmax) -> Mean:
    """Average the probabilities of several runs, of which one at a time is in memory.

    Parameters
    ----------
    runs: logits (K, rows, columns) of each run; at least one.
    probabilities_of: from the logits of a run to its probabilities.
    """
    each = map(probabilities_of, runs)  # a function, so that the logits are freed immediately
    mean = next(each)
    squares, count = torch.zeros_like(mean), 1
    for count, probabilities in enumerate(each, start=2):
        away = probabilities - mean
        mean += away / count
        # Welford's sum stays exact where the variance is small
        squares += away.mul_(probabilities.sub_(mean))
    return Mean(mean, (squares / count).clamp_min(0))


def require_dropout(segmenter: Segmenter, averaging: Averaging) -> None:
    """Refuse to sample dropout of a network without dropout.

    Raises
    ------
    UsageError: samples are requested and the network has no dropout.
    """
    if averaging.samples and not _dropouts(segmenter.network):
        raise UsageError(
            f"{averaging.samples} samples of {segmenter.net}, which has no dropout",
            "a network with dropout, such as bayesian-segnet-basic",
            "leave out --samples, or train with --set 'dropout_after=[\"bottom\"]'",
        )


def sample_seed(averaging: Averaging, sample: int, orientation: Orientation, tile: Region) -> int:
    """Return the seed of one dropout sample of one tile."""
    numbers = (averaging.seed, sample, *map(int, orientation), tile[0].start, tile[1].start)
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def dropping(network: nn.Module, machine: Machine, seed: int) -> Iterator[None]:
    """Switch dropout on inside a ``with`` block, with random numbers of a seed.

    All other layers stay in evaluation mode. Afterwards torch's own random state is as it was.
    """
    dropouts = _dropouts(network)
    with torch.random.fork_rng([machine.device] if machine.device.type == "cuda" else []):
        torch.manual_seed(seed)
        try:
            for module in dropouts:
                module.train()
            yield
        finally:
            for module in dropouts:
                module.eval()


def _dropouts(network: nn.Module) -> list[nn.Dropout]:
    return [module for module in network.modules() if isinstance(module, nn.Dropout) and module.p > 0]

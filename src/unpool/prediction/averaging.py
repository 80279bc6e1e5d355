"""Several answers for one picture, and their mean: turned pictures, and networks with some units dropped.

* **Turns** (test-time augmentation): the picture is predicted as it is and turned or mirrored, the answers are turned
  back. U-Net's result is the mean over 7 rotated versions (arXiv 1505.04597, sec. 4).
* **Samples** (Monte-Carlo dropout): dropout stays on and the picture is predicted again and again; the mean of the
  probabilities is the answer, their variance says how sure it is (Bayesian SegNet, arXiv 1511.02680, sec. 3).

Probabilities are averaged, not logits. A sample depends on the seed, its number, the turn and the place of the region
alone, so neither the order of pictures nor the number of processes changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


@dataclass(frozen=True)
class Averaging:
    """Which answers are averaged: those of all turns, each with so many samples.

    Attributes
    ----------
    tta: the set of turns, a name of ``unpool.orientation.ORIENTATION_SETS``.
    samples: of dropout for each turn; 0 predicts once with all units.
    """

    tta: OrientationSet = "none"
    samples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise UsageError(f"{self.samples} samples", "0 or more", "correct --samples")

    @property
    def turns(self) -> tuple[Orientation, ...]:
        """How the picture is laid, one way after the other."""
        return ORIENTATION_SETS[self.tta]

    @property
    def answers(self) -> int:
        """How many answers are averaged: how often the network runs."""
        return len(self.turns) * max(self.samples, 1)

    @property
    def once(self) -> bool:
        """Whether there is one answer, of all units, and nothing to average."""
        return self.answers == 1 and not self.samples

    def describe(self) -> str:
        """In words; nothing where nothing is averaged."""
        views = [f"{len(self.turns)} ways to lay the picture ({self.tta})"] if self.tta != "none" else []
        drawn = [f"{self.samples} dropout samples" + (" of each" if views else "")] if self.samples else []
        return ", ".join([*views, *drawn])

    def options(self) -> list[str]:
        """As on the command line; nothing where nothing is averaged."""
        turned = [] if self.tta == "none" else ["--tta", self.tta]
        return [*turned, *(["--samples", str(self.samples)] if self.samples else [])]


ONCE = Averaging()


class Mean(NamedTuple):
    """Mean and variance (over all, not all but one) of the answers' probabilities: float32 (K, rows, columns)."""

    probabilities: Tensor
    variance: Tensor


def mean_of(answers: Iterable[Tensor]) -> Mean:
    """Average the probabilities of logits (K, rows, columns), of which there is at least one, holding one at a time."""
    each = map(_softmax, answers)  # which lets go of the logits
    mean = next(each)
    squares, count = torch.zeros_like(mean), 1
    for count, likely in enumerate(each, start=2):
        away = likely - mean
        mean += away / count
        squares += away.mul_(likely.sub_(mean))  # Welford's sum, which loses nothing where the variance is small
    return Mean(mean, (squares / count).clamp_min(0))


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(dim=0)


def require_dropout(segmenter: Segmenter, averaging: Averaging) -> None:
    """Refuse to sample a network that has nothing to sample.

    Raises
    ------
    UsageError: samples are asked for and the network has no dropout.
    """
    if averaging.samples and not _dropouts(segmenter.network):
        raise UsageError(
            f"{averaging.samples} samples of {segmenter.net}, which has no dropout",
            "a network with dropout, such as bayesian-segnet-basic",
            "leave out --samples, or train with --set 'dropout_after=[\"bottom\"]'",
        )


def sample_seed(averaging: Averaging, sample: int, turn: Orientation, kept: Region) -> int:
    """The seed of one sample of one region."""
    numbers = (averaging.seed, sample, *map(int, turn), kept[0].start, kept[1].start)
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def dropping(network: nn.Module, machine: Machine, seed: int) -> Iterator[None]:
    """Drop units inside this, by a seed; all else stays in evaluation mode, and torch's random state is put back."""
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

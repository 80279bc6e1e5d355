"""What is known of a training when something in it goes wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

History: TypeAlias = Sequence[Mapping[str, Any]]
"""Rows of ``EpochRecord.to_json``, one an epoch."""

BLIND = 0.9
"""Validation loss, in losses of the classes' shares alone, from which nothing was read in the pictures."""


@dataclass(frozen=True)
class TrainingFacts:
    """What is known of a training before it begins.

    Attributes
    ----------
    names: K class names; the tuples below have one entry a class.
    train_shares, val_shares: shares of the counted pixels, 0..1.
    train_pictures, val_pictures: pictures that hold the class, of ``train_count`` and ``val_count``.
    weights: class weights of the loss, equal where they are off; ``balanced``: whether they follow the shares, up to
        ``weight_cap``.
    thickness: typical thickness of the class's regions in pixels, None where it is not known.
    detail: pixels between neighbours of the finest maps that the network answers from, 1 with skips from the picture's
        own size.
    flat_pictures: whether the pixels deviate from their mean by no more than a step of their type.
    norm: what follows the convolutions: none, batch, group, instance.
    summed: whether the loss is a sum of pixels and not a mean, which goes with other rates and without Dice.
    dice, rare, batch_size, optimiser, learning_rate: as in the settings.
    """

    names: tuple[str, ...]
    train_shares: tuple[float, ...]
    val_shares: tuple[float, ...]
    train_pictures: tuple[int, ...]
    val_pictures: tuple[int, ...]
    train_count: int
    val_count: int
    weights: tuple[float, ...]
    balanced: bool
    weight_cap: float
    thickness: tuple[float | None, ...]
    detail: int
    flat_pictures: bool
    norm: str
    summed: bool
    dice: float
    rare: float
    batch_size: int
    optimiser: str
    learning_rate: float

    @property
    def share_loss(self) -> float:
        """Validation loss of the answer that gives every class its share: what takes no look at the pictures."""
        return -sum(share * math.log(share) for share in self.val_shares if share)


@dataclass(frozen=True)
class Case:
    """Something that goes wrong after the epochs of ``history``.

    ``classes`` are the ids it concerns: those that are never found, or the one that is predicted everywhere.
    """

    facts: TrainingFacts
    history: History
    classes: tuple[int, ...] = ()

    @property
    def steps(self) -> int:
        """Steps done."""
        return int(self.history[-1]["steps"])

    @property
    def fall(self) -> float | None:
        """How much of the first epoch's training loss is gone by the last three epochs; negative where it rose."""
        return fall(known(self.history, "train_loss"))

    @property
    def val_fall(self) -> float | None:
        """The same of the validation loss."""
        return fall(known(self.history, "val_loss"))

    @property
    def stands_still(self) -> bool:
        """Whether the training loss is where it began, or above."""
        return self.fall is not None and self.fall < 0.05

    @property
    def still_falling(self) -> bool:
        """Whether both losses are clearly lower in the last quarter of the epochs than in the quarter before."""
        return all(_still_falling(known(self.history, key)) for key in ("train_loss", "val_loss"))

    @property
    def blind(self) -> bool:
        """Whether the validation loss is no better than that of always answering with the classes' shares."""
        losses = known(self.history, "val_loss")
        return bool(losses) and losses[-1] >= BLIND * self.facts.share_loss


def known(history: History, key: str) -> list[float]:
    """The values of a column where it has one."""
    return [float(row[key]) for row in history if row[key] is not None]


def fall(losses: Sequence[float]) -> float | None:
    """How much of the first loss is gone in the mean of the last three; None where that says nothing."""
    recent = losses[1:][-3:]
    return 1 - sum(recent) / len(recent) / losses[0] if recent and losses[0] > 0 else None


def _still_falling(losses: Sequence[float]) -> bool:
    part = max(len(losses) // 4, 1)
    late, before = losses[-part:], losses[-2 * part : -part]
    return len(before) == part and sum(before) > 0 and sum(late) < 0.95 * sum(before)

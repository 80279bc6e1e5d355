"""The evidence of a diagnosis: the facts known before a training, and its history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

History: TypeAlias = Sequence[Mapping[str, Any]]
"""Rows of ``EpochRecord.to_json``, one an epoch."""

BLIND = 0.9
"""Validation loss from which the network counts as blind, relative to the loss of always answering the shares."""


@dataclass(frozen=True)
class TrainingFacts:
    """The facts that are known of a training before it begins.

    Attributes
    ----------
    names: K class names; every tuple has one entry a class.
    train_shares, val_shares: shares of the counted pixels, 0..1.
    train_pictures, val_pictures: number of pictures that show the class, of ``train_count`` and ``val_count``.
    weights: class weights of the loss, equal where they are switched off.
    balanced: whether the weights follow the shares, up to ``weight_cap``.
    thickness: typical thickness of the class's regions in pixels; None where it is not known.
    detail: side in pixels of the smallest region with an answer of its own; 1 with skip connections at full resolution.
    flat_pictures: whether the pixels deviate from their mean by at most one step of their type.
    norm: normalisation after the convolutions: none, batch, group, instance.
    summed: whether the loss is a sum over pixels, not a mean; it needs other learning rates and excludes Dice.
    dice, rare, batch_size, optimiser, learning_rate: the settings of these names.
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
        """Validation loss of answering every pixel with the classes' shares, without looking at the pictures."""
        return -sum(share * math.log(share) for share in self.val_shares if share)


@dataclass(frozen=True)
class Case:
    """A problem of a training after the epochs of ``history``.

    Attributes
    ----------
    classes: ids of the classes that are never found, or of the one class that is predicted everywhere.
    """

    facts: TrainingFacts
    history: History
    classes: tuple[int, ...] = ()

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return int(self.history[-1]["steps"])

    @property
    def fall(self) -> float | None:
        """Share of the first training loss that is gone in the mean of the last three epochs; negative after a rise."""
        return fall(known(self.history, "train_loss"))

    @property
    def val_fall(self) -> float | None:
        """Share of the first validation loss that is gone in the mean of the last three; negative after a rise."""
        return fall(known(self.history, "val_loss"))

    @property
    def stands_still(self) -> bool:
        """Whether the training loss has hardly fallen, or has risen."""
        return self.fall is not None and self.fall < 0.05

    @property
    def still_falling(self) -> bool:
        """Whether both losses are at least 5 % lower in the last quarter of the epochs than in the quarter before."""
        return all(_still_falling(known(self.history, key)) for key in ("train_loss", "val_loss"))

    @property
    def blind(self) -> bool:
        """Whether the validation loss is hardly better than that of always answering the classes' shares."""
        losses = known(self.history, "val_loss")
        return bool(losses) and losses[-1] >= BLIND * self.facts.share_loss


def known(history: History, key: str) -> list[float]:
    """Return the values of a column, without the rows where it is None."""
    return [float(row[key]) for row in history if row[key] is not None]


def fall(losses: Sequence[float]) -> float | None:
    """Return the share of the first loss that is gone in the mean of the last three; None where there is only one."""
    recent = losses[1:][-3:]
    return 1 - sum(recent) / len(recent) / losses[0] if recent and losses[0] > 0 else None


def _still_falling(losses: Sequence[float]) -> bool:
    part = max(len(losses) // 4, 1)
    late, before = losses[-part:], losses[-2 * part : -part]
    return len(before) == part and sum(before) > 0 and sum(late) < 0.95 * sum(before)

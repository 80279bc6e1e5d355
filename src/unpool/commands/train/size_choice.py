"""The choice of a network's size: the largest one that the minutes of a training are enough for on this machine."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from unpool.commands.events import Event, Message, Progress
from unpool.commands.train.preparation import TrainingJob, with_structure
from unpool.machine.device import free_memory
from unpool.training.rehearsal import rehearse
from unpool.wording import count_text, duration_text, minutes_text

LONG_MINUTES = 60.0
"""Minutes from which a training gets the network as it is named."""

USABLE = 0.85
"""Share of the rest of a time budget that a training spends on its steps; validations and files take the rest."""


class Size(NamedTuple):
    """A size of the network, and the fewest steps in which it learns more than the size before it.

    Attributes
    ----------
    width: feature maps of the first stage.
    """

    width: int
    steps: int


SIZES = (Size(8, 0), Size(16, 700), Size(32, 2000))
"""From the smallest; ``docs/minutes.md`` has the measurements."""

CHOSEN = frozenset({"width", "stem"})
"""Choices of the structure that decide the size. A person who makes one of them makes this choice."""


@dataclass(frozen=True)
class Tried:
    """A size with the time of its step here."""

    size: Size
    job: TrainingJob
    step_seconds: float

    def steps_in(self, seconds: float) -> int:
        """Return the steps that fit into some seconds."""
        return int(seconds / self.step_seconds)


def choosable(settings: Mapping[str, Any]) -> bool:
    """Return whether a training by these settings leaves the size of its network to this choice.

    Only the default network has sizes to choose from; networks of papers are as their papers have them.
    """
    training = settings.get("training", {})
    return (
        settings.get("net", "unet") == "unet"
        and not CHOSEN & set(settings.get("structure", {}))
        and training.get("epochs") is None
        and training.get("start") is None
    )


def with_size_that_fits(job: TrainingJob, began: float) -> Generator[Event, None, TrainingJob]:
    """Return the training with the largest network for which its minutes are enough, and say so.

    Steps of each size are timed, from the smallest on, until the next would not get the steps that it needs.

    Parameters
    ----------
    job: a training by minutes.
    began: the clock (``time.monotonic``) from which the minutes count.
    """
    minutes = job.config.training.minutes
    assert minutes is not None
    if minutes >= LONG_MINUTES:
        return job
    tried: list[Tried] = []
    for size in SIZES:
        left = USABLE * (60 * minutes - job.setup.processes.agree(time.monotonic() - began))
        # No size takes less time for a step than a smaller one.
        if tried and tried[-1].steps_in(left) < size.steps:
            break
        yield Progress("choosing the size", len(tried), len(SIZES))
        each = _try(job, size)
        if tried and each.steps_in(left) < size.steps:
            break
        tried.append(each)
    yield Progress("choosing the size", len(SIZES), len(SIZES))
    yield Message(_text(tried, minutes, left))
    return tried[-1].job

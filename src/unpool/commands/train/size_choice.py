"""The choice of a training's size, its network and its crops: the largest that its minutes are enough for here."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from unpool.commands.events import Event, Message, Progress
from unpool.commands.train.preparation import TrainingJob, with_settings
from unpool.commands.train.rehearsal import rehearsed
from unpool.config.values import assignment
from unpool.convolution.choices import CHOICES
from unpool.errors import TrainingError, UsageError
from unpool.wording import all_of, duration_text, minutes_text

LONG_MINUTES = 60.0
"""Minutes from which a training is as large as its settings name it."""

USABLE = 0.85
"""Share of the rest of a time budget that a training spends on its steps; validations and files take the rest."""


@dataclass(frozen=True)
class TrainingSize:
    """A size of training.

    Attributes
    ----------
    settings: nested as ``unpool.config.schema.RunConfig``; a person's own settings stay as they are.
    steps: the fewest steps in which it learns more than the size before it learns in the same time.
    """

    settings: Mapping[str, Mapping[str, Any]]
    steps: int

    @property
    def values(self) -> dict[str, Any]:
        """The settings by their short names."""
        return {key: value for section in self.settings.values() for key, value in section.items()}

    @property
    def words(self) -> str:
        """The settings as a person writes them, and those that are switched off as words."""
        rotation = "other rotation" if self.values.get("quarter_turns") else "rotation"
        off = [rotation if key == "rotation" else key for key, value in self.values.items() if not value]
        return _assignments(self.values) + (f", without {all_of(off)}" if off else "")


def _assignments(values: Mapping[str, Any]) -> str:
    """Return the settings that are not switched off as a person writes them."""
    return " ".join(assignment(key, value) for key, value in values.items() if value)


@dataclass(frozen=True)
class TimedSize:
    """A size, the training in this size, and the time of its step on this machine."""

    size: TrainingSize
    job: TrainingJob
    step_seconds: float

    def steps_in(self, seconds: float) -> int:
        """Return the number of steps in some seconds."""
        return int(seconds / self.step_seconds)


DEARER = 2.5
"""A guess at the time of a step in a size that was not timed, as a multiple of that in the size before it.

``width`` 8, 16 and 32 with the same crops: 0.148, 0.351 and 0.983 s (two cores with AVX-512 bfloat16).
"""

WHOLE_PIXELS = {"rotation": 0.0, "scale": 0.0, "elastic": 0.0, "noise": 0.0}
"""The augmentation of a short training on scenes: crops are mirrored, and contrast and brightness vary.

Whole pixels are taken then, without interpolation.
"""

ALL_ORIENTATIONS = {"quarter_turns": True, **WHOLE_PIXELS}
"""The augmentation of a short training on pictures without a top: their crops have all eight orientations too."""


def _objects(width: int) -> dict[str, Mapping[str, Any]]:
    """Return the settings of a short training on pictures without a top: many small crops in a step."""
    training = {"crop": 128, "batch_size": 8, "learning_rate": 3e-3}
    return _short(width, "none", training, ALL_ORIENTATIONS)


def _scenes(width: int) -> dict[str, Mapping[str, Any]]:
    """Return the settings of a short training on scenes: crops that show how their parts lie to each other."""
    training = {"crop": 256, "batch_size": 4, "learning_rate": 1.5e-3}
    return _short(width, "strided", training, WHOLE_PIXELS)


def _short(
    width: int, stem: str, training: Mapping[str, Any], augmentation: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    return {"structure": {"width": width, "stem": stem}, "training": training, "augmentation": augmentation}


AS_NAMED = TrainingSize(
    {"structure": {"width": 32, "stem": "none"}, "training": {"crop": 256, "batch_size": 4, "learning_rate": 1e-3}},
    2000,
)
"""The largest size: the default network with its default crops."""

TRAINING_SIZES: Mapping[str, tuple[TrainingSize, ...]] = {
    "free": (
        TrainingSize(_objects(8), 0),
        TrainingSize(_objects(16), 1500),
        AS_NAMED,
    ),
    "upright": (
        TrainingSize(_scenes(16), 0),
        TrainingSize(_scenes(32), 2000),
        AS_NAMED,
    ),
}
"""The sizes for pictures that are free (cells, satellites) or upright (streets, rooms), from the smallest.

``docs/minutes.md`` has the measurements. With objects, more crops in a step, from more pictures, brought most of all
that was tried; with scenes, more steps of half the crops and half the learning rate.
"""


def sizes_for(settings: Mapping[str, Any], orientation: str) -> tuple[TrainingSize, ...]:
    """Return the sizes that a training by these settings can have, without what the settings name themselves.

    Parameters
    ----------
    settings: those that a person gave, nested.
    orientation: of the pictures, ``free`` or ``upright``.

    There are none where nothing is left to choose: only the default network has sizes (networks of papers are as their
    papers have them), and only where it does not begin with the weights of another model, for a number of minutes.
    """
    training = settings.get("training", {})
    bound = training.get("epochs") is not None or training.get("start") is not None
    if settings.get("net", "unet") != "unet" or bound:
        return ()
    sizes = (_without(size.settings, settings) for size in TRAINING_SIZES[orientation])
    left = tuple(TrainingSize(each, size.steps) for each, size in zip(sizes, TRAINING_SIZES[orientation], strict=True))
    return left if all(size.settings for size in left) else ()


def _without(settings: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return settings of a size without those that a person gave.

    Who gives a part of the network's size gives it, and who says how crops are rotated or mirrored gets no more turns.
    """
    named = {section: set(given.get(section, {})) for section in ("structure", "training", "augmentation")}
    if named["structure"] & set(settings["structure"]):
        named["structure"] |= set(settings["structure"])
    if named["augmentation"] & {"rotation", "flip_rows", "flip_columns"}:
        named["augmentation"].add("quarter_turns")
    left = {
        section: {key: value for key, value in values.items() if key not in named[section]}
        for section, values in settings.items()
    }
    return {section: values for section, values in left.items() if values}


def with_fitting_size(
    job: TrainingJob, settings: Mapping[str, Any], began: float
) -> Generator[Event, None, TrainingJob]:
    """Return the training in the largest size for which its minutes are enough on this machine, and say so.

    Steps of each size are timed, from the smallest on, until the next would not get the steps that it needs.

    Parameters
    ----------
    settings: those that a person gave, nested.
    began: the clock (``time.monotonic``) from which the minutes count.
    """
    sizes, minutes = sizes_for(settings, job.config.augmentation.orientation), job.config.training.minutes
    if not sizes or minutes is None or minutes >= LONG_MINUTES:
        return job
    CHOICES.begin({})
    before = CHOICES.measured
    fitting: list[TimedSize] = []
    too_large: TimedSize | None = None
    for number, size in enumerate(sizes):
        yield Progress("choosing the size", number, len(sizes))
        if fitting and fitting[-1].steps_in(_left(job, began)) < size.steps:
            # A step of a larger size takes longer, so this one does not fit either.
            too_large = TimedSize(size, job, fitting[-1].step_seconds * DEARER)
            break
        try:
            timed = _timed(job, size)
        except UsageError:  # it does not go together with the person's settings, such as a stem with head_kernel=3
            continue
        except TrainingError:
            if not fitting:
                raise
            break  # more memory than there is
        if fitting and timed.steps_in(_left(job, began)) < size.steps:
            too_large = timed
            break
        fitting.append(timed)
    yield Progress("choosing the size", len(sizes), len(sizes))
    if measured := CHOICES.measured.text_since(before):
        yield Message(measured)
    if not fitting:
        return job
    yield Message(_text(fitting[-1], too_large, minutes, _left(job, began)))
    return fitting[-1].job


def _left(job: TrainingJob, began: float) -> float:
    """Return the seconds that a time budget still has for steps."""
    minutes = job.config.training.minutes
    assert minutes is not None
    return USABLE * (60 * minutes - job.setup.processes.agree(time.monotonic() - began))


def _timed(job: TrainingJob, size: TrainingSize) -> TimedSize:
    sized = with_settings(job, size.settings)
    result, _ = rehearsed(sized)
    return TimedSize(size, replace(sized, rehearsal=result), result.step_seconds)


def _text(chosen: TimedSize, larger: TimedSize | None, minutes: float, seconds: float) -> str:
    """Return what was chosen and why, and what more minutes would bring."""
    settings, off, without = chosen.size.words.partition(", without ")
    rows = [
        ("settings", settings),
        ("without", without if off else ""),
        ("because", f"{minutes_text(minutes)} are enough for about {chosen.steps_in(seconds):,} steps of "
         f"{duration_text(chosen.step_seconds)} here"),
    ]  # fmt: skip
    if larger is not None:
        needed = math.ceil(larger.size.steps * larger.step_seconds / USABLE / 60)
        changed = {key: value for key, value in larger.size.values.items() if chosen.size.values.get(key) != value}
        rows.append(
            ("more minutes", f"from about {min(needed, int(LONG_MINUTES))} on, the next size: {_assignments(changed)}")
        )
    return "\n".join(["Size", *(f"  {label:<15}{value}" for label, value in rows if value)])

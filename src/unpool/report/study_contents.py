"""The contents of a study's record: its attempts as they are shown on a page, in a table and on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal, NamedTuple

from numpy import uint8
from numpy.typing import NDArray

from unpool.metrics.intervals import Interval
from unpool.report.text import NamedTexts

AttemptState = Literal["judged", "given up", "failed", "running", "waiting", "refused"]
"""What became of an attempt; ``judged``: all its trainings ended and were scored on the test pictures."""


class CourseRow(NamedTuple):
    """A validation during a training.

    Attributes
    ----------
    share: of the training, 0..1.
    seconds: since the training began.
    mean_iou: of the validation pictures, 0..1; None if not known.
    loss: mean of the training since the row before; None if not known.
    """

    share: float
    seconds: float
    mean_iou: float | None
    loss: float | None


@dataclass(frozen=True)
class Course:
    """The course of one training of an attempt, in the order of time."""

    seed: int
    rows: Sequence[CourseRow]


@dataclass(frozen=True)
class AttemptCost:
    """What an attempt takes; None for what is not known.

    Attributes
    ----------
    parameters: trainable ones.
    multiply_adds: of one picture.
    step_seconds: of a training step.
    training_seconds: of one training from beginning to end; the mean over seeds.
    prediction_seconds: of one picture.
    memory: bytes, at the peak of a training.
    """

    parameters: int | None = None
    multiply_adds: int | None = None
    step_seconds: float | None = None
    training_seconds: float | None = None
    prediction_seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Attempt:
    """One attempt of a study. A number that is None or not finite is shown as a dash.

    Attributes
    ----------
    name: short, and different from those of the other attempts.
    changes: settings that differ from the baseline's, each with its value here; none for the baseline.
    note: why the person tries this; may be empty.
    state, ended: what became of it, and one sentence about it, such as why it was given up; may be empty.
    seeds: number of seeds whose training ended.
    score: mean IoU of the test pictures, 0..1, as the mean over seeds.
    score_interval: of the score, 0..1.
    difference: score minus the baseline's, in points (hundredths); None for the baseline.
    difference_interval: of the difference, in points; for all attempts at once.
    verdict: a sentence: direction and size, then whether it is sure; may be empty.
    shown: whether the difference is sure.
    validation: mean IoU of the validation pictures, 0..1, as the mean over seeds.
    cost: what it takes.
    courses: one for each seed that began.
    given_up_at: share of the training, 0..1, at which it was given up; None if it was not.
    crops: its prediction as ``overlay`` draws it, on each of the study's crops; or none at all.
    """

    name: str
    changes: NamedTexts = ()
    note: str = ""
    state: AttemptState = "waiting"
    ended: str = ""
    seeds: int = 0
    score: float | None = None
    score_interval: Interval | None = None
    difference: float | None = None
    difference_interval: Interval | None = None
    verdict: str = ""
    shown: bool = False
    validation: float | None = None
    cost: AttemptCost = field(default_factory=AttemptCost)
    courses: Sequence[Course] = ()
    given_up_at: float | None = None
    crops: Sequence[NDArray[uint8]] = ()

    @property
    def reached(self) -> float | None:
        """Share of a training, 0..1, that its latest seed has reached; None if none has a validation."""
        ends = [course.rows[-1].share for course in self.courses if course.rows]
        return ends[-1] if ends else None


@dataclass(frozen=True)
class StudyContents:
    """The contents of a study's record. A part that is empty is left out.

    Attributes
    ----------
    title, subtitle: one line each.
    headline: what the study found, one sentence each, the most important first.
    facts: sections with their rows: data, split, budget, seeds, machine, forecast.
    attempts: the baseline first, then the others in their order.
    crop_names: names of the crops of test pictures, usually three.
    crop_pictures, crop_truths: each crop as ``displayable`` returns it, and its ``overlay`` with the labels.
    warnings: warnings for the reader, one sentence each.
    rules: how intervals and verdicts are made, one sentence each.
    command: command that makes the study again, or continues it.
    """

    title: str
    subtitle: str
    headline: Sequence[str]
    attempts: Sequence[Attempt]
    facts: Sequence[tuple[str, NamedTexts]] = ()
    crop_names: Sequence[str] = ()
    crop_pictures: Sequence[NDArray[uint8]] = ()
    crop_truths: Sequence[NDArray[uint8]] = ()
    warnings: Sequence[str] = ()
    rules: Sequence[str] = ()
    command: str = ""

    def __post_init__(self) -> None:
        crops = len(self.crop_names)
        found = {len(self.crop_pictures), len(self.crop_truths), *(len(each.crops) or crops for each in self.attempts)}
        if found != {crops}:
            raise ValueError(f"{crops} names of crops, but {sorted(found)} pictures, ground truths or predictions")


def with_finite_numbers(attempt: Attempt) -> Attempt:
    """Return the attempt with None in place of each number that is not finite, also in its courses."""
    cost = attempt.cost
    return replace(
        attempt,
        score=_finite(attempt.score),
        score_interval=_finite_interval(attempt.score_interval),
        difference=_finite(attempt.difference),
        difference_interval=_finite_interval(attempt.difference_interval),
        validation=_finite(attempt.validation),
        given_up_at=_finite(attempt.given_up_at),
        cost=replace(
            cost,
            step_seconds=_finite(cost.step_seconds),
            training_seconds=_finite(cost.training_seconds),
            prediction_seconds=_finite(cost.prediction_seconds),
        ),
        courses=[
            Course(
                each.seed, [row._replace(mean_iou=_finite(row.mean_iou), loss=_finite(row.loss)) for row in each.rows]
            )
            for each in attempt.courses
        ],
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _finite_interval(interval: Interval | None) -> Interval | None:
    return interval if interval is not None and all(map(isfinite, interval)) else None

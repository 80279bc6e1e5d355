"""The records of a study: what every process that works on it agrees on, its tasks, and their results."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from unpool.config.settings import merge
from unpool.study.plan import StudyPlan
from unpool.study.variants import Variant

Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Share = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=1e10)]
Score = Annotated[float, Field(ge=0, le=1)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Task(_Form):
    """A piece of work that one process does: a training up to a share of it, a test, or the proposal of variants.

    Attributes
    ----------
    variant: number of the variant; of a proposal the number of the batch, from 0.
    share: part of the training, above 0 and at most 1.
    """

    kind: Literal["train", "test", "propose"]
    variant: Count
    seed: Count = 0
    share: Share = 1.0

    @property
    def key(self) -> str:
        """The name of the task, which is the same for every process."""
        if self.kind == "propose":
            return f"propose-{self.variant}"
        end = "test" if self.kind == "test" else f"until-{self.share:g}"
        return f"{self.variant:02}-seed-{self.seed}-{end}"

    def result(self, **facts: Any) -> TaskResult:
        """Return the result of the task with these facts."""
        return TaskResult(key=self.key, variant=self.variant, seed=self.seed, **facts)


class Probe(_Form):
    """What a short rehearsal says about a variant.

    Attributes
    ----------
    steps: steps of an epoch; epoch_seconds: time of an epoch with its validation.
    memory: bytes that a training step takes.
    multiply_adds: for one picture of the size of the crops.
    """

    variant: Count
    steps: Annotated[int, Field(ge=1, le=10**9)]
    step_seconds: Seconds
    epoch_seconds: Seconds
    parameters: Count
    memory: Count
    multiply_adds: Count


class TaskResult(_Form):
    """The result of a task.

    Attributes
    ----------
    variant, seed: as in the task.
    error: why the training or test failed; empty where it did not.
    score: mean IoU on the validation pictures (highest so far) or on the test pictures; None where it has none.
    seconds: time of the training so far, with the parts before this task; of a test its time.
    epochs: number of epochs so far; best_epoch: the one whose weights the model has.
    pictures, groups: names of the scored pictures, and the group of each.
    counts: hit, true and predicted pixels of each class in each picture (pictures, 3, classes).
    course: for each validation (share of the training, seconds, mean IoU, training loss).
    proposed, probes: variants that a proposal made, and what a rehearsal said about them.
    run: path of the run folder in the study's folder.
    """

    key: str
    variant: Count
    seed: Count
    error: str = ""
    score: Score | None = None
    seconds: Seconds = 0.0
    epochs: Count = 0
    best_epoch: Count = 0
    pictures: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    counts: tuple[tuple[tuple[Count, ...], ...], ...] = ()
    course: tuple[tuple[float, float, float | None, float | None], ...] = ()
    proposed: tuple[Variant, ...] = ()
    probes: tuple[Probe, ...] = ()
    run: str = ""


class StudyData(_Form):
    """The data of a study: the same pictures in the same parts for every variant."""

    name: str
    folder: str
    fingerprint: str
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    origin: str


class Study(_Form):
    """A study that has begun: what every process that works on it has to agree on.

    Attributes
    ----------
    variants: the baseline, and those that the plan names; a search adds others.
    total_steps: steps of a full training; minutes: its length where ``plan.equal`` is ``seconds``.
    shares: parts of the training after which variants are given up; the last is 1.
    """

    version: Literal[1] = 1
    id: str
    created: str
    plan: StudyPlan
    data: StudyData
    variants: tuple[Variant, ...]
    probes: tuple[Probe, ...]
    total_steps: Annotated[int, Field(ge=1)] | None
    minutes: Annotated[float, Field(gt=0)] | None
    shares: Annotated[tuple[Share, ...], Field(min_length=1)]

    def probe(self, variant: int) -> Probe | None:
        """Return what is known of a variant before its training."""
        return next((each for each in self.probes if each.variant == variant), None)

    def settings_of(self, variant: Variant, probe: Probe, seed: int) -> dict[str, Any]:
        """Return the settings of one training, nested as ``unpool.config.schema.RunConfig``."""
        budget = {"minutes": self.minutes} if self.minutes is not None else {"epochs": self.epochs_of(probe)}
        return merge(variant.settings, self.plan.data_settings, {"training": {"seed": seed, **budget}})

    def epochs_of(self, probe: Probe) -> int:
        """Return the epochs of a full training of a variant: the same number of steps for all."""
        assert self.total_steps is not None
        return max(round(self.total_steps / probe.steps), 1)

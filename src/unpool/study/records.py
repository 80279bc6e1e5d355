"""The records of a study: what every process that works on it agrees on, its tasks, and their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from unpool.config.settings import merge
from unpool.study.plan import StudyPlan
from unpool.study.variants import Variant

_Count = Annotated[int, Field(ge=0, lt=1 << 63)]
_Share = Annotated[float, Field(gt=0, le=1)]
_Seconds = Annotated[float, Field(ge=0, le=1e10)]
_Score = Annotated[float, Field(ge=0, le=1)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StudyTask(_Form):
    """A piece of work that one process does.

    It is a training up to a share of it, a test of its model, the models of a variant's seeds as one model with its
    test, or the proposal of variants.

    Attributes
    ----------
    variant: number of the variant; of a proposal the number of the batch, from 0.
    share: part of the training, above 0 and at most 1.
    """

    kind: Literal["train", "test", "ensemble", "propose"]
    variant: _Count
    seed: _Count = 0
    share: _Share = 1.0

    @property
    def key(self) -> str:
        """The name of the task, which is the same for every process."""
        if self.kind == "propose":
            return f"propose-{self.variant}"
        if self.kind == "ensemble":
            return f"{self.variant:02}-ensemble"
        end = "test" if self.kind == "test" else f"until-{self.share:g}"
        return f"{self.variant:02}-seed-{self.seed}-{end}"

    def result(self, **facts: Any) -> TaskResult:
        """Return the result of the task with these facts."""
        return TaskResult(key=self.key, variant=self.variant, seed=self.seed, **facts)


class VariantFacts(_Form):
    """What a short rehearsal shows about a variant.

    Attributes
    ----------
    steps: steps of an epoch; epoch_seconds: time of an epoch with its validation.
    memory: bytes that a training step takes.
    multiply_adds: for one picture of the size of the crops.
    """

    variant: _Count
    steps: Annotated[int, Field(ge=1, le=10**9)]
    step_seconds: _Seconds
    epoch_seconds: _Seconds
    parameters: _Count
    memory: _Count
    multiply_adds: _Count


class TaskResult(_Form):
    """The result of a task.

    Attributes
    ----------
    variant, seed: as in the task.
    error: why the training or test failed; empty where it did not.
    score: mean IoU on the validation pictures (highest so far) or on the test pictures; None where it has none.
    validation: of an ensemble its mean IoU on the validation pictures.
    seconds: time of the training so far, with the parts before this task; of a test its time.
    picture_seconds: time to predict and score one validation picture; None where it was not measured.
    epochs: number of epochs so far; best_epoch: the one whose weights the model has.
    pictures, groups: names of the scored pictures, and the group of each.
    counts: hit, true and predicted pixels of each class in each picture (pictures, 3, classes).
    course: for each validation (share of the training, seconds, mean IoU, training loss).
    proposed, facts: variants that a proposal made, and what a rehearsal showed about them.
    run: path of the run folder in the study's folder.
    members: number of the models of an ensemble.
    """

    key: Annotated[str, Field(pattern=r"^[a-z0-9.+-]{1,100}$")]
    variant: _Count
    seed: _Count
    error: str = ""
    score: _Score | None = None
    validation: _Score | None = None
    seconds: _Seconds = 0.0
    picture_seconds: _Seconds | None = None
    epochs: _Count = 0
    best_epoch: _Count = 0
    pictures: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    counts: tuple[tuple[tuple[_Count, ...], ...], ...] = ()
    course: tuple[tuple[float, float, float | None, float | None], ...] = ()
    proposed: tuple[Variant, ...] = ()
    facts: tuple[VariantFacts, ...] = ()
    run: str = ""
    members: _Count = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not len(self.pictures) == len(self.groups) == len(self.counts):
            raise ValueError("other numbers of pictures, groups and counts")
        shapes = {tuple(map(len, picture)) for picture in self.counts}
        if len(shapes) > 1 or any(len(shape) != 3 or len(set(shape)) > 1 for shape in shapes):
            raise ValueError("counts that are not three numbers for each class of each picture")
        return self


Results = Mapping[str, TaskResult]
"""Results of finished tasks, by the keys of the tasks."""


class StudyData(_Form):
    """The data of a study: the same pictures in the same parts for every variant.

    Attributes
    ----------
    origin: how the parts were made; warnings: those of the survey of the folder.
    """

    name: str
    folder: str
    fingerprint: str
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    origin: str
    warnings: tuple[str, ...] = ()


class Study(_Form):
    """A study that has begun: what every process that works on it has to agree on.

    Attributes
    ----------
    variants: the baseline, and those that the plan names; a search adds others.
    total_steps: steps of a full training; minutes: its length where ``plan.equal`` is ``seconds``.
    shares: parts of the training after which variants are given up; the last is 1.
    precision: number type of the convolutions, the same on every machine, for variants that do not set their own.
    """

    version: Literal[1] = 1
    id: str
    created: str
    plan: StudyPlan
    data: StudyData
    variants: tuple[Variant, ...]
    facts: tuple[VariantFacts, ...]
    total_steps: Annotated[int, Field(ge=1)] | None
    minutes: Annotated[float, Field(gt=0)] | None
    shares: Annotated[tuple[_Share, ...], Field(min_length=1)]
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        possible = [each.number for each in self.variants if not each.refused]
        if [each.number for each in self.variants] != list(range(len(self.variants))) or possible[:1] != [0]:
            raise ValueError("variants that are not numbered from the baseline, 0, upwards")
        if [each.variant for each in self.facts] != possible:
            raise ValueError("facts of other variants than those that can be trained")
        if self.shares[-1] != 1 or list(self.shares) != sorted(set(self.shares)):
            raise ValueError("shares of the training that do not rise to 1")
        if (self.total_steps is None) == (self.minutes is None):
            raise ValueError("a length in steps and in minutes, or in neither")
        if not (self.data.val and self.data.test):
            raise ValueError("no pictures to choose or to judge by")
        return self

    def settings_of(self, variant: Variant, facts: VariantFacts, seed: int) -> dict[str, Any]:
        """Return the settings of one training, nested as ``unpool.config.schema.RunConfig``."""
        budget = {"minutes": self.minutes} if self.minutes is not None else {"epochs": self.epochs_of(facts)}
        return merge(
            {"machine": {"precision": self.precision}},
            variant.settings,
            self.plan.data_settings,
            {"training": {"seed": seed, **budget}},
        )

    def epochs_of(self, facts: VariantFacts) -> int:
        """Return the epochs of a full training of a variant: the same number of steps for all."""
        assert self.total_steps is not None
        return max(round(self.total_steps / facts.steps), 1)

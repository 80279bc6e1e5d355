"""The record of one training or test: its data and settings, its machine and code, its model and scores."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

RECORD_FILE = "run.json"
"""The name of a record in its run's folder."""

RunKind = Literal["train", "test"]
RecordedState = Literal["running", "finished", "stopped", "failed"]
"""The state of a run that its record holds; the record of a killed run still holds ``running``."""


def _in_order(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("an interval that ends before it begins")
    return interval


_Count = Annotated[int, Field(ge=0, lt=1 << 63)]
_Score = Annotated[float, Field(ge=0, le=1)]
_ScoreInterval = Annotated[tuple[_Score, _Score], Field(strict=False), AfterValidator(_in_order)]
_Moment = Annotated[
    AwareDatetime, Field(strict=False, ge=datetime(1970, 1, 2, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))
]
"""A time that every local clock can show."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class DataUsed(_Part):
    """The data folder of a training or test.

    Attributes
    ----------
    folder: its absolute path.
    fingerprint: a digest of all names and contents.
    pictures: number of pictures by split (``train``, ``val``); for a test by a description of them.
    choice: how the split of a training was made.
    """

    name: str
    folder: str
    fingerprint: str
    pictures: dict[str, _Count]
    choice: str = ""


class CodeUsed(_Part):
    """The program: the package's version, and the SHA-256 of its Python sources."""

    version: str
    digest: str


class Process(_Part):
    """The process that wrote the record."""

    host: str
    pid: Annotated[int, Field(ge=0, lt=1 << 32)]


class ModelUsed(_Part):
    """A model file: its absolute path, and the SHA-256 of its content."""

    file: str
    digest: str


class StudyPlace(_Part):
    """The place of a training in a study: the study's folder, the variant, and why the variant is tried."""

    folder: str
    variant: str
    note: str = ""


class Record(_Part):
    """The content of ``run.json``.

    Attributes
    ----------
    id: 8 hex digits of a digest of the key, the time of the start and the folder; a resumed run keeps it.
    key: a digest of everything that decides the result: data, settings without the machine, code, and the model that a
        test tested or a training began with. Runs with one key should have one result.
    created, updated: the times of the run's start and of the last write of the record.
    settings: the full configuration of a training, or the options of a test.
    changed: the settings of a training that differ from the defaults, as ``section.name``.
    model: the model that a training made or a test tested.
    start: the model that a training began with.
    parent: id of the run from whose settings this training was changed; None where it is unknown.
    study: the place of a training in a study; None outside of one.
    seconds: the time that the run took, with all its resumed parts.
    peak_bytes: most main memory of its first process; None where unknown.
    epochs, best_epoch: the number of epochs of a training, and the epoch of its model.
    scores: 0..1, of the validation pictures or of the tested ones.
    intervals: 95 % intervals of a test's scores.
    result: a digest of the weights of a training, or of a test's counts of every picture.
    """

    version: Literal[1] = 1
    id: str = Field(pattern="^[0-9a-f]{8}$")
    kind: RunKind
    state: RecordedState
    error: str = ""
    key: str
    created: _Moment
    updated: _Moment
    net: str
    data: DataUsed
    settings: dict[str, Any]
    changed: dict[str, Any] = {}
    seed: _Count | None = None
    code: CodeUsed
    software: dict[str, str]
    machine: str
    process: Process
    model: ModelUsed | None = None
    start: ModelUsed | None = None
    parent: Annotated[str, Field(pattern="^[0-9a-f]{8}$")] | None = None
    study: StudyPlace | None = None
    seconds: Annotated[float, Field(ge=0, le=1e10)] = 0.0
    peak_bytes: _Count | None = None
    epochs: _Count | None = None
    best_epoch: _Count | None = None
    scores: dict[str, _Score | None] = {}
    intervals: dict[str, _ScoreInterval | None] = {}
    result: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.kind == "test" and self.model is None:
            raise ValueError("a test without a model")
        if (self.best_epoch or 0) > (self.epochs or 0):
            raise ValueError(f"the best epoch is {self.best_epoch}, of {self.epochs}")
        return self

    @property
    def mean_iou(self) -> float | None:
        """The score by which runs are listed and sorted; None where the run has none."""
        return self.scores.get("mean_iou")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return self.model_dump(mode="json")


class Origin(NamedTuple):
    """What is known of a training before it begins; None where it is not.

    Attributes
    ----------
    parent: id of the run from whose settings it was changed.
    study: its place in a study.
    fingerprint: of the data that it has to have; other data are refused.
    """

    parent: str | None = None
    study: StudyPlace | None = None
    fingerprint: str | None = None


UNKNOWN = Origin()


def digest(plain: Any) -> str:
    """Return the SHA-256 of plain JSON data, in hex; the order of keys does not count."""
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def present_code() -> CodeUsed:
    """Return the version and digest of the running program."""
    root = Path(__file__).parents[1]
    sources = {path.relative_to(root).as_posix(): file_digest(path) for path in root.rglob("*.py")}
    return CodeUsed(version=metadata.version("unpool"), digest=digest(sources))


def present_process() -> Process:
    """Return the machine's name and the number of the running process."""
    return Process(host=platform.node(), pid=os.getpid())

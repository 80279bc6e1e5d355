"""The record of one training or test: what went in, what it ran on, what came out."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

RECORD_FILE = "run.json"

RunKind = Literal["train", "test"]
Written = Literal["running", "finished", "stopped", "failed"]
"""How a run stands by its own word; one that was killed still says ``running``."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class DataUsed(_Part):
    """The folder that was trained or tested on.

    ``folder``: its absolute path; ``fingerprint``: of all names and contents; ``pictures``: how many were used, by
    part (``train``, ``val``; of a test, which they are in words); ``choice``: how the split of a training was made.
    """

    name: str
    folder: str
    fingerprint: str
    pictures: dict[str, int]
    choice: str = ""


class CodeUsed(_Part):
    """The program: the package's version, and a sha256 over its Python sources."""

    version: str
    digest: str


class Process(_Part):
    """The process that wrote the record."""

    host: str
    pid: int


class ModelUsed(_Part):
    """A model file: its absolute path, and the sha256 of its content."""

    file: str
    digest: str


class Record(_Part):
    """What ``run.json`` holds.

    Attributes
    ----------
    id: 8 hex digits, fixed when the run starts.
    key: a digest of everything that should decide the result: data, settings without the machine, code, the model that
        was tested or begun with. Runs of one key are the same run.
    created, updated: when the run started, and when the record was last written.
    settings: of a training the whole configuration, of a test its options.
    changed: the settings of a training that differ from the defaults, as ``section.name``.
    model: the model that was made, or tested; start: the one that a training began with.
    seconds: that it took, in all parts; peak_bytes: most main memory of its (first) process, None where unknown.
    epochs, best_epoch: of a training, how many were done and which one the model is from.
    scores: 0..1, of the validation pictures or the tested ones; intervals: 95 %, of a test.
    result: a digest of what came out: of the weights, or of the counts of every picture.
    """

    version: Literal[1] = 1
    id: str = Field(pattern="^[0-9a-f]{8}$")
    kind: RunKind
    state: Written
    error: str = ""
    key: str
    created: AwareDatetime
    updated: AwareDatetime
    net: str
    data: DataUsed
    settings: dict[str, Any]
    changed: dict[str, Any] = {}
    seed: int | None = None
    code: CodeUsed
    software: dict[str, str]
    machine: str
    process: Process
    model: ModelUsed | None = None
    start: ModelUsed | None = None
    seconds: float = 0.0
    peak_bytes: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    scores: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float] | None] = {}
    result: str | None = None

    @property
    def mean_iou(self) -> float | None:
        """The score that runs are listed and sorted by."""
        return self.scores.get("mean_iou")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return self.model_dump(mode="json")


def digest(plain: Any) -> str:
    """SHA-256 of plain JSON data, in hex; the order of keys does not count."""
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def present_code() -> CodeUsed:
    """The program that is running."""
    root = Path(__file__).parents[1]
    sources = {path.relative_to(root).as_posix(): file_digest(path) for path in root.rglob("*.py")}
    return CodeUsed(version=metadata.version("unpool"), digest=digest(sources))


def present_process() -> Process:
    """The process that is running."""
    return Process(host=platform.node(), pid=os.getpid())

"""The folder of a study: its plan, the results of its tasks, its runs, and the page and tables made from them."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from unpool.errors import DataError, RunError
from unpool.io.documents import read_json
from unpool.io.files import atomic_path, write_text
from unpool.study.records import Results, Study, TaskResult
from unpool.wording import decodable, problem_text

MAX_STUDY_BYTES = 64_000_000
"""The most bytes of a study's file that is read."""


@dataclass(frozen=True)
class StudyFolder:
    """The paths of the files in the folder of a study."""

    path: Path

    @property
    def study(self) -> Path:
        """The plan, the data and the forecast: what every process agrees on."""
        return self.path / "study.json"

    @property
    def results(self) -> Path:
        """One file for each finished task."""
        return self.path / "results"

    @property
    def runs(self) -> Path:
        """The run folders of the trainings."""
        return self.path / "runs"

    @property
    def crops(self) -> Path:
        """Pictures of the same crops under each variant."""
        return self.path / "crops"

    @property
    def ensemble(self) -> Path:
        """The models of one variant's seeds as one model."""
        return self.path / "ensemble" / "model.safetensors"

    @property
    def page(self) -> Path:
        """The page of the study."""
        return self.path / "study.html"

    @property
    def csv(self) -> Path:
        """The table of the attempts, for a spreadsheet."""
        return self.path / "attempts.csv"

    @property
    def markdown(self) -> Path:
        """The table of the attempts, for a text."""
        return self.path / "attempts.md"


def begin_study(folder: StudyFolder, study: Study) -> None:
    """Write a study into its folder, unless another process has begun one there. Raises RunError."""
    try:
        with atomic_path(folder.study, replace=False) as draft:
            draft.write_text(study.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except RunError:
        if not folder.study.is_file():
            raise


def write_study(folder: StudyFolder, study: Study) -> None:
    """Write a study into its folder again, with another budget. Raises RunError."""
    write_text(folder.study, study.model_dump_json(indent=2) + "\n")


def read_study(folder: StudyFolder) -> Study:
    """Read the study in a folder.

    Raises
    ------
    DataError: there is none, or it cannot be read.
    """
    if not folder.study.is_file():
        raise DataError(
            f"{folder.path} has no study.json",
            "the folder of a study",
            "give the folder that unpool study named, or begin one with: unpool study DATA --vary key=value,value",
        )
    try:
        return Study.model_validate(read_json(folder.study, MAX_STUDY_BYTES))
    except ValidationError as error:
        raise _odd(folder.study, problem_text(error.errors()[0])) from error


def write_result(folder: StudyFolder, result: TaskResult) -> None:
    """Write the result of a task, atomically. Raises RunError."""
    write_text(_file(folder, result.key), result.model_dump_json() + "\n")


def read_results(folder: StudyFolder, known: Results = MappingProxyType({})) -> dict[str, TaskResult]:
    """Return the results in a study's folder, by the keys of their tasks.

    Parameters
    ----------
    known: results that were read before; a result never changes.

    Raises
    ------
    DataError: one of them cannot be read.
    """
    return {**known, **{result.key: result for result in _results(folder, known)}}


def _results(folder: StudyFolder, known: Container[str]) -> Iterator[TaskResult]:
    for file in sorted(folder.results.glob("*.json")):
        if file.stem in known:
            continue
        try:
            result = TaskResult.model_validate(read_json(file, MAX_STUDY_BYTES))
            if _file(folder, result.key) != file:
                raise _odd(file, f"the result of {result.key}")
        except ValidationError as error:
            raise _odd(file, problem_text(error.errors()[0])) from error
        yield result


def _file(folder: StudyFolder, key: str) -> Path:
    return folder.results / f"{key}.json"


def _odd(file: Path, why: str) -> DataError:
    return DataError(
        f"{decodable(str(file))}: {why}",
        "a file as this version of unpool study writes it",
        "restore the file from a copy, or begin a new study",
    )

"""The jobs of one prediction command: one for each picture, with what is finished and which process does it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from unpool.commands.predict.journal import JournalEntry
from unpool.commands.predict.targets import Outputs, Target
from unpool.io.read.file_facts import picture_size
from unpool.ledger.record import digest, present_code
from unpool.prediction.predictor import Predictor
from unpool.processes import ALONE, Processes

LARGE = 64e6
"""Pixels from which processes share the rows of tiles of one picture; each smaller one belongs to one process."""


@dataclass(frozen=True)
class PictureJob:
    """A picture, its outputs, and the key of everything that the outputs depend on."""

    target: Target
    outputs: Outputs
    key: str

    @property
    def source(self) -> Path:
        """The picture's file."""
        return self.target.source


class JobShare(NamedTuple):
    """A job and the processes that share its rows of tiles."""

    job: PictureJob
    processes: Processes


def job_of(target: Target, outputs: Outputs, predictor: Predictor, model: str) -> PictureJob:
    """Return the job of a picture.

    Its key is a digest of the model, the picture (name, size and time of its file), the arithmetic and the outputs.

    Parameters
    ----------
    model: digest of the model file.
    """
    try:
        file = target.source.stat()
        picture = [str(target.source.resolve()), file.st_size, file.st_mtime_ns]
    except OSError:
        picture = [str(target.source)]
    averaging, machine = predictor.averaging, predictor.machine
    arithmetic = [str(machine.device), machine.reduced, *averaging.options(), averaging.seed]
    written = [outputs.probability_type, *map(str, outputs.paths())]
    return PictureJob(target, outputs, digest(["predict", present_code().digest, model, picture, arithmetic, written]))


def begun_jobs(jobs: Sequence[PictureJob], journal: Mapping[Path, JournalEntry]) -> set[PictureJob]:
    """Return the jobs that the same command has begun or finished."""
    return {job for job in jobs if job.outputs.mask in journal and journal[job.outputs.mask].key == job.key}


def finished_jobs(jobs: Sequence[PictureJob], journal: Mapping[Path, JournalEntry]) -> set[PictureJob]:
    """Return the jobs that the same command has finished, and whose files still exist."""
    begun = begun_jobs(jobs, journal)
    return {
        job for job in begun if journal[job.outputs.mask].done and all(path.exists() for path in job.outputs.paths())
    }


def divided(jobs: Sequence[PictureJob], predictor: Predictor, processes: Processes) -> Iterator[JobShare]:
    """Yield this process's jobs: first small pictures of its own, then large pictures that all processes share.

    Blended tiles overlap, so a process predicts all tiles of such a picture.
    """
    shares_rows = processes.count > 1 and not predictor.looks_at_everything
    shared = {job: shares_rows and math.prod(picture_size(job.source)) > LARGE for job in jobs}
    for job in processes.share([job for job in jobs if not shared[job]]):
        yield JobShare(job, ALONE)
    for job in jobs:
        if shared[job]:
            yield JobShare(job, processes)

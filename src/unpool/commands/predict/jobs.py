"""The jobs of one prediction command: one for each picture, with what is finished and which process does it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unpool.commands.predict.targets import Outputs, Target
from unpool.io.destination import free_bytes
from unpool.io.outputs import JournalEntry, output_name, read_journal, stamp_of
from unpool.io.pixel_size import PixelSize
from unpool.io.read.file_facts import picture_size
from unpool.ledger.record import digest, present_code
from unpool.prediction.predictor import Predictor
from unpool.processes import ALONE, Processes
from unpool.wording import bytes_text

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


def job_of(
    target: Target, outputs: Outputs, predictor: Predictor, model: str, pixel_size: PixelSize | None = None
) -> PictureJob:
    """Return the job of a picture.

    Its key is a digest of the model, the picture (name, size and time of its file), the arithmetic and the outputs.

    Parameters
    ----------
    model: digest of the model file.
    pixel_size: the one that a person gives, for measurements.
    """
    try:
        file = target.source.stat()
        picture = [os.path.realpath(target.source), file.st_size, file.st_mtime_ns]
    except OSError:
        picture = [str(target.source)]
    averaging, machine = predictor.averaging, predictor.machine
    arithmetic = [str(machine.device), machine.reduced, *averaging.options(), averaging.seed]
    table = predictor.segmenter.classes
    written = [outputs.probability_type, *map(str, outputs.paths()), table.form.stored if table.form else ""]
    written += [*(pixel_size or ()), *([str(outputs.opacity)] if outputs.overlay else [])]
    return PictureJob(target, outputs, digest(["predict", present_code().digest, model, picture, arithmetic, written]))


class ResumedJobs(NamedTuple):
    """The jobs that the same command left in its journal.

    Attributes
    ----------
    begun: jobs whose files may be written again.
    finished: those of them that are finished.
    changed: files of finished jobs that somebody changed since; they are kept.
    odd: what is wrong in the lines of the journal that have no entry.
    """

    begun: frozenset[PictureJob] = frozenset()
    finished: frozenset[PictureJob] = frozenset()
    changed: tuple[Path, ...] = ()
    odd: tuple[str, ...] = ()


def resumed_jobs(jobs: Sequence[PictureJob], out: Path) -> ResumedJobs:
    """Return what the journal of a folder says about the jobs of the same command.

    A mask is the last file of its picture to take its place: where it did, the picture is finished, although a kill
    may have come before the journal says so. A mask that somebody changed is finished too, so that it stays.
    """
    journal, begun, finished = read_journal(out), set[PictureJob](), set[PictureJob]()
    changed: list[Path] = []
    for job in jobs:
        entry = journal.entries.get(job.outputs.mask)
        if entry is None or entry.key != job.key:
            continue
        differing = _differing(job, entry, out)
        placed = job.outputs.mask in differing
        whole = all(path.exists() for path in job.outputs.paths())
        if (entry.done and whole) or placed:
            finished.add(job)
            changed += differing if entry.done else ()
        if job in finished or not (entry.done and differing):
            begun.add(job)
    return ResumedJobs(frozenset(begun), frozenset(finished), tuple(changed), journal.odd)


def _differing(job: PictureJob, entry: JournalEntry, out: Path) -> tuple[Path, ...]:
    """Return the files of a job that exist, and are not as they were when its entry was written."""
    stamps = {path: stamp_of(path) for path in job.outputs.paths()}
    return tuple(path for path, now in stamps.items() if now and now != entry.stamps.get(output_name(out, path)))


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


def room_note(jobs: Sequence[PictureJob], folder: Path, classes: int, *, sampled: bool) -> str:
    """Return a message where the files of all pictures may not fit on the disk; an empty text where they fit.

    Masks count nothing, because they compress well. Of the others only the size before compression is known.
    """
    size = 0.0
    for job in jobs:
        outputs = job.outputs
        pixel = 3.0 if outputs.overlay else 0.0
        pixel += classes * np.dtype(outputs.probability_type).itemsize if outputs.probabilities else 0.0
        pixel += 4.0 * (classes if sampled else 1) if outputs.uncertainty else 0.0
        size += pixel * math.prod(picture_size(job.source)) if pixel else 0.0
    free = free_bytes(folder)
    if free is None or size <= free:
        return ""
    return f"the files may take up to {bytes_text(size)}, and {bytes_text(free)} of the disk are free in {folder}"

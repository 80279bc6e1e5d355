"""``predict``: a model and pictures in, masks in the person's own values out."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unpool.checkpoint.models import load_model
from unpool.commands.events import Event, Message, Progress
from unpool.commands.predict.journal import JournalEntry, note, read_journal
from unpool.commands.predict.results import (
    Result,
    displaced_note,
    done_rows,
    left_note,
    open_results,
    row_bytes,
    write_answers,
)
from unpool.commands.predict.targets import (
    Outputs,
    ProbabilityType,
    Target,
    find_targets,
    outputs_of,
    refuse_collisions,
    refuse_existing,
    refuse_itself,
)
from unpool.commands.run_folder import model_file, require_writable
from unpool.commands.test.choice import orientation_warnings
from unpool.commands.tile_notes import blending_note, verified
from unpool.dataset.pairing.names import folder_role
from unpool.errors import RunError, UnpoolError
from unpool.io.folders import mark_output
from unpool.io.read.windows import CACHE, PictureFile, open_picture
from unpool.io.write.bands import size_of
from unpool.ledger.record import digest, file_digest, present_code
from unpool.machine.device import Machine, Precision, choose_machine, free_memory, out_of_memory
from unpool.machine.process_memory import keep_memory, resident_memory, return_memory, trim_memory
from unpool.nets.sizes import context, looks_at_everything
from unpool.prediction.averaging import ONCE, Averaging, require_dropout
from unpool.prediction.blending import summed_bytes
from unpool.prediction.memory import WindowMemory, window_memory
from unpool.prediction.predictor import TILE, blends, ready, tile_rows
from unpool.prediction.sharing import shared_bands, together_or_none
from unpool.prediction.tile_check import Mismatch, tile_mismatch
from unpool.prediction.tile_plan import plan_tiles
from unpool.processes import ALONE, Processes, join
from unpool.segmenter import Segmenter
from unpool.tiling import Size

DEFAULT_SHARE, DEFAULT_MOST = 0.5, 4e9
"""Memory that prediction takes where none is given: this share of what is free, at most so many bytes."""

CACHE_SHARE = 0.125
"""Of the memory, for decoded parts of the picture that is read."""

SMALL_BLOCK, BLOCK = 1 << 22, 1 << 25
"""Bytes from which memory is given back at once under a ceiling, and the same while maps are computed by rows."""

READING = 4
"""Copies of a window as it is stored: it and the next one, each while it is read and laid out."""

NORMAL = 12
"""Bytes for every value of a window while it is normalised, where that is not done by rows."""

AVERAGING = 36
"""Bytes for every pixel and class while answers are averaged, or compared: nine arrays of probabilities."""

LARGE = 64e6
"""Pixels from which processes share a picture's rows of tiles, and not whole pictures."""


@dataclass(frozen=True)
class Predicted:
    """What ``predict`` wrote.

    Attributes
    ----------
    written: picture and mask of each prediction.
    failed: pictures that could not be predicted, with the reason.
    """

    folder: Path
    written: tuple[tuple[Path, Path], ...]
    failed: tuple[tuple[Path, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "folder": str(self.folder),
            "written": [{"image": str(image), "mask": str(mask)} for image, mask in self.written],
            "failed": [{"image": str(image), "reason": reason} for image, reason in self.failed],
        }


def predict(
    model: Path,
    inputs: Sequence[str],
    out: Path,
    *,
    overlays: bool = False,
    probabilities: ProbabilityType | None = None,
    uncertainty: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    memory: float | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    averaging: Averaging = ONCE,
    verify: bool = False,
) -> Generator[Event, None, Predicted]:
    """Write a mask for every picture, of any size.

    Parameters
    ----------
    model: a model file or the run folder that holds one.
    inputs: pictures, folders (searched with their sub-folders) and globs.
    out: masks go to ``out/<name>.png`` (``.tif`` or ``.zarr`` where a picture is large or stored for windows),
        mirroring sub-folders; overlays to ``out/overlays``, probabilities to ``out/probabilities``, uncertainty to
        ``out/uncertainty``.
    probabilities: write a TIFF (rows, columns, classes) of this pixel type; integers hold the probability times the
        type's largest number, rounded.
    uncertainty: write a float32 TIFF: where dropout is sampled the variance of each class's probability over the
        answers (rows, columns, classes), else 1 - confidence (rows, columns).
    overwrite: replace outputs that exist; otherwise they are refused before any work.
    resume: keep what the same command wrote before it was interrupted, and go on in the midst of a picture.
    memory: bytes that the process may hold; by default half of what is free, at most 4 GB.
    averaging: which answers each picture's answer is the mean of.
    verify: first compare tiles with the whole on a part of the first picture that is cut, or else can be, see
        ``unpool.prediction.tile_check``.

    Processes that torchrun started share the pictures, and the rows of tiles of large ones; each returns its own. A
    picture that cannot be read does not stop the others; it is listed in ``failed``.

    Raises
    ------
    UsageError, ModelFileError: see the message.
    RunError: tiles that should equal the whole do not.
    """
    keep_memory() if memory is None else return_memory(SMALL_BLOCK)
    processes = join(device)
    path = model_file(model)
    segmenter, card = load_model(path)
    require_dropout(segmenter, averaging)
    targets = find_targets(inputs, out)
    require_writable(out)
    wanted = {"overlays": overlays, "probabilities": probabilities is not None, "uncertainty": uncertainty}
    kinds = [kind for kind in wanted if wanted[kind]]
    outputs = [outputs_of(target, out, kinds, probabilities or "float32") for target in targets]
    refuse_collisions(targets, outputs)
    machine = choose_machine(device, precision)
    segmenter = ready(segmenter, machine)
    if memory is not None and not (averaging.samples or looks_at_everything(segmenter.network.structure)):
        return_memory(BLOCK)
    free = free_memory(machine, None, processes.neighbours)
    ceiling = memory or min(DEFAULT_SHARE * (free or math.inf), DEFAULT_MOST)
    work = _Work(segmenter, machine, averaging, ceiling, planned=memory is not None, model=file_digest(path))
    jobs = [_Job(target, places, work.key(target, places)) for target, places in zip(targets, outputs, strict=True)]
    before = read_journal(out) if resume else {}
    own = {job.key for job in jobs if job.outputs.mask in before and before[job.outputs.mask].key == job.key}
    kept = {
        job.key for job in jobs
        if job.key in own and before[job.outputs.mask].done and all(path.exists() for path in job.outputs.paths())
    }  # fmt: skip
    if not overwrite:
        refuse_existing(job.outputs for job in jobs if job.key not in own)
    if folder_role(out.name).kind != "mask":  # a folder called masks is meant to be data
        mark_output(out)
    averaged = f", the mean of {averaging.describe()}" if averaging.describe() else ""
    yield Message(
        f"predicting {len(targets)} picture{'s' if len(targets) != 1 else ''}{averaged} on {machine.describe()}"
    )
    if kept:
        yield Message(f"{len(kept)} of them are there already")
    for warning in orientation_warnings(card, averaging):
        yield Message(f"note: {warning}")
    if verify:
        yield from _verify(jobs, work)
    processes.sum_counts(torch.zeros(1))  # all have seen that nothing is in the way before one of them writes
    written = [(job.target.source, job.outputs.mask) for job in jobs if job.key in kept and processes.first]
    failed: list[tuple[Path, str]] = []
    left = [job for job in jobs if job.key not in kept]
    # Blended tiles reach into each other, so their picture is one process's.
    shared = processes.count > 1 and not looks_at_everything(segmenter.network.structure)
    together = {job.key for job in left if shared and math.prod(size_of(job.target.source)) > LARGE}
    mine = [
        *((job, ALONE) for job in processes.share([job for job in left if job.key not in together])),
        *((job, processes) for job in left if job.key in together),
    ]
    for number, (job, sharing) in enumerate(mine, start=1):
        try:
            yield from _predict_one(job, work, sharing, out, named=len(mine) > 1)
            if sharing.first:
                written.append((job.target.source, job.outputs.mask))
        except (UnpoolError, RuntimeError, MemoryError) as error:
            said = _reason(error, job.target.source)
            failed.append((job.target.source, said))
            yield Message(f"skipped: {said}")
        yield Progress("predicting", number, len(mine))
    missed = _missed(targets, failed, processes)
    done = len(targets) - len(missed)
    elsewhere = [source for source in missed if source not in dict(failed)]
    if elsewhere:
        yield Message(f"skipped by other processes: {', '.join(map(str, elsewhere))}")
    yield Message(f"{done} mask{'s' if done != 1 else ''} in {out}"
               + (f"; {len(missed)} pictures could not be predicted" if missed else ""))  # fmt: skip
    return Predicted(out, tuple(written), tuple(failed))


@dataclass(frozen=True)
class _Job:
    """A picture, its outputs, and the key of all that they depend on."""

    target: Target
    outputs: Outputs
    key: str


class _Work:
    """What all pictures share: the model, the machine, and the memory there is."""

    def __init__(
        self, segmenter: Segmenter, machine: Machine, averaging: Averaging, ceiling: float, *, planned: bool, model: str
    ) -> None:
        self.segmenter, self.machine, self.averaging = segmenter, machine, averaging
        self.ceiling, self.planned = ceiling, planned
        self._model = model
        self._held: WindowMemory | None = None
        self.noted = False  # what blending does to this model has been said

    def key(self, target: Target, outputs: Outputs) -> str:
        """A digest of model, picture (by name, size and time), arithmetic and what is wanted."""
        try:
            found = target.source.stat()
            picture = [str(target.source.resolve()), found.st_size, found.st_mtime_ns]
        except OSError:
            picture = [str(target.source)]
        arithmetic = [str(self.machine.device), self.machine.reduced, *self.averaging.options(), self.averaging.seed]
        wanted = [outputs.scale, *map(str, outputs.paths())]
        return digest(["predict", present_code().digest, self._model, picture, arithmetic, wanted])

    def open(self, source: Path) -> AbstractContextManager[PictureFile]:
        """A picture, read with this command's share of memory."""
        return open_picture(source, int(min(CACHE, CACHE_SHARE * self.ceiling)))

    def tile(self, picture: PictureFile, outputs: Outputs, source: str) -> Size:
        """The tiles that this picture is cut into."""
        size = picture.shape[:2]
        if not self.planned and size[0] <= TILE[0] and size[1] <= TILE[1]:
            return TILE
        room = self.room() - (0 if picture.resident else picture.held)
        sampled = self.averaging.samples > 0
        beside = row_bytes(outputs, len(self.segmenter.classes), sampled=sampled)
        summed = summed_bytes(len(self.segmenter.classes), sampled=sampled)
        held, most_rows = self.held(picture), _rows_kept(picture)
        return plan_tiles(self.segmenter.network.structure, held, beside, size, room, source, most_rows, summed).tile

    def room(self) -> float:
        """Bytes that pictures may still take."""
        return self.ceiling - ((resident_memory() or 0) if self.machine.device.type == "cpu" else 0)

    def held(self, picture: PictureFile, *, at_once: bool = False) -> WindowMemory:
        """What a window of this picture takes, computed as it will be or at once."""
        if self._held is None:
            self._held = window_memory(self.segmenter.network, self.machine)
        channels, answers = picture.shape[2], at_once or not self.averaging.once
        window = READING * picture.dtype.itemsize * channels + AVERAGING * len(self.segmenter.classes) * answers
        if not (at_once or self.averaging.samples or looks_at_everything(self.segmenter.network.structure)):
            return self._held._replace(window=window)
        return self._held._replace(window=window + NORMAL * channels, piece=math.inf)

    def check(self, picture: PictureFile, tile: Size, source: str) -> Mismatch | None:
        """How far tiles are from the whole on a part of this picture."""
        most = math.inf
        if not looks_at_everything(self.segmenter.network.structure):
            whole = self.held(picture, at_once=True)
            most = max(self.room() - whole.fixed, 0) / (whole.of(1, 1) - whole.fixed)
        found = tile_mismatch(self.segmenter, picture, source, self.machine, tile, self.averaging, most)
        self.noted |= blends(self.segmenter, picture.shape[:2], tile)
        return found


def _rows_kept(picture: PictureFile) -> int | None:
    """Rows of a picture that its reader keeps, where only whole rows can be read: windows may not be higher."""
    rows, columns, channels = picture.shape
    if picture.resident or picture.block[1] < columns or picture.block[0] >= rows:
        return None
    return max(picture.held // (columns * channels * picture.dtype.itemsize) - picture.block[0], 1)


def _verify(jobs: Sequence[_Job], work: _Work) -> Generator[Event, None, None]:
    """Compare tiles with the whole on the first picture that is cut; where none is, on the first that can be."""
    can_be = jobs if context(work.segmenter.network.structure) else ()
    for job in sorted(can_be, key=lambda job: _fits(job.target)):
        found = _mismatch(job, work)
        if found is not None:
            yield Message(verified(str(job.target.source), found))
            return
    yield Message(verified("", None))


def _mismatch(job: _Job, work: _Work) -> Mismatch | None:
    """How far tiles are from the whole on a part of a picture; None where it cannot be cut or predicted."""
    source = job.target.source
    try:
        with work.open(source) as picture:
            return work.check(picture, work.tile(picture, job.outputs, str(source)), str(source))
    except (UnpoolError, RuntimeError, MemoryError) as error:
        _reason(error, source)  # it will be said when the picture is predicted
        return None


def _fits(target: Target) -> bool:
    """Whether a picture is not larger than a tile."""
    rows, columns = size_of(target.source)
    return rows <= TILE[0] and columns <= TILE[1]


def _predict_one(
    job: _Job, work: _Work, processes: Processes, out: Path, *, named: bool
) -> Generator[Event, None, None]:
    """Predict one picture, writing each row of tiles as it is done; of several processes the first one writes."""
    source, outputs = job.target.source, job.outputs
    refuse_itself(job.target, outputs)
    segmenter, averaging = work.segmenter, work.averaging
    with ExitStack() as stack:

        def begun() -> PictureFile:
            if processes.first:
                note(out, outputs.mask, JournalEntry(job.key, done=False))
            return stack.enter_context(work.open(source))

        picture = together_or_none(begun, processes)
        planned = together_or_none(lambda: work.tile(picture, outputs, str(source)), processes)
        tile = int(processes.agree(planned[0])), int(processes.agree(planned[1]))
        spans = tile_rows(segmenter, picture.shape[:2], tile)
        blended = blends(segmenter, picture.shape[:2], tile)
        if blended and not work.noted:
            yield Message(f"note: {blending_note(str(source), work.check(picture, tile, str(source)))}")
        at_once = len(spans) == 1 and outputs.mask.suffix == ".png"
        key = None if at_once else digest([job.key, tile]) if blended else job.key

        def opened() -> tuple[Result, ...]:
            if not processes.first:
                return ()
            sampled = averaging.samples > 0
            return stack.enter_context(open_results(outputs, picture, segmenter.classes, sampled=sampled, key=key))

        results = together_or_none(opened, processes)
        there = int(processes.agree(done_rows(results)))
        rows = range(sum(span.stop <= there for span in spans), len(spans))
        if there:
            yield Message(f"{source}: going on from row {there:,} of {picture.shape[0]:,}")
        if displaced := displaced_note(results):
            yield Message(f"{source}: {displaced}")
        try:
            wanted = {"uncertainty": outputs.uncertainty is not None, "whole": outputs.probabilities is not None}
            answers = shared_bands(
                segmenter, picture, str(source), work.machine, tile, averaging, rows, processes, **wanted
            )
            bands_written = write_answers(answers, results, to_the_end=processes.count > 1)
            for number, _ in enumerate(bands_written, rows.start + 1):
                if work.planned:
                    trim_memory()
                if len(spans) > 1:
                    yield Progress(f"{source.name}, rows of tiles" if named else "rows of tiles", number, len(spans))
        except (Exception, KeyboardInterrupt):  # not GeneratorExit: who listened has gone
            if left := left_note(results, picture.shape[0]):
                yield Message(f"{source}: {left}")
            raise
    if processes.first:
        note(out, outputs.mask, JournalEntry(job.key, done=True))


def _reason(error: Exception, source: Path) -> str:
    """Why a picture cannot be predicted, though others may be. What is no such reason is raised again."""
    if isinstance(error, UnpoolError):
        return str(error)
    if not out_of_memory(error):
        raise error
    return str(RunError(f"{source}: memory ran out", "room for one tile", "give --memory, or less of it"))


def _missed(targets: Sequence[Target], failed: Iterable[tuple[Path, str]], processes: Processes) -> list[Path]:
    """The pictures that any of the processes failed on."""
    own = {source for source, _ in failed}
    counts = processes.sum_counts(torch.tensor([int(target.source in own) for target in targets]))
    return [target.source for target, count in zip(targets, counts.tolist(), strict=True) if count]

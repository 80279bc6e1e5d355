"""``predict``: a model and pictures in, masks in the person's own values out."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from unpool.checkpoint.card import Card
from unpool.checkpoint.models import load_model
from unpool.commands.events import Event, Message, Progress
from unpool.commands.predict.ending import PredictCommand, ending
from unpool.commands.predict.familiarity import Familiarity
from unpool.commands.predict.jobs import PictureJob, ResumedJobs, divided, job_of, resumed_jobs, room_note
from unpool.commands.predict.measurement_tables import other_measurements, refuse_tables, write_tables
from unpool.commands.predict.object_files import ObjectRequest
from unpool.commands.predict.pixel_sizes import PixelSizes
from unpool.commands.predict.results import (
    ResultFile,
    band_bytes,
    displaced_files_note,
    displaced_note,
    done_rows,
    drop_rows,
    left_note,
    missing_note,
    open_results,
    write_bands,
)
from unpool.commands.predict.slices import with_slices_of_stacks
from unpool.commands.predict.targets import (
    ExtraOutputs,
    file_ids,
    find_targets,
    outputs_of,
    refuse_collisions,
    refuse_existing,
    refuse_sources,
    require_places,
)
from unpool.commands.run_folder import model_file
from unpool.commands.test.picture_choice import orientation_warnings
from unpool.commands.tile_notes import blending_note, verified
from unpool.convolution.choices import CHOICES
from unpool.dataset.pairing.words import folder_role
from unpool.errors import DataError, RunError, UnpoolError
from unpool.io.destination import claimed, require_writable
from unpool.io.outputs import mark_output, note_files
from unpool.io.pixel_size import PixelSize
from unpool.io.read.file_facts import picture_size
from unpool.io.read.windows import CACHE, PictureFile, open_picture
from unpool.io.write.masks import written_as
from unpool.ledger.record import digest, file_digest
from unpool.machine.device import Precision, choose_machine, out_of_memory
from unpool.machine.process_memory import keep_memory, return_memory, trim_memory
from unpool.objects.measurements import regionprops_table
from unpool.objects.separation import separation_for
from unpool.prediction.averaging import ONCE, Averaging
from unpool.prediction.memory_limit import CACHE_SHARE, MemoryLimit
from unpool.prediction.predictor import TILE, Predictor
from unpool.prediction.sharing import shared_bands, together_or_none
from unpool.prediction.tile_check import Mismatch, tile_mismatch
from unpool.prediction.tile_choice import fitting_tile
from unpool.processes import Processes, join
from unpool.shapes import Size
from unpool.wording import all_of, count_text, first_of

SMALL_BLOCK, BLOCK = 1 << 22, 1 << 27
"""Bytes from which the C library returns a block immediately under ``--memory``: in general, and for windows by
rows."""


THRIFTY_PIXELS = 1 << 16
"""Pixels that are computed at a time by rows under ``--memory``: more would take more memory, and so smaller tiles."""


@dataclass(frozen=True)
class PredictionOptions:
    """The options of ``predict`` that are not about which files are written.

    Attributes
    ----------
    averaging: the orientations and dropout samples that each prediction is the mean of.
    overwrite: replace outputs that exist; otherwise they are refused before any work.
    resume: keep what the same command wrote before it was interrupted, and continue within a picture.
    verify: before the first picture, compare tiles with the picture in one piece, on a part of one picture, see
        ``unpool.prediction.tile_check``.
    memory: bytes that the process may hold; by default half of what is free, at most 4 GB.
    pixel_size: of all pictures, for measurements of objects; None takes what each file states.
    """

    averaging: Averaging = ONCE
    overwrite: bool = False
    resume: bool = False
    verify: bool = False
    memory: float | None = None
    device: str = "auto"
    precision: Precision = "auto"
    pixel_size: PixelSize | None = None


@dataclass(frozen=True)
class Predicted:
    """The result of ``predict``.

    Attributes
    ----------
    written: picture and mask of each prediction.
    failed: pictures that could not be predicted, with the reason.
    warnings: how pictures differ from those that the model saw, a sentence for each kind of difference.
    tables: the tables of objects and of classes, where objects were requested.
    """

    folder: Path
    written: tuple[tuple[Path, Path], ...]
    failed: tuple[tuple[Path, str], ...]
    warnings: tuple[str, ...] = ()
    tables: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "folder": str(self.folder),
            "written": [{"image": str(image), "mask": str(mask)} for image, mask in self.written],
            "failed": [{"image": str(image), "reason": reason} for image, reason in self.failed],
            "warnings": list(self.warnings),
            "tables": [str(table) for table in self.tables],
        }


DEFAULT_OPTIONS, MASK_ALONE = PredictionOptions(), ExtraOutputs()


def predict(
    model: Path,
    inputs: Sequence[str],
    out: Path,
    extras: ExtraOutputs = MASK_ALONE,
    options: PredictionOptions = DEFAULT_OPTIONS,
) -> Generator[Event, None, Predicted]:
    """Write a mask for every picture, of any size.

    Processes that torchrun started share the pictures, and the rows of tiles of large ones; each returns its own. A
    picture that cannot be read does not stop the others; it is listed in ``failed``.

    Parameters
    ----------
    model: a model file or the run folder that holds one.
    inputs: pictures, folders (searched with their sub-folders) and patterns.
    out: the folder of the masks ``<name>.png`` (``.tif`` or ``.zarr`` where a picture is large or stored for windows),
        in sub-folders as the pictures are.
    extras: files to write in addition to the masks.

    Raises
    ------
    UsageError: an input matches no picture, outputs collide or exist, or the network has no dropout to sample.
    ModelFileError: the model cannot be read.
    RunError: tiles that should equal the picture in one piece do not.
    """
    if extras.objects:
        regionprops_table()  # refused before any work where it is missing
    keep_memory() if options.memory is None else return_memory(SMALL_BLOCK)
    processes = join(options.device)
    path = model_file(model)
    segmenter, card = load_model(path)
    if extras.mask_form:
        segmenter = replace(segmenter, classes=written_as(segmenter.classes, extras.mask_form))
    machine = choose_machine(options.device, options.precision)
    if options.memory is not None:
        machine = replace(machine, pixels_at_once=min(machine.pixels_at_once, THRIFTY_PIXELS))
    limit = MemoryLimit.of(options.memory, machine, processes.neighbours)
    predictor = Predictor(segmenter, machine, TILE, options.averaging, limit)
    found = find_targets(inputs, out, segmenter.normalisation.channels)
    targets, notes = with_slices_of_stacks(found, segmenter.normalisation.channels)
    require_writable(out)
    outputs = [outputs_of(target, out, extras) for target in targets]
    refuse_collisions(targets, outputs)
    require_places(targets, outputs)
    predictor = predictor.alone()  # weights are copied while small blocks are still returned
    del segmenter
    model_digest = file_digest(path)
    jobs = [
        job_of(target, files, predictor, model_digest, options.pixel_size)
        for target, files in zip(targets, outputs, strict=True)
    ]
    with claimed(out) if processes.first else nullcontext():
        resumed = resumed_jobs(jobs, out) if options.resume else ResumedJobs()
        if options.overwrite:
            resumed = resumed._replace(begun=frozenset(jobs))
        refuse_existing((job.outputs for job in jobs if job not in resumed.begun), resume=options.resume)
        if extras.objects and not options.overwrite:
            refuse_tables(out, resume=options.resume)
        yield from _announced(len(targets), resumed, predictor, card)
        room = room_note(jobs, out, len(predictor.segmenter.classes), sampled=options.averaging.samples > 0)
        displaced = displaced_files_note([job.outputs for job in jobs])
        yield from (Message(f"note: {note}") for note in (*notes, displaced, room) if note)
        command = PredictCommand(
            model, inputs, out, extras, options.averaging, options.memory, options.device, options.precision,
            options.pixel_size,
        )  # fmt: skip
        run = _PredictionRun(predictor, command)
        if predictor.by_rows and options.memory is not None:
            return_memory(BLOCK)
        if options.verify:
            yield from run.verify(jobs)
        processes.sum_counts(torch.zeros(1))  # a process writes only after all processes have checked their outputs
        return (yield from run.predict_all(jobs, resumed, processes))


def _announced(pictures: int, resumed: ResumedJobs, predictor: Predictor, card: Card) -> Generator[Event, None, None]:
    averaging = predictor.averaging
    mean = f", the mean of {averaging.describe()}" if averaging.describe() else ""
    yield Message(f"predicting {count_text(pictures, 'picture')}{mean} on {predictor.machine.describe()}")
    if resumed.finished:
        count = len(resumed.finished)
        yield Message(f"{count} of them {'is' if count == 1 else 'are'} finished already")
    if resumed.odd:
        yield Message(f"{first_of(resumed.odd)}; these lines of the journal are passed over")
    if resumed.changed:
        changed = first_of([str(path) for path in resumed.changed])
        yield Message(f"note: kept, as somebody changed it since: {changed}; to predict it again, move it away")
    for warning in orientation_warnings(card, averaging):
        yield Message(f"note: {warning}")


class _PredictionRun:
    """One call of the command: its predictor and folder, what it found, and what it has explained already."""

    def __init__(self, predictor: Predictor, command: PredictCommand) -> None:
        self._predictor, self._command, self._out = predictor, command, command.out
        self._pixel_sizes = PixelSizes(command.pixel_size)
        self._explained = self._missing_explained = False
        self._familiarity = Familiarity(predictor.segmenter.seen)

    def verify(self, jobs: Sequence[PictureJob]) -> Generator[Event, None, None]:
        """Run the tile check on the first picture that is cut; where none is, on the first that can be."""
        tiled = jobs if self._predictor.can_tile else ()
        for job in sorted(tiled, key=self._is_one_tile):
            mismatch = self._mismatch(job)
            if mismatch is not None:
                yield Message(verified(str(job.source), mismatch))
                return
        yield Message(verified("", None))

    def _is_one_tile(self, job: PictureJob) -> bool:
        rows, columns = picture_size(job.source)
        return rows <= self._predictor.tile[0] and columns <= self._predictor.tile[1]

    def _mismatch(self, job: PictureJob) -> Mismatch | None:
        """Return the result of the tile check; None where a picture cannot be cut or predicted."""
        source = str(job.source)
        try:
            with self._opened(job.source) as picture:
                return self._compared(self._predictor.with_tile(self._tile(picture, job)), picture, source)
        except Exception as error:
            _reason(error, job.source)  # only to raise other errors; the prediction of the picture reports this one
            return None

    def _compared(self, predictor: Predictor, picture: PictureFile, source: str) -> Mismatch | None:
        mismatch = tile_mismatch(predictor, picture, source)
        self._explained |= predictor.blends(picture.shape[:2])
        return mismatch

    def _opened(self, source: Path) -> AbstractContextManager[PictureFile]:
        limit = self._predictor.memory
        assert limit is not None
        cache = int(min(CACHE, CACHE_SHARE * limit.bytes))
        return open_picture(source, cache, limit.for_one_piece(self._predictor.machine))

    def _tile(self, picture: PictureFile, job: PictureJob) -> Size:
        sampled = self._predictor.averaging.samples > 0
        band = band_bytes(job.outputs, len(self._predictor.segmenter.classes), sampled=sampled)
        return fitting_tile(self._predictor, picture, str(job.source), band)

    def predict_all(
        self, jobs: Sequence[PictureJob], resumed: ResumedJobs, processes: Processes
    ) -> Generator[Event, None, Predicted]:
        """Predict the jobs that are not finished; a picture that fails does not stop the others."""
        before = CHOICES.measured
        written = [(job.source, job.outputs.mask) for job in jobs if job in resumed.finished and processes.first]
        failed: list[tuple[Path, str]] = []
        sources = file_ids(path for job in jobs for path in (job.source, job.target.own))
        shares = list(divided([job for job in jobs if job not in resumed.finished], self._predictor, processes))
        for number, (job, sharing) in enumerate(shares, start=1):
            try:
                refuse_sources(sources, job.target, job.outputs)
                yield from self.predict(job, sharing, may_replace=job in resumed.begun, named=len(shares) > 1)
                if sharing.first:
                    written.append((job.source, job.outputs.mask))
            except Exception as error:
                reason = _reason(error, job.source)
                failed.append((job.source, reason))
                yield Message(f"skipped: {reason}")
            yield Progress("predicting", number, len(shares))
        warnings, unsaid = self._familiarity.last_notes(processes)
        yield from (Message(f"note: {warning}") for warning in unsaid)
        if measured := CHOICES.measured.text_since(before):
            yield Message(measured)
        pictures = [job.source for job in jobs]
        reasons = _all_reasons(failed, processes)
        missed = [source for source in pictures if str(source) in reasons]
        tables = (yield from self._tables(jobs, missed)) if processes.first else ()
        for source in (source for source in missed if source not in dict(failed)):
            yield Message(f"skipped: {reasons[str(source)]}")
        yield from self._summary(pictures, missed)
        # Once a process has failed, torchrun ends the others, also the first one while it writes tables.
        processes.sum_counts(torch.zeros(1))
        return Predicted(self._out, tuple(written), tuple(failed), tuple(warnings), tables)

    def _tables(self, jobs: Sequence[PictureJob], missed: Sequence[Path]) -> Generator[Event, None, tuple[Path, ...]]:
        """Write the tables of the pictures that were measured, and return their paths; none without measurements."""
        files = [job.outputs.measurements for job in jobs if job.source not in missed]
        measured = [file for file in files if file is not None]
        if not measured:
            return ()
        tables = write_tables(self._out.resolve(), measured)
        note_files(self._out, tables, "tables", done=True)
        yield Message(f"objects and classes: {all_of([str(self._out / path.name) for path in tables])}")
        if others := other_measurements(self._out, measured):
            count = count_text(len(others), "other picture")
            yield Message(
                f"note: the tables have the pictures of this command; {count} with objects in {self._out} "
                f"{'is' if len(others) == 1 else 'are'} not in them ({first_of(others, 3)}): give all pictures, with "
                "--resume, for tables of all"
            )
        return tables

    def predict(
        self, job: PictureJob, processes: Processes, *, may_replace: bool, named: bool
    ) -> Generator[Event, None, None]:
        """Predict one picture and write each band as soon as it is predicted; the first process writes.

        Parameters
        ----------
        may_replace: whether outputs that exist are replaced; they may have been written since the command began.
        named: whether progress names the picture, because there are several.
        """
        with ExitStack() as stack:

            def opened() -> PictureFile:
                if processes.first and not may_replace:
                    refuse_existing([job.outputs], resume=False)
                return stack.enter_context(self._opened(job.source))

            picture = together_or_none(opened, processes)
            tile = together_or_none(lambda: self._tile(picture, job), processes)
            predictor = self._predictor.with_tile((int(processes.agree(tile[0])), int(processes.agree(tile[1]))))
            if predictor.blends(picture.shape[:2]) and not self._explained:
                mismatch = self._compared(predictor, picture, str(job.source))
                yield Message(f"note: {blending_note(str(job.source), mismatch)}")

            def results_opened() -> tuple[ResultFile, ...]:
                if not processes.first:
                    return ()
                self._note(job, done=False)
                sampled, key = predictor.averaging.samples > 0, _band_key(job, predictor, picture)
                request = self._object_request(job, predictor, picture)
                return stack.enter_context(open_results(job.outputs, picture, request, sampled=sampled, key=key))

            results = together_or_none(results_opened, processes)
            if remark := self._pixel_sizes.new_note() if job.outputs.objects else "":
                yield Message(f"note: {remark}")
            note = missing_note(predictor.segmenter.classes, picture)
            if note and not self._missing_explained:
                self._missing_explained = True
                yield Message(f"note: {job.target.own}: {note}")
            yield from self._write(job, predictor, picture, results, processes, named=named)
        if processes.first:
            self._note(job, done=True)

    def _object_request(self, job: PictureJob, predictor: Predictor, picture: PictureFile) -> ObjectRequest:
        segmenter = predictor.segmenter
        place = job.outputs.place
        size = self._pixel_sizes.of(job.source, picture, place) if job.outputs.objects else None
        assert predictor.memory is not None
        separation = separation_for(segmenter.borders)
        return ObjectRequest(str(job.target.name), segmenter.classes, separation, size, predictor.memory.bytes)

    def _note(self, job: PictureJob, *, done: bool) -> None:
        """Note the files of a job in the folder's journal, and mark the folder, before a file takes its place."""
        note_files(self._out, job.outputs.paths(), job.key, done=done)
        if folder_role(self._out.name).kind != "mask":  # a folder called masks is meant to be data
            mark_output(self._out)

    def _write(
        self,
        job: PictureJob,
        predictor: Predictor,
        picture: PictureFile,
        results: Sequence[ResultFile],
        processes: Processes,
        *,
        named: bool,
    ) -> Generator[Event, None, None]:
        source, height, watched = job.source, picture.shape[0], self._familiarity.watched(picture)
        spans = predictor.tile_rows(picture.shape[:2])
        done = int(processes.agree(done_rows(results)))
        rows = range(sum(span.stop <= done for span in spans), len(spans))
        if done:
            yield Message(f"{source}: continuing from row {done:,} of {height:,}")
        if displaced := displaced_note(results):
            yield Message(f"{source}: {displaced}")
        try:
            bands = shared_bands(predictor, watched, str(source), rows, processes, job.outputs.keep)
            written = write_bands(bands, results, height, to_the_end=processes.count > 1)
            for number, _ in enumerate(written, rows.start + 1):
                if predictor.memory and predictor.memory.strict:
                    trim_memory()
                if len(spans) > 1:
                    yield Progress(f"{source.name}, rows of tiles" if named else "rows of tiles", number, len(spans))
        except (Exception, KeyboardInterrupt) as error:  # not GeneratorExit: then nobody receives the message
            left = "" if isinstance(error, DataError) else left_note(results, height)
            if not left:
                drop_rows(results)
            else:
                yield Message(f"{source}: {left}")
            raise
        yield from (Message(f"note: {note}") for note in self._familiarity.new_notes(source, watched))

    def _summary(self, sources: Sequence[Path], missed: Sequence[Path]) -> Generator[Event, None, None]:
        """Name what was written and what was not, and what to do next."""
        gone = set(missed)
        done = [source for source in sources if source not in gone]
        yield Message(ending(self._command, self._predictor.segmenter.classes, done, len(missed)))


def _band_key(job: PictureJob, predictor: Predictor, picture: PictureFile) -> str | None:
    """Return the key of unfinished bands; None where the files are written in one piece, from a single band.

    Blended results depend on the tile, so the key does: with another tile, such a picture begins again.
    """
    if len(predictor.tile_rows(picture.shape[:2])) == 1 and job.outputs.mask.suffix == ".png":
        return None
    return digest([job.key, predictor.tile]) if predictor.blends(picture.shape[:2]) else job.key


def _reason(error: Exception, source: Path) -> str:
    """Return why one picture cannot be predicted; raise an error of writing, which would stop all pictures."""
    if isinstance(error, UnpoolError):
        return str(error)
    if isinstance(error, OSError):
        raise error
    if out_of_memory(error):
        return str(RunError(f"{source}: memory ran out", "memory for one tile", "give --memory, or less of it"))
    return str(
        RunError(
            f"{source}: {type(error).__name__}: {error}",
            "a picture that can be predicted",
            "save the picture again as a PNG or TIFF; if that does not help, report this message with the picture",
        )
    )


def _all_reasons(failed: Iterable[tuple[Path, str]], processes: Processes) -> dict[str, str]:
    """Return why each picture that any of the processes could not predict was skipped, by its path."""
    own, found = json.dumps({str(source): reason for source, reason in failed}), dict[str, str]()
    for rank in range(processes.count):
        found |= json.loads(processes.agree_text(own, rank))
    return found

"""``train``: from a folder of pictures and masks to a run folder with a model."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unpool.checkpoint.models import load_model
from unpool.commands.check import check, require_no_errors, require_unchanged
from unpool.commands.events import Event, Message, Progress
from unpool.commands.interruption import ending_text, interruptible
from unpool.commands.recording import note_earlier_training, record_training
from unpool.commands.run_folder import VALIDATION_PICTURES, RunFolder, new_run, resumed_config, run_to_resume
from unpool.commands.train.diagnosis_facts import facts_of
from unpool.commands.train.plan import plan
from unpool.commands.train.preparation import TrainingJob, prepare, with_budget
from unpool.commands.train.rehearsal import compile_resumed, rehearsal
from unpool.commands.train.run_state import begin, draw_curves, found_state, keep_epoch, save
from unpool.commands.train.size_choice import with_fitting_size
from unpool.config.settings import resolve
from unpool.convolution.choices import CHOICES
from unpool.dataset.survey_result import Survey
from unpool.dataset.survey_text import survey_page
from unpool.io.destination import claimed
from unpool.io.write.images import write_image
from unpool.ledger.record import UNKNOWN, Origin
from unpool.machine.process_memory import keep_memory
from unpool.prediction.predictor import Predictor
from unpool.processes import join
from unpool.report.pictures import displayable, overlay
from unpool.training.diagnosis.symptoms import diagnose
from unpool.training.loop import training
from unpool.training.records import EpochRecord, StepRecord, TrainingState

SAVE_EVERY = 60.0
"""Seconds between saved states within an epoch: the most time that a power cut costs."""

DRAW_EVERY = 20.0
"""Seconds between drawings of the curves, which take half a second; they are drawn at the end too."""

LONGEST_NAME = 50
"""Letters of a sample's name in that of its validation picture: names have up to 255 bytes, letters up to 4."""


@dataclass(frozen=True)
class TrainedRun:
    """The result of ``train``.

    Attributes
    ----------
    folder: the run folder; model: its model file.
    best_epoch, best_mean_iou: the epoch whose weights the model has, and its validation score.
    stopped_by: number of the signal that stopped the training before its end (2 for Ctrl-C, 15 for SIGTERM), or None.
    history: one row an epoch, as in ``log.jsonl``.
    """

    folder: Path
    model: Path
    best_epoch: int
    best_mean_iou: float | None
    stopped_by: int | None
    history: Sequence[Mapping[str, Any]]

    @property
    def finished(self) -> bool:
        """Whether the training reached its end."""
        return self.stopped_by is None

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        return {
            "folder": str(self.folder),
            "model": str(self.model),
            "best_epoch": self.best_epoch,
            "best_mean_iou": self.best_mean_iou,
            "finished": self.finished,
            "history": list(self.history),
        }


def train(
    data: Path | Survey,
    settings: Mapping[str, Any],
    out: Path | None = None,
    *,
    resume: bool = False,
    save_every: float = SAVE_EVERY,
    origin: Origin = UNKNOWN,
) -> Generator[Event, None, TrainedRun]:
    """Check a folder, train a network on it, and keep the best epoch.

    Parameters
    ----------
    data: a folder of pictures and masks in any layout that ``check`` reads, or its survey by the same settings.
    settings: nested as ``unpool.config.schema.RunConfig``; everything has a default.
    out: the run folder; by default the first free ``runs/<folder>-<net>``.
    resume: continue the run that the same command started; start one where there is none.
    save_every: seconds between saved states within an epoch; the end of an epoch is always saved.
    origin: what is known of the run, for its record.

    Raises
    ------
    UsageError, DataError, RunError: the message has the details.
    """
    began = time.monotonic()
    config, folder = resolve(settings), data if isinstance(data, Path) else data.folder.root
    keep_memory()
    processes = join(config.machine.device)
    with ExitStack() as claims:
        run = run_to_resume(out, folder, config) if resume else None
        if run is not None:
            claims.enter_context(claimed(run.path) if processes.first else nullcontext())
            config = resumed_config(run, settings)
            yield Message(f"continuing the run in {run.path}")
        elif processes.first:
            run = RunFolder(claims.enter_context(new_run(out, folder, config)))
            if resume:
                yield Message("nothing to resume yet: starting a new run")
        run = RunFolder(Path(processes.agree_text("" if run is None else str(run.path))))
        config = with_budget(config)
        if isinstance(data, Path):
            survey = yield from check(data, config.data, config.training.seed)
            yield Message(survey_page(survey))
        else:
            survey = data
        require_unchanged(survey, origin.fingerprint)
        require_no_errors(survey)
        yield Progress("preparing", 0, 1)
        job = prepare(survey, config, processes)
        yield Progress("preparing", 1, 1)
        state = yield from found_state(run, job)
        if state is None and origin.study is None:  # a study compares the sizes that it names
            job = yield from with_fitting_size(job, settings, began)
        return (yield from _trained_run(job, run, state, began, save_every, origin))


def _trained_run(
    job: TrainingJob, run: RunFolder, state: TrainingState | None, began: float, save_every: float, origin: Origin
) -> Generator[Event, None, TrainedRun]:
    """Train in a folder that is claimed, from the start or from its checkpoint."""
    yield Message(plan(job, run.path))
    if state is None:
        yield from note_earlier_training(job, run)
        CHOICES.begin({})
        state = TrainingState()
        # A study compares equal times of training, without what comes before and after.
        yield from rehearsal(job, state, began if origin.study is None else None)
        begin(run, job, state)
    else:
        if job.setup.budget.progress(state, job.setup.batches.steps) < 1:
            yield from compile_resumed(job, state)
        yield Message(f"resumed after step {state.step} (epoch {state.epoch} finished, {state.seconds:.0f} s so far)")
    stopped_by = yield from record_training(job, run, state, _train(job, run, state, save_every), origin)
    if stopped_by is None and job.setup.processes.first:  # a system that stops a process does not wait for pictures
        yield from _write_pictures(job, run)
    return TrainedRun(
        folder=run.path,
        model=run.model,
        best_epoch=state.best_epoch,
        best_mean_iou=state.history[state.best_epoch - 1]["mean_iou"] if state.best_epoch else None,
        stopped_by=stopped_by,
        history=tuple(state.history),
    )


def _train(
    job: TrainingJob, run: RunFolder, state: TrainingState, save_every: float
) -> Generator[Event, None, int | None]:
    """Train and save the state from time to time; return the signal that stopped the training, or None."""
    saved_at, drawn_at, facts = time.monotonic(), -math.inf, facts_of(job)
    with interruptible() as interruption:
        for record in training(job.segmenter, job.setup, state):
            if isinstance(record, EpochRecord):
                state.history[-1]["remarks"] = diagnose(facts, state.history)
                keep_epoch(job, run, state, record)
                saved_at = time.monotonic()
                if record.progress >= 1 or saved_at - drawn_at > DRAW_EVERY:
                    draw_curves(job, run, state)
                    drawn_at = saved_at
            elif time.monotonic() + _until_next(record, state) - saved_at > save_every:
                save(job, run, state)
                saved_at = time.monotonic()
            try:
                yield record
            except GeneratorExit:  # the caller is gone: a closed terminal, a broken pipe, a stopped notebook cell
                save(job, run, state)
                draw_curves(job, run, state)
                raise
            yield from map(Message, _remarks(record, state))
            if CHOICES.missing:
                CHOICES.missing = False
                yield Message(
                    "a way in which this run computed is not possible here (is numba installed, and the machine the "
                    "same?); its numbers round differently from here on"
                )
            stop = int(job.setup.processes.agree(interruption.signal or 0))
            if stop:
                save(job, run, state)
                draw_curves(job, run, state)
                yield Message(
                    f"{ending_text(stop)}: everything is saved; the same command with --resume continues from here"
                )
                return stop
    return None


def _remarks(record: StepRecord | EpochRecord, state: TrainingState) -> Sequence[str]:
    """Return the messages about a step or an epoch in which a problem occurred."""
    if isinstance(record, EpochRecord):
        return [str(remark) for remark in state.history[-1]["remarks"]]
    if record.skipped:
        return [f"step {record.step} left out: its loss is not finite; its crops are from {', '.join(record.skipped)}"]
    return [f"memory ran out: each batch is computed in {record.parts} parts from here on"] if record.halved else []


def _until_next(record: StepRecord, state: TrainingState) -> float:
    """Return the seconds until the next chance to save, without the step: a validation cannot be saved half-way."""
    return state.last_validation if record.step == record.steps else 0.0


def _write_pictures(job: TrainingJob, run: RunFolder) -> Generator[Event, None, None]:
    """Write validation pictures of the best model: picture, ground truth and prediction next to each other."""
    if not run.model.is_file():
        return
    best = Predictor(load_model(run.model).segmenter, job.setup.machine)
    samples = job.setup.validation
    chosen = [samples[i] for i in np.linspace(0, len(samples) - 1, min(VALIDATION_PICTURES, len(samples))).astype(int)]
    colours = best.segmenter.classes.colours
    for number, sample in enumerate(chosen, start=1):
        prediction = best.predict(sample.image, sample.name).prediction
        sheets = [
            displayable(sample.image),
            overlay(sample.image, sample.labels, colours),
            overlay(sample.image, prediction, colours),
        ]
        last_letters = sample.name.replace("/", "_")[-LONGEST_NAME:]
        write_image(run.pictures / f"{number}-{last_letters}.png", np.concatenate(sheets, axis=1))
        yield Progress("validation pictures", number, len(chosen))

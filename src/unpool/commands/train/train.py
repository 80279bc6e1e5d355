"""``train``: a folder in, a run folder with a model out."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unpool.checkpoint.models import load_model
from unpool.commands.check import check, require_no_errors, require_unchanged
from unpool.commands.events import Event, Message, Progress
from unpool.commands.interruption import ending_text, interruptible
from unpool.commands.recording import note_earlier_training, record_training
from unpool.commands.run_folder import RunFolder, new_run, resumed_config, run_to_resume
from unpool.commands.train.diagnosis_facts import facts_of
from unpool.commands.train.preparation import TrainingJob, plan, prepare, with_budget
from unpool.commands.train.rehearsal import compiled_again, rehearsal
from unpool.commands.train.run_state import begin, found_state, keep_epoch, save
from unpool.config.settings import resolve
from unpool.dataset.survey_text import survey_page
from unpool.io.write.images import write_image
from unpool.machine.process_memory import keep_memory
from unpool.prediction.predictor import Predictor
from unpool.processes import join
from unpool.report.pictures import displayable, overlay
from unpool.training.diagnosis.symptoms import diagnose
from unpool.training.loop import training
from unpool.training.records import EpochRecord, StepRecord, TrainingState

SAVE_EVERY = 60.0
"""Seconds between saved states inside an epoch: what a power cut costs."""

SHOWN = 6
"""Validation pictures written at the end."""


@dataclass(frozen=True)
class TrainedRun:
    """What ``train`` leaves behind.

    Attributes
    ----------
    folder: the run folder; ``model`` its model file.
    best_epoch, best_mean_iou: the epoch the model was taken from, and its validation score.
    stopped_by: the signal that stopped it before its end: 2 for Ctrl-C, 15 where the system asked; else None.
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
        """Whether the training came to its end."""
        return self.stopped_by is None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "folder": str(self.folder),
            "model": str(self.model),
            "best_epoch": self.best_epoch,
            "best_mean_iou": self.best_mean_iou,
            "finished": self.finished,
            "history": list(self.history),
        }


def train(
    folder: Path,
    settings: Mapping[str, Any],
    out: Path | None = None,
    *,
    resume: bool = False,
    save_every: float = SAVE_EVERY,
    fingerprint: str | None = None,
) -> Generator[Event, None, TrainedRun]:
    """Check a folder, train a network on it, keep the best epoch.

    Parameters
    ----------
    folder: pictures and masks in any layout that ``check`` reads.
    settings: nested as ``unpool.config.schema.RunConfig``; everything has a default.
    out: the run folder; by default the first free ``runs/<folder>-<net>``.
    resume: go on with the run that the same command started, or start it.
    save_every: seconds between saved states inside an epoch; at the end of each one is saved in any case.
    fingerprint: of the data, where no other is to be trained on.

    Raises
    ------
    UsageError, DataError, RunError: see the message.
    """
    config = resolve(settings)
    keep_memory()
    processes = join(config.machine.device)
    run = run_to_resume(out, folder, config) if resume else None
    if run is not None:
        config = resumed_config(run, settings)
        yield Message(f"going on with the run in {run.path}")
    elif processes.first:
        run = new_run(out, folder, config)
        if resume:
            yield Message("nothing to resume yet: starting a new run")
    run = RunFolder(Path(processes.agree_text("" if run is None else str(run.path))))
    config = with_budget(config)
    survey = yield from check(folder, config.data, config.training.seed)
    yield Message(survey_page(survey))
    require_unchanged(survey, fingerprint)
    require_no_errors(survey)
    yield Progress("preparing", 0, 1)
    job = prepare(survey, config, processes)
    yield Progress("preparing", 1, 1)
    state = yield from found_state(run, job)
    yield Message(plan(job, run.path))
    if state is None:
        yield from note_earlier_training(job, run)
        state = TrainingState()
        yield from rehearsal(job, state)
        begin(run, job, state)
    else:
        if job.setup.budget.progress(state, job.setup.batches.steps) < 1:
            yield from compiled_again(job, state)
        yield Message(f"resumed after step {state.step} (epoch {state.epoch} finished, {state.seconds:.0f} s so far)")
    stopped_by = yield from record_training(job, run, state, _train(job, run, state, save_every))
    if stopped_by is None and processes.first:  # who asks for an end may not wait long for it
        yield from _leave_pictures(job, run)
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
    """Run the loop, saving as it goes; returns the signal that stopped it, if one did."""
    saved_at, facts = time.monotonic(), facts_of(job)
    with interruptible() as asked:
        for record in training(job.segmenter, job.setup, state):
            if isinstance(record, EpochRecord):
                state.history[-1]["remarks"] = diagnose(facts, state.history)
                keep_epoch(job, run, state, record)
                saved_at = time.monotonic()
            elif time.monotonic() + _until_next(record, state) - saved_at > save_every:
                save(job, run, state)
                saved_at = time.monotonic()
            try:
                yield record
            except GeneratorExit:  # who listened has gone: a closed terminal, a broken pipe, a cell that was stopped
                save(job, run, state)
                raise
            yield from map(Message, _remarks(record, state))
            stop = int(job.setup.processes.agree(asked.signal or 0))
            if stop:
                save(job, run, state)
                yield Message(
                    f"{ending_text(stop)}: everything is saved; the same command with --resume goes on from here"
                )
                return stop
    return None


def _remarks(record: StepRecord | EpochRecord, state: TrainingState) -> Sequence[str]:
    """What there is to say of a step or an epoch that went wrong."""
    if isinstance(record, EpochRecord):
        return [str(remark) for remark in state.history[-1]["remarks"]]
    if record.skipped:
        return [f"step {record.step} left out: its loss is not finite; its crops are from {', '.join(record.skipped)}"]
    return [f"memory ran out: each batch is computed in {record.parts} parts from here on"] if record.halved else []


def _until_next(record: StepRecord, state: TrainingState) -> float:
    """Seconds until the state can be saved again, apart from a step: validation cannot be cut in two."""
    return state.last_validation if record.step == record.steps else 0.0


def _leave_pictures(job: TrainingJob, run: RunFolder) -> Generator[Event, None, None]:
    """Write validation pictures of the best model: picture, truth and prediction side by side."""
    if not run.model.is_file():
        return
    best = Predictor(load_model(run.model).segmenter, job.setup.machine)
    samples = job.setup.validation
    chosen = [samples[i] for i in np.linspace(0, len(samples) - 1, min(SHOWN, len(samples))).astype(int)]
    colours = best.segmenter.classes.colours
    for number, sample in enumerate(chosen, start=1):
        prediction = best.predict(sample.image, sample.name).prediction
        sheets = [
            displayable(sample.image),
            overlay(sample.image, sample.labels, colours),
            overlay(sample.image, prediction, colours),
        ]
        write_image(run.pictures / f"{sample.name.replace('/', '_')}.png", np.concatenate(sheets, axis=1))
        yield Progress("validation pictures", number, len(chosen))

"""``train``: a folder in, a run folder with a model out."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

import numpy as np
import torch

from unpool.checkpoint import first_line, load_model, load_state, save_model, save_state
from unpool.commands.checking import check, require_sound
from unpool.commands.diagnosing import facts_of
from unpool.commands.events import Event, Progress, Said
from unpool.commands.preparation import Job, plan, prepare, story, with_budget
from unpool.commands.run_folder import RunFolder, new_run, run_to_resume, stored_config, write_config
from unpool.config import resolve
from unpool.data import describe
from unpool.engine import (
    EpochRecord,
    TrainingState,
    diagnose,
    evaluate_each,
    training,
)
from unpool.errors import ModelFileError, UsageError
from unpool.io import write_image
from unpool.io.files import write_json, write_text
from unpool.io.folders import mark_output
from unpool.report import curves_svg, displayable, overlay

SAVE_EVERY = 60.0
"""Seconds between saved states inside an epoch."""

SHOWN = 6
"""Validation pictures written at the end."""


@dataclass(frozen=True)
class TrainedRun:
    """What ``train`` leaves behind.

    Attributes
    ----------
    folder: the run folder; ``model`` its model file.
    best_epoch, best_mean_iou: the epoch the model was taken from, and its validation score.
    finished: False where the person interrupted.
    history: one row an epoch, as in ``log.jsonl``.
    """

    folder: Path
    model: Path
    best_epoch: int
    best_mean_iou: float | None
    finished: bool
    history: Sequence[Mapping[str, Any]]

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
    folder: Path, settings: Mapping[str, Any], out: Path | None = None, *, resume: bool = False
) -> Generator[Event, None, TrainedRun]:
    """Check a folder, train a network on it, keep the best epoch.

    Parameters
    ----------
    folder: pictures and masks in any layout that ``check`` reads.
    settings: nested as ``unpool.config.RunConfig``; everything has a default.
    out: the run folder; by default the first free ``runs/<folder>-<net>``.
    resume: go on with the run that the same command started, or start it.

    Raises
    ------
    UsageError, DataError, RunError: see the message.
    """
    config = resolve(settings)
    run = run_to_resume(out, folder, config) if resume else None
    if run is not None:
        config = stored_config(run, settings)
        yield Said(f"going on with the run in {run.path}")
    else:
        run = new_run(out, folder, config)
        if resume:
            yield Said("nothing to resume yet: starting a new run")
    config = with_budget(config)
    survey = yield from check(folder, config.data, config.training.seed)
    yield Said(describe(survey))
    require_sound(survey)
    yield Progress("preparing", 0, 1)
    job = prepare(survey, config)
    yield Progress("preparing", 1, 1)
    state = _open(run, job)
    yield Said(plan(job, run.path))
    if state.epoch or state.step:
        yield Said(f"resumed after step {state.step} (epoch {state.epoch} finished, {state.seconds:.0f} s so far)")
    finished = yield from _train(job, run, state)
    yield from _leave_pictures(job, run)
    return TrainedRun(
        folder=run.path,
        model=run.model,
        best_epoch=state.best_epoch,
        best_mean_iou=state.best_score if state.best_epoch else None,
        finished=finished,
        history=tuple(state.history),
    )


def _open(run: RunFolder, job: Job) -> TrainingState:
    """Start the run folder, or read back where the run in it stood."""
    if run.state.is_file():
        state = _restore(run, job)
        write_config(run, job.config)  # the budget may be another one
        return state
    if run.model.exists():
        raise ModelFileError(
            f"{run.state} is missing, {run.model} is there",
            "both, to go on with a run",
            "put state.pt back, or start a new run in another --out",
        )
    mark_output(run.path)
    write_config(run, job.config)
    write_json(run.split, {**job.survey.split.to_json(), "fingerprint": job.survey.fingerprint})
    write_text(run.log, "")
    state = TrainingState()
    _save_state(job, run, state)
    return state


def _restore(run: RunFolder, job: Job) -> TrainingState:
    saved = load_state(run.state)
    if saved.get("data") != _data_of(job):
        raise UsageError(
            f"{job.survey.folder.root} has changed since the run in {run.path} was started",
            "the same pictures, masks, classes and split",
            "put the data back as it was, or start a new run without --resume",
        )
    try:
        job.segmenter.network.load_state_dict(saved["network"])
        job.recipe.optimiser.load_state_dict(saved["optimiser"])
        state = TrainingState.from_plain(saved["training"])
        torch.set_rng_state(saved["random"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"{run.state}: does not fit the run ({first_line(error)})",
            "the state this run saved",
            "start a new run without --resume",
        ) from error
    # A run that was killed between writing its log and its state has a line too many: the state is the truth.
    write_text(run.log, "".join(json.dumps(row) + "\n" for row in state.history))
    return state


def _train(job: Job, run: RunFolder, state: TrainingState) -> Generator[Event, None, bool]:
    """Run the loop, saving as it goes; returns whether it came to its end."""
    saved_at, facts = time.monotonic(), facts_of(job)
    with _stop_on_interrupt() as stop:
        for record in training(job.segmenter, job.recipe, state):
            if isinstance(record, EpochRecord):
                state.history[-1]["remarks"] = diagnose(facts, state.history)
                _keep_epoch(job, run, state, record)
                saved_at = time.monotonic()
            elif time.monotonic() - saved_at > SAVE_EVERY:
                _save_state(job, run, state)
                saved_at = time.monotonic()
            yield record
            if isinstance(record, EpochRecord):
                yield from map(Said, state.history[-1]["remarks"])
            if stop.asked:
                _save_state(job, run, state)
                if not run.model.is_file():
                    save_model(run.model, job.segmenter, story(job, state))
                yield Said("interrupted: everything is saved; the same command with --resume goes on from here")
                return False
    return True


def _keep_epoch(job: Job, run: RunFolder, state: TrainingState, record: EpochRecord) -> None:
    with run.log.open("a", encoding="utf-8") as log:
        log.write(json.dumps(state.history[-1]) + "\n")
    if record.best or not run.model.is_file():
        save_model(run.model, job.segmenter, story(job, state))
    _save_state(job, run, state)
    write_text(run.curves, curves_svg(state.history))


def _save_state(job: Job, run: RunFolder, state: TrainingState) -> None:
    save_state(
        run.state,
        {
            "data": _data_of(job),
            "network": job.segmenter.network.state_dict(),
            "optimiser": job.recipe.optimiser.state_dict(),
            "training": state.to_plain(),
            "random": torch.get_rng_state(),
        },
    )


def _data_of(job: Job) -> dict[str, Any]:
    """What must not change in the course of a run."""
    survey = job.survey
    return {
        "fingerprint": survey.fingerprint,
        "classes": survey.table.to_card(),
        "split": survey.split.to_json(),
    }


class _Stop:
    asked = False


@contextmanager
def _stop_on_interrupt() -> Iterator[_Stop]:
    """Let the first Ctrl-C ask for a clean stop after the running step; the second one interrupts at once."""
    stop = _Stop()
    if current_thread() is not main_thread():
        yield stop
        return

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_pictures(job: Job, run: RunFolder) -> Generator[Event, None, None]:
    """Write validation pictures of the best model: picture, truth and prediction side by side."""
    if not run.model.is_file():
        return
    best = load_model(run.model).segmenter
    job.recipe.machine.place(best.network)
    samples = job.recipe.validation
    chosen = [samples[i] for i in np.linspace(0, len(samples) - 1, min(SHOWN, len(samples))).astype(int)]
    colours = best.classes.colours
    for number, (sample, result) in enumerate(
        zip(chosen, evaluate_each(best, chosen, job.recipe.machine), strict=True), start=1
    ):
        sheets = [
            displayable(sample.image),
            overlay(sample.image, sample.labels, colours),
            overlay(sample.image, result.prediction, colours),
        ]
        write_image(run.pictures / f"{sample.name.replace('/', '_')}.png", np.concatenate(sheets, axis=1))
        yield Progress("validation pictures", number, len(chosen))

"""The files of a training: saved so that none is ever half written, and read again after any interruption.

The checkpoint (``state.pt``) decides. A new model waits next to the old one until the checkpoint that names it is in
place. The log and the curves are written from the checkpoint's history.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from unpool.checkpoint.checkpoints import (
    StoredCheckpoint,
    StoredState,
    load_newest_checkpoint,
    previous,
    save_checkpoint,
)
from unpool.checkpoint.models import new_model
from unpool.checkpoint.proof import first_line
from unpool.checkpoint.tensors import fitting_optimiser_state, require_form
from unpool.commands.events import Event, Message
from unpool.commands.run_folder import RunFolder, write_config
from unpool.commands.train.preparation import TrainingJob
from unpool.commands.train.provenance import provenance
from unpool.convolution.choices import CHOICES
from unpool.errors import ModelFileError, RunError, UsageError
from unpool.io.destination import require_room
from unpool.io.files import append_text, drafts, put_in_place, write_json, write_text, writing
from unpool.io.outputs import mark_output
from unpool.report.curves import curves_svg
from unpool.training.records import EpochRecord, TrainingState


def found_state(run: RunFolder, job: TrainingJob) -> Generator[Event, None, TrainingState | None]:
    """Read the state of the run in a folder; None where no run has begun there.

    The first process repairs the folder; the others then read it.

    Raises
    ------
    ModelFileError, UsageError: the run in the folder cannot be continued.
    RunError: the folder cannot be written.
    """
    processes = job.setup.processes
    state = (yield from _repaired(run, job)) if processes.first else None
    if not processes.agree(state is not None):
        return None
    return state if processes.first else _restore(job, _newest(run, job))


def begin(run: RunFolder, job: TrainingJob, state: TrainingState) -> None:
    """Make the run folder, with the state from which a training begins.

    Raises
    ------
    RunError: the folder cannot be written.
    """
    if not job.setup.processes.first:
        return
    _require_room(run, job)
    with _with_resume_advice(), writing(run.path):
        mark_output(run.path, f"{run.pictures.name}/")
        _remove_drafts(run)
        write_config(run, job.config)
        write_json(run.split, {**job.survey.split.to_json(), "fingerprint": job.survey.fingerprint})
        write_text(run.log, "")
        _save_state(job, run, state)


def _repaired(run: RunFolder, job: TrainingJob) -> Generator[Event, None, TrainingState | None]:
    if not any(file.is_file() for file in (run.state, previous(run.state))):
        if run.model.exists():
            raise ModelFileError(
                f"{run.state} is missing, {run.model} is there",
                "both, to continue a run",
                "put state.pt back, or start a new run in another --out",
            )
        return None
    stored = _newest(run, job)
    if stored.damage is not None:
        yield Message(f"{stored.damage.found}\n  continuing from {stored.file.name}, the state saved before it")
    state = _restore(job, stored)
    with _with_resume_advice(), writing(run.path):
        _apply(run, stored)
        write_config(run, job.config)  # the budget may have changed
        # The run may have ended before it wrote a line, or in the middle of one.
        write_text(run.log, "".join(_log_line(row) for row in state.history))
    return state


def save(job: TrainingJob, run: RunFolder, state: TrainingState, *, best: bool = False) -> None:
    """Save the state; save the network as the model too where its epoch is the best, or where there is no best yet.

    Raises
    ------
    RunError: a file cannot be written; the files saved before are unchanged.
    """
    if not job.setup.processes.first:
        return
    with _with_resume_advice():
        if best or not state.best_epoch or not run.model.is_file():
            with new_model(run.model, job.segmenter, provenance(job, state), job.config.licence) as draft:
                _save_state(job, run, state, draft.name)
        else:
            _save_state(job, run, state)


def keep_epoch(job: TrainingJob, run: RunFolder, state: TrainingState, record: EpochRecord) -> None:
    """Save the state after an epoch, the model where the epoch is the best, and a line of the log.

    Raises
    ------
    RunError: a file cannot be written; nothing is lost where the state could be written.
    """
    if not job.setup.processes.first:
        return
    save(job, run, state, best=record.best)
    with _with_resume_advice():
        append_text(run.log, _log_line(state.history[-1]))


def draw_curves(job: TrainingJob, run: RunFolder, state: TrainingState) -> None:
    """Draw the course of the training so far.

    Raises
    ------
    RunError: the file cannot be written; nothing is lost.
    """
    if job.setup.processes.first and state.history:
        with _with_resume_advice():
            write_text(run.curves, curves_svg(state.history))


def _require_room(run: RunFolder, job: TrainingJob) -> None:
    """Raise RunError where the disk has no room for the largest files that a training holds at the same time.

    They are three checkpoints (the newest, the one before it, and the one that is being written) and two models.
    """
    weights = sum(tensor.nbytes for tensor in job.segmenter.network.state_dict().values())
    moments = 2 if "betas" in job.setup.optimiser.defaults else 1
    size = 3 * (1 + moments) * weights + 2 * weights
    there = sum(file.stat().st_size for file in (run.state, previous(run.state), run.model) if file.is_file())
    require_room(run.path, size - there, "the checkpoints and the model of this training")


def _newest(run: RunFolder, job: TrainingJob) -> StoredCheckpoint:
    return load_newest_checkpoint(run.state, lambda stored: _require_fit(job, stored))


def _require_fit(job: TrainingJob, stored: StoredState) -> None:
    """Raise an error unless the training can continue from a state; nothing is changed.

    Raises
    ------
    ModelFileError: the state has odd content, or is another network's.
    UsageError: the data is not that of the state.
    """
    saved = stored.state
    try:
        TrainingState.from_plain(saved["training"])
        require_form(saved["network"], job.segmenter.network.state_dict())
        fitting_optimiser_state(saved["optimiser"], job.setup.optimiser)
        if any(type(text) is not str for pair in saved.get("convolutions", {}).items() for text in pair):
            raise ValueError("a way of a convolution is no text")
        problem = None
    except Exception as error:  # a torch file can hold anything at any place
        problem = error
    if saved.get("data") != _data_of(job) and isinstance(saved.get("data"), dict):
        raise UsageError(
            f"{job.survey.folder.root} has changed since the run in {stored.file.parent} was started",
            "the same pictures, masks, classes and split",
            "put the data back as it was, or start a new run without --resume",
        )
    if problem is not None:
        raise ModelFileError(
            f"{stored.file}: does not fit the run ({first_line(problem)})",
            "the state this run saved",
            "start a new run without --resume",
        ) from problem


def _restore(job: TrainingJob, stored: StoredCheckpoint) -> TrainingState:
    CHOICES.begin(stored.state.get("convolutions", {}))
    job.segmenter.network.load_state_dict(stored.state["network"])
    job.setup.optimiser.load_state_dict(fitting_optimiser_state(stored.state["optimiser"], job.setup.optimiser))
    return TrainingState.from_plain(stored.state["training"])


def _apply(run: RunFolder, stored: StoredCheckpoint) -> None:
    """Make the folder agree with the state: put the model that it names in place, and remove other drafts."""
    if stored.damage is not None:
        put_in_place(stored.file, run.state)
    waiting = [draft for draft in drafts(run.path) if draft.name == stored.state.get("model")]
    for draft in waiting:
        put_in_place(draft, run.model)
    _remove_drafts(run)


def _remove_drafts(run: RunFolder) -> None:
    for draft in (*drafts(run.path), *drafts(run.pictures)):
        draft.unlink(missing_ok=True)


def _save_state(job: TrainingJob, run: RunFolder, state: TrainingState, model: str | None = None) -> None:
    save_checkpoint(
        run.state,
        {
            "data": _data_of(job),
            "network": job.segmenter.network.state_dict(),
            "optimiser": job.setup.optimiser.state_dict(),
            "training": state.to_plain(),
            "convolutions": dict(CHOICES.used),
            "model": model,
        },
    )


def _data_of(job: TrainingJob) -> dict[str, Any]:
    """Return what must stay the same during a run: pictures, classes, split."""
    survey = job.survey
    return {
        "fingerprint": survey.fingerprint,
        "classes": survey.table.to_card(),
        "split": survey.split.to_json(),
    }


def _log_line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"


@contextmanager
def _with_resume_advice() -> Iterator[None]:
    """Add to every RunError inside this context how the run is continued."""
    try:
        yield
    except RunError as error:
        raise RunError(
            error.found,
            error.expected,
            f"{error.repair}; the files saved before are intact: the same command with --resume continues from them",
        ) from error

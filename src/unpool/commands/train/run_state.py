"""What of a training is on the disk: saved so that nothing is ever half there, found again after whatever happened.

The state is the truth. A new model waits beside the old one until the state that knows of it is in its place; the log
and the curves are drawn from the state's history.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from unpool.checkpoint.checkpoints import StoredCheckpoint, load_newest_checkpoint, previous, save_checkpoint
from unpool.checkpoint.models import new_model
from unpool.checkpoint.proof import first_line
from unpool.commands.events import Event, Message
from unpool.commands.run_folder import RunFolder, write_config
from unpool.commands.train.preparation import TrainingJob, story
from unpool.errors import ModelFileError, RunError, UsageError
from unpool.io.files import append_text, drafts, put_in_place, write_json, write_text, writing
from unpool.io.folders import mark_output
from unpool.report.curves import curves_svg
from unpool.training.records import EpochRecord, TrainingState


def found_state(run: RunFolder, job: TrainingJob) -> Generator[Event, None, TrainingState | None]:
    """Read back where the run in a folder stood; None where none has begun.

    The first process puts the folder in order, the others read what it left.

    Raises
    ------
    ModelFileError, UsageError: what is there cannot be gone on with.
    RunError: the folder cannot be written.
    """
    processes = job.setup.processes
    state = (yield from _put_in_order(run, job)) if processes.first else None
    if not processes.agree(state is not None):
        return None
    return state if processes.first else _restore(run, job, load_newest_checkpoint(run.state))


def begin(run: RunFolder, job: TrainingJob, state: TrainingState) -> None:
    """Make the run folder, with the state a training begins from.

    Raises
    ------
    RunError: the folder cannot be written.
    """
    if not job.setup.processes.first:
        return
    with _saved_is_kept(), writing(run.path):
        mark_output(run.path)
        _remove_drafts(run)
        write_config(run, job.config)
        write_json(run.split, {**job.survey.split.to_json(), "fingerprint": job.survey.fingerprint})
        write_text(run.log, "")
        _save_state(job, run, state)


def _put_in_order(run: RunFolder, job: TrainingJob) -> Generator[Event, None, TrainingState | None]:
    if not any(file.is_file() for file in (run.state, previous(run.state))):
        if run.model.exists():
            raise ModelFileError(
                f"{run.state} is missing, {run.model} is there",
                "both, to go on with a run",
                "put state.pt back, or start a new run in another --out",
            )
        return None
    stored = load_newest_checkpoint(run.state)
    if stored.damage is not None:
        yield Message(f"{stored.damage.found}\n  going on from {stored.file.name}, the state saved before it")
    state = _restore(run, job, stored)
    with _saved_is_kept(), writing(run.path):
        _settle(run, stored)
        write_config(run, job.config)  # the budget may be another one
        # The run may have ended before it could write a line, or in the middle of one.
        write_text(run.log, "".join(_log_line(row) for row in state.history))
    return state


def save(job: TrainingJob, run: RunFolder, state: TrainingState, *, best: bool = False) -> None:
    """Save where the training stands; with the network as the model where it is the best, or none has been yet.

    Raises
    ------
    RunError: it cannot be written; what was saved before is as it was.
    """
    if not job.setup.processes.first:
        return
    with _saved_is_kept():
        if best or not state.best_epoch or not run.model.is_file():
            with new_model(run.model, job.segmenter, story(job, state), job.config.licence) as draft:
                _save_state(job, run, state, draft.name)
        else:
            _save_state(job, run, state)


def keep_epoch(job: TrainingJob, run: RunFolder, state: TrainingState, record: EpochRecord) -> None:
    """Save the state after an epoch, the model where it is the best, a line of the log and the curves.

    Raises
    ------
    RunError: something cannot be written; nothing is lost where the state could be.
    """
    if not job.setup.processes.first:
        return
    save(job, run, state, best=record.best)
    with _saved_is_kept():
        append_text(run.log, _log_line(state.history[-1]))
        write_text(run.curves, curves_svg(state.history))


def _restore(run: RunFolder, job: TrainingJob, stored: StoredCheckpoint) -> TrainingState:
    saved = stored.state
    if saved.get("data") != _data_of(job):
        raise UsageError(
            f"{job.survey.folder.root} has changed since the run in {run.path} was started",
            "the same pictures, masks, classes and split",
            "put the data back as it was, or start a new run without --resume",
        )
    try:
        job.segmenter.network.load_state_dict(saved["network"])
        job.setup.optimiser.load_state_dict(saved["optimiser"])
        state = TrainingState.from_plain(saved["training"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"{stored.file}: does not fit the run ({first_line(error)})",
            "the state this run saved",
            "start a new run without --resume",
        ) from error
    return state


def _settle(run: RunFolder, stored: StoredCheckpoint) -> None:
    """Bring the folder to what the state says: the model that it names comes to its place, other drafts go."""
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
            "model": model,
        },
    )


def _data_of(job: TrainingJob) -> dict[str, Any]:
    """What must not change in the course of a run."""
    survey = job.survey
    return {
        "fingerprint": survey.fingerprint,
        "classes": survey.table.to_card(),
        "split": survey.split.to_json(),
    }


def _log_line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"


@contextmanager
def _saved_is_kept() -> Iterator[None]:
    """Write what belongs to a run inside this: an error then says how the run goes on."""
    try:
        yield
    except RunError as error:
        raise RunError(
            error.found,
            error.expected,
            f"{error.repair}; what was saved before is whole, and the same command with --resume goes on from it",
        ) from error

"""Before a long training: a few steps on one batch, and what they foretell."""

from __future__ import annotations

import time
from collections.abc import Generator

from unpool.commands.events import Event, Message, Progress
from unpool.commands.train.preparation import TrainingJob
from unpool.data.samples import Sample
from unpool.errors import UsageError
from unpool.machine.device import free_memory
from unpool.prediction.evaluation import evaluate_each
from unpool.prediction.predictor import Predictor
from unpool.training.compilation import compiles, missing, worth_compiling
from unpool.training.records import TrainingState
from unpool.training.rehearsal import Rehearsal, rehearse
from unpool.training.step import in_parts
from unpool.wording import bytes_text

FORWARD = 0.35
"""Share of a training step that its forward half takes."""

LONGEST = 60.0
"""Days of training above which a budget is taken for a mistake."""


def rehearsal(job: TrainingJob, state: TrainingState) -> Generator[Event, None, None]:
    """Rehearse a training that begins, and settle in ``state`` in how many parts and whether compiled it runs.

    Raises
    ------
    RunError: the first batch gives no finite loss, or the memory holds not even one crop.
    UsageError: so many epochs or minutes take longer than ``LONGEST`` days here.
    """
    setup, given = job.setup, job.config
    yield Progress("rehearsing", 0, 1)
    free = free_memory(setup.machine, given.machine.memory_gb, setup.processes.neighbours)
    found = rehearse(job.segmenter.network, setup, given.training.parts, free)
    validating = setup.processes.agree(_validation_seconds(job))
    if setup.recompute:
        validating += FORWARD * found.step_seconds * setup.batches.steps
    seconds = found.step_seconds * setup.batches.steps + validating
    minutes = given.training.minutes if given.training.epochs is None else given.training.epochs * seconds / 60
    assert minutes is not None
    if minutes > LONGEST * 24 * 60:
        asked = "minutes" if given.training.epochs is None else f"epochs, at {found.step_seconds:.1f} s a step"
        raise UsageError(
            f"{given.training.epochs or f'{minutes:g}'} {asked}: {minutes / 60 / 24:.0f} days",
            f"a training of at most {LONGEST:g} days",
            "give fewer --epochs or --minutes",
        )
    state.parts = found.parts
    if given.training.minutes is not None:  # kept free at the end, as if it were the duration of the last one
        state.last_validation = min(validating, 60 * given.training.minutes / 2)
    state.compiled, why = worth_compiling(
        given.machine.compile, minutes, job.segmenter.network, setup.machine, setup.processes
    )
    if state.compiled:
        yield Progress("compiling", 0, 1)
        why = _compiled(job, state) or why
    yield Progress("rehearsing", 1, 1)
    yield Message(_forecast(job, found, seconds, minutes, free, f"{'yes' if state.compiled else 'no'}, {why}"))


def compiled_again(job: TrainingJob, state: TrainingState) -> Generator[Event, None, None]:
    """See that a training that was compiled can be compiled here too, and say so where it cannot or shall not."""
    if state.compiled:
        yield Progress("compiling", 0, 1)
        state.compiled = job.config.machine.compile != "no"
        failure = _compiled(job, state) if state.compiled else "as asked"
        if failure:
            yield Message(
                f"the run was compiled, and goes on without: {failure}; its numbers round otherwise from here on"
            )


def _compiled(job: TrainingJob, state: TrainingState) -> str:
    """Compile a step, and settle in ``state`` whether that works; why not, or nothing."""
    setup, network = job.setup, job.segmenter.network
    batches = setup.batches.epoch(0)
    part = next(in_parts(next(batches), state.parts))
    batches.close()
    failure = missing(network, setup.machine, setup.processes) or compiles(network, setup.loss, setup.machine, part)
    state.compiled = not failure
    return failure


def _validation_seconds(job: TrainingJob) -> float:
    """How long a validation takes, from one of its pictures."""
    pictures = job.setup.validation
    share = -(-len(pictures) // job.setup.processes.count)
    one: list[Sample] = [pictures[0]]
    job.segmenter.network.eval()
    started = time.monotonic()
    for _ in evaluate_each(Predictor(job.segmenter, job.setup.machine), one):
        pass
    return (time.monotonic() - started) * share


def _forecast(
    job: TrainingJob, found: Rehearsal, seconds: float, minutes: float, free: int | None, compiled: str
) -> str:
    given = job.config.training
    steps = max(int(minutes * 60 / seconds * job.setup.batches.steps), 1)
    epochs = minutes * 60 / seconds
    fell = f"the loss of one batch, repeated, went from {found.losses[0]:.3f} to {min(found.losses[1:]):.3f}"
    if not found.learns:
        fell += "; it should fall: lower --set learning_rate=… if the training does not learn"
    rows = [
        ("one batch", fell),
        ("time", f"{_duration(found.step_seconds)} a step, {_duration(seconds)} an epoch with its validation"),
        (
            "forecast",
            f"{given.epochs} epochs in about {_duration(minutes * 60)}"
            if given.epochs is not None
            else f"about {steps:,} steps ({epochs:.1f} epochs) in {given.minutes:g} minutes",
        ),
        (
            "memory",
            f"a step takes about {bytes_text(found.peak_bytes)}"
            + ("" if free is None else f" of {bytes_text(free)} that are free"),
        ),
        ("in parts", f"each batch is computed in {found.parts} parts, to fit" if found.parts > 1 else ""),
        ("compiled", compiled),
    ]
    return "\n".join(["Rehearsal", *(f"  {label:<15}{value}" for label, value in rows if value)])


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{minutes} min" if not hours else f"{hours} h {minutes:02} min"

"""The rehearsal before a training: it chooses the parts of a batch and whether to compile, and gives a forecast."""

from __future__ import annotations

import time
from collections.abc import Generator

from unpool.commands.events import Event, Message, Progress
from unpool.commands.run_folder import VALIDATION_PICTURES
from unpool.commands.train.forecast import Forecast
from unpool.commands.train.preparation import TrainingJob
from unpool.convolution.choices import CHOICES
from unpool.data.samples import Sample
from unpool.machine.device import free_memory
from unpool.prediction.evaluation import evaluate_each
from unpool.prediction.predictor import Predictor
from unpool.training.compilation import compiles, missing, worth_compiling
from unpool.training.records import TrainingState
from unpool.training.rehearsal import Rehearsal, rehearse
from unpool.training.step import in_parts
from unpool.training.validation import validated_every

FORWARD = 0.35
"""Share of a training step that its forward half takes."""

SLOWER = 1.1
"""The time of the last validation as a multiple of the rehearsal's, which is of one picture at its fastest.

Where no epoch before the last was validated, a training of CamVid ended 1.8 s after its 10 minutes without this.
"""

CLOSING_SECONDS = 12.0
"""Seconds for starting the program, and for the files after the last validation, without the pictures among them."""


def rehearsal(job: TrainingJob, state: TrainingState, began: float | None = None) -> Generator[Event, None, None]:
    """Rehearse a new training; write into ``state`` what the rehearsal found.

    That is the parts of a batch, whether the step is compiled, how many pictures a validation takes, and the time that
    is reserved.

    Parameters
    ----------
    began: the clock (``time.monotonic``) from which a time budget counts; None counts from the first step.

    Raises
    ------
    RunError: the first batch gives no finite loss, or the memory does not hold one crop.
    UsageError: the budget takes more than ``unpool.commands.train.forecast.MOST_DAYS`` days here.
    """
    setup, given = job.setup, job.config
    yield Progress("rehearsing", 0, 1)
    before = CHOICES.measured
    result, free = rehearsed(job)
    validation = validation_seconds(job, result.step_seconds)
    if given.training.minutes is not None:
        state.validated_every = validated_every(len(setup.validation), validation, given.training.minutes)
    steps = setup.batches.steps
    epoch_seconds = result.step_seconds * steps + validation / state.validated_every
    forecast = Forecast(result, steps, epoch_seconds, given.training, free)
    forecast.require_reasonable()
    state.parts = result.parts
    state.compiled, reason = worth_compiling(
        given.machine.compile, forecast.minutes, job.segmenter.network, setup.machine, setup.processes
    )
    if state.compiled:
        yield Progress("compiling", 0, 1)
        reason = _compile(job, state) or reason
    if given.training.minutes is not None:
        spent = 0.0 if began is None else time.monotonic() - began + closing_seconds(job, validation, result)
        _reserve(state, 60 * given.training.minutes, setup.processes.agree(spent), validation)
    yield Progress("rehearsing", 1, 1)
    if measured := CHOICES.measured.text_since(before):
        yield Message(measured)
    yield Message(forecast.text(f"{'yes' if state.compiled else 'no'}, {reason}", state, len(setup.validation)))


def rehearsed(job: TrainingJob) -> tuple[Rehearsal, int | None]:
    """Rehearse a training in the memory that is free; return the result, and the bytes that are free if known.

    A training that was rehearsed already is not rehearsed again.

    Raises
    ------
    TrainingError: the first batch gives no finite loss, or the memory does not hold one crop.
    """
    setup, given = job.setup, job.config
    free = free_memory(setup.machine, given.machine.memory_gb, setup.processes.neighbours)
    return job.rehearsal or rehearse(job.segmenter.network, setup, given.training.parts, free), free


def _reserve(state: TrainingState, budget: float, spent: float, validation: float) -> None:
    """Reserve seconds of a budget: what other things than training take, at most half, and the last validation."""
    state.reserved = min(spent, budget / 2)
    # This stands for the duration of the last validation until one has been measured.
    state.last_validation = min(SLOWER * validation, (budget - state.reserved) / 2)


def compile_resumed(job: TrainingJob, state: TrainingState) -> Generator[Event, None, None]:
    """Compile the step of a resumed run that was compiled, and report it where that is impossible or switched off."""
    if state.compiled:
        yield Progress("compiling", 0, 1)
        state.compiled = job.config.machine.compile != "no"
        failure = _compile(job, state) if state.compiled else "as requested"
        if failure:
            yield Message(
                f"the run was compiled, and continues without: {failure}; its numbers round differently from here on"
            )


def _compile(job: TrainingJob, state: TrainingState) -> str:
    """Compile a step and write into ``state`` whether that works; return why not, or an empty text."""
    setup, network = job.setup, job.segmenter.network
    batches = setup.batches.epoch(0)
    part = next(in_parts(next(batches), state.parts))
    batches.close()
    failure = missing(network, setup.machine, setup.processes) or compiles(network, setup.loss, setup.machine, part)
    state.compiled = not failure
    return failure


def validation_seconds(job: TrainingJob, step_seconds: float) -> float:
    """Return the time that a validation of all pictures will take, measured on one of them.

    Parameters
    ----------
    step_seconds: time of a training step.
    """
    setup = job.setup
    seconds = setup.processes.agree(_measured_validation(job))
    return seconds + (FORWARD * step_seconds * setup.batches.steps if setup.recompute else 0.0)


def closing_seconds(job: TrainingJob, validation: float, result: Rehearsal) -> float:
    """Return the seconds that a training takes beside its preparation, its steps and its validations.

    They are for the start of the program, the step that the end of the time interrupts, and the files after the last
    validation.

    Parameters
    ----------
    validation: seconds that the prediction of all validation pictures takes.
    """
    pictures = len(job.setup.validation)
    return CLOSING_SECONDS + result.step_seconds + validation * min(VALIDATION_PICTURES, pictures) / pictures


def _measured_validation(job: TrainingJob) -> float:
    """Return the time that the first validation picture takes, in proportion to the pixels of a process's share."""
    facts = [job.survey.pictures[name] for name in job.survey.split.val]
    pixels = [each.rows * each.columns for each in facts]
    one: list[Sample] = [job.setup.validation[0]]
    job.segmenter.network.eval()
    predictor = Predictor(job.segmenter, job.setup.machine)
    times: list[float] = []
    while len(times) < 2 and sum(times) < 2:  # the first is longer: the picture is read, and convolutions are measured
        started = time.monotonic()
        for _ in evaluate_each(predictor, one):
            pass
        times.append(time.monotonic() - started)
    return min(times) * sum(pixels) / pixels[0] / job.setup.processes.count

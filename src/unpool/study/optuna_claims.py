"""Claims that many processes share, on one machine or several, as trials in an Optuna storage.

A task is a trial with the task's text as an attribute. Two processes may both make a trial for one task; the one with
the lowest number that has not failed counts. All processes see the same order of trials, so they agree on it, and the
storage lets only one of them set it to running. A failed trial stays failed: a task that is given back gets a new one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, TrialState, create_trial

from unpool.errors import UnpoolError
from unpool.study.storage import Signs, open_storage
from unpool.study.worker import Worker, this_worker

TASK, WORKER, RESULT = "task", "worker", "result"
"""The attributes of a trial: the task's text, the process that does it with its last sign of life, and its result."""

_USUAL_SIGNS = Signs()
_SECONDS_TO_STOP = 5.0


class OptunaClaims:
    """The claims of processes that share a study, in a file on a shared disk or in a database.

    Parameters
    ----------
    storage: the address of a database, as SQLAlchemy takes it; None for the file ``claims.log`` in the folder.
    folder: the study's folder, which exists.
    study: the study's name, the same for all its processes.
    worker: this process.
    signs: how often signs of life are given, and how long a silence is death.
    clock: a clock in seconds that only runs forward.

    Raises
    ------
    UsageError: the address is wrong, or its driver is not installed.
    DataError: the file is no file of claims, or damaged.
    RunError: the file or the database cannot be used.
    """

    def __init__(
        self,
        storage: str | None,
        folder: Path,
        study: str,
        *,
        worker: Worker | None = None,
        signs: Signs = _USUAL_SIGNS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = open_storage(storage, folder, study, signs)
        self._worker = worker or this_worker()
        self._signs = signs
        self._clock = clock
        self._lock = RLock()  # the thread that gives signs waits while a task is taken or finished
        self._held: dict[str, int] = {}
        self._lost: set[str] = set()
        self._seen: dict[int, tuple[Any, float]] = {}

    def claim(self, task: str) -> bool:
        """Take a task; return False where a process has it, this one included, or where it is finished.

        A task of a dead process is given back first: one of this machine at once, any other when its last sign has
        been seen here for longer than a sign takes. So a process that waits for others claims again and again.
        """
        with self._lock, self._storage.faults():
            if task in self._held:
                return False
            trial = self._trial_of(task)
            if trial is not None and trial.state == TrialState.RUNNING:
                self._give_back_if_dead(trial)
                trial = self._trial_of(task)
            if trial is None:
                waiting = create_trial(state=TrialState.WAITING, user_attrs={TASK: task})
                self._storage.trials.create_new_trial(self._storage.study_id, waiting)
                trial = self._trial_of(task)
            return trial is not None and trial.state == TrialState.WAITING and self._start(task, self._id_of(trial))

    def holds(self, task: str) -> bool:
        """Return whether this process still has a task that it claimed, as far as its last sign of life shows."""
        return task in self._held and task not in self._lost

    @contextmanager
    def working(self) -> Iterator[None]:
        """Give signs of life for the claimed tasks while the body runs; give back what is claimed when it ends."""
        stop = Event()

        def give_signs() -> None:
            while not stop.wait(self._signs.every):
                for task in list(self._held):
                    with suppress(UnpoolError):  # the next sign may succeed; if none does, the task is given back
                        self._sign(task)

        thread = Thread(target=give_signs, name="unpool-signs-of-life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(_SECONDS_TO_STOP)
            for task in list(self._held):
                with suppress(UnpoolError):  # it is given back when the silence is noticed
                    self.give_back(task)

    def finish(self, task: str, result: Mapping[str, Any]) -> bool:
        """Store the result of a claimed task for all processes.

        Return False where the result does not count: this process was silent for long, the task was taken away, and
        another process does it or has finished it. Where nobody has taken it since, the result counts.

        Raises
        ------
        KeyError: the task is not claimed.
        TypeError: the result is no JSON data.
        """
        json.dumps(result)
        trial_id = self._held[task]
        with self._lock, self._storage.faults():
            if self._complete(task, trial_id, result):
                return True
            return self.claim(task) and self._complete(task, self._held[task], result)

    def give_back(self, task: str) -> None:
        """Let another process take a claimed task; a task that this process does not have changes nothing."""
        with self._lock, self._storage.faults():
            if task in self._held:
                self._fail(self._held[task])
                self._forget(task)

    def results(self) -> dict[str, dict[str, Any]]:
        """Return the result of each finished task, of all processes. Do not change the results."""
        with self._lock, self._storage.faults():
            return {each.user_attrs[TASK]: each.user_attrs[RESULT] for each in self._trials(TrialState.COMPLETE)}

    def workers(self) -> int:
        """Return how many processes have a task now; one that died counts until its task is given back."""
        with self._lock, self._storage.faults():
            return len({Worker.from_data(each.user_attrs.get(WORKER)) for each in self._trials(TrialState.RUNNING)})

    def _start(self, task: str, trial_id: int) -> bool:
        """Set a waiting trial to running; return False where another process was faster."""
        if self._storage.database is not None:  # before: Optuna never gives back a running trial without a heartbeat
            self._storage.database.record_heartbeat(trial_id)
        try:
            if not self._storage.trials.set_trial_state_values(trial_id, TrialState.RUNNING):
                return False
        except UpdateFinishedTrialError:
            return False
        self._held[task] = trial_id
        self._sign(task)
        return True

    def _sign(self, task: str) -> None:
        """Give a sign of life for a claimed task; note it where the task was taken away."""
        with self._lock, self._storage.faults():
            if task not in self._held:  # finished while the thread waited
                return
            try:
                if self._storage.database is not None:
                    self._storage.database.record_heartbeat(self._held[task])
                sign = {**asdict(self._worker), "time": time.time()}
                self._storage.trials.set_trial_user_attr(self._held[task], WORKER, sign)
            except UpdateFinishedTrialError:
                self._lost.add(task)

    def _complete(self, task: str, trial_id: int, result: Mapping[str, Any]) -> bool:
        """Store a result and end its trial; return False where the trial has ended already, without a result."""
        try:
            self._storage.trials.set_trial_user_attr(trial_id, RESULT, dict(result))
            done = self._storage.trials.set_trial_state_values(trial_id, TrialState.COMPLETE)
        except UpdateFinishedTrialError:
            done = False
        self._forget(task)
        return done

    def _forget(self, task: str) -> None:
        del self._held[task]
        self._lost.discard(task)

    def _fail(self, trial_id: int) -> None:
        """End a trial without a result, unless another process has ended it."""
        with suppress(UpdateFinishedTrialError):
            self._storage.trials.set_trial_state_values(trial_id, TrialState.FAIL)

    def _give_back_if_dead(self, trial: FrozenTrial) -> None:
        """End a running trial whose process ended on this machine, or is silent for too long."""
        worker = Worker.from_data(trial.user_attrs.get(WORKER))
        if worker is not None and worker.has_ended(self._worker.machine):
            self._fail(self._id_of(trial))
        elif self._storage.database is not None:
            fail_stale_trials(self._storage.study)  # by the times and the clock of the database
        elif self._is_silent(trial):
            self._fail(self._id_of(trial))

    def _is_silent(self, trial: FrozenTrial) -> bool:
        """Return whether the last sign of life in a file has been the last one for too long.

        Clocks of machines differ, so the time in the sign is not compared with the time here.
        """
        sign, now = trial.user_attrs.get(WORKER), self._clock()
        last, since = self._seen.setdefault(trial.number, (sign, now))
        if last != sign:
            self._seen[trial.number] = (sign, now)
            return False
        return now - since > self._signs.silence

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        trials = self._storage.study.get_trials(deepcopy=False, states=states)
        return [each for each in trials if TASK in each.user_attrs]

    def _trial_of(self, task: str) -> FrozenTrial | None:
        """Return the trial of a task that counts; None where there is none."""
        trials = self._trials(TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE)
        of_task = [each for each in trials if each.user_attrs[TASK] == task]
        return min(of_task, key=lambda each: each.number, default=None)

    def _id_of(self, trial: FrozenTrial) -> int:
        return self._storage.trials.get_trial_id_from_study_id_trial_number(self._storage.study_id, trial.number)

"""How runs belong together: a model's training and its tests, and what a training was changed from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from unpool.ledger.changes import assignments_text, changed_settings
from unpool.ledger.folders import FoundRun
from unpool.ledger.record import Record, RunKind, StudyPlace

OF_TRAINING_FOLDER = " of the folder the model was trained on"
"""The end of the words for tested pictures that are from the folder of the training."""

Standing = Literal["test", "val", "seen"]
"""What the scores of a test are of: pictures that had no part in the training, pictures that chose the best epoch, or
pictures that were trained on."""


def standing(record: Record) -> Standing:
    """Return what the scores of a test are of, as far as the names of folder and split tell."""
    if not any(words.endswith(OF_TRAINING_FOLDER) for words in record.data.pictures):
        return "test"
    part = _part(record)
    return "test" if part == "the test split" else "val" if part == "the val split" else "seen"


class PicturesTested(NamedTuple):
    """The pictures of a test, and how they were predicted: tests with one value of it can be compared.

    Attributes
    ----------
    part: the tested pictures in words: ``the test split``, ``all pictures``.
    options: the options that change the counts and are not the usual ones, as in the test's record.
    """

    data: str
    fingerprint: str
    part: str
    options: tuple[tuple[str, Any], ...]

    @property
    def text(self) -> str:
        """The data, the part if it is not all of the data, and the options: ``camvid, the test split, tta=d4``."""
        part = "" if self.part == "all pictures" else self.part
        return ", ".join(filter(None, [self.data, part, assignments_text(dict(self.options))]))


def pictures_tested(record: Record) -> PicturesTested:
    """Return the pictures of a test, and how they were predicted."""
    given = {name: record.settings.get(name) for name in ("tta", "samples")}
    options = tuple((name, value) for name, value in given.items() if value and value != "none")
    return PicturesTested(record.data.name, record.data.fingerprint, _part(record), options)


class Lineage:
    """How some runs belong together.

    Attributes
    ----------
    letters: number of letters of an id by which each of the runs can be named.
    """

    def __init__(self, runs: Sequence[FoundRun]) -> None:
        newest_first = sorted(runs, key=lambda run: run.record.created, reverse=True)
        self._trainings = [run for run in newest_first if run.record.kind == "train"]
        self._by_model: dict[str, list[FoundRun]] = {}
        for run in newest_first:
            if run.record.model is not None:
                self._by_model.setdefault(run.record.model.digest, []).append(run)
        self._changes = {id(run): _settings_of(run.record) for run in self._trainings}
        ids = {run.record.id for run in runs}
        self.letters = next(n for n in range(4, 9) if n == 8 or len({each[:n] for each in ids}) == len(ids))

    def training(self, identity: str) -> FoundRun | None:
        """Return the training with an id, or None."""
        return next((run for run in self._trainings if run.record.id == identity), None)

    def maker(self, test: FoundRun) -> FoundRun | None:
        """Return the training that made the model of a test, or None; of equal models the one in the named place."""
        made = self._of_model(test, "train")
        return next((run for run in made if _is_in(test, run.folder)), made[0] if made else None)

    def tests(self, training: FoundRun) -> list[FoundRun]:
        """List the tests of the model that a training made, the newest first."""
        return self._of_model(training, "test")

    def held_out(self, training: FoundRun) -> FoundRun | None:
        """Return the newest finished test of a training's model on pictures that had no part in the training."""
        finished = (run for run in self.tests(training) if run.state == "finished")
        return next((run for run in finished if standing(run.record) == "test"), None)

    def nearest(self, training: FoundRun) -> FoundRun | None:
        """Return the earlier training on the same data with the fewest other settings, of those the newest; or None."""
        record, own = training.record, _settings_of(training.record)
        earlier = [
            run
            for run in self._trainings
            if run.record.created < record.created and run.record.data.fingerprint == record.data.fingerprint
        ]
        return min(earlier, key=lambda run: len({name for name, _ in self._changes[id(run)] ^ own}), default=None)

    def study(self, run: FoundRun) -> StudyPlace | None:
        """Return the place of a training, or of the training that made a test's model, in a study; or None."""
        maker = run if run.record.kind == "train" else self.maker(run)
        return maker.record.study if maker is not None else None

    def name(self, run: FoundRun) -> str:
        """Return the first letters of a run's id, which none of the runs shares."""
        return run.record.id[: self.letters]

    def _of_model(self, run: FoundRun, kind: RunKind) -> list[FoundRun]:
        """List the runs of a kind that have a run's model, the newest first."""
        model = run.record.model
        same = self._by_model.get(model.digest, []) if model is not None else []
        return [each for each in same if each.record.kind == kind]


def _part(record: Record) -> str:
    return next(iter(record.data.pictures), "").removesuffix(OF_TRAINING_FOLDER)


def _settings_of(record: Record) -> frozenset[tuple[str, str]]:
    settings = {"net": record.net, **changed_settings(record)}
    return frozenset((name, json.dumps(value)) for name, value in settings.items())


def _is_in(test: FoundRun, folder: Path) -> bool:
    return test.record.model is not None and Path(test.record.model.file).parent == folder.absolute()

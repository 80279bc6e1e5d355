"""The records of compared tests: what was changed between their models, and what makes a comparison unfair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unpool.commands.test.picture_choice import TRAINED_ON
from unpool.errors import DataError
from unpool.ledger.changes import SEED_SETTING, Change, changes_between, setting_text, short_name
from unpool.ledger.folders import read_record
from unpool.ledger.lineage import pictures_tested, standing
from unpool.ledger.record import Record
from unpool.wording import all_of


@dataclass(frozen=True)
class ComparedModel:
    """The records of one test and of the training of its model; None for a record that is not there.

    Attributes
    ----------
    label: the test's letter.
    warnings: those of the test, as its scores.json has them.
    """

    label: str
    test: Record | None
    training: Record | None
    warnings: tuple[str, ...]


def compared_model(label: str, folder: Path, warnings: Sequence[str]) -> ComparedModel:
    """Return the records of the test in a folder: its own, and the training's beside the model or above the test."""
    test = _record_in(folder)
    if test is None or test.model is None:
        return ComparedModel(label, None, None, tuple(warnings))
    places = (folder.absolute().parent, Path(test.model.file).parent)
    trainings = [record for place in places if (record := _record_in(place)) is not None]
    made = (each for each in trainings if each.kind == "train" and each.model is not None)
    training = next((each for each in made if each.model and each.model.digest == test.model.digest), None)
    return ComparedModel(label, test, training, tuple(warnings))


def changes_sentence(best: ComparedModel, other: ComparedModel) -> str:
    """Return in which settings the best model and another differ; an empty text where their records are not there."""
    if best.test is None or other.test is None or best.test.model is None or other.test.model is None:
        return ""
    names = f"{best.label} and {other.label}"
    options = _option_changes(other.test, best.test)
    if best.test.model.digest == other.test.model.digest:
        ways = f", predicted in two ways: {_values(options, best, other)}" if options else ""
        return f"{names} are tests of the same model{ways}."
    if best.training is None or other.training is None:
        return ""
    changes = [*changes_between(other.training, best.training), *options]
    data = "; they were trained on different data" if _other_data(best.training, other.training) else ""
    if not changes:
        return f"{names} have the same settings and the same seed{data}."
    if [each.name for each in changes] == [SEED_SETTING]:
        return (
            f"{names} have the same settings and different seeds ({_values(changes, best, other)}){data}: this "
            "difference comes from chance in training, not from a setting."
        )
    return f"Settings that differ: {_values(changes, best, other)}{data}."


def unfairness_notes(models: Sequence[ComparedModel]) -> list[str]:
    """Return notes on tests of pictures that had a part in a training, and on seeds that differ with the settings."""
    notes = []
    for model in models:
        notes += [f"{model.label}: {warning}" for warning in model.warnings if TRAINED_ON in warning]
    chose = [each.label for each in models if each.test is not None and standing(each.test) == "val"]
    if chose:
        were = "was tested on its" if len(chose) == 1 else "were tested on their"
        notes.append(
            f"{all_of(chose)} {were} validation pictures, which chose the best epoch, so the scores are a little too "
            "high. A fair comparison needs pictures that no training has seen: unpool test RUN NEW-PICTURES."
        )
    return notes


def _record_in(folder: Path) -> Record | None:
    try:
        return read_record(folder)
    except DataError:  # a comparison needs no records
        return None


def _option_changes(before: Record, after: Record) -> list[Change]:
    one, other = (dict(pictures_tested(record).options) for record in (before, after))
    return [Change(name, one.get(name), other.get(name)) for name in dict.fromkeys([*one, *other])
            if one.get(name) != other.get(name)]  # fmt: skip


def _values(changes: Sequence[Change], best: ComparedModel, other: ComparedModel) -> str:
    """Return the values of settings in two models: ``skip (A add, B concat), crop (A 64, B 256)``."""
    return ", ".join(
        f"{short_name(each.name)} ({best.label} {setting_text(each.after)}, {other.label} {setting_text(each.before)})"
        for each in changes
    )


def _other_data(one: Record, other: Record) -> bool:
    return one.data.fingerprint != other.data.fingerprint

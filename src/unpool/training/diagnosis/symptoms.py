"""The symptoms of a training that fails, reported while it runs: rarely, once, and with the likely cause.

There are four symptoms: the network predicts one class everywhere, it answers as if it did not look at the pictures, it
never finds some class, or it learns its training pictures by heart. All are read from the history alone. A symptom
without a certain cause is not reported before the training is well advanced: most classes that are not found yet will
be found later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from statistics import mean
from typing import Any, Literal, NamedTuple, TypeAlias

from unpool.training.diagnosis.case import BLIND, Case, History, TrainingFacts, known
from unpool.training.diagnosis.causes import CAUSES, CauseOf
from unpool.wording import all_of, percent_text

Row: TypeAlias = Mapping[str, Any]
SymptomKind: TypeAlias = Literal["one answer", "blind", "not found", "overfitting"]

DEAD_EPOCHS = 3
"""Number of validated epochs in a row through which a symptom has to last."""

ALIVE = 0.01
"""Recall from which a class counts as found again, so that its next loss is reported."""

EVERYWHERE = 0.999
"""Share of the predicted pixels above which one class is the only answer."""

EARLY, LATE = 0.2, 0.7
"""Progress before which nothing is reported, and before which only symptoms with a certain cause are.

Measured with a small network on 122 of CamVid's pictures: after a quarter of the training 5 of 11 classes were not
found; later one of them was found and another was lost; after 0.7, where batch normalisation settles, nothing changed.
"""

OVERFIT_EPOCHS = 10
"""Validated epochs in a row whose validation loss is well above its lowest."""


class Symptom(NamedTuple):
    """A symptom, and the id of the class that it concerns; -1 where it concerns no single class."""

    kind: SymptomKind
    class_id: int = -1


def diagnose(facts: TrainingFacts, history: History) -> list[str]:
    """Return remarks on the symptoms that are new after the last epoch of a training.

    They depend on the arguments alone, so a resumed training reports the same as an unbroken one.

    Parameters
    ----------
    history: rows of ``EpochRecord.to_json`` from the first epoch on.

    Returns
    -------
    Remarks of three lines: the symptom, the likely cause, the repair to try. Usually there are none.
    """
    if not history or not _new_symptoms(facts, history, set()):
        return []
    reported: set[Symptom] = set()
    new: dict[Symptom, CauseOf] = {}
    for epochs in range(1, len(history) + 1):
        past = history[:epochs]
        reported = {symptom for symptom in reported if not _recovered(symptom, facts, past[-1])}
        new = _new_symptoms(facts, past, reported)
        reported = reported.union(*(_covered_by(symptom, facts) for symptom in new))
    return list(_remarks(facts, history, new))


def _new_symptoms(facts: TrainingFacts, past: History, reported: Set[Symptom]) -> dict[Symptom, CauseOf]:
    """Return the symptoms to report after these epochs, each with the function that explains its cause."""
    if not past[-1]["class_recall"]:
        return {}
    new = {}
    for symptom in _symptoms(facts, past):
        certain, in_time = CAUSES[symptom.kind]
        candidates = (*certain, *in_time) if past[-1]["progress"] >= LATE else certain
        case = Case(facts, past, (symptom.class_id,))
        cause_of = None if symptom in reported else next((each for each in candidates if each(case)), None)
        if cause_of:
            new[symptom] = cause_of
    return new


def _symptoms(facts: TrainingFacts, past: History) -> Iterator[Symptom]:
    """Yield all symptoms; of the first three kinds only the widest, because it includes the narrower ones."""
    validated = [row for row in past if row["class_recall"]]
    everywhere = _only_answer(validated)
    if everywhere is not None:
        yield Symptom("one answer", facts.names.index(everywhere))
    elif _is_blind(facts, past, validated):
        yield Symptom("blind")
    else:
        yield from (Symptom("not found", k) for k, name in enumerate(facts.names) if _is_dead(name, validated))
    # At a high learning rate validation scores jump: a training may look overfitted half-way and still improve.
    if past[-1]["progress"] >= LATE and _overfits(validated):
        yield Symptom("overfitting")


def _only_answer(validated: History) -> str | None:
    """Return the class that is predicted everywhere although the ground truth has others, or None."""
    shares: Mapping[str, float] = validated[-1]["predicted_shares"]
    name = max(shares, key=lambda name: shares[name])

    def alone(row: Row) -> bool:
        others = _recalls(row, name)
        return row["predicted_shares"][name] > EVERYWHERE and bool(others) and max(others) < ALIVE

    return name if _lasts(validated, alone) else None


def _is_dead(name: str, validated: History) -> bool:
    """Tell whether the ground truth has the class and no pixel of it is ever found."""
    return _lasts(validated, lambda row: row["class_recall"].get(name) == 0)


def _lasts(validated: History, fails: Callable[[Row], bool]) -> bool:
    """Tell whether the last ``DEAD_EPOCHS`` epochs all fail, after the early part of the training or at its end."""
    recent = validated[-DEAD_EPOCHS:]
    long = len(recent) == DEAD_EPOCHS and recent[0]["progress"] >= EARLY
    return (long or recent[-1]["progress"] >= 1) and all(map(fails, recent))


def _is_blind(facts: TrainingFacts, past: History, validated: History) -> bool:
    """Tell whether the predictions are no better than constant ones, in loss and in recall.

    A constant prediction has recall 1 for one class and 0 for the others. A network that does not learn keeps the
    recalls of its first weights, which may be higher.
    """
    better = 0.5 if Case(facts, past).stands_still else 0.1

    def blind(row: Row) -> bool:
        recalls = _recalls(row)
        no_better = len(recalls) > 1 and sum(recalls) < 1 + better * (len(recalls) - 1)
        return no_better and row["val_loss"] >= BLIND * facts.share_loss

    return _lasts(validated, blind)


def _overfits(validated: History) -> bool:
    """Tell whether validation has long been worse, in loss and in score, while the training loss fell."""
    rows = _with_both_losses(validated)
    before, since = rows[:-OVERFIT_EPOCHS], rows[-OVERFIT_EPOCHS:]
    if not before:
        return False
    lowest, best = _lowest(before), max(known(before, "mean_iou"))
    losses, scores = known(since, "val_loss"), known(since, "mean_iou")
    risen = min(losses) > 1.1 * lowest["val_loss"] and mean(losses) > 1.2 * lowest["val_loss"] + 0.01
    no_gain = max(scores) <= best and mean(scores) < best - 0.005
    return bool(risen and no_gain and mean(known(since[-3:], "train_loss")) < 0.9 * lowest["train_loss"])


def _with_both_losses(history: History) -> History:
    return [row for row in history if row["val_loss"] is not None and row["train_loss"] is not None]


def _lowest(history: History) -> Row:
    """Return the epoch with the lowest validation loss."""
    return min(_with_both_losses(history), key=lambda row: float(row["val_loss"]))


def _recalls(row: Row, other_than: str | None = None) -> list[float]:
    """Return the recalls of the classes that the validation pictures have, without ``other_than``."""
    return [recall for name, recall in row["class_recall"].items() if recall is not None and name != other_than]


def _recovered(symptom: Symptom, facts: TrainingFacts, row: Row) -> bool:
    """Tell whether an epoch no longer has a symptom."""
    if symptom.kind == "one answer":
        return sum(recall >= ALIVE for recall in _recalls(row)) > 1
    if symptom.kind == "not found":
        return (row["class_recall"].get(facts.names[symptom.class_id]) or 0.0) >= ALIVE
    return False


def _covered_by(symptom: Symptom, facts: TrainingFacts) -> set[Symptom]:
    """Return all symptoms that the report of one includes: wide symptoms include each other and those of classes."""
    if symptom.kind in ("overfitting", "not found"):
        return {symptom}
    every = range(len(facts.names))
    return {Symptom("blind"), *(Symptom("one answer", k) for k in every), *(Symptom("not found", k) for k in every)}


def _remarks(facts: TrainingFacts, history: History, new: Mapping[Symptom, CauseOf]) -> Iterator[str]:
    """Yield the remarks; classes that are not found for the same cause share one."""
    groups: dict[tuple[SymptomKind, CauseOf], list[int]] = {}
    for symptom, cause_of in new.items():
        groups.setdefault((symptom.kind, cause_of), []).append(symptom.class_id)
    for (kind, cause_of), classes in groups.items():
        case = Case(facts, history, tuple(classes))
        cause = cause_of(case)
        assert cause is not None  # each of the classes has this cause
        yield f"{_symptom_text(kind, case)}\n  likely:   {cause.likely}\n  to do:    {cause.repair}"


def _symptom_text(kind: SymptomKind, case: Case) -> str:
    facts, row = case.facts, case.history[-1]
    names = [facts.names[k] for k in case.classes if k >= 0]
    if kind == "one answer":
        share, truth = row["predicted_shares"][names[0]], facts.val_shares[case.classes[0]]
        return (
            f"{percent_text(share)} of the validation pixels are predicted as {names[0]}, "
            f"where {percent_text(truth)} are"
        )
    if kind == "not found":
        return f"no validation pixel of {all_of(names)} is found (recall 0 since epoch {_since(names, case.history)})"
    losses = known(case.history, "train_loss")
    if kind == "blind" and case.stands_still:
        return f"the training loss does not fall: {losses[0]:.3g} in the first epoch, {losses[-1]:.3g} now"
    if kind == "blind":
        return (
            f"the network answers as if it did not look at the pictures: mean recall {mean(_recalls(row)):.2f}, "
            f"validation loss {row['val_loss']:.3g} (a model that knows only the class "
            f"frequencies has {facts.share_loss:.3g})"
        )
    low = _lowest(case.history)
    return (
        f"the validation loss has risen from {low['val_loss']:.3g} in epoch {low['epoch']} to {row['val_loss']:.3g}, "
        f"while the training loss fell from {low['train_loss']:.3g} to {losses[-1]:.3g}"
    )


def _since(names: Sequence[str], history: History) -> int:
    """Return the first epoch from which on all of these classes have recall 0."""
    epoch = int(history[-1]["epoch"])
    for row in reversed(history):
        recalls = row["class_recall"]
        if any(recalls.get(name) for name in names):
            break
        epoch = int(row["epoch"]) if recalls else epoch
    return epoch

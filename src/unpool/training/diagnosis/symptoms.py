"""What goes wrong in a training, said while it runs: rarely, once, and with the likely cause.

A training is ill in one of four ways: it answers every pixel with one class, it answers as if it did not look, it never
finds some class, or it learns its training pictures by heart. Each is looked for in the history alone. As long as no
cause is certain nothing is said before the training is well on: most classes that are not found yet will be.
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
"""Validated epochs in a row without a single pixel of a class."""

ALIVE = 0.01
"""Recall from which a class has come back, so that its next death is news."""

EVERYWHERE = 0.999
"""Share of the predicted pixels above which one class is the only answer."""

EARLY, LATE = 0.2, 0.7
"""Progress before which nothing is said, and before which only what has a certain cause.

Measured with a small network on 122 of CamVid's pictures: after a quarter of the training 5 of 11 classes were not
found; one of them was later, and another was lost; after 0.7, where batch normalisation settles, nothing changed.
"""

OVERFIT_EPOCHS = 10
"""Validated epochs in a row whose validation loss is well above its lowest."""


class Symptom(NamedTuple):
    """A way to be ill, and the id of the class it concerns; -1 where it concerns the whole."""

    kind: SymptomKind
    class_id: int = -1


def diagnose(facts: TrainingFacts, history: History) -> list[str]:
    """What is newly wrong after the last epoch of a training.

    It depends on the arguments alone, so a resumed training says what an unbroken one would.

    Parameters
    ----------
    history: rows of ``EpochRecord.to_json`` from the first epoch on.

    Returns
    -------
    Remarks of three lines: what was found, the likely cause, what to try. Mostly there are none.
    """
    if not history or not _found(facts, history, set()):
        return []
    said: set[Symptom] = set()
    new: dict[Symptom, CauseOf] = {}
    for epochs in range(1, len(history) + 1):
        past = history[:epochs]
        said = {ailment for ailment in said if not _recovered(ailment, facts, past[-1])}
        new = _found(facts, past, said)
        said = said.union(*(_told_by(ailment, facts) for ailment in new))
    return list(_remarks(facts, history, new))


def _found(facts: TrainingFacts, past: History, said: Set[Symptom]) -> dict[Symptom, CauseOf]:
    """What can be said after these epochs and has not been, each with the function that knows its cause."""
    if not past[-1]["class_recall"]:
        return {}
    found = {}
    for ailment in _ailments(facts, past):
        certain, in_time = CAUSES[ailment.kind]
        looked_for = (*certain, *in_time) if past[-1]["progress"] >= LATE else certain
        case = Case(facts, past, (ailment.class_id,))
        cause = None if ailment in said else next((function for function in looked_for if function(case)), None)
        if cause:
            found[ailment] = cause
    return found


def _ailments(facts: TrainingFacts, past: History) -> Iterator[Symptom]:
    """What is wrong; the first three kinds exclude each other, because the wider one tells the narrower."""
    validated = [row for row in past if row["class_recall"]]
    everywhere = _only_answer(validated)
    if everywhere is not None:
        yield Symptom("one answer", facts.names.index(everywhere))
    elif _is_blind(facts, past, validated):
        yield Symptom("blind")
    else:
        yield from (Symptom("not found", k) for k, name in enumerate(facts.names) if _is_dead(name, validated))
    # A high learning rate lets validation jump: some trainings that look overfitted half-way find better epochs yet.
    if past[-1]["progress"] >= LATE and _overfits(validated):
        yield Symptom("overfitting")


def _only_answer(validated: History) -> str | None:
    """The class that is predicted everywhere although the truth has others."""
    shares: Mapping[str, float] = validated[-1]["predicted_shares"]
    name = max(shares, key=lambda name: shares[name])

    def alone(row: Row) -> bool:
        others = _recalls(row, name)
        return row["predicted_shares"][name] > EVERYWHERE and bool(others) and max(others) < ALIVE

    return name if _lasts(validated, alone) else None


def _is_dead(name: str, validated: History) -> bool:
    """Whether the truth has the class and the prediction never has it in the right place."""
    return _lasts(validated, lambda row: row["class_recall"].get(name) == 0)


def _lasts(validated: History, ill: Callable[[Row], bool]) -> bool:
    """Whether something held for so many epochs after the first part, or all the time until the end."""
    recent = validated[-DEAD_EPOCHS:]
    long = len(recent) == DEAD_EPOCHS and recent[0]["progress"] >= EARLY
    return (long or recent[-1]["progress"] >= 1) and all(map(ill, recent))


def _is_blind(facts: TrainingFacts, past: History, validated: History) -> bool:
    """Whether the answers are no better than constant ones, in loss and in recall.

    A constant answer has recall 1 for one class and 0 for the others. A network that training does not move may begin
    with more.
    """
    better = 0.5 if Case(facts, past).stands_still else 0.1

    def blind(row: Row) -> bool:
        recalls = _recalls(row)
        no_better = len(recalls) > 1 and sum(recalls) < 1 + better * (len(recalls) - 1)
        return no_better and row["val_loss"] >= BLIND * facts.share_loss

    return _lasts(validated, blind)


def _overfits(validated: History) -> bool:
    """Whether validation has been worse for long, in loss and in score, while training got better."""
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
    """The epoch with the lowest validation loss."""
    return min(_with_both_losses(history), key=lambda row: float(row["val_loss"]))


def _recalls(row: Row, other_than: str | None = None) -> list[float]:
    """The recalls of the classes that the validation truth has."""
    return [recall for name, recall in row["class_recall"].items() if recall is not None and name != other_than]


def _recovered(ailment: Symptom, facts: TrainingFacts, row: Row) -> bool:
    """Whether an epoch shows that what was wrong is over."""
    if ailment.kind == "one answer":
        return sum(recall >= ALIVE for recall in _recalls(row)) > 1
    if ailment.kind == "not found":
        return (row["class_recall"].get(facts.names[ailment.class_id]) or 0.0) >= ALIVE
    return False


def _told_by(ailment: Symptom, facts: TrainingFacts) -> set[Symptom]:
    """What a person knows who was told of an ailment: the wider kinds tell of each other and of all classes."""
    if ailment.kind in ("overfitting", "not found"):
        return {ailment}
    every = range(len(facts.names))
    return {Symptom("blind"), *(Symptom("one answer", k) for k in every), *(Symptom("not found", k) for k in every)}


def _remarks(facts: TrainingFacts, history: History, new: Mapping[Symptom, CauseOf]) -> Iterator[str]:
    """The words; classes that are not found for the same cause share a remark."""
    groups: dict[tuple[SymptomKind, CauseOf], list[int]] = {}
    for ailment, cause_of in new.items():
        groups.setdefault((ailment.kind, cause_of), []).append(ailment.class_id)
    for (kind, cause_of), classes in groups.items():
        case = Case(facts, history, tuple(classes))
        cause = cause_of(case)
        assert cause is not None  # it was found for each of the classes
        yield f"{_words(kind, case)}\n  likely:   {cause.likely}\n  to do:    {cause.repair}"


def _words(kind: SymptomKind, case: Case) -> str:
    facts, row = case.facts, case.history[-1]
    names = [facts.names[k] for k in case.classes if k >= 0]
    if kind == "one answer":
        share, truth = row["predicted_shares"][names[0]], facts.val_shares[case.classes[0]]
        return f"{percent_text(share)} of the validation pixels are predicted as {names[0]}, where {percent_text(truth)} are"
    if kind == "not found":
        return f"no validation pixel of {all_of(names)} is found (recall 0 since epoch {_since(names, case.history)})"
    losses = known(case.history, "train_loss")
    if kind == "blind" and case.stands_still:
        return f"the training loss does not fall: {losses[0]:.3g} in the first epoch, {losses[-1]:.3g} now"
    if kind == "blind":
        return (
            f"the network answers as if it did not look at the pictures: mean recall {mean(_recalls(row)):.2f}, "
            f"validation loss {row['val_loss']:.3g} (the classes' shares alone give {facts.share_loss:.3g})"
        )
    low = _lowest(case.history)
    return (
        f"the validation loss has risen from {low['val_loss']:.3g} in epoch {low['epoch']} to {row['val_loss']:.3g}, "
        f"while the training loss fell from {low['train_loss']:.3g} to {losses[-1]:.3g}"
    )


def _since(names: Sequence[str], history: History) -> int:
    """The first epoch from which on all of these classes have recall 0."""
    epoch = int(history[-1]["epoch"])
    for row in reversed(history):
        recalls = row["class_recall"]
        if any(recalls.get(name) for name in names):
            break
        epoch = int(row["epoch"]) if recalls else epoch
    return epoch

"""The causes of a training's symptoms: one small function for each usual cause.

A cause needs evidence: a function returns None where its evidence is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from unpool.training.diagnosis.case import Case, TrainingFacts
from unpool.wording import all_of, percent_text

FEW_PIXELS = 0.001
"""Share of the training pixels below which a class is too rare to be learned."""

FEW_STEPS = 100
"""Number of steps in which a network from scratch may not have learned any class."""

HIGH_RATE = {"adamw": 0.02, "sgd": 0.5}
LOW_RATE = {"adamw": 1e-5, "sgd": 1e-4}
"""Peak learning rates from which the rate is suspected as the cause, by optimiser."""

USUAL_RATE = {"adamw": 1e-3, "sgd": 1e-2}

EXTREME_RATIO = 20.0
"""Ratio of two class weights from which the heavier class can suppress the lighter."""


class Cause(NamedTuple):
    """The likely cause of a symptom, and the repair to try."""

    likely: str
    repair: str


CauseOf: TypeAlias = Callable[[Case], Cause | None]


def absent_from_training(case: Case) -> Cause | None:
    """Return the cause "no training pixel is of the class", or None."""
    if any(case.facts.train_shares[k] for k in case.classes):
        return None
    return Cause("no training picture shows it", "move pictures that show it into the training split")


def few_pixels(case: Case) -> Cause | None:
    """Return the cause "the class has hardly any training pixels", or None."""
    if any(case.facts.train_shares[k] >= FEW_PIXELS for k in case.classes):
        return None
    return Cause(_amounts(case), _raise_rare(case.facts) + ", or annotate more of it")


def too_thin(case: Case) -> Cause | None:
    """Return the cause "the class's regions are thinner than the network's resolution", or None."""
    facts = case.facts
    thickness = [facts.thickness[k] for k in case.classes]
    if any(pixels is None or pixels >= facts.detail / 2 for pixels in thickness):
        return None
    regions = all_of([f"{facts.names[k]} is about {facts.thickness[k]:.0f} pixels thick" for k in case.classes])
    return Cause(
        f"{regions}, and the network has one answer for {facts.detail} x {facts.detail} pixels",
        "use a network with skip connections at full resolution, such as --net unet",
    )


def weights_off(case: Case) -> Cause | None:
    """Return the cause "class weights are off, and the class has few pixels", or None."""
    facts = case.facts
    part = 1 / len(facts.names)
    if len(set(facts.weights)) > 1 or any(facts.train_shares[k] > part / 2 for k in case.classes):
        return None
    return Cause(f"class weights are off, and {_amounts(case)}", _raise_rare(facts))


def one_picture(case: Case) -> Cause | None:
    """Return the cause "a single validation picture shows the class", or None."""
    facts = case.facts
    if facts.val_count < 3 or any(facts.val_pictures[k] != 1 for k in case.classes):
        return None
    return Cause(
        f"only 1 of {facts.val_count} validation pictures shows it, so one unusual picture decides",
        "put more pictures that show it into the validation split",
    )


def too_short(case: Case) -> Cause | None:
    """Return the cause "the training is too short", or None."""
    if case.steps < FEW_STEPS:
        return Cause(
            f"{case.steps} steps are few for a network that starts from scratch",
            "train longer: more --minutes or --epochs",
        )
    if case.still_falling:
        return Cause(
            "the losses are still falling: the training is too short", "train longer: more --minutes or --epochs"
        )
    return None


def unclear_class(case: Case) -> Cause:
    """Return the remaining advice for a class that is not found."""
    return Cause(
        f"none of the usual causes; {_amounts(case)}",
        "look at the pictures in the run's validation folder: which class is predicted instead, and do its masks fit?",
    )


def steps_left_out(case: Case) -> Cause | None:
    """Return the cause "many steps had no finite loss", or None."""
    skipped = sum(row["skipped"] for row in case.history)
    if skipped < 0.1 * case.steps:
        return None
    return Cause(
        f"{skipped} of {case.steps} steps were left out because their loss was not finite",
        f"--set {_lower(case.facts)}, or --set precision=float32",
    )


def rate_too_high(case: Case) -> Cause | None:
    """Return the cause "the learning rate is too high", or None."""
    facts, fall = case.facts, case.fall
    if fall is None:
        return None
    if fall <= -0.5:
        evidence = "the training loss has risen since the first epoch"
    elif facts.learning_rate >= _rate(HIGH_RATE, facts, math.inf) and (case.stands_still or case.blind):
        evidence = "nothing is learned"
    else:
        return None
    return Cause(
        f"the learning rate, {facts.learning_rate:g} with {facts.optimiser}, is too high: {evidence}",
        f"--set {_lower(facts)}",
    )


def rate_too_low(case: Case) -> Cause | None:
    """Return the cause "the learning rate is too low", or None."""
    facts = case.facts
    if not case.stands_still or facts.learning_rate > _rate(LOW_RATE, facts, 0.0):
        return None
    return Cause(
        f"the learning rate, {facts.learning_rate:g} with {facts.optimiser}, is too low to move the network",
        f"--set learning_rate={USUAL_RATE[facts.optimiser]:g}",
    )


def flat_pictures(case: Case) -> Cause | None:
    """Return the cause "the training pictures have no contrast", or None."""
    if not case.facts.flat_pictures:
        return None
    return Cause(
        "the pixels of the training pictures hardly differ",
        "check that these are the pictures, and that saving them did not lose their contrast",
    )


def small_batches(case: Case) -> Cause | None:
    """Return the cause "batch normalisation over one or two crops", or None."""
    facts = case.facts
    if facts.norm != "batch" or facts.batch_size > 2 or not _only_training_learns(case):
        return None
    return Cause(
        f"batch normalisation with {facts.batch_size} crops per step: only the training loss falls",
        "--set batch_size=4 or more, or --set norm=group",
    )


def one_class_masks(case: Case) -> Cause | None:
    """Return the cause "the masks have hardly any other class", or None."""
    facts, (winner,) = case.facts, case.classes
    share = facts.train_shares[winner]
    if share < 0.99:
        return None
    off = [*["class weights are off"] * (len(set(facts.weights)) < 2), *["the Dice term is off"] * (not facts.dice)]
    dice = [] if facts.dice or facts.summed else ["--set dice=1"]
    return Cause(
        all_of([f"{percent_text(share)} of the training pixels are {facts.names[winner]}", *off]),
        all_of([*dice, _raise_rare(facts)]),
    )


def extreme_weights(case: Case) -> Cause | None:
    """Return the cause "the weight of a class with few pixels is too high", or None."""
    facts, (winner,) = case.facts, case.classes
    largest = max(range(len(facts.names)), key=lambda k: facts.val_shares[k])
    heavy, light = facts.weights[winner], facts.weights[largest]
    if winner == largest or heavy < EXTREME_RATIO * light:
        return None
    return Cause(
        f"in the loss a pixel of {facts.names[winner]} weighs {heavy:.3g}, one of {facts.names[largest]} {light:.3g}",
        "--set class_weight_cap=3" if facts.balanced else "--set class_weights=balanced",
    )


def not_in_validation(case: Case) -> Cause | None:
    """Return the cause "the validation pictures are unlike the training pictures", or None."""
    if not _only_training_learns(case):
        return None
    return Cause(
        "the network learns from the training pictures but fails on the validation pictures: they look different, "
        "or masks do not fit their pictures",
        "compare pictures and masks of both splits",
    )


def pictures_say_nothing(case: Case) -> Cause | None:
    """Return the cause "the network learns nothing from the pictures", or None."""
    if not case.blind or case.still_falling or len(case.history) < 8:
        return None
    if case.facts.norm == "none":
        return Cause(
            "a network without normalisation may never begin to learn: it gives every pixel the same answer",
            f"--set norm=batch, or --set {_lower(case.facts)}",
        )
    return Cause(
        "the network learns the classes' shares but nothing from the pictures, as when masks belong to other pictures",
        "compare some masks with their pictures: do they fit?",
    )


def unclear(case: Case) -> Cause:
    """Return the remaining advice for a training that learns nothing."""
    return Cause(
        "none of the usual causes",
        f"compare some masks with their pictures: do they fit? Then try --set {_lower(case.facts)}",
    )


def learned_by_heart(case: Case) -> Cause:
    """Return the cause "too few training pictures for the network"."""
    kept = max((row["epoch"] for row in case.history if row["best"]), default=0)
    return Cause(
        f"overfitting: the network learns its {case.facts.train_count} training pictures by heart",
        f"the model has the weights of epoch {kept}, the best; a longer training will hardly improve it, but more "
        "training pictures, more augmentation or a smaller --set width=… may",
    )


CAUSES: Mapping[str, tuple[tuple[CauseOf, ...], tuple[CauseOf, ...]]] = {
    "one answer": (
        (steps_left_out, rate_too_high, rate_too_low, flat_pictures, small_batches, one_class_masks, extreme_weights),
        (too_short, not_in_validation, pictures_say_nothing, unclear),
    ),
    "blind": (
        (steps_left_out, rate_too_high, rate_too_low, flat_pictures, small_batches),
        (too_short, not_in_validation, pictures_say_nothing, unclear),
    ),
    "not found": ((absent_from_training, few_pixels, too_thin), (weights_off, one_picture, too_short, unclear_class)),
    "overfitting": ((learned_by_heart,), ()),
}
"""Causes of each kind of symptom, in the order of the search: causes that are certain at once, then those that need
time. The last one never returns None."""


def _only_training_learns(case: Case) -> bool:
    return case.fall is not None and case.val_fall is not None and case.fall >= 0.5 and case.val_fall <= 0.05


def _amounts(case: Case) -> str:
    """Return the amounts as text: ``cell has 0.04% of the training pixels, in 2 of 12 pictures``."""
    facts = case.facts
    return all_of(
        [
            f"{facts.names[k]} has {percent_text(facts.train_shares[k])} of the training pixels, "
            f"in {facts.train_pictures[k]} of {facts.train_count} pictures"
            for k in case.classes
        ]
    )


def _raise_rare(facts: TrainingFacts) -> str:
    """Return settings that make rare classes count more."""
    higher = [] if facts.balanced else ["--set class_weights=balanced"]
    given = {"class_weight_cap": (facts.weight_cap, 10), "rare": (facts.rare, 0.67)}
    higher += [f"--set {key}={better:g}" for key, (now, better) in given.items() if now < better]
    return all_of(higher) if higher else "cut smaller crops with --set crop=…"


def _lower(facts: TrainingFacts) -> str:
    return f"learning_rate={min(facts.learning_rate / 10, _rate(USUAL_RATE, facts, math.inf)):g}"


def _rate(by_optimiser: Mapping[str, float], facts: TrainingFacts, unknown: float) -> float:
    """Return the optimiser's rate in a table, which is for mean losses; ``unknown`` for a loss that is a sum."""
    return unknown if facts.summed else by_optimiser.get(facts.optimiser, unknown)

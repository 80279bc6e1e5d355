"""Why a training goes wrong: one small function for each usual cause.

A cause is found by looking at facts, never guessed: a function returns None where its evidence is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from unpool.training.diagnosis.case import Case, TrainingFacts
from unpool.wording import all_of, percent_text

FEW_PIXELS = 0.001
"""Share of the training pixels below which a class is rare enough to be the reason."""

FEW_STEPS = 100
"""Steps after which a network from scratch need not have found anything."""

HIGH_RATE = {"adamw": 0.02, "sgd": 0.5}
LOW_RATE = {"adamw": 1e-5, "sgd": 1e-4}
"""Peak learning rates at and beyond which the rate itself is suspect, by optimiser."""

USUAL_RATE = {"adamw": 1e-3, "sgd": 1e-2}

EXTREME_RATIO = 20.0
"""Ratio of two class weights from which the heavier class can drown the lighter."""


class Cause(NamedTuple):
    """The likely cause, and what can be tried."""

    likely: str
    repair: str


CauseOf: TypeAlias = Callable[[Case], Cause | None]


def absent_from_training(case: Case) -> Cause | None:
    """No training pixel is of the class."""
    if any(case.facts.train_shares[k] for k in case.classes):
        return None
    return Cause("no training picture holds it", "move pictures that hold it into the training split")


def few_pixels(case: Case) -> Cause | None:
    """The class has next to no training pixels."""
    if any(case.facts.train_shares[k] >= FEW_PIXELS for k in case.classes):
        return None
    return Cause(_amounts(case), _lift(case.facts) + ", or annotate more of it")


def too_thin(case: Case) -> Cause | None:
    """The class's regions are thinner than the network's answers are apart."""
    facts = case.facts
    thickness = [facts.thickness[k] for k in case.classes]
    if any(pixels is None or pixels >= facts.detail / 2 for pixels in thickness):
        return None
    found = all_of([f"{facts.names[k]} is about {facts.thickness[k]:.0f} pixels thick" for k in case.classes])
    return Cause(
        f"{found}, and the network has one answer for {facts.detail} x {facts.detail} pixels",
        "take a network with skips from the picture's own size, such as --net unet",
    )


def weights_off(case: Case) -> Cause | None:
    """Nothing lifts a class that has less than its part of the pixels."""
    facts = case.facts
    part = 1 / len(facts.names)
    if len(set(facts.weights)) > 1 or any(facts.train_shares[k] > part / 2 for k in case.classes):
        return None
    return Cause(f"class weights are off, and {_amounts(case)}", _lift(facts))


def one_picture(case: Case) -> Cause | None:
    """A single validation picture decides."""
    facts = case.facts
    if facts.val_count < 3 or any(facts.val_pictures[k] != 1 for k in case.classes):
        return None
    return Cause(
        f"only 1 of {facts.val_count} validation pictures holds it, so one unusual picture decides",
        "put more pictures that hold it into the validation split",
    )


def too_short(case: Case) -> Cause | None:
    """There was not time enough to learn."""
    if case.steps < FEW_STEPS:
        return Cause(
            f"{case.steps} steps are few for a network that begins from scratch",
            "train longer: more --minutes or --epochs",
        )
    if case.still_falling:
        return Cause(
            "the losses are still falling: the training is too short", "train longer: more --minutes or --epochs"
        )
    return None


def unclear_class(case: Case) -> Cause:
    """What is left to say of a class that is not found."""
    return Cause(
        f"none of the usual causes; {_amounts(case)}",
        "look at the pictures in the run's validation folder: what is predicted in its place, and do its masks fit?",
    )


def steps_left_out(case: Case) -> Cause | None:
    """Many steps changed nothing because their loss was not finite."""
    skipped = sum(row["skipped"] for row in case.history)
    if skipped < 0.1 * case.steps:
        return None
    return Cause(
        f"{skipped} of {case.steps} steps were left out because their loss was not finite",
        f"--set {_lower(case.facts)}, or --set precision=float32",
    )


def rate_too_high(case: Case) -> Cause | None:
    """The loss rose, or a very high rate taught nothing."""
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
    """A very low rate and a loss that stays."""
    facts = case.facts
    if not case.stands_still or facts.learning_rate > _rate(LOW_RATE, facts, 0.0):
        return None
    return Cause(
        f"the learning rate, {facts.learning_rate:g} with {facts.optimiser}, is too low to move the network",
        f"--set learning_rate={USUAL_RATE[facts.optimiser]:g}",
    )


def flat_pictures(case: Case) -> Cause | None:
    """There is nothing to see."""
    if not case.facts.flat_pictures:
        return None
    return Cause(
        "the pixels of the training pictures all but do not differ",
        "check that these are the pictures, and that saving them did not lose their contrast",
    )


def small_batches(case: Case) -> Cause | None:
    """Batch normalisation over one or two crops: training learns, validation does not."""
    facts = case.facts
    if facts.norm != "batch" or facts.batch_size > 2 or not _only_training_learns(case):
        return None
    return Cause(
        f"batch normalisation with {facts.batch_size} to a step: the training loss falls, the validation loss does not",
        "--set batch_size=4 or more, or --set norm=group",
    )


def one_class_masks(case: Case) -> Cause | None:
    """The masks hold next to nothing else."""
    facts, (winner,) = case.facts, case.classes
    share = facts.train_shares[winner]
    if share < 0.99:
        return None
    off = [*["class weights are off"] * (len(set(facts.weights)) < 2), *["the Dice term is off"] * (not facts.dice)]
    dice = [] if facts.dice or facts.summed else ["--set dice=1"]
    return Cause(
        all_of([f"{percent_text(share)} of the training pixels are {facts.names[winner]}", *off]),
        all_of([*dice, _lift(facts)]),
    )


def extreme_weights(case: Case) -> Cause | None:
    """A class with few pixels is weighted so that it drowns the others."""
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
    """Training learns, validation does not, and the batches are not to blame."""
    if not _only_training_learns(case):
        return None
    return Cause(
        "what is learned from the training pictures does not hold for the validation pictures: they look different, "
        "or masks do not fit their pictures",
        "compare pictures and masks of both splits",
    )


def pictures_say_nothing(case: Case) -> Cause | None:
    """The loss is at the level that takes no look at the pictures, and stays there."""
    if not case.blind or case.still_falling or len(case.history) < 8:
        return None
    if case.facts.norm == "none":
        return Cause(
            "a network without normalisation may not begin to learn: it answers alike for every pixel",
            f"--set norm=batch, or --set {_lower(case.facts)}",
        )
    return Cause(
        "the classes' shares are learned and nothing from the pictures, as when masks belong to other pictures",
        "lay some masks over their pictures and look whether they fit",
    )


def unclear(case: Case) -> Cause:
    """What is left to say of a training that learns nothing."""
    return Cause(
        "none of the usual causes",
        f"lay some masks over their pictures and look whether they fit; then try --set {_lower(case.facts)}",
    )


def learned_by_heart(case: Case) -> Cause:
    """Training pictures too few for the network."""
    kept = max((row["epoch"] for row in case.history if row["best"]), default=0)
    return Cause(
        f"overfitting: the network learns its {case.facts.train_count} training pictures by heart",
        f"epoch {kept}, the best, is kept, and going on will hardly gain; more training pictures, more "
        "augmentation or a smaller --set width=… may",
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
"""What can be the cause of what, in the order in which it is looked for: first what is certain at once, then what takes
time to tell. The last has always something to say."""


def _only_training_learns(case: Case) -> bool:
    return case.fall is not None and case.val_fall is not None and case.fall >= 0.5 and case.val_fall <= 0.05


def _amounts(case: Case) -> str:
    """``cell has 0.04% of the training pixels, in 2 of 12 pictures``."""
    facts = case.facts
    return all_of(
        [
            f"{facts.names[k]} has {percent_text(facts.train_shares[k])} of the training pixels, "
            f"in {facts.train_pictures[k]} of {facts.train_count} pictures"
            for k in case.classes
        ]
    )


def _lift(facts: TrainingFacts) -> str:
    """Settings that make rare classes count more."""
    higher = [] if facts.balanced else ["--set class_weights=balanced"]
    given = {"class_weight_cap": (facts.weight_cap, 10), "rare": (facts.rare, 0.67)}
    higher += [f"--set {key}={better:g}" for key, (now, better) in given.items() if now < better]
    return all_of(higher) if higher else "cut smaller crops with --set crop=…"


def _lower(facts: TrainingFacts) -> str:
    return f"learning_rate={min(facts.learning_rate / 10, _rate(USUAL_RATE, facts, math.inf)):g}"


def _rate(by_optimiser: Mapping[str, float], facts: TrainingFacts, unknown: float) -> float:
    """A rate of one of the tables, which are for losses that are means."""
    return unknown if facts.summed else by_optimiser.get(facts.optimiser, unknown)

"""Remarks on a training that fails: right, rare, and the same after a resumption."""

import dataclasses
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from unpool.commands.check import check
from unpool.commands.events import Message, finish
from unpool.commands.train.diagnosis_facts import facts_of
from unpool.commands.train.preparation import prepare
from unpool.commands.train.train import train
from unpool.config.assignments import parse_assignments
from unpool.config.schema import setting_keys
from unpool.config.settings import resolve
from unpool.data.samples import Sample
from unpool.data.thickness import typical_thickness
from unpool.data.training_normalisation import nearly_constant, training_normalisation
from unpool.io.read.images import read_image
from unpool.io.write.images import write_image
from unpool.nets.named import named_net
from unpool.nets.structure import Structure
from unpool.training.diagnosis.case import TrainingFacts
from unpool.training.diagnosis.symptoms import ALIVE, DEAD_EPOCHS, diagnose
from unpool.training.records import EpochRecord, StepRecord

TWO = TrainingFacts(
    names=("ground", "cell"), train_shares=(0.7, 0.3), val_shares=(0.75, 0.25), train_pictures=(8, 8),
    val_pictures=(4, 4), train_count=8, val_count=4, weights=(0.8, 1.3), balanced=True, weight_cap=3.0,
    thickness=(None, None), detail=1, flat_pictures=False, norm="batch", summed=False, dice=1.0, rare=0.33,
    batch_size=4, optimiser="adamw", learning_rate=1e-3,
)  # fmt: skip
STREET = dataclasses.replace(
    TWO, names=("road", "car", "pole", "sign"), train_shares=(0.5, 0.48, 0.01, 0.01),
    val_shares=(0.5, 0.48, 0.01, 0.01), train_pictures=(8, 8, 6, 7), val_pictures=(4, 4, 3, 4),
    weights=(0.7, 0.7, 3.0, 3.0), thickness=(None,) * 4,
)  # fmt: skip
Rows = list[dict[str, Any]]


def history(
    facts: TrainingFacts,
    recalls: Callable[[int], Sequence[float | None]],
    epochs: int = 20,
    until: int | None = None,
    shares: Callable[[int], Sequence[float]] | None = None,
    train_loss: Callable[[int], float] = lambda k: 1.4 - 0.04 * k,
    val_loss: Callable[[int], float] = lambda k: 0.5 - 0.01 * k,
    **changes: Any,
) -> Rows:
    """Rows of a training of ``epochs`` epochs, each value a function of the epoch (from 1)."""
    rows = []
    for k in range(1, (until or epochs) + 1):
        known = [recall for recall in recalls(k) if recall is not None]
        rows.append(
            {
                "epoch": k, "steps": 20 * k, "progress": k / epochs, "skipped": 0, "best": k == 1,
                "train_loss": train_loss(k), "val_loss": val_loss(k), "mean_iou": sum(known) / len(known) * 0.9,
                "class_recall": dict(zip(facts.names, recalls(k), strict=True)),
                "predicted_shares": dict(
                    zip(facts.names, shares(k) if shares else [1 / len(facts.names)] * len(facts.names), strict=True)
                ),
            } | changes
        )  # fmt: skip
    return rows


def remarks_on(facts: TrainingFacts, rows: Rows) -> list[tuple[int, str]]:
    """All remarks of a training and the epochs they come after; the settings that they name exist."""
    reported = [(k, remark) for k in range(1, len(rows) + 1) for remark in diagnose(facts, rows[:k])]
    for _, remark in reported:
        resolve(parse_assignments(list(re.findall(r"--set (\w+=[\w.-]+)", remark))))
        assert set(re.findall(r"--set (\w+)", remark)) <= {name for _, name in setting_keys()}
    return reported


def the_remark(facts: TrainingFacts, rows: Rows) -> tuple[int, str]:
    (only,) = remarks_on(facts, rows)
    return only


def not_validated(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "class_recall": {}, "predicted_shares": {}, "val_loss": None, "mean_iou": None}


GROUND_ALONE = {"recalls": lambda _: (1.0, 0.0), "shares": lambda _: (1.0, 0.0)}
"""Every pixel is ground; the validation loss stays above that of the shares alone, 0.562."""


def test_a_healthy_training_gets_no_remark() -> None:
    assert remarks_on(TWO, history(TWO, lambda k: (0.9, 0.3 + 0.03 * k))) == []
    late = history(STREET, lambda k: (0.9, 0.8, 0.0 if k < 13 else 0.2, 0.3))
    assert remarks_on(STREET, late) == []  # found at last: nothing was certain before
    assert diagnose(TWO, []) == []


def test_a_class_that_the_truth_does_not_have_is_not_missed() -> None:
    assert remarks_on(STREET, history(STREET, lambda _: (0.9, 0.8, None, 0.5))) == []
    only_ground = dataclasses.replace(TWO, val_shares=(1.0, 0.0))
    rows = history(only_ground, lambda _: (1.0, None), shares=lambda _: (1.0, 0.0), val_loss=lambda _: 0.0)
    assert remarks_on(only_ground, rows) == []


RARE = dataclasses.replace(STREET, train_shares=(0.52, 0.479, 0.0004, 0.01), train_pictures=(8, 8, 2, 7))


def test_a_class_that_dies_is_told_once_and_again_after_it_lived() -> None:
    rows = history(RARE, lambda k: (0.9, 0.8, 0.2 if k in (12, 13) else 0.0, 0.5))
    reported = remarks_on(RARE, rows)
    assert [epoch for epoch, _ in reported] == [6, 16]  # epochs 4 (a fifth of 20) to 6, and 14 to 16
    assert reported[0][1] == (
        "no validation pixel of pole is found (recall 0 since epoch 1)\n"
        "  likely:   pole has 0.0400% of the training pixels, in 2 of 8 pictures\n"
        "  to do:    --set class_weight_cap=10 and --set rare=0.67, or annotate more of it"
    )
    assert "recall 0 since epoch 14" in reported[1][1]


def test_a_class_that_barely_lives_is_not_told_again() -> None:
    rows = history(RARE, lambda k: (0.9, 0.8, ALIVE / 2 if k == 12 else 0.0, 0.5))
    assert [epoch for epoch, _ in remarks_on(RARE, rows)] == [6]


def test_epochs_without_validation_neither_count_nor_speak() -> None:
    rows = history(RARE, lambda _: (0.9, 0.8, 0.0, 0.5))
    sparse = [row if k % 3 == 2 else not_validated(row) for k, row in enumerate(rows)]
    assert [epoch for epoch, _ in remarks_on(RARE, sparse)] == [12]  # 6, 9 and 12 are validated


def test_a_short_training_is_told_at_its_end() -> None:
    never = history(RARE, lambda _: (0.9, 0.8, 0.0, 0.5), epochs=2)
    assert [epoch for epoch, _ in remarks_on(RARE, never)] == [2]
    assert remarks_on(RARE, history(RARE, lambda k: (0.9, 0.8, 0.0 if k == 2 else 0.1, 0.5), epochs=2)) == []


def test_classes_with_one_cause_share_a_remark() -> None:
    rows = history(STREET, lambda _: (0.9, 0.8, 0.0, 0.0))
    epoch, remark = the_remark(STREET, rows)
    assert epoch == 14
    assert remark.startswith("no validation pixel of pole and sign is found (recall 0 since epoch 1)")
    mixed = dataclasses.replace(STREET, train_shares=(0.52, 0.479, 0.0004, 0.01))
    assert [epoch for epoch, _ in remarks_on(mixed, rows)] == [6, 14]


@pytest.mark.parametrize(
    ("changes", "likely", "repair", "epoch"),
    [
        ({"train_shares": (0.5, 0.49, 0.0, 0.01)}, "no training picture shows it", "into the training split", 6),
        (
            {"train_shares": (0.5, 0.49, 9e-4, 0.01), "weight_cap": 20.0, "rare": 0.7},
            "pole has 0.09% of the training pixels, in 6 of 8 pictures", "smaller crops", 6,
        ),
        (
            {"detail": 32, "thickness": (200.0, 90.0, 3.4, 15.0)},
            "pole is about 3 pixels thick, and the network has one answer for 32 x 32 pixels", "--net unet", 6,
        ),
        ({"weights": (1.0,) * 4, "weight_cap": 1.0}, "class weights are off, and pole has 1.00%", "weight_cap=10", 14),
        ({"val_pictures": (4, 4, 1, 4)}, "only 1 of 4 validation pictures shows it", "into the validation split", 14),
        ({}, "none of the usual causes; pole has 1.00% of the training pixels, in 6 of 8", "validation folder", 14),
    ],
)  # fmt: skip
def test_why_a_class_is_not_found(changes: dict[str, Any], likely: str, repair: str, epoch: int) -> None:
    facts = dataclasses.replace(STREET, **changes)
    rows = history(facts, lambda _: (0.9, 0.8, 0.0, 0.5), val_loss=lambda _: 0.4)
    when, remark = the_remark(facts, rows)
    assert when == epoch
    found, *rest = remark.splitlines()
    assert found.startswith("no validation pixel of pole")
    assert likely in rest[0]
    assert repair in rest[1]


def test_what_is_thick_enough_is_not_too_thin() -> None:
    facts = dataclasses.replace(STREET, detail=32, thickness=(200.0, 90.0, 16.0, 15.0))
    assert remarks_on(facts, history(facts, lambda _: (0.9, 0.8, 0.0, 0.5), until=13)) == []
    assert remarks_on(facts, history(facts, lambda _: (0.9, 0.8, 0.5, 0.0), until=13)) != []


def test_a_training_that_is_too_short_for_a_class() -> None:
    falling = history(STREET, lambda _: (0.9, 0.8, 0.0, 0.5), train_loss=lambda k: 0.9**k, val_loss=lambda k: 0.9**k)
    assert "the losses are still falling" in the_remark(STREET, falling)[1]
    few = history(STREET, lambda _: (0.9, 0.8, 0.0, 0.5), epochs=3, val_loss=lambda _: 0.4)
    assert "60 steps are few" in the_remark(STREET, few)[1]


@pytest.mark.parametrize(
    ("changes", "rows", "likely", "repair", "epoch"),
    [
        ({}, {"skipped": 6}, "36 of 120 steps were left out", "learning_rate=0.0001, or --set precision", 6),
        (
            {}, {"train_loss": lambda k: 1.2 if k == 1 else 2.0},
            "0.001 with adamw, is too high: the training loss has risen", "learning_rate=0.0001", 6,
        ),
        (
            {"learning_rate": 2.0, "optimiser": "sgd"},
            {"train_loss": lambda k: 1.2 + 0.01 * k, "val_loss": lambda _: 0.6},
            "2 with sgd, is too high: nothing is learned", "learning_rate=0.01", 6,
        ),
        ({"learning_rate": 1e-6}, {"train_loss": lambda _: 1.6}, "1e-06 with adamw, is too low", "rate=0.001", 6),
        ({"flat_pictures": True}, {}, "hardly differ", "check that these are the pictures", 6),
        (
            {"batch_size": 2}, {"train_loss": lambda k: 1.6 * 0.8**k, "val_loss": lambda _: 0.7},
            "batch normalisation with 2 crops per step", "batch_size=4", 6,
        ),
        (
            {"train_shares": (0.996, 0.004), "weights": (1.0, 1.0), "weight_cap": 1.0, "dice": 0.0}, {},
            "99.60% of the training pixels are ground, class weights are off and the Dice term is off",
            "--set dice=1 and --set class_weight_cap=10 and --set rare=0.67", 6,
        ),
        ({"train_shares": (0.996, 0.004)}, {}, "likely:   99.60% of the training pixels are ground\n", "cap=10", 6),
        (
            {"train_shares": (0.8, 0.2)}, {"train_loss": lambda k: 1.6 * 0.8**k, "val_loss": lambda _: 0.7},
            "fails on the validation pictures", "both splits", 14,
        ),
        ({}, {"val_loss": lambda _: 0.56}, "nothing from the pictures", "compare some masks with their pictures", 14),
        ({"norm": "none"}, {"val_loss": lambda _: 0.56}, "without normalisation", "norm=batch", 14),
        ({}, {"val_loss": lambda _: 0.4}, "none of the usual causes", "try --set learning_rate=0.0001", 14),
        ({}, {"train_loss": lambda k: 0.9**k, "val_loss": lambda k: 0.9**k}, "still falling", "train longer", 14),
    ],
)  # fmt: skip
def test_why_one_class_is_everywhere(
    changes: dict[str, Any], rows: dict[str, Any], likely: str, repair: str, epoch: int
) -> None:
    facts = dataclasses.replace(TWO, **changes)
    when, remark = the_remark(facts, history(facts, **GROUND_ALONE, **rows))
    assert when == epoch
    assert remark.startswith("100.00% of the validation pixels are predicted as ground, where 75.00% are\n")
    assert likely in remark
    assert repair in remark.splitlines()[2]


def test_a_rare_class_that_is_everywhere_weighs_too_much() -> None:
    facts = dataclasses.replace(TWO, weights=(0.1, 30.0), weight_cap=1000.0)
    rows = history(facts, lambda _: (0.0, 1.0), shares=lambda _: (0.0, 1.0))
    _, remark = the_remark(facts, rows)
    assert "in the loss a pixel of cell weighs 30, one of ground 0.1" in remark
    assert remark.endswith("--set class_weight_cap=3")
    by_hand = dataclasses.replace(facts, balanced=False)
    assert the_remark(by_hand, rows)[1].endswith("--set class_weights=balanced")
    for weights in ((0.1, 30.0), (0.0, 1.0)):
        weighted = dataclasses.replace(facts, weights=weights)
        assert "weighs" not in the_remark(weighted, history(facts, **GROUND_ALONE))[1]


def test_the_first_cause_that_holds_is_told() -> None:
    facts = dataclasses.replace(TWO, train_shares=(0.996, 0.004), learning_rate=1e-6, flat_pictures=True)
    rows = {**GROUND_ALONE, "train_loss": lambda _: 1.6}
    assert "steps were left out" in the_remark(facts, history(facts, **rows, skipped=6))[1]
    assert "too low" in the_remark(facts, history(facts, **rows))[1]
    assert "hardly differ" in the_remark(dataclasses.replace(facts, learning_rate=1e-3), history(facts, **rows))[1]


def test_a_summed_loss_goes_with_other_rates_and_without_dice() -> None:
    still = {**GROUND_ALONE, "train_loss": lambda _: 9e4}
    facts = dataclasses.replace(TWO, summed=True, dice=0.0, optimiser="sgd", learning_rate=1e-8, balanced=False)
    assert "too low" not in the_remark(facts, history(facts, **still))[1]
    facts = dataclasses.replace(facts, train_shares=(0.996, 0.004))
    to_do = the_remark(facts, history(facts, **still))[1].splitlines()[2]
    assert to_do.endswith("--set class_weights=balanced, --set class_weight_cap=10 and --set rare=0.67")


def test_nearly_all_of_one_class_may_be_right() -> None:
    facts = dataclasses.replace(TWO, train_shares=(0.9985, 0.0015), val_shares=(0.9985, 0.0015))
    rows = history(facts, lambda _: (1.0, 0.5), shares=lambda _: (0.9992, 0.0008), val_loss=lambda _: 0.005)
    assert remarks_on(facts, rows) == []


def test_one_answer_is_told_once_whichever_class_it_is() -> None:
    """Its remark includes the classes that it hides."""
    facts = dataclasses.replace(TWO, learning_rate=5.0)

    def answer(epoch: int) -> tuple[float, float]:
        return (1.0, 0.0) if epoch // 4 % 2 else (0.0, 1.0)

    rows = history(facts, answer, shares=answer, val_loss=lambda _: 0.7)
    assert [epoch for epoch, _ in remarks_on(facts, rows)] == [6]


@pytest.mark.parametrize(
    ("changes", "rows", "found", "epoch"),
    [
        ({"learning_rate": 1e-6}, {"train_loss": lambda _: 1.6}, "the training loss does not fall: 1.6 in the", 6),
        ({}, {}, "as if it did not look at the pictures: mean recall 0.51, validation loss 0.7 (a model that knows "
         "only the class frequencies has ", 14),
    ],
)  # fmt: skip
def test_answers_without_a_look_at_the_pictures(
    changes: dict[str, Any], rows: dict[str, Any], found: str, epoch: int
) -> None:
    facts = dataclasses.replace(TWO, **changes)
    when, remark = the_remark(facts, history(facts, lambda _: (0.6, 0.42), val_loss=lambda _: 0.7, **rows))
    assert when == epoch
    assert found in remark
    assert remarks_on(facts, history(facts, lambda _: (0.6, 0.42), val_loss=lambda _: 0.4, **rows)) == []


def test_a_network_that_is_not_moved_may_be_better_than_a_constant_answer() -> None:
    facts = dataclasses.replace(TWO, learning_rate=1e-6)
    rows = {"recalls": lambda _: (0.8, 0.42), "val_loss": lambda _: 0.7}
    assert "does not fall" in the_remark(facts, history(facts, **rows, train_loss=lambda _: 1.6))[1]
    assert remarks_on(facts, history(facts, **rows)) == []
    assert remarks_on(facts, history(facts, **{**rows, "val_loss": lambda _: 0.4}, train_loss=lambda _: 1.6)) == []


def overfitted(score: Callable[[int], float] = lambda k: 0.8 - 0.01 * abs(k - 12)) -> Rows:
    """The validation loss is lowest, 0.3, in epoch 10 of 40, the score highest in epoch 12."""
    rows = history(
        TWO, lambda _: (0.9, 0.8), 40, val_loss=lambda k: 0.3 + 0.02 * abs(k - 10), train_loss=lambda k: 1.2 * 0.95**k
    )
    return [{**row, "mean_iou": score(row["epoch"]), "best": row["epoch"] <= 12} for row in rows]


def test_overfitting_is_told_once_with_the_epoch_that_is_kept() -> None:
    epoch, remark = the_remark(TWO, overfitted())
    assert epoch == 28  # 0.7 of the training
    assert "has risen from 0.3 in epoch 10 to 0.66, while the training loss fell from 0.718 to 0.285" in remark
    assert "the network learns its 8 training pictures by heart" in remark
    assert "the model has the weights of epoch 12, the best" in remark


def test_a_score_that_still_rises_is_no_overfitting() -> None:
    assert remarks_on(TWO, overfitted(lambda k: 0.5 + 0.01 * k)) == []
    assert remarks_on(TWO, [{**row, "train_loss": 0.7} for row in overfitted()]) == []
    assert remarks_on(TWO, [{**row, "val_loss": 0.3 + 0.001 * row["epoch"]} for row in overfitted()]) == []


def test_rows_that_were_stored_say_the_same() -> None:
    rows = [{**row, "remarks": ["as before"]} for row in overfitted()]
    assert remarks_on(TWO, json.loads(json.dumps(rows))) == remarks_on(TWO, overfitted())


ratios = st.floats(0, 1)


@st.composite
def any_row(draw: st.DrawFn) -> dict[str, Any]:
    counted = draw(st.booleans())
    recalls = [draw(st.none() | st.sampled_from((0.0, 0.5, 1.0))) if counted else None for _ in TWO.names]
    share = draw(st.sampled_from((0.0, 0.5, 1.0)))
    row = {
        "train_loss": draw(st.none() | st.floats(-1, 5)), "val_loss": draw(st.floats(0, 5)) if counted else None,
        "mean_iou": draw(ratios) if counted else None, "skipped": draw(st.integers(0, 20)),
        "class_recall": dict(zip(TWO.names, recalls, strict=True)),
        "predicted_shares": {"ground": share, "cell": 1 - share} if counted else {"ground": 0.0, "cell": 0.0},
    }  # fmt: skip
    return row if draw(st.booleans()) else not_validated(row)


@given(st.lists(any_row(), min_size=1, max_size=25), st.sampled_from((1e-6, 1e-3, 5.0)))
def test_no_history_breaks_the_diagnosis(rows: Rows, rate: float) -> None:
    facts = dataclasses.replace(TWO, learning_rate=rate)
    numbered = [
        {**row, "epoch": k, "steps": 20 * k, "progress": k / len(rows), "best": k == 1} for k, row in enumerate(rows, 1)
    ]
    for _, remark in remarks_on(facts, numbered):
        assert len(remark.splitlines()) == 3
        assert "nan" not in remark


# What the diagnosis has to know


def test_facts_are_those_of_the_survey_and_the_settings(cells: Path) -> None:
    config = resolve(
        {**tiny.settings(epochs=1, optimiser="sgd"), "loss": {"class_weights": "balanced", "class_weight_cap": 1.0}}
    )
    survey = finish(check(cells, config.data))
    facts = facts_of(prepare(survey, config))
    masks = {name: read_image(cells / "masks" / f"{name}.png") for name in survey.split.train}
    cell = sum(int((mask > 0).sum()) for mask in masks.values()) / sum(mask.size for mask in masks.values())
    assert facts.names == ("background", "foreground")
    assert facts.train_shares == pytest.approx((1 - cell, cell))
    assert facts.val_shares == survey.class_shares(survey.split.val) != facts.train_shares
    assert facts.train_pictures == (len(masks), len(masks))
    assert (facts.train_count, facts.val_count) == (len(survey.split.train), len(survey.split.val))
    assert facts.weights == (1.0, 1.0)
    assert (facts.optimiser, facts.batch_size, facts.norm, facts.detail) == ("sgd", 2, "batch", 1)
    assert not facts.flat_pictures
    assert (facts.balanced, facts.summed) == (True, False)
    assert facts.thickness == (None, None)
    coarse = resolve({**tiny.settings(epochs=1), "structure": {**tiny.STRUCTURES["unet"], "skip": "none"}})
    loss = {"class_weights": "none", "division": "sum", "dice": 0.0}
    facts = facts_of(prepare(survey, resolve({**tiny.settings(epochs=1), "loss": loss})))
    assert (facts.balanced, facts.summed, facts.weights) == (False, True, (1.0, 1.0))
    facts = facts_of(prepare(survey, coarse))
    assert facts.detail == 4
    assert all(thickness is not None and 3 < thickness < 40 for thickness in facts.thickness)


def test_thickness_by_hand() -> None:
    labels = np.zeros((8, 10), np.uint8)
    labels[2:4, :] = 1  # a band of two rows
    labels[6, 1:4] = 2
    labels[7, 9] = 255
    sample = Sample("a", labels[..., None], labels, None)
    assert typical_thickness([sample], 4) == (56 / 23, 2.0, 1.0, None)  # 3 columns have three runs of ground, 7 two
    assert typical_thickness([sample, sample], 4)[1] == 2.0


def test_the_thickness_of_discs() -> None:
    rows, columns = np.indices((90, 90)) - 45
    disc = (rows**2 + columns**2 <= 30**2).astype(np.uint8)
    (_, found) = typical_thickness([Sample("a", disc[..., None], disc, None)], 2)
    assert found == pytest.approx(math.pi / 4 * 60, rel=0.03)


@pytest.mark.parametrize(("kind", "step"), [("uint8", 1), ("uint16", 1), ("float32", 1e-8)])
def test_constant_pictures_are_known(kind: str, step: float) -> None:
    labels = np.zeros((4, 4), np.uint8)
    flat = np.full((4, 4, 1), 100 if kind != "float32" else 0.5, kind)
    flat[0] += np.asarray(step, kind)
    assert nearly_constant(training_normalisation([Sample("a", flat, labels, None)], 1))
    seen = flat.copy()
    seen[:2] = 0
    assert not nearly_constant(training_normalisation([Sample("a", seen, labels, None)], 1))


@pytest.mark.parametrize(
    ("net", "pixels"), [("unet", 1), ("segnet", 1), ("fusionnet", 1), ("fcn-32s", 32), ("fcn-16s", 16), ("fcn-8s", 8)]
)
def test_the_detail_of_networks(net: str, pixels: int) -> None:
    assert named_net(net).structure.detail == pixels


@pytest.mark.parametrize(
    ("changes", "pixels"), [({}, 2), ({"skip": "none"}, 32), ({"skip": "add", "skip_from": "pooled"}, 4)]
)
def test_the_detail_behind_a_stem(changes: dict[str, Any], pixels: int) -> None:
    assert Structure(stem="strided", depth=4, **changes).detail == pixels


# Real trainings


def remarks(folder: Path, out: Path, settings: dict[str, Any]) -> list[tuple[int, str]]:
    """Train; return the epoch of each remark and its text, which the log has too."""
    reported, epoch = [], 0
    for event in train(folder, settings, out):
        if isinstance(event, EpochRecord):
            epoch = event.epoch
        elif epoch and isinstance(event, Message):
            reported.append((epoch, event.text))
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert reported == [(row["epoch"], remark) for row in rows for remark in row["remarks"]]
    return reported


def test_a_training_that_goes_well_says_nothing(cells: Path, tmp_path: Path) -> None:
    assert remarks(cells, tmp_path / "run", tiny.settings(epochs=6, learning_rate=1e-2)) == []


def test_a_training_that_cannot_move_is_told_why(cells: Path, tmp_path: Path) -> None:
    ((epoch, remark),) = remarks(cells, tmp_path / "run", tiny.settings(epochs=6, learning_rate=1e-8))
    assert epoch == 4
    assert "the learning rate, 1e-08 with adamw, is too low to move the network" in remark


@pytest.fixture
def specks(cells: Path, tmp_path: Path) -> Path:
    """The pictures of ``cells``; every mask has a single pixel of the class."""
    for path in sorted((cells / "masks").iterdir()):
        mask = read_image(path)[..., 0]
        speck = np.zeros_like(mask)
        speck.flat[int(np.flatnonzero(mask)[0])] = 255
        write_image(tmp_path / "specks" / "masks" / path.name, speck)
        write_image(tmp_path / "specks" / "images" / path.name, read_image(cells / "images" / path.name)[..., 0])
    return tmp_path / "specks"


def test_a_training_that_sees_ground_everywhere_is_told_why(specks: Path, tmp_path: Path) -> None:
    settings = {**tiny.settings(epochs=5), "loss": {"dice": 0.0, "class_weight_cap": 1.0}}
    reported = remarks(specks, tmp_path / "run", settings)
    ((epoch, remark),) = reported
    assert epoch == 3
    assert remark.startswith("100.00% of the validation pixels are predicted as background, where 99.9")
    assert "of the training pixels are background, class weights are off and the Dice term is off" in remark
    steps = train(specks, settings, tmp_path / "stopped")
    for event in steps:
        if isinstance(event, StepRecord) and (event.epoch, event.step) == (2, 9):
            steps.close()
            break
    finish(train(specks, settings, tmp_path / "stopped", resume=True))
    rows = [json.loads(line) for line in (tmp_path / "stopped" / "log.jsonl").read_text().splitlines()]
    assert [(row["epoch"], remark) for row in rows for remark in row["remarks"]] == reported


def test_the_streak_is_as_long_as_said() -> None:
    rows = history(RARE, lambda k: (0.9, 0.8, 0.0 if k in range(8, 8 + DEAD_EPOCHS) else 0.3, 0.5))
    assert [epoch for epoch, _ in remarks_on(RARE, rows)] == [10]
    shorter = history(RARE, lambda k: (0.9, 0.8, 0.0 if k in range(8, 7 + DEAD_EPOCHS) else 0.3, 0.5))
    assert remarks_on(RARE, shorter) == []

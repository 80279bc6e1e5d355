"""One result by every rule, each worked out by hand where the rules part; and the means over pictures."""

import json
from importlib.util import find_spec
from math import nan

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.conventions import CONVENTIONS, by_conventions
from unpool.metrics.image_means import image_means, image_numbers
from unpool.metrics.intervals import pixel_counts
from unpool.metrics.measures import Evidence
from unpool.metrics.scores import scores

NAMES = ("ground", "tree", "car", "boat")

# Three pictures of ten pixels. A: ground and trees. B: ground alone, two of its pixels taken for a car. C: ground and
# trees, all right. No picture has a boat; no truth has a car.
#              ground   tree    car     boat
PICTURES = [
    [[4, 2, 0, 0], [6, 4, 0, 0], [6, 4, 0, 0]],
    [[8, 0, 0, 0], [10, 0, 0, 0], [8, 0, 2, 0]],
    [[5, 5, 0, 0], [5, 5, 0, 0], [5, 5, 0, 0]],
]
SET = (17 / 23, 7 / 11, 0.0)  # IoU of ground: 17 hit, 21 true, 19 predicted; of trees: 7, 9, 9; of cars
A, B, C = (4 / 8, 2 / 6), 8 / 10, (1.0, 1.0)

BY_HAND = {
    "Unpool": sum(SET) / 3,
    "torchvision references": None,
    "PaddleSeg 2024": (sum(SET) + 1) / 4,
    "keras_segmentation": sum(SET) / 4,
    "SMP micro": 24 / 36,
    "Unpool, means over pictures": (sum(A) / 2 + (B + 0) / 2 + 1) / 3,
    "SMP macro-imagewise": ((sum(A) + 2) / 4 + (B + 1 + 0 + 1) / 4 + 1) / 3,
    "torchmetrics 1.5": (sum(A) / 4 + B / 4 + 2 / 4) / 3,
    "MONAI, ignore_empty": (sum(A) / 2 + B + 1) / 3,
    "milesial Pytorch-UNet": ((A[1] + 2) / 3 + (1 + 0 + 1) / 3 + 1) / 3,
    "nnU-Net": None,
    "luxonis-train, per_class": ((A[0] + B + 1) / 3 + (A[1] + 1) / 2 + 0 - 1) / 4,
}


def counts(pictures: list[list[list[int]]] = PICTURES) -> list[NDArray[np.int64]]:
    return [np.array(each, dtype=np.int64) for each in pictures]


def found(pictures: list[NDArray[np.int64]]) -> dict[str, tuple[float | None, float | None]]:
    return {each.convention.users[0]: (each.mean_iou, each.mean_dice) for each in by_conventions(pictures)}


@pytest.mark.parametrize("user", BY_HAND)
def test_every_rule_by_hand(user: str) -> None:
    iou, _ = found(counts())[user]
    assert iou is None if BY_HAND[user] is None else iou == pytest.approx(BY_HAND[user])


def test_every_rule_is_tested_and_parts_from_the_others() -> None:
    assert list(BY_HAND) == [each.users[0] for each in CONVENTIONS]
    known = [value for value in BY_HAND.values() if value is not None]
    assert len({round(value, 9) for value in known}) == len(known)


def test_dice_by_hand() -> None:
    dice = {user: value for user, (_, value) in found(counts()).items()}
    assert dice["Unpool"] == pytest.approx((34 / 40 + 14 / 18 + 0) / 3)
    assert dice["SMP micro"] == pytest.approx(48 / 60)
    assert dice["MONAI, ignore_empty"] == pytest.approx(((8 / 12 + 4 / 8) / 2 + 16 / 18 + 1) / 3)


def test_nnunet_has_a_mean_where_every_class_is_somewhere() -> None:
    pictures = [each[:, :3] for each in counts()]
    assert found(pictures)["nnU-Net"][0] == pytest.approx(((A[1] + 1) / 2 + 0) / 2)
    assert found(pictures)["torchvision references"][0] == pytest.approx(sum(SET) / 3)
    assert found(pictures)["luxonis-train, per_class"][0] == pytest.approx(((A[0] + B + 1) / 3 + (A[1] + 1) / 2) / 3)


def test_without_a_pixel_there_is_no_score() -> None:
    values = found([np.zeros((3, 4), dtype=np.int64)])
    assert values["Unpool"] == (None, None)
    assert values["PaddleSeg 2024"] == (1, 1)
    assert values["luxonis-train, per_class"] == (-1, -1)


def random_matrices(seed: int, classes: int) -> list[ConfusionMatrix]:
    random = np.random.default_rng(seed)
    names = tuple(f"class {k}" for k in range(classes))
    made = []
    for _ in range(random.integers(1, 6)):
        present = random.random(classes) < 0.7
        counts = random.integers(0, 50, (classes, classes)) * present[:, None] * (random.random(classes) < 0.8)
        made.append(ConfusionMatrix(names, counts.astype(np.int64)))
    return made


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_the_first_rule_is_that_of_the_scores(seed: int, classes: int) -> None:
    pictures = random_matrices(seed, classes)
    whole = scores(sum(pictures[1:], pictures[0]))
    first, *others = by_conventions([pixel_counts(scores(each)) for each in pictures])
    assert first.ours
    assert not any(each.ours for each in others)
    assert first.mean_iou == pytest.approx(whole.mean_iou)
    assert first.mean_dice == pytest.approx(whole.mean_dice)


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_rules_agree_where_one_picture_has_every_class(seed: int, classes: int) -> None:
    counts = np.random.default_rng(seed).integers(1, 50, (classes, classes))
    picture = scores(ConfusionMatrix(tuple(map(str, range(classes))), counts))
    for each in by_conventions([pixel_counts(picture)]):
        if each.convention.first and not each.convention.pooled:
            assert each.mean_iou == pytest.approx(picture.mean_iou)


def one_hot(labels: NDArray[np.int64], classes: int) -> torch.Tensor:
    """Labels (pictures, rows, columns) as (pictures, classes, rows, columns)."""
    return torch.nn.functional.one_hot(torch.from_numpy(labels), classes).permute(0, 3, 1, 2)


def labelled(pictures: int = 6, classes: int = 5) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Truths and predictions; no picture has all classes, the last class is nowhere, and some are invented."""
    random = np.random.default_rng(0)
    truth = np.stack([random.choice(random.choice(classes - 1, 2, replace=False), (9, 7)) for _ in range(pictures)])
    return truth, np.where(random.random(truth.shape) < 0.6, truth, random.integers(0, classes - 1, truth.shape))


def by_user(truth: NDArray[np.int64], prediction: NDArray[np.int64]) -> dict[str, tuple[float | None, float | None]]:
    names = tuple(map(str, range(5)))
    return found([
        pixel_counts(scores(ConfusionMatrix.of(names, one.astype(np.uint8), other.astype(np.uint8))))
        for one, other in zip(truth, prediction, strict=True)
    ])  # fmt: skip


@pytest.mark.skipif(find_spec("monai") is None, reason="MONAI is not installed")
def test_the_rule_of_monai_is_its_own() -> None:
    from monai.metrics import DiceMetric, MeanIoU

    truth, prediction = labelled()
    for metric, ours in zip((MeanIoU(), DiceMetric()), by_user(truth, prediction)["MONAI, ignore_empty"], strict=True):
        metric(one_hot(prediction, 5).float(), one_hot(truth, 5).float())
        assert float(metric.aggregate()) == pytest.approx(ours, abs=1e-6)


@pytest.mark.skipif(find_spec("torchmetrics") is None, reason="torchmetrics is not installed")
def test_the_rule_of_torchmetrics_is_its_own() -> None:
    import torchmetrics
    from torchmetrics.segmentation import MeanIoU

    if not torchmetrics.__version__.startswith("1.5"):
        pytest.skip("the rule is that of torchmetrics 1.5")
    metric, (truth, prediction) = MeanIoU(5), labelled()
    for pair in zip(prediction, truth, strict=True):
        metric.update(*(one_hot(each[None], 5) for each in pair))
    assert float(metric.compute()) == pytest.approx(by_user(truth, prediction)["torchmetrics 1.5"][0], abs=1e-6)


def test_words_and_json() -> None:
    rows = by_conventions(counts())
    assert {row.convention.users[0]: row.convention.class_values for row in rows}["luxonis-train, per_class"] == (
        "left out (-1)", "0")  # fmt: skip
    assert {row.convention.users[0]: row.convention.class_values for row in rows}["torchvision references"] == (
        "NaN",
        "0",
    )
    assert rows[9].convention.averaged == "pictures, foreground"
    data = json.loads(json.dumps([row.to_json() for row in rows], allow_nan=False))
    assert data[0]["users"] == ["Unpool", "mmsegmentation", "pytorch-semseg"]
    assert data[0]["ours"]
    assert data[1]["mean_iou"] is None


# means over pictures


def of_pictures(pictures: list[ConfusionMatrix]) -> dict[str, dict[str, float]]:
    measure = image_means(pictures[0].names)
    table = measure.table(np.stack([image_numbers(scores(each)) for each in pictures]))
    keys = [column.key for column in measure.columns]
    return {row: dict(zip(keys, values, strict=True)) for row, values in zip(measure.rows, table, strict=True)}


def test_means_over_pictures_by_hand() -> None:
    names = ("sky", "sea")
    one = ConfusionMatrix(names, np.array([[6, 2], [1, 1]]))
    other = ConfusionMatrix(names, np.array([[3, 1], [0, 0]]))  # no sea in the truth
    table = of_pictures([one, other])
    assert table["sky"]["iou"] == pytest.approx((6 / 9 + 3 / 4) / 2)
    assert table["sea"]["iou"] == pytest.approx((1 / 4 + 0) / 2)
    assert table["sea"]["recall"] == pytest.approx(1 / 2)  # of the first alone
    assert table["sea"]["precision"] == pytest.approx((1 / 3 + 0) / 2)
    assert table["mean"]["iou"] == pytest.approx(((6 / 9 + 1 / 4) / 2 + (3 / 4) / 2) / 2)
    assert table["mean"]["dice"] == pytest.approx(((12 / 15 + 2 / 5) / 2 + (6 / 7) / 2) / 2)
    assert table["mean"]["recall"] == pytest.approx(((6 / 8 + 1 / 2) / 2 + 3 / 4) / 2)
    assert table["mean"]["global_accuracy"] == pytest.approx((7 / 10 + 3 / 4) / 2)
    assert table["mean"]["frequency_weighted_iou"] == pytest.approx(((8 * 6 / 9 + 2 * 1 / 4) / 10 + 3 / 4) / 2)
    assert np.isnan(table["sky"]["global_accuracy"])


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_means_over_pictures_are_the_means_of_the_scores(seed: int, classes: int) -> None:
    pictures = random_matrices(seed, classes)
    table, found = of_pictures(pictures), [scores(each) for each in pictures]
    for key, name in [("iou", "mean_iou"), ("dice", "mean_dice"), ("recall", "class_accuracy")]:
        known = [getattr(each, name) for each in found if getattr(each, name) is not None]
        assert table["mean"][key] == pytest.approx(np.mean(known) if known else nan, nan_ok=True)
    for k, name in enumerate(pictures[0].names):
        known = [each.classes[k].dice for each in found if each.classes[k].dice is not None]
        assert table[name]["dice"] == pytest.approx(np.mean(known) if known else nan, nan_ok=True)


def test_numbers_of_a_picture_are_those_of_its_pixels() -> None:
    random = np.random.default_rng(3)
    labels, prediction = (random.integers(0, 3, (8, 9)).astype(np.uint8) for _ in range(2))
    seen = Evidence(labels, None, prediction, np.ones(labels.shape, np.float32), None)
    names = ("a", "b", "c")
    counted = image_numbers(scores(ConfusionMatrix.of(names, labels, prediction)))
    assert np.array_equal(image_means(names).numbers(seen), counted, equal_nan=True)

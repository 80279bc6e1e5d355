"""What holds for every measure: perfect and constant predictions, and the order of the pictures."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from unpool.class_table import Labels
from unpool.data.synthetic import synthetic_cells
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.conventions import by_conventions
from unpool.metrics.image_means import image_means
from unpool.metrics.intervals import pixel_counts
from unpool.metrics.measures import Evidence, Measure, measure_set
from unpool.metrics.named import MEASURES, SAMPLED_MEASURES
from unpool.metrics.scores import scores
from unpool.metrics.segments import components

NAMES = ("background", "cell")
EVERY = {**MEASURES, "uncertainty of samples": SAMPLED_MEASURES["uncertainty"], "image_means": image_means}


def evidence(labels: Labels, foreground: NDArray[np.float32]) -> Evidence:
    """What is known where a model gives the class 1 these probabilities."""
    likely = np.stack([1 - foreground, foreground])
    variance = np.full(labels.shape, 0.01, dtype=np.float32)
    found = likely.argmax(0).astype(np.uint8)
    separated = components(found == 1, corners=True)
    return Evidence(labels, None, found, likely.max(0), likely, variance, separated)


def truths(count: int = 4) -> list[Labels]:
    cells = synthetic_cells(count, 3, ((40, 48),))
    return [(picture.instances > 0).astype(np.uint8) for picture in cells]


def last_row(measure: Measure, seen: Sequence[Evidence]) -> dict[str, float]:
    table = measure.table(np.stack([measure.numbers(each) for each in seen]))
    return dict(zip((column.title for column in measure.columns), table[-1].tolist(), strict=True))


@pytest.mark.parametrize("name", EVERY)
def test_a_perfect_prediction_is_perfect(name: str) -> None:
    measure = EVERY[name](NAMES)
    found = last_row(measure, [evidence(labels, labels.astype(np.float32)) for labels in truths()])
    for column in measure.columns:
        value = found[column.title]
        if column.unit == "count":
            assert value == (0 if column.better == "lower" else found["true"])
        elif column.title == "finds the wrong":  # there are none
            assert np.isnan(value)
        else:
            assert value == (0 if column.better == "lower" else 1), column.title


def test_counts_of_a_perfect_and_of_a_constant_prediction() -> None:
    labels = truths()
    counts = [pixel_counts(scores(ConfusionMatrix.of(NAMES, each, each))) for each in labels]
    for row in by_conventions(counts):
        assert (row.mean_iou, row.mean_dice) == (1, 1)
    share = float(np.mean([each == 0 for each in labels]))
    nothing = [ConfusionMatrix.of(NAMES, each, np.zeros_like(each)) for each in labels]
    found = scores(sum(nothing[1:], nothing[0]))
    assert found.global_accuracy == pytest.approx(share)
    assert found.class_accuracy == 0.5
    assert found.mean_iou == pytest.approx(share / 2)
    assert found.mean_dice == pytest.approx(2 * share / (1 + share) / 2)
    assert found.frequency_weighted_iou == pytest.approx(share * share)
    assert [(c.precision, c.recall) for c in found.classes] == [(pytest.approx(share), 1), (None, 0)]


def test_means_over_pictures_of_a_constant_prediction() -> None:
    labels = truths()
    shares = np.array([np.mean(each == 0) for each in labels])
    found = last_row(image_means(NAMES), [evidence(each, np.zeros(each.shape, np.float32)) for each in labels])
    assert found == pytest.approx(
        {
            "IoU": (shares / 2).mean(),
            "Dice": (shares / (1 + shares)).mean(),
            "precision": shares.mean(),
            "recall": 0.5,
            "accuracy": shares.mean(),
            "weighted IoU": (shares**2).mean(),
        }
    )


def test_certainty_of_a_constant_prediction() -> None:
    seen = [evidence(each, np.full(each.shape, 0.25, np.float32)) for each in truths()]
    share = float(np.mean([each.labels == 0 for each in seen]))
    error = abs(share - 0.75)
    assert last_row(MEASURES["calibration"](NAMES), seen) == pytest.approx(
        {"expected error": error, "maximum": error, "confidence": 0.75, "accuracy": share}
    )
    for uncertainty in (MEASURES["uncertainty"], SAMPLED_MEASURES["uncertainty"]):
        assert last_row(uncertainty(NAMES), seen) == pytest.approx(
            {"finds the wrong": 0.5, "surest 50 %": share, "surest 90 %": share, "all pixels": share}
        )


@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_the_pictures_does_not_matter(name: str) -> None:
    measure, random = EVERY[name](NAMES), np.random.default_rng(0)
    seen = {}
    for k, labels in enumerate(truths(5)):
        guess = np.clip(0.8 * labels + random.uniform(-0.1, 0.4, labels.shape), 0, 1)
        seen[str(k)] = measure.numbers(evidence(labels, guess.astype(np.float32)))
    alone = {key: key for key in seen}
    found = measure_set(measure, list(seen.items()), alone)
    reversed_order = measure_set(measure, list(seen.items())[::-1], alone)
    np.testing.assert_allclose(reversed_order.table, found.table, rtol=1e-12, atol=1e-15)
    for k in range(len(seen)):
        np.testing.assert_array_equal(reversed_order.of_picture(len(seen) - 1 - k), found.of_picture(k))

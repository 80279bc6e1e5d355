"""Drawings: well-formed, the same every time, unmoved by odd names."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from unpool.metrics.confusion import ConfusionMatrix
from unpool.report.curves import confusion_svg, curves_svg


def history(epochs):
    return [
        {
            "epoch": float(e),
            "train_loss": 1 / e,
            "val_loss": 1.2 / e if e % 2 else None,
            "mean_iou": 0.8 - 0.1 * abs(e - 3),
            "global_accuracy": 0.9,
            "learning_rate": 0.001,
            "seconds": 2.0,
        }
        for e in range(1, epochs + 1)
    ]


def texts(svg):
    return ["".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if node.tag.endswith("}text")]


def matrix(names, counts):
    return ConfusionMatrix(tuple(names), np.array(counts, dtype=np.int64))


def test_the_best_epoch_is_marked_and_the_text_is_the_same_twice():
    svg = curves_svg(history(5))
    assert "best 0.800, epoch 3" in texts(svg)
    assert {"loss", "training", "validation", "mean IoU", "global accuracy"} <= set(texts(svg))
    assert svg == curves_svg(history(5))


@pytest.mark.parametrize(
    "rows",
    [
        history(1),
        history(400),
        [{"epoch": 1, "train_loss": 0.5, "val_loss": None, "mean_iou": None, "global_accuracy": None}],
        [{"epoch": 1, "train_loss": float("nan")}, {"epoch": 2, "train_loss": float("inf")}],
        [],
    ],
    ids=["one", "many", "no validation", "diverged", "none"],
)
def test_every_history_can_be_drawn(rows):
    assert ET.fromstring(curves_svg(rows)).tag.endswith("svg")


def test_drawings_follow_the_page_and_ask_for_nothing():
    svg = curves_svg(history(3))
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "<metadata" not in svg
    assert 'href="http' not in svg
    assert svg.count("http") == 2  # the two namespaces of SVG, which are names and not addresses


def test_confusion_rows_are_shares_of_the_true_class():
    svg = confusion_svg(matrix(("background", "cell"), [[90, 10], [1, 3]]))
    assert {"90.0", "10.0", "25.0", "75.0", "background", "cell"} <= set(texts(svg))
    place = {
        node.text.strip(): (float(node.get("y")), float(node.get("x")))
        for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    }
    assert place["90.0"][0] == place["10.0"][0] < place["25.0"][0] == place["75.0"][0]
    assert place["90.0"][1] == place["25.0"][1] < place["10.0"][1] == place["75.0"][1]


def test_absent_class_has_an_empty_row_and_names_are_taken_literally():
    svg = confusion_svg(matrix(("a$x$_<b>", "細胞", "n" * 50), [[1, 0, 0], [0, 0, 0], [0, 0, 1]]))
    seen = texts(svg)
    assert "a$x$_<b>" in seen
    assert "細胞" in seen
    assert "n" * 17 + "…" in seen
    assert seen.count("0.0") == 4
    assert "nan" not in svg


@pytest.mark.parametrize("classes", [12, 13, 60])
def test_numbers_up_to_12_classes_and_small_text_for_any(classes):
    svg = confusion_svg(matrix([f"class {k}" for k in range(classes)], np.eye(classes) * 7))
    assert ("100.0" in texts(svg)) == (classes <= 12)
    assert len(svg) < 400_000

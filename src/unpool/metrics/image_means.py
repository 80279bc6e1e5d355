"""The scores of each picture, averaged over the pictures: every picture weighs the same, whatever its size.

A picture has no score of a class that is in neither its ground truth nor its prediction; the mean of that score leaves
the picture out. The means over classes of a picture are those of ``unpool.metrics.scores``.

A test makes the numbers from scores that it has already. So this measure reads no picture, costs nothing, and is not
exchanged between processes; it has intervals and a table as every measure has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unpool.metrics.arithmetic import known_mean
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.measures import Column, Measure, Numbers
from unpool.metrics.scores import Scores, scores

_RULE = (
    "Each score of each picture, averaged over the pictures, so that every picture weighs the same. A picture has no "
    "score of a class that is in neither its ground truth nor its prediction; the mean of that score leaves it out."
)


def image_means(names: Sequence[str]) -> Measure:
    """Return the measure of means over pictures: a row for each class, and one for the means over classes.

    Parameters
    ----------
    names: K class names.
    """
    return Measure(
        key="image_means",
        name="image_means",
        title="Means over pictures",
        rule=_RULE,
        rows=(*names, "mean"),
        columns=(
            Column("iou", "IoU"),
            Column("dice", "Dice"),
            Column("precision", "precision"),
            Column("recall", "recall"),
            Column("global_accuracy", "accuracy"),
            Column("frequency_weighted_iou", "weighted IoU"),
        ),
        numbers=lambda evidence: image_numbers(scores(ConfusionMatrix.of(names, evidence.labels, evidence.prediction))),
        table=lambda numbers: known_mean(numbers).reshape(len(names) + 1, -1),
    )


def image_numbers(picture: Scores) -> Numbers:
    """Return the numbers of one picture from its scores, row by row."""
    classes = np.array([(c.iou, c.dice, c.precision, c.recall) for c in picture.classes], dtype=np.float64)
    rows = np.full((len(classes) + 1, 6), np.nan)
    rows[:-1, :4] = classes
    rows[-1] = [
        *np.array([picture.mean_iou, picture.mean_dice], dtype=np.float64),
        *known_mean(classes[:, 2:]),
        *np.array([picture.global_accuracy, picture.frequency_weighted_iou], dtype=np.float64),
    ]
    return rows.ravel()

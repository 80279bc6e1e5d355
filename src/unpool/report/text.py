"""Scores as plain text for a terminal, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from unpool.metrics import ABSENT_RULE, BoundaryEvaluation, BoundaryScore, Scores

WIDTH = 100
DASH = "–"
"""Shown for a value that could not be computed."""

_NAME_WIDTH = 40


def ratio_text(value: float | None) -> str:
    """A ratio 0..1 with three decimals, or a dash."""
    return DASH if value is None else f"{value:.3f}"


def pixels_text(value: float | None) -> str:
    """A distance in pixels with two decimals, or a dash."""
    return DASH if value is None else f"{value:.2f}"


def share_text(part: int, whole: int) -> str:
    """A share in per cent with one decimal, or a dash where there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else DASH


def headline(scores: Scores) -> list[tuple[str, str]]:
    """The four numbers of a set or a picture, each with its name."""
    return [
        ("mean IoU", ratio_text(scores.mean_iou)),
        ("mean Dice", ratio_text(scores.mean_dice)),
        ("global accuracy", ratio_text(scores.global_accuracy)),
        ("class accuracy", ratio_text(scores.class_accuracy)),
    ]


def worst_first(rows: Sequence[tuple[str, Scores]]) -> list[tuple[str, Scores]]:
    """Named scores by rising mean IoU, then by name; those without a mean IoU come last."""
    return sorted(rows, key=lambda row: (row[1].mean_iou is None, row[1].mean_iou or 0.0, row[0]))


def scores_table(scores: Scores) -> str:
    """The scores of a set: the four means, a row for each class, the rule for absent classes."""
    rows = [
        (
            c.name,
            ratio_text(c.iou),
            ratio_text(c.dice),
            ratio_text(c.precision),
            ratio_text(c.recall),
            share_text(c.truth_pixels, scores.pixels),
        )
        for c in scores.classes
    ]
    table = _aligned([("class", "IoU", "Dice", "precision", "recall", "pixels"), *rows])
    means = "   ".join(f"{name} {value}" for name, value in headline(scores))
    return "\n".join([means, "", *table, "", textwrap.fill(ABSENT_RULE, WIDTH)])


def boundaries_table(boundaries: BoundaryEvaluation) -> str:
    """The boundary scores of a set: a row for each class, one for the means, the rule."""
    found = boundaries.scores
    head = ("boundaries", "BF score", "boundary IoU", "Hausdorff 95, px", "surface distance")
    table = _aligned([head, *(_boundary_row(score) for score in (*found.classes, found.mean))])
    return "\n".join([*table, "", textwrap.fill(boundaries.rule, WIDTH)])


def worst_images_table(rows: Sequence[tuple[str, Scores]], count: int) -> str:
    """The ``count`` pictures with the lowest mean IoU, worst first.

    Parameters
    ----------
    rows: name and scores of each picture, in any order.
    """
    shown = worst_first(rows)[:count]
    return "\n".join(
        _aligned(
            [
                ("picture", "mean IoU", "mean Dice", "accuracy"),
                *(
                    (name, ratio_text(s.mean_iou), ratio_text(s.mean_dice), ratio_text(s.global_accuracy))
                    for name, s in shown
                ),
            ]
        )
    )


def _boundary_row(score: BoundaryScore) -> tuple[str, ...]:
    return (
        score.name,
        ratio_text(score.bf),
        ratio_text(score.boundary_iou),
        pixels_text(score.hausdorff_95),
        ratio_text(score.normalised_surface_distance),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column to the left and all others to the right, two spaces apart."""
    cells = [[_one_line(row[0]), *row[1:]] for row in rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    ]


def _one_line(name: str) -> str:
    """A name without control characters, which a terminal would obey, its middle cut where it is long."""
    clean = "".join(c if c.isprintable() else "?" for c in name)
    if len(clean) <= _NAME_WIDTH:
        return clean
    half = (_NAME_WIDTH - 1) // 2
    return f"{clean[: _NAME_WIDTH - 1 - half]}…{clean[-half:]}"

"""Tables for the terminal, letter by letter."""

import csv
import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from unpool.commands.test.page import images_csv
from unpool.metrics.boundaries import boundaries
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.intervals import Interval, Intervals
from unpool.metrics.measures import Column, Evidence, measure_set
from unpool.metrics.scores import scores
from unpool.report.text import intervals_rule, measure_table, rules_text, scores_table, worst_images_table


def matrix(names, counts):
    return ConfusionMatrix(tuple(names), np.array(counts, dtype=np.int64))


def test_scores_table_by_hand():
    # background: hit 6, truth 8, predicted 7: IoU 6/9; cell: hit 1, truth 2, predicted 3: IoU 1/4; no sky.
    # Weighted by truth: (8 * 6/9 + 2 * 1/4) / 10.
    table = scores_table(scores(matrix(("background", "cell", "sky"), [[6, 2, 0], [1, 1, 0], [0, 0, 0]])))
    assert table == (
        "mean IoU 0.458   mean Dice 0.600   global accuracy 0.700   class accuracy 0.625\n"
        "frequency-weighted IoU 0.583\n"
        "\n"
        "class         IoU   Dice  precision  recall  pixels\n"
        "background  0.667  0.800      0.857   0.750  80.0 %\n"
        "cell        0.250  0.400      0.333   0.500  20.0 %\n"
        "sky             –      –          –       –   0.0 %"
    )


HALF = Interval(0.25, 0.5)
FOUND = Intervals("picture", 12, 12, 3, HALF, HALF, HALF, None, HALF, (HALF, None), (None, None))


def test_intervals_stand_behind_their_scores():
    table = scores_table(scores(matrix(("background", "cell"), [[6, 2], [1, 1]])), FOUND)
    assert table == (
        "mean IoU 0.458 [0.250, 0.500]   mean Dice 0.600 [0.250, 0.500]\n"
        "global accuracy 0.700 [0.250, 0.500]   class accuracy 0.625\n"
        "frequency-weighted IoU 0.583 [0.250, 0.500]\n"
        "\n"
        "class         IoU            95 %   Dice  precision  recall  pixels\n"
        "background  0.667  [0.250, 0.500]  0.800      0.857   0.750  80.0 %\n"
        "cell        0.250                  0.400      0.333   0.500  20.0 %"
    )
    long = scores_table(scores(matrix(("n" * 300, "b"), [[1, 0], [0, 1]])), FOUND)
    assert max(map(len, long.splitlines())) <= 100


def test_the_rule_of_intervals_says_what_was_drawn():
    assert intervals_rule(FOUND) == (
        "In brackets: the score's 95 % interval, from 2,000 resamples of the 12 pictures with seed 3."
    )
    grouped = replace(FOUND, unit="group", units=6, groups=6)
    assert "of the 6 groups with" in intervals_rule(grouped)
    assert "of the 12 pictures (from 3 groups, too few to resample) with" in intervals_rule(replace(FOUND, groups=3))
    assert intervals_rule(None) == "No intervals: one picture does not show how much pictures differ."


def test_nothing_counted_is_dashes():
    table = scores_table(scores(matrix(("a", "b"), [[0, 0], [0, 0]])))
    assert table.startswith(
        "mean IoU –   mean Dice –   global accuracy –   class accuracy –   frequency-weighted IoU –\n"
    )
    assert "\na        –     –          –       –       –\n" in table


def test_long_names_are_cut_in_the_middle_and_lines_stay_short():
    names = ("n" * 300, "m" * 50 + "end")
    lines = scores_table(scores(matrix(names, [[1, 0], [0, 1]]))).splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("m" * 20 + "…" + "m" * 16 + "end ") for line in lines)


def test_worst_images_come_first_and_unscored_ones_last():
    def row(name, hit, miss):
        return name, scores(matrix(("a", "b"), [[hit, miss], [0, 0]]))

    rows = [row("good.png", 4, 0), row("none.png", 0, 0), row("bad.png", 1, 3), row("bad.jpg", 1, 3)]
    # bad: a has IoU 1/4 and b, predicted where it is not, 0: mean 1/8; Dice 2/5 and 0.
    assert worst_images_table(rows, 4) == (
        "picture   mean IoU  mean Dice  accuracy\n"
        "bad.jpg      0.125      0.200     0.250\n"
        "bad.png      0.125      0.200     0.250\n"
        "good.png     1.000      1.000     1.000\n"
        "none.png         –          –         –"
    )
    assert worst_images_table(rows, 1).count("\n") == 1
    assert worst_images_table([], 3) == "picture  mean IoU  mean Dice  accuracy"


def test_a_file_name_cannot_command_the_terminal():
    one = scores(matrix(("a", "b"), [[1, 0], [0, 1]]))
    table = worst_images_table([("\x1b[2J\nred\udc80.png", one)], 1)
    assert r"\x1b[2J\nred\udc80.png" in table
    assert "\x1b" not in table


def test_a_measures_table_by_hand():
    labels = np.zeros((30, 40), dtype=np.uint8)
    labels[:, 20:] = 1
    prediction = labels.copy()
    prediction[:, 20:23] = 0  # 3 columns away, beyond the tolerance of 0.375; the band is 1 pixel wide
    names = ("left", "r" * 50, "sky")
    measure = boundaries(names)
    seen = Evidence(labels, None, prediction, np.ones(labels.shape, dtype=np.float32), None)
    found = measure_set(measure, [("one", measure.numbers(seen))], {"one": "one"})
    lines = measure_table(found).splitlines()
    # left: the bands are 2 x 20 + 28 x 2 and 2 x 23 + 28 x 2 pixels, and share all but the inner columns: 2 x 20 + 28.
    assert lines[1].split() == ["left", "0.000", f"{68 / (96 + 102 - 68):.3f}", "3.00", "0.000"]
    assert lines[3].split() == ["sky", "–", "–", "–", "–"]
    assert lines[4].startswith("mean ")
    assert max(map(len, lines)) <= 100


def many_scores(rows, columns):
    """A set of two pictures of whose scores one is 0.25 in both, the next 1.25, and so on."""
    measure = replace(
        boundaries(("a", "b")),
        title="Cells",
        rows=tuple(f"row {k}" for k in range(rows)),
        columns=tuple(Column(f"c{k}", f"score {k}") for k in range(columns)),
        table=lambda numbers: numbers.mean(0).reshape(rows, columns),
    )
    numbers = np.arange(rows * columns) + 0.25
    return measure_set(measure, [("one", numbers), ("two", numbers)], {"one": "one", "two": "two"})


def test_a_table_of_many_scores_has_a_line_for_each():
    assert measure_table(many_scores(1, 2)) == (
        "cells    row 0            95 %\nscore 0  0.250  [0.250, 0.250]\nscore 1  1.250  [1.250, 1.250]"
    )
    lines = measure_table(many_scores(2, 5)).splitlines()
    assert lines[5] == "score 4  4.250  [4.250, 4.250]  9.250  [9.250, 9.250]"
    assert measure_table(many_scores(2, 4)).splitlines()[-1].startswith("95 %   [4.250, 4.250]")


def test_a_table_that_is_too_wide_goes_on_below():
    lines = measure_table(many_scores(4, 12)).splitlines()
    assert max(map(len, lines)) <= 100
    parts = [k for k, line in enumerate(lines) if line.startswith("cells")]
    assert len(parts) == 3
    for word, first in (("cells", "score"), ("row 3", "36.250"), ("95 %", "[36.250,")):
        assert sum(line.startswith(word) for line in lines) == 3
        assert next(line for line in lines if line.startswith(word)).split()[len(word.split())] == first
    values = [value for k in parts for value in lines[k + 4].split()[2:]]
    assert values == [f"{k + 36.25:.3f}" for k in range(12)]


def test_rules_are_indented_paragraphs():
    assert rules_text(["One.", "Two " * 30]).splitlines()[:2] == ["rules", "  One."]
    assert rules_text(["One.", "Two " * 30]).splitlines()[3].startswith("    Two")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_of_the_table_never_begins_a_formula(start):
    name = f"{start}cmd|' /C calc'!A0.png"
    one = scores(matrix(("=a", "b"), [[1, 0], [0, 1]]))
    evaluation = SimpleNamespace(images=((name, one),), matrix=SimpleNamespace(names=("=a", "b")))
    rows = list(csv.reader(io.StringIO(images_csv(evaluation), newline="")))
    assert rows[1][0] == f"'{name}" if start in "=+-@" else rows[1][0].startswith("\\")
    assert float(rows[1][1]) == 1.0
    assert all(cell[:1] not in tuple("=+-@\t\r\n") for row in rows for cell in row if cell)

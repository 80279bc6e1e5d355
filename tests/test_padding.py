"""Tests of the explained padding: every printed size against PyTorch's convolution and a count by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from conftest import Program
from unpool.errors import UsageError
from unpool.geometry import Window
from unpool.report.padding import PaddedWindow, padded_windows, padding_svg, padding_text

numbers = st.integers(1, 6)


def convolved(case: PaddedWindow) -> int:
    """Return the output size of PyTorch's convolution of the padded input; 0 where PyTorch refuses it."""
    w = case.window
    padded = torch.zeros(1, 1, w.before + case.size + w.after)
    if padded.shape[2] < w.span:
        return 0
    return F.conv1d(padded, torch.ones(1, 1, w.kernel), stride=w.stride, dilation=w.dilation).shape[2]


@given(st.integers(1, 30), numbers, numbers, numbers, st.integers(0, 5))
def test_each_size_is_that_of_pytorch(size: int, kernel: int, stride: int, dilation: int, padding: int) -> None:
    cases = padded_windows(size, Window(kernel, stride, dilation=dilation), padding)
    assert [case.output for case in cases] == [convolved(case) for case in cases]
    for case in cases:
        numbers_of_sum = [int(number) for number in re.findall(r"\d+", case.sum.split("=")[0])]
        i, b, a, span, s, one = numbers_of_sum
        assert max((i + b + a - span) // s + one, 0) == case.output
        steps = case.sum.split(":")[0].translate({0x2212: "-", 0x230A: "(", 0x230B: ")"}).replace("/", "//").split("=")
        assert {eval(step) for step in steps} == {(i + b + a - span) // s + one}
        assert len(steps) == 4
    names = [case.name for case in cases]
    if stride == 1:
        assert cases[names.index("same")].output == size
    else:
        assert cases[names.index("SAME of TensorFlow")].output == -(-size // stride)


@given(st.integers(1, 30), numbers, numbers, numbers, st.integers(1, 40))
def test_the_fewest_zeros_that_give_a_size(size: int, kernel: int, stride: int, dilation: int, wanted: int) -> None:
    window = Window(kernel, stride, dilation=dilation)
    by_trying = {total: (size + total - window.span) // stride + 1 for total in range(400)}
    fewest = next((total for total, output in by_trying.items() if output == wanted), None)
    try:
        case = padded_windows(size, window, wanted=wanted)[-1]
    except UsageError:
        assert fewest is None
        return
    assert case.window.before + case.window.after == fewest
    assert convolved(case) == wanted


def test_the_drawing_has_the_taps_where_the_kernel_reads() -> None:
    text = padding_text(padded_windows(5, Window(2, 2, dilation=3)))
    drawn = text.split("same, ")[1].splitlines()
    assert drawn[1].split() == ["0", "1", "2", "3", "4", "5", "0", "0"]
    taps = [drawn[1].index(number) + 1 for number in (" 0", " 3")]
    assert [k for k, letter in enumerate(drawn[2]) if letter == "●"] == taps
    assert "output 1" in drawn[2]
    third = [k + 4 * 3 for k in taps]  # two outputs further: four pixels of three letters each
    assert [k for k, letter in enumerate(drawn[3]) if letter == "●"] == third


def test_the_command_prints_draws_and_keeps_files_of_a_person(program: Program, tmp_path: Path) -> None:
    figure = tmp_path / "padding.svg"
    done = program("explain", "padding", "--size", 572, "--kernel", 3, "--output", 572)
    assert done.code == 0
    assert "⌊(572 + 1 + 1 − 3) / 1⌋ + 1 = ⌊571 / 1⌋ + 1 = 571 + 1 = 572" in done.out
    assert "b + a = (o − 1)s + span − i = (572 − 1) · 1 + 3 − 572 = 2." in done.out
    assert program("explain", "padding", "--figure", figure).code == 0
    assert figure.read_text() == padding_svg(padded_windows(7, Window(3)))
    assert program("explain", "padding", "--kernel", 5, "--figure", figure).code == 0  # its own drawing is replaced
    figure.write_text("mine")
    refused = program("explain", "padding", "--figure", figure)
    assert refused.code == 2
    assert figure.read_text() == "mine"


@pytest.mark.parametrize("words", [("--kernel", 0), ("--size", 10**9), ("--padding", -1), ("--size", 9, "--output", 1)])
def test_numbers_that_make_no_convolution_are_refused(program: Program, words: tuple[object, ...]) -> None:
    refused = program("explain", "padding", *words)
    assert refused.code == 2
    assert "expected:" in refused.err


def test_the_drawing_leaves_pixels_white_that_no_kernel_reads() -> None:
    drawing = padding_svg(padded_windows(6, Window(3, 2), padding=1))
    read = drawing.count('fill="#a9cbea"') - 1  # one more is in the legend
    same, own = ["1", "2", "3", "4", "5", "6"], ["1", "2", "3", "4", "5", "6"]
    valid, full, tensorflow = same[:5], same, same
    assert read == sum(map(len, (valid, same, full, tensorflow, own)))
    unread = drawing.count('fill="#ffffff" stroke="#1f2430"') - 1
    assert unread == 4  # the sixth pixel of valid, and the last zero of same, full and padding=1


def test_a_kernel_that_is_too_wide_to_draw_is_printed(program: Program, tmp_path: Path) -> None:
    printed = program("explain", "padding", "--kernel", 90_000)
    assert printed.code == 0
    assert len(printed.out) < 4000
    assert "the kernel does not fit" in printed.out
    refused = program("explain", "padding", "--kernel", 40, "--figure", tmp_path / "padding.svg")
    assert refused.code == 2
    assert "take a smaller --size" in refused.err


@pytest.mark.parametrize(
    ("size", "wanted", "lines"),
    [
        (7, 4, ["(4 − 1) · 2 + 3 − 7 = 2.", "More give the same, up to 3 in all."]),
        (7, 3, ["(3 − 1) · 2 + 3 − 7 = 0.", "More give the same, up to 1 in all."]),
        (6, 2, ["(2 − 1) · 2 + 3 − 6 = −1: below 0, so no zeros are needed."]),
    ],
)
def test_the_formula_is_solved_for_the_zeros(size: int, wanted: int, lines: list[str]) -> None:
    text = " ".join(padding_text(padded_windows(size, Window(3, 2), wanted=wanted)).split())
    assert all(line in text for line in lines)
    assert text.count("More give") == len(lines) - 1

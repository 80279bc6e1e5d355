"""Padding explained along one axis: the formula with numbers, the output of each padding, and a drawing of it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from unpool.errors import UsageError
from unpool.geometry import Border, Window, padding_border, padding_for, same_padding
from unpool.report.drawing import PALE, PAPER, Box, Canvas, TextStyle
from unpool.wording import PAGE_WIDTH, count_text

MOST_DRAWN = 40
"""Most pixels, with the zeros, that are drawn one by one."""

_ZERO, _PIXEL, _OUTPUT, _FIRST, _LAST = "#e4e6ea", "#a9cbea", "#f3c08f", "#2e8b57", "#c8323f"
_SIDE, _GAP, _BETWEEN = 26.0, 54.0, 40.0
_TITLE = TextStyle(size=14, anchor="start", bold=True)
_NAME = TextStyle(size=12, anchor="start", bold=True)
_SUM = TextStyle(size=12, anchor="start")
_LABEL = TextStyle(size=11, anchor="end")
_LEGEND = TextStyle(size=11, anchor="start")
_NUMBER = TextStyle(size=11, edged=False)
_UNREAD = TextStyle(size=11, colour=PALE, edged=False)


@dataclass(frozen=True)
class PaddedWindow:
    """A convolution along one axis with one padding.

    Attributes
    ----------
    name: ``valid``, ``same``, ``full``, ``SAME of TensorFlow``, ``padding=2``, or ``for 4 pixels``.
    size: input pixels.
    wanted: output pixels for which the zeros were looked up; None for a padding that has a name.
    """

    name: str
    size: int
    window: Window
    wanted: int | None = None

    @property
    def output(self) -> int:
        """Output pixels; 0 where the kernel does not fit."""
        return max(self.window.size(self.size), 0)

    @property
    def padded(self) -> int:
        """Input pixels with the zeros."""
        return self.window.before + self.size + self.window.after

    @property
    def sum(self) -> str:
        """The output size in every step: ``⌊(7 + 1 + 1 − 3) / 2⌋ + 1 = ⌊6 / 2⌋ + 1 = 3 + 1 = 4``."""
        w = self.window
        free = self.padded - w.span
        steps = (
            f"⌊({self.size} + {w.before} + {w.after} − {w.span}) / {w.stride}⌋ + 1",
            f"⌊{_signed(free)} / {w.stride}⌋ + 1",
            f"{_signed(free // w.stride)} + 1",
            _signed(free // w.stride + 1),
        )
        return " = ".join(steps) + ("" if self.output else ": the kernel does not fit")

    def taps(self, number: int) -> list[int]:
        """Return the pixels that an output pixel reads, both counted from 0, with the zeros."""
        return [number * self.window.stride + self.window.dilation * tap for tap in range(self.window.kernel)]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON data."""
        w = self.window
        return {
            "padding": self.name,
            "size": self.size,
            "kernel": w.kernel,
            "stride": w.stride,
            "dilation": w.dilation,
            "span": w.span,
            "before": w.before,
            "after": w.after,
            "output": self.output,
            "unread": max(w.leftover(self.size), 0) if self.output else self.size,
        }


def padded_windows(
    size: int, window: Window, padding: int | None = None, wanted: int | None = None
) -> tuple[PaddedWindow, ...]:
    """Return a convolution with each padding that has a name, and with those that a person asks for.

    Parameters
    ----------
    size: input pixels, 1 or more.
    window: its kernel, stride and dilation.
    padding: zeros on each side; None for no such row.
    wanted: output pixels for which the fewest zeros are looked up; None for no such row.

    Raises
    ------
    UsageError: no number of zeros gives ``wanted`` pixels, because there are more without any.
    """
    kernel, stride, dilation = window.kernel, window.stride, window.dilation
    borders: dict[str, Border] = {name: padding_border(name, kernel, dilation) for name in ("valid", "same", "full")}
    if stride > 1:
        borders["SAME of TensorFlow"] = same_padding(size, kernel, stride, dilation)
    if padding is not None:
        borders[f"padding={padding}"] = Border(padding, padding)
    if wanted is not None:
        found = padding_for(size, wanted, kernel, stride, dilation)
        if found is None:
            most = PaddedWindow("valid", size, window).output
            raise UsageError(
                f"{count_text(wanted, 'output pixel')} from {count_text(size, 'pixel')} with kernel {kernel}",
                f"{most} or more: without any zeros there are {most}",
                "take a larger kernel or stride, or crop the output",
            )
        borders[f"for {count_text(wanted, 'pixel')}"] = found
    cases = [
        PaddedWindow(name, size, Window(kernel, stride, border.before, border.after, dilation))
        for name, border in borders.items()
    ]
    return (*cases[:-1], replace(cases[-1], wanted=wanted))


def padding_text(cases: Sequence[PaddedWindow]) -> str:
    """Return the page of a terminal: the letters, the formula, each padding with its sum, and small inputs drawn."""
    size, w = cases[0].size, cases[0].window
    lines = [
        "Padding along one axis; rows and columns are counted alike.",
        "",
        f"  i = {size:<4} input pixels",
        f"  k = {w.kernel:<4} kernel: pixels that it multiplies",
        f"  s = {w.stride:<4} stride: pixels from one output's kernel to the next",
        f"  d = {w.dilation:<4} dilation: pixels from one tap of the kernel to the next",
        "  b, a     zeros before the first and after the last input pixel",
        f"  span     d(k − 1) + 1 = {w.dilation}({w.kernel} − 1) + 1 = {w.span}: pixels from the first tap to the last",
        "  o        output pixels:  o = ⌊(i + b + a − span) / s⌋ + 1",
        "           ⌊ ⌋ rounds down: a kernel that would reach beyond the zeros gives no output",
        "",
    ]
    width = max(len(name) for name in ("padding", *(case.name for case in cases)))
    lines += [f"  {'padding':{width}}  {'b':>3} {'a':>3}   o"]
    lines += [f"  {case.name:{width}}  {case.window.before:>3} {case.window.after:>3}   {case.sum}" for case in cases]
    lines.append("")
    for remark in [*_remarks(cases), *_inverse(cases[-1])]:
        lines += textwrap.wrap(
            remark, PAGE_WIDTH, initial_indent="  ", subsequent_indent=" " * 9, break_on_hyphens=False
        )
    for case in cases:
        if 3 * case.padded + 4 <= PAGE_WIDTH:
            lines += ["", *_drawn_lines(case)]
    return "\n".join(lines)


def _remarks(cases: Sequence[PaddedWindow]) -> list[str]:
    """Return sentences on sides that differ, on what the names mean, and on pixels that no kernel reads."""
    w = cases[0].window
    lines = [
        "valid  adds none: every output is made of real pixels.",
        "same   adds span − 1 in all: o = i at stride 1.",
        "full   adds span − 1 on each side: every place where kernel and picture touch.",
    ]
    if w.stride > 1:
        lines.append("SAME   of TensorFlow adds what gives o = ⌈i / s⌉; PyTorch refuses 'same' with a stride above 1.")
    if any(case.window.before != case.window.after for case in cases):
        lines.append(
            "Of an odd number of zeros the larger half goes after, as in TensorFlow. PyTorch's padding=p adds p on "
            "both sides: pad first, with nn.ZeroPad2d((b, a, b, a))."
        )
    unread: dict[int, list[str]] = {}
    for case in cases:
        if case.output and (left := case.window.leftover(case.size)) > 0:
            unread.setdefault(left, []).append(case.name)
    for left, names in unread.items():
        pixels = "pixel" if left == 1 else f"{left} pixels"
        lines.append(f"{', '.join(names)}: no kernel reads the last {pixels}, zeros included.")
    return lines


def _inverse(case: PaddedWindow) -> list[str]:
    """Return the sentences that solve the formula for the zeros, where a number of output pixels is wanted."""
    if case.wanted is None:
        return []
    w = case.window
    exact = (case.wanted - 1) * w.stride + w.span - case.size
    lines = [
        f"Zeros for {count_text(case.wanted, 'output pixel')}: b + a = (o − 1)s + span − i = "
        f"({case.wanted} − 1) · {w.stride} + {w.span} − {case.size} = {_signed(exact)}"
        + (": below 0, so no zeros are needed." if exact < 0 else ".")
    ]
    most = exact + w.stride - 1
    if most > max(exact, 0):
        lines.append(f"More give the same, up to {most} in all.")
    return lines


def _signed(number: int) -> str:
    return f"−{-number}" if number < 0 else str(number)


def _drawn_lines(case: PaddedWindow) -> list[str]:
    """Return the padded pixels of an input, numbered from 1, with the taps of the first and the last kernel."""
    w, outputs = case.window, case.output
    pixels = [" 0"] * w.before + [f"{k:2}" for k in range(1, case.size + 1)] + [" 0"] * w.after
    label = f"  {case.name}, {count_text(outputs, 'output')}"
    lines = [label, "    " + " ".join(pixels)]
    for number in dict.fromkeys((1, outputs)) if outputs else ():
        taps = case.taps(number - 1)
        first = taps[0]
        row = ""
        for k in range(first + w.span):
            line = "─" if k > first else " "
            row += (line if k else "") + line + ("●" if k in taps else line)
        lines.append(f"    {row}   output {number}")
    return lines


def padding_svg(cases: Sequence[PaddedWindow]) -> str:
    """Return the drawing of paddings as an ``<svg>`` document: zeros, input, the first and the last kernel, output.

    Raises
    ------
    UsageError: an input with its zeros has more than ``MOST_DRAWN`` pixels.
    """
    size, w = cases[0].size, cases[0].window
    longest = max(cases, key=lambda case: case.padded)
    if longest.padded > MOST_DRAWN:
        raise UsageError(
            f"a drawing of {longest.padded} pixels: {size} with the zeros of '{longest.name}'",
            f"at most {MOST_DRAWN}",
            "take a smaller --size, --kernel or --dilation, or leave out --figure",
        )
    canvas = Canvas()
    left = 52 + _SIDE * max(case.window.before for case in cases)
    sums = 22 + 0.58 * _NAME.size * max(len(case.name) for case in cases)
    y = 0.0
    for case in cases:
        canvas.text(0, y, case.name, _NAME)
        canvas.text(sums, y, f"o = {case.sum}", _SUM)
        _draw_case(canvas, case, left, y + 12)
        y = canvas.bottom + _BETWEEN
    _draw_legend(canvas, y - 12)
    words = f"input {size}, kernel {w.kernel}, stride {w.stride}, dilation {w.dilation}"
    canvas.text(0, canvas.top - 22, f"Padding: {words}", _TITLE)
    return canvas.document(f"Padding: {words}", note="Drawn by unpool explain.")


def _draw_case(canvas: Canvas, case: PaddedWindow, left: float, top: float) -> None:
    """Draw the padded input and the output below it, with what the first and the last output read."""
    w = case.window
    low = top + _SIDE + _GAP
    start = left - w.before * _SIDE
    canvas.text(44, top + 17, "input", _LABEL)
    canvas.text(44, low + 17, "output", _LABEL)
    read = {pixel for number in range(case.output) for pixel in case.taps(number)}
    for k in range(case.padded):
        inside = w.before <= k < w.before + case.size
        box = Box(start + k * _SIDE, top, _SIDE, _SIDE)
        canvas.box(box, PAPER if k not in read else _PIXEL if inside else _ZERO)
        number = str(k - w.before + 1) if inside else "0"
        canvas.text(box.middle, top + 17, number, _NUMBER if k in read else _UNREAD)
    centres = [start + (k * w.stride + w.span / 2) * _SIDE for k in range(case.output)]
    for k, centre in enumerate(centres):
        canvas.box(Box(centre - _SIDE / 2, low, _SIDE, _SIDE), _OUTPUT)
        canvas.text(centre, low + 17, str(k + 1), _NUMBER)
    for k, colour in ((case.output - 1, _LAST), (0, _FIRST)) if case.output else ():
        for pixel in case.taps(k):
            x = start + (pixel + 0.5) * _SIDE
            canvas.arrow(f"M{x:.1f} {top + _SIDE + 2:.1f}L{centres[k]:.1f} {low - 3:.1f}", colour, width=1.4)
    canvas.reach(start + case.padded * _SIDE, low + _SIDE)


def _draw_legend(canvas: Canvas, top: float) -> None:
    """Draw what the colours mean, in two rows."""
    boxes = ((_PIXEL, "input pixel"), (_ZERO, "zero, added"), (PAPER, "not read"), (_OUTPUT, "output pixel"))
    for k, (colour, words) in enumerate(boxes):
        canvas.box(Box(k * 108, top, 13, 13), colour)
        canvas.text(k * 108 + 19, top + 11, words, _LEGEND)
    for k, (colour, words) in enumerate(
        ((_FIRST, "what the first output reads"), (_LAST, "what the last output reads"))
    ):
        canvas.arrow(f"M{k * 216:.1f} {top + 30:.1f}h26", colour, width=1.4)
        canvas.text(k * 216 + 32, top + 34, words, _LEGEND)

"""Padding explained along one axis: the formula with numbers, the output of each padding, and a drawing of it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unpool.errors import UsageError
from unpool.geometry import Border, Window, padding_border, padding_for, same_padding
from unpool.report.drawing import INK, PALE, Box, Canvas, TextStyle
from unpool.wording import PAGE_WIDTH, count_text

MOST_DRAWN = 24
"""Most pixels of an input that is drawn pixel by pixel."""

_ZERO, _PIXEL, _OUTPUT, _FIRST, _LAST = "#eceef1", "#5b93c9", "#e08a3c", "#58a65c", "#cf4a55"
_SIDE, _GAP, _HEAD = 26.0, 58.0, 20.0
_TITLE = TextStyle(size=14, anchor="start", bold=True)
_LABEL = TextStyle(size=11, anchor="end")


@dataclass(frozen=True)
class PaddedWindow:
    """A convolution along one axis with one padding.

    Attributes
    ----------
    name: ``valid``, ``same``, ``full``, ``SAME of TensorFlow``, ``padding=2``, or ``for 4 pixels``.
    size: input pixels.
    """

    name: str
    size: int
    window: Window

    @property
    def output(self) -> int:
        """Output pixels; 0 where the kernel does not fit."""
        return max(self.window.size(self.size), 0)

    @property
    def sum(self) -> str:
        """The output size with every number of the formula: ``⌊(7 + 1 + 1 − 3) / 2⌋ + 1 = 4``."""
        w = self.window
        free = f"{self.size} + {w.before} + {w.after} − {w.span}"
        value = self.window.size(self.size)
        return f"⌊({free}) / {w.stride}⌋ + 1 = {value}" + ("" if value > 0 else ": the kernel does not fit")

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
    return tuple(
        PaddedWindow(name, size, Window(kernel, stride, border.before, border.after, dilation))
        for name, border in borders.items()
    )


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
    for remark in _remarks(cases):
        lines += textwrap.wrap(
            remark, PAGE_WIDTH, initial_indent="  ", subsequent_indent=" " * 9, break_on_hyphens=False
        )
    if size <= MOST_DRAWN:
        for case in cases:
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
            "An even span needs one zero more on one side; it goes after. PyTorch's padding=p adds p on both sides: "
            "pad first, with nn.ZeroPad2d."
        )
    unread = [(case.name, left) for case in cases if case.output and (left := case.window.leftover(case.size)) > 0]
    for name, left in unread:
        pixels = "pixel" if left == 1 else f"{left} pixels"
        lines.append(f"{name}: no kernel reads the last {pixels} of the padded input.")
    return lines


def _drawn_lines(case: PaddedWindow) -> list[str]:
    """Return the padded pixels of an input, numbered from 1, with the taps of the first and the last kernel."""
    w, outputs = case.window, case.output
    pixels = [" 0"] * w.before + [f"{k:2}" for k in range(1, case.size + 1)] + [" 0"] * w.after
    label = f"  {case.name}, {count_text(outputs, 'output')}"
    lines = [label, "    " + " ".join(pixels)]
    for number in dict.fromkeys((1, outputs)) if outputs else ():
        first = (number - 1) * w.stride
        taps = {first + w.dilation * tap for tap in range(w.kernel)}
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
    UsageError: the input has more than ``MOST_DRAWN`` pixels.
    """
    size, w = cases[0].size, cases[0].window
    if size > MOST_DRAWN:
        raise UsageError(f"a drawing of {size} pixels", f"at most {MOST_DRAWN}", "take a smaller --size")
    canvas = Canvas()
    left = 132 + _SIDE * max(case.window.before for case in cases)
    y = 0.0
    for case in cases:
        _draw_case(canvas, case, left, y)
        y += 2 * _SIDE + _GAP + _HEAD
    words = f"input {size}, kernel {w.kernel}, stride {w.stride}, dilation {w.dilation}"
    canvas.text(0, canvas.top - 22, f"Padding: {words}", _TITLE)
    return canvas.document(f"Padding: {words}", note="Drawn by unpool explain.")


def _draw_case(canvas: Canvas, case: PaddedWindow, left: float, top: float) -> None:
    """Draw the padded input above the output; the kernels of the first and the last output in their colours."""
    w, low = case.window, top + _SIDE + _GAP
    start = left - w.before * _SIDE
    canvas.text(112, top + 17, f"{case.name}: input", _LABEL)
    for k in range(w.before + case.size + w.after):
        inside = w.before <= k < w.before + case.size
        box = Box(start + k * _SIDE, top, _SIDE, _SIDE)
        canvas.box(box, _PIXEL if inside else _ZERO, dashed=not inside)
        canvas.text(box.middle, top + 17, str(k - w.before + 1) if inside else "0", TextStyle(11, colour=INK))
    canvas.text(112, low + 17, "output", _LABEL)
    centres = [start + (k * w.stride + w.span / 2) * _SIDE for k in range(case.output)]
    side = min(_SIDE, _SIDE * w.stride)
    for k, centre in enumerate(centres):
        canvas.box(Box(centre - side / 2, low, side, _SIDE), _OUTPUT)
        canvas.text(centre, low + 17, str(k + 1), TextStyle(11))
    for k, colour in dict(zip((0, case.output - 1), (_FIRST, _LAST), strict=True)).items() if case.output else ():
        first = k * w.stride
        for tap in range(w.kernel):
            x = start + (first + w.dilation * tap + 0.5) * _SIDE
            canvas.arrow(f"M{x:.1f} {top + _SIDE + 2:.1f}L{centres[k]:.1f} {low - 3:.1f}", colour, width=1.4)
    canvas.text(left, low + _SIDE + 15, f"o = {case.sum}", TextStyle(11, anchor="start", colour=PALE))

"""The command ``explain padding``: the output size of a convolution for each padding, with the sum and a drawing."""

from __future__ import annotations

from pathlib import Path

from unpool.commands.explain import ExplainResult, write_own
from unpool.errors import UsageError
from unpool.geometry import Window
from unpool.report.padding import padded_windows, padding_svg, padding_text

LARGEST = 100_000
"""The largest size, kernel, stride, dilation or padding that is explained."""


def explain_padding(
    size: int, window: Window, *, padding: int | None = None, wanted: int | None = None, figure: Path | None = None
) -> ExplainResult:
    """Explain the padding of a convolution along one axis.

    Parameters
    ----------
    size: input pixels.
    window: its kernel, stride and dilation.
    padding: zeros on each side, beside those of ``valid``, ``same`` and ``full``.
    wanted: output pixels for which the fewest zeros are looked up.
    figure: SVG file for the drawing.

    Raises
    ------
    UsageError: a number outside 1 to ``LARGEST``, a number of output pixels that no zeros give, or an existing file
        that is a person's own.
    """
    given = {"--size": size, "--kernel": window.kernel, "--stride": window.stride, "--dilation": window.dilation}
    for option, value in {**given, "--output": 1 if wanted is None else wanted}.items():
        _require(option, value, 1)
    _require("--padding", padding or 0, 0)
    cases = padded_windows(size, window, padding, wanted)
    if figure is not None:
        write_own({figure: padding_svg(cases)})
    return ExplainResult(padding_text(cases), [case.to_json() for case in cases])


def _require(option: str, value: int, least: int) -> None:
    if not least <= value <= LARGEST:
        raise UsageError(f"{option} {value}", f"a number from {least} to {LARGEST:,}", "give another number")

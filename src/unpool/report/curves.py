"""Drawings as SVG text: the course of a training, the confusion of classes, the curves of a measure.

Lines and letters have the colour ``currentColor``, so a drawing in a page follows the page's light or dark theme. The
same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.measures import Diagram
from unpool.report.plot_style import BLUE, CURRENT_COLOUR, ORANGE, plotting, svg_element

_COLOURS = (BLUE, ORANGE, "#3f9b63", "#8a63b5", "#777777")
_RAMP = LinearSegmentedColormap.from_list("share", ["#ffffff", "#9fc2e3", "#2c6cb0", "#123a6b"])
_MOST_NUMBERS = 12  # classes up to which a confusion matrix shows its numbers
_MOST_NAMES = 40  # classes up to which it shows their names, and its cells are shapes and not a raster


def curves_svg(history: Sequence[Mapping[str, float | None]]) -> str:
    """Draw losses and scores against the epoch, with the epoch of the best mean IoU marked.

    Parameters
    ----------
    history: one row for each epoch, with the keys ``epoch``, ``train_loss``, ``val_loss``, ``mean_iou`` and
        ``global_accuracy``. A value that is None or absent leaves a gap.

    Returns
    -------
    An ``<svg>`` element.
    """
    with plotting():
        figure = Figure(figsize=(9.6, 3.0), layout="constrained")
        losses, ratios = figure.subplots(1, 2)
        _draw_series(losses, history, (("train_loss", "training", BLUE), ("val_loss", "validation", ORANGE)))
        _draw_series(
            ratios,
            history,
            (("mean_iou", "mean IoU", BLUE), ("global_accuracy", "global accuracy", ORANGE)),
        )
        losses.set_title("loss", loc="left", fontsize=10)
        losses.set_yscale("log")  # the first epochs' losses may be ten times the last ones'
        losses.yaxis.set_major_formatter(
            StrMethodFormatter("{x:g}")
        )  # the default one writes mathematics, which is off
        losses.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}") if _span(losses) < 10 else NullFormatter())
        ratios.set_title("validation score", loc="left", fontsize=10)
        ratios.set_ylim(0, 1.02)
        _mark_best(losses, ratios, history)
        return svg_element(figure)


def confusion_svg(matrix: ConfusionMatrix) -> str:
    """Draw a confusion matrix, each row as shares of the pixels of its true class.

    A class without true pixels has an empty row. Up to 12 classes, the cells show their shares in per cent.

    Returns
    -------
    An ``<svg>`` element.
    """
    classes = len(matrix.names)
    side = min(1.6 + 0.5 * classes, 7.6)
    true = matrix.counts.sum(axis=1, keepdims=True)
    shares = np.divide(matrix.counts, true, out=np.full(matrix.counts.shape, np.nan), where=true > 0)
    with plotting():
        figure = Figure(figsize=(side + 0.7, side), layout="constrained")
        axes = figure.subplots()
        axes.pcolormesh(
            shares,
            cmap=_RAMP,
            vmin=0,
            vmax=1,
            rasterized=classes > _MOST_NAMES,
            edgecolors="white",
            linewidth=0.5,
        )
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.spines[:].set_visible(False)
        _name_classes(axes, matrix.names)
        if classes <= _MOST_NUMBERS:
            _write_shares(axes, shares)
        return svg_element(figure)


def diagram_svg(diagram: Diagram) -> str:
    """Draw a measure's curves.

    Returns
    -------
    An ``<svg>`` element.
    """
    with plotting():
        figure = Figure(figsize=(4.8, 3.4), layout="constrained")
        axes = figure.subplots()
        for curve, colour in zip(diagram.curves, cycle(_COLOURS), strict=False):
            marker = "o" if len(curve.x) <= 30 else ""
            axes.plot(curve.x, curve.y, color=colour, label=curve.label, marker=marker, markersize=2.5)
        if diagram.diagonal:
            axes.axline((0, 0), slope=1, color=CURRENT_COLOUR, alpha=0.45, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.set(xlabel=diagram.x_label, ylabel=diagram.y_label)
        axes.set_title(diagram.title, loc="left", fontsize=10)
        axes.grid(color=CURRENT_COLOUR, alpha=0.12, linewidth=0.6)
        if len(diagram.curves) > 1:
            axes.legend(fontsize=8)
        return svg_element(figure)


def _draw_series(
    axes: Axes, history: Sequence[Mapping[str, float | None]], series: Sequence[tuple[str, str, str]]
) -> None:
    epochs = _column(history, "epoch")
    for key, name, colour in series:
        values = _column(history, key)
        if np.isfinite(values).any():
            few = np.isfinite(values).sum() <= 30
            axes.plot(epochs, values, color=colour, label=name, marker="o" if few else "", markersize=2.5)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=CURRENT_COLOUR, alpha=0.12, linewidth=0.6)
    if axes.lines:
        axes.legend(loc="lower right", bbox_to_anchor=(1.02, 0.97), ncols=2, fontsize=8, columnspacing=1.2)


def _span(axes: Axes) -> float:
    """Return the ratio of an axis's upper to its lower limit."""
    low, high = axes.get_ylim()
    return float(high / low)


def _mark_best(losses: Axes, ratios: Axes, history: Sequence[Mapping[str, float | None]]) -> None:
    values = _column(history, "mean_iou")
    if not np.isfinite(values).any():
        return
    best = int(np.nanargmax(values))
    epoch = _column(history, "epoch")[best]
    for axes in (losses, ratios):
        axes.axvline(epoch, color=CURRENT_COLOUR, alpha=0.45, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    ratios.plot([epoch], [values[best]], "o", color=BLUE, markersize=6, markeredgecolor="white", zorder=4)
    late = best > len(values) / 2
    ratios.annotate(
        f"best {values[best]:.3f}, epoch {epoch:g}",
        (epoch, 0),
        xytext=(-5 if late else 5, 5),
        textcoords="offset points",
        ha="right" if late else "left",
        fontsize=8,
    )


def _column(history: Sequence[Mapping[str, float | None]], key: str) -> NDArray[np.float64]:
    """Return one column of the history; NaN where a value is missing or not finite."""
    values = np.array([row.get(key) for row in history], dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    if len(names) > _MOST_NAMES:
        return
    places = np.arange(len(names)) + 0.5
    shown = [name if len(name) <= 18 else f"{name[:17]}…" for name in names]
    axes.set_xticks(places, shown, rotation=0 if len(names) <= 3 else 90)
    axes.set_yticks(places, shown)
    axes.tick_params(length=0)


def _write_shares(axes: Axes, shares: NDArray[np.float64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if np.isfinite(share):
            colour = "white" if share > 0.5 else "#222222"
            axes.text(column + 0.5, row + 0.5, f"{100 * share:.1f}", color=colour, ha="center", va="center")

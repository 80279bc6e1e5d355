"""The page of a test: from scores and a model's card to what the report says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unpool.checkpoint import Card
from unpool.classes import IGNORE_ID
from unpool.data import Sample
from unpool.engine import Evaluation, ImageResult
from unpool.metrics import BoundaryEvaluation, BoundaryScores, Interval, Intervals, Scores, scores
from unpool.report import ImagePanel, ReportContents, displayable, error_picture, overlay
from unpool.report.text import headline, with_interval, worst_first
from unpool.segmenter import Segmenter

Rows = list[tuple[str, str]]

BOUNDARY_MEANS = ("bf", "boundary_iou", "hausdorff_95", "normalised_surface_distance")
TOLD = ("optimiser", "learning_rate", "batch_size", "seed")


def panel(sample: Sample, result: ImageResult, segmenter: Segmenter) -> ImagePanel:
    """A sample's pictures for the report."""
    colours = segmenter.classes.colours
    ignored = float((sample.labels == IGNORE_ID).mean())
    return ImagePanel(
        name=sample.name,
        picture=displayable(sample.image),
        truth=overlay(sample.image, sample.labels, colours),
        prediction=overlay(sample.image, result.prediction, colours),
        error=error_picture(sample.labels, result.prediction),
        mean_iou=scores(result.matrix).mean_iou,
        note=f"{ignored:.0%} of the pixels are ignored" if ignored >= 0.005 else "",
    )


def images_csv(evaluation: Evaluation, boundaries: BoundaryEvaluation | None = None) -> str:
    """The per-image table, worst first; empty cells where nothing could be counted."""
    edges = dict(boundaries.images) if boundaries else {}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    means = ["mean_iou", "mean_dice", "global_accuracy", "class_accuracy"]
    head = ["image", *means, "pixels", *(f"iou {name}" for name in evaluation.matrix.names)]
    writer.writerow([*head, *(_boundary_head(evaluation.matrix.names) if edges else ())])
    for name, found in worst_first(evaluation.images):
        cells = [_cell(getattr(found, mean)) for mean in means]
        row = [name, *cells, found.pixels, *(_cell(each.iou) for each in found.classes)]
        writer.writerow([*row, *(_boundary_cells(edges[name]) if edges else ())])
    return text.getvalue()


def report_contents(
    segmenter: Segmenter,
    card: Card,
    evaluation: Evaluation,
    panels: Sequence[ImagePanel],
    *,
    intervals: Intervals | None,
    model: Path,
    test: Mapping[str, str],
    warnings: Sequence[str],
    command: str,
    boundaries: BoundaryEvaluation | None = None,
) -> ReportContents:
    """Everything the page of a test says.

    Parameters
    ----------
    intervals: of the scores, where there are any.
    model: the model's file; the log of its run is looked for beside it.
    test: what was tested on what: the keys ``data``, ``pictures``, ``machine``.
    warnings: what a reader of the scores must know.
    boundaries: boundary scores, where they were asked for.
    """
    found, story = evaluation.scores, card["story"]
    return ReportContents(
        title=f"{segmenter.net} on {Path(test['data']).resolve().name}",
        subtitle=f"{len(evaluation.images)} pictures, {found.pixels:,} pixels: {test['pictures']}",
        summary=[*headline(found, intervals), ("pixel error", _pixel_error(found, intervals))],
        facts=[
            ("Model", _model_rows(segmenter, story)),
            ("Training", _training_rows(story)),
            ("Test", [*test.items()]),
        ],
        colours=segmenter.classes.colours,
        matrix=evaluation.matrix,
        scores=found,
        intervals=intervals,
        image_rows=evaluation.images,
        panels=panels,
        history=_history(model, story),
        findings=list(warnings),
        notes=["Scores count the original pixels of each picture once; ignored pixels count nowhere."],
        command=command,
        boundaries=boundaries,
    )


def _model_rows(segmenter: Segmenter, story: Mapping[str, Any]) -> Rows:
    return [
        ("network", segmenter.net),
        ("source", str(story.get("citation", ""))),
        ("parameters", f"{sum(p.numel() for p in segmenter.network.parameters()):,}"),
        ("classes", segmenter.classes.describe_values()),
    ]


def _training_rows(story: Mapping[str, Any]) -> Rows:
    data = story.get("data", {})
    split = data.get("split", {})
    given = story.get("config", {}).get("training", {})
    software = story.get("software", {})
    counts = [len(split.get(part, ())) for part in ("train", "val")]
    return [
        ("data", f"{data.get('name', 'unknown')}: {counts[0]} pictures trained on, {counts[1]} for validation"),
        ("how the split was made", str(split.get("origin", ""))),
        ("best epoch", f"{story.get('epoch', '')} after {story.get('seconds', '')} s"),
        ("settings", ", ".join(f"{key} {given.get(key)}" for key in TOLD)),
        ("machine", str(story.get("machine", ""))),
        ("software", ", ".join(f"{name} {version}" for name, version in software.items())),
        ("created", str(story.get("created", ""))),
    ]


def _history(model: Path, story: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All epochs of the run beside the model, or those up to the best from the card."""
    try:
        return [json.loads(line) for line in (model.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return list(story.get("history", ()))


def _pixel_error(found: Scores, intervals: Intervals | None) -> str:
    right = intervals.global_accuracy if intervals else None
    wrong = Interval(1 - right.high, 1 - right.low) if right else None
    return with_interval(None if found.global_accuracy is None else 1 - found.global_accuracy, wrong)


def _boundary_head(names: Sequence[str]) -> list[str]:
    return [*(f"mean_{mean}" for mean in BOUNDARY_MEANS), *(f"bf {name}" for name in names)]


def _boundary_cells(found: BoundaryScores) -> list[str]:
    means = [_cell(getattr(found.mean, mean)) for mean in BOUNDARY_MEANS]
    return [*means, *(_cell(each.bf) for each in found.classes)]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"

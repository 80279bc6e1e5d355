"""The page of a test: from scores and a model's card to what the report says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from unpool.checkpoint.card import Card
from unpool.class_table import IGNORE_ID
from unpool.data.samples import Sample
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.conventions import Conventional
from unpool.metrics.intervals import Interval, Intervals
from unpool.metrics.measures import Measure, Measured
from unpool.metrics.scores import Scores, scores
from unpool.prediction.averaging import Averaging
from unpool.prediction.evaluation import Evaluation
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import UNCERTAINTY, Prediction
from unpool.report.methods import Outcome, methods
from unpool.report.page import Heat, ImagePanel, ReportContents
from unpool.report.pictures import displayable, error_picture, heat_picture, overlay
from unpool.report.text import headline, with_interval, worst_first
from unpool.segmenter import Segmenter

Rows = list[tuple[str, str]]

TOLD = ("optimiser", "learning_rate", "batch_size", "seed")


def panel(sample: Sample, predictor: Predictor) -> ImagePanel:
    """A sample's pictures for the report, predicted anew."""
    found = predictor.predict(sample.image, sample.name, UNCERTAINTY)
    prediction = found.prediction
    matrix = ConfusionMatrix.of(predictor.segmenter.classes.names, sample.labels, prediction)
    colours = predictor.segmenter.classes.colours
    ignored = float((sample.labels == IGNORE_ID).mean())
    return ImagePanel(
        name=sample.name,
        picture=displayable(sample.image),
        truth=overlay(sample.image, sample.labels, colours),
        prediction=overlay(sample.image, prediction, colours),
        error=error_picture(sample.labels, prediction),
        mean_iou=scores(matrix).mean_iou,
        uncertainty=_uncertainty(found, len(colours), predictor.averaging),
        note=f"{ignored:.0%} of the pixels are ignored" if ignored >= 0.005 else "",
    )


def _uncertainty(found: Prediction, classes: int, averaging: Averaging) -> Heat:
    """Where the model is unsure, on one scale for all pictures of a report.

    1 - confidence is shown up to 0.5. Variances are small, so their root is shown, up to half of what it is where all
    samples are sure and as many of them are for one class as for another.
    """
    if found.variance is None:
        return Heat(heat_picture(found.uncertainty[0], 0.5), "1 − confidence: black 0, lightest 0.5 or more")
    top = sqrt(0.5 / classes) / 2
    name = f"root of the variance of {averaging.samples} samples: black 0, lightest {top:.2g} or more"
    return Heat(heat_picture(np.sqrt(found.variance.mean(axis=0)), top), name)


def images_csv(evaluation: Evaluation, measured: Sequence[Measured] = ()) -> str:
    """The per-image table, worst first; empty cells where nothing could be counted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    means = ["mean_iou", "mean_dice", "global_accuracy", "class_accuracy"]
    writer.writerow([
        "image", *means, "pixels", *(f"iou {name}" for name in evaluation.matrix.names),
        *(title for each in measured for title in _measured_head(each.measure)),
    ])  # fmt: skip
    places = {name: place for place, (name, _) in enumerate(evaluation.images)}
    for name, found in worst_first(evaluation.images):
        cells = [_cell(getattr(found, mean)) for mean in means]
        row = [name, *cells, found.pixels, *(_cell(each.iou) for each in found.classes)]
        writer.writerow([*row, *(cell for each in measured for cell in _measured_cells(each, places[name]))])
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
    measured: Sequence[Measured] = (),
    conventions: Sequence[Conventional] = (),
) -> ReportContents:
    """Everything the page of a test says.

    Parameters
    ----------
    intervals: of the scores, where there are any.
    model: the model's file; the log of its run is looked for beside it.
    test: what was tested on what: the keys ``data``, ``pictures``, ``machine``.
    warnings: what a reader of the scores must know.
    measured: what was measured beside the counts.
    conventions: the scores by other implementations' rules, where they were asked for.
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
        measured=measured,
        conventions=conventions,
        methods=methods(
            segmenter.net,
            segmenter.network.structure,
            _parameters(segmenter),
            segmenter.classes.names,
            story,
            Outcome(len(evaluation.images), test["pictures"], found, intervals, measured, test.get("averaged", "")),
        ),
    )


def _model_rows(segmenter: Segmenter, story: Mapping[str, Any]) -> Rows:
    return [
        ("network", segmenter.net),
        ("source", str(story.get("citation", ""))),
        ("parameters", f"{_parameters(segmenter):,}"),
        ("classes", segmenter.classes.describe_values()),
    ]


def _parameters(segmenter: Segmenter) -> int:
    return sum(p.numel() for p in segmenter.network.parameters())


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


def _measured_head(measure: Measure) -> list[str]:
    """Every column of the last row, then the first column of the others."""
    first, *_ = measure.columns
    return [*(column.key for column in measure.columns), *(f"{first.key} {row}" for row in measure.rows[:-1])]


def _measured_cells(found: Measured, place: int) -> list[str]:
    table = found.of_picture(place)
    return ["" if np.isnan(value) else f"{value:.6f}" for value in (*table[-1], *table[:-1, 0])]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"

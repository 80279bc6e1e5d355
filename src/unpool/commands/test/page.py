"""The contents of a test's report and of its table of pictures, from the scores and the model's card."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unpool.checkpoint.card import Card
from unpool.class_table import IGNORE_ID
from unpool.commands.test.result import TestResult
from unpool.data.samples import Sample
from unpool.errors import DataError
from unpool.io.documents import read_json_lines
from unpool.machine.device import Machine
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.intervals import Interval, Intervals
from unpool.metrics.measures import Measure, MeasureResult
from unpool.metrics.scores import Scores, scores
from unpool.prediction.averaging import Averaging
from unpool.prediction.evaluation import Evaluation
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import UNCERTAINTY, Prediction
from unpool.report.methods import Outcome, methods
from unpool.report.page import Heat, ImagePanel, ReportContents
from unpool.report.pictures import displayable, error_picture, heat_picture, overlay
from unpool.report.spreadsheet import text_cell
from unpool.report.text import NamedTexts, headline, with_interval, worst_first
from unpool.segmenter import Segmenter
from unpool.training.records import epoch_row
from unpool.wording import count_text, first_of

_FROM_CARD = "the curves in the report are those on the model's card, which end at its epoch"


class RunHistory(NamedTuple):
    """The rows of the epochs of a training, and what is wrong with its log."""

    rows: Sequence[Mapping[str, Any]]
    warnings: tuple[str, ...]


REPORT_SETTINGS = ("optimiser", "learning_rate", "batch_size", "seed")
"""Settings of the training in the report; the card has all of them."""


def panel(sample: Sample, predictor: Predictor) -> ImagePanel:
    """Predict a sample and return its pictures for the report."""
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


def _uncertainty(predicted: Prediction, classes: int, averaging: Averaging) -> Heat:
    """Return the picture of the uncertainty, with the same scale for all pictures of a report.

    1 - confidence is shown up to 0.5. Variances are small, so their square root is shown. Its scale ends at half the
    value that it has where every sample is certain and half of the samples disagree with the other half.
    """
    if predicted.variance is None:
        return Heat(heat_picture(predicted.uncertainty[0], 0.5), "1 − confidence: black 0, lightest 0.5 or more")
    top = sqrt(0.5 / classes) / 2
    caption = f"root of the variance of {averaging.samples} samples: black 0, lightest {top:.2g} or more"
    return Heat(heat_picture(np.sqrt(predicted.variance.mean(axis=0)), top), caption)


def images_csv(evaluation: Evaluation, measured: Sequence[MeasureResult] = ()) -> str:
    """Return the table of pictures as CSV, the worst first; a cell is empty where no pixel counts."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    means = ["mean_iou", "mean_dice", "global_accuracy", "class_accuracy"]
    writer.writerow([
        "image", *means, "pixels", *(f"iou {name}" for name in evaluation.matrix.names),
        *(title for each in measured for title in _measure_head(each.measure)),
    ])  # fmt: skip
    indices = {name: index for index, (name, _) in enumerate(evaluation.images)}
    for name, picture in worst_first(evaluation.images):
        cells = [_cell(getattr(picture, mean)) for mean in means]
        row = [text_cell(name), *cells, picture.pixels, *(_cell(each.iou) for each in picture.classes)]
        writer.writerow([*row, *(cell for each in measured for cell in _measure_cells(each, indices[name]))])
    return text.getvalue()


def report_contents(
    result: TestResult, segmenter: Segmenter, card: Card, panels: Sequence[ImagePanel], machine: Machine, command: str
) -> ReportContents:
    """Return the contents of a test's report.

    Parameters
    ----------
    card: card of the model.
    panels: pictures of the report.
    machine: machine that predicted.
    command: command that makes the test again.
    """
    evaluation, story = result.evaluation, card["story"]
    set_scores, pictures = evaluation.scores, len(evaluation.images)
    averaged = result.averaging.describe()
    means = [result.image_means] if result.image_means and pictures > 1 else []
    return ReportContents(
        title=f"{segmenter.net} on {result.data.resolve().name}",
        subtitle=f"{count_text(pictures, 'picture')}, {count_text(set_scores.pixels, 'pixel')}: {result.which}",
        summary=[*headline(set_scores, result.intervals), ("pixel error", _pixel_error(set_scores, result.intervals))],
        facts=[
            ("Model", _model_rows(segmenter, story)),
            ("Training", _training_rows(story)),
            ("Test", _test_rows(result, machine)),
        ],
        colours=segmenter.classes.colours,
        matrix=evaluation.matrix,
        scores=set_scores,
        intervals=result.intervals,
        image_rows=evaluation.images,
        panels=panels,
        history=run_history(result.model, story).rows,
        warnings=result.warnings,
        notes=["Scores count each original pixel of each picture once; ignored pixels count nowhere."],
        command=command,
        measured=(*means, *result.measured),
        conventions=result.conventions,
        methods=methods(
            segmenter.net,
            segmenter.network.structure,
            _parameters(segmenter),
            segmenter.classes.names,
            story,
            Outcome(pictures, result.which, set_scores, result.intervals, result.measured, averaged),
        ),
    )


def _model_rows(segmenter: Segmenter, story: Mapping[str, Any]) -> NamedTexts:
    members = story.get("members", ())
    return [
        ("network", segmenter.net),
        *([("members", ", ".join(str(member["net"]) for member in members))] if members else []),
        ("source", str(story.get("citation", ""))),
        ("parameters", f"{_parameters(segmenter):,}"),
        ("classes", segmenter.classes.describe_values()),
    ]


def _test_rows(result: TestResult, machine: Machine) -> NamedTexts:
    averaged = result.averaging.describe()
    return [
        ("data", str(result.data)),
        ("pictures", result.which),
        ("machine", machine.describe()),
        *([("averaged", averaged)] if averaged else []),
    ]


def _parameters(segmenter: Segmenter) -> int:
    return sum(p.numel() for p in segmenter.network.parameters())


def _training_rows(story: Mapping[str, Any]) -> NamedTexts:
    data = story.get("data", {})
    split = data.get("split", {})
    training = story.get("config", {}).get("training", {})
    software = story.get("software", {})
    counts = [len(split.get(part, ())) for part in ("train", "val")]
    return [
        ("data", f"{data.get('name', 'unknown')}: {counts[0]} pictures for training, {counts[1]} for validation"),
        ("origin of the split", str(split.get("origin", ""))),
        ("best epoch", f"{story['epoch']} after {story.get('seconds', '')} s" if "epoch" in story else ""),
        ("settings", ", ".join(f"{key} {training.get(key)}" for key in REPORT_SETTINGS if training)),
        ("machine", str(story.get("machine", ""))),
        ("software", ", ".join(f"{name} {version}" for name, version in software.items())),
        ("created", str(story.get("created", ""))),
    ]


def run_history(model: Path, story: Mapping[str, Any]) -> RunHistory:
    """Return all epochs of the model's run folder, or else those up to the best epoch from the card."""
    log, known = model.parent / "log.jsonl", list(story.get("history", ()))
    if not log.is_file():
        return RunHistory(known, ())
    try:
        rows, odd = read_json_lines(log, epoch_row)
    except DataError as error:
        return RunHistory(known, (f"{error.found}; {_FROM_CARD}",))
    if odd:
        return RunHistory(known, (f"{log}: {first_of(odd, 2)}; {_FROM_CARD}",))
    return RunHistory(rows, ())


def _pixel_error(scores: Scores, intervals: Intervals | None) -> str:
    accuracy = intervals.global_accuracy if intervals else None
    error = Interval(1 - accuracy.high, 1 - accuracy.low) if accuracy else None
    return with_interval(None if scores.global_accuracy is None else 1 - scores.global_accuracy, error)


def _measure_head(measure: Measure) -> list[str]:
    """Return a CSV title for every column of the last row, then for the first column of each other row."""
    first, *_ = measure.columns
    return [*(column.key for column in measure.columns), *(f"{first.key} {row}" for row in measure.rows[:-1])]


def _measure_cells(result: MeasureResult, index: int) -> list[str]:
    table = result.of_picture(index)
    return ["" if np.isnan(value) else f"{value:.6f}" for value in (*table[-1], *table[:-1, 0])]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"

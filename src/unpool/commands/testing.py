"""``test``: a model and a folder in, scores out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from unpool.checkpoint import Card, load_model
from unpool.classes import IGNORE_ID
from unpool.commands.checking import check, require_sound
from unpool.commands.events import Event, Progress, Said
from unpool.commands.run_folder import free_path
from unpool.config import resolve
from unpool.data import Pair, Sample, Survey, read_sample
from unpool.engine import Evaluation, ImageResult, Machine, Precision, choose_machine, evaluate_each, summarise
from unpool.errors import UsageError
from unpool.io.files import write_json, write_text
from unpool.metrics import ABSENT_RULE, Scores
from unpool.report import (
    ImagePanel,
    ReportContents,
    displayable,
    error_picture,
    overlay,
    scores_table,
    worst_images_table,
    write_report,
)
from unpool.segmenter import Segmenter

Which = Literal["auto", "train", "val", "test", "all"]

MODEL_FILE = "model.safetensors"
PANELS = 8
"""Pictures in the report: the worst ones and the best one."""


@dataclass(frozen=True)
class TestResult:
    """Scores of a model on a folder.

    Attributes
    ----------
    which: which pictures were scored, in words.
    report: the HTML report; scores.json and images.csv lie beside it.
    warnings: what a reader of the scores must know.
    """

    __test__ = False  # not a test class, whatever pytest thinks

    model: Path
    data: Path
    which: str
    evaluation: Evaluation
    report: Path
    warnings: tuple[str, ...]

    @property
    def scores(self) -> Scores:
        """The scores over all pictures."""
        return self.evaluation.scores

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "model": str(self.model),
            "data": str(self.data),
            "which": self.which,
            "warnings": list(self.warnings),
            "rule": ABSENT_RULE,
            "scores": self.scores.to_json(),
            "loss": self.evaluation.loss,
            "confusion": {
                "names": list(self.evaluation.matrix.names),
                "counts": self.evaluation.matrix.counts.tolist(),
            },
            "images": [{"name": name, **found.to_json()} for name, found in self.evaluation.images],
            "report": str(self.report),
        }


@dataclass(frozen=True)
class Choice:
    """The pictures to score, and why these."""

    pairs: tuple[Pair, ...]
    which: str
    warnings: tuple[str, ...]


def test(
    model: Path,
    folder: Path,
    *,
    which: Which = "auto",
    out: Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
) -> Generator[Event, None, TestResult]:
    """Score a model on the original pixels of a folder's pictures.

    Parameters
    ----------
    model: a model file or the run folder that holds one.
    which: the split to score. ``auto``: the folder's own test split; on the folder the model was trained on, the
        validation split of that training; everything otherwise.
    out: where the report goes; by default ``test-<folder>`` beside the model, numbered if it exists.

    Raises
    ------
    UsageError, DataError, ModelFileError, RunError: see the message.
    """
    path = model_file(model)
    segmenter, card = load_model(path)
    survey = yield from check(folder, resolve({"net": "unet"}), segmenter.classes)
    require_sound(survey)
    choice = choose_pairs(survey, card, which)
    target = out if out is not None else free_path(path.parent / f"test-{folder.resolve().name or 'data'}")
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(f"{target} exists and is not empty", "a new or empty folder", "give another --out")
    machine = choose_machine(device, precision)
    machine.place(segmenter.network)
    yield Said(f"scoring {len(choice.pairs)} pictures: {choice.which}\non {machine.describe()}")
    evaluation = yield from _evaluate(segmenter, choice.pairs, machine)
    result = TestResult(path, folder, choice.which, evaluation, target / "report.html", choice.warnings)
    yield from _write(result, segmenter, card, choice, machine)
    yield Said(result_text(result))
    return result


def model_file(path: Path) -> Path:
    """The model file at ``path``, or in the run folder ``path``."""
    return path / MODEL_FILE if path.is_dir() else path


def choose_pairs(survey: Survey, card: Card, which: Which) -> Choice:
    """Pick the pictures to score, and say what a reader of the scores must know.

    Raises
    ------
    UsageError: the wanted split has no pictures.
    """
    data = card.get("story", {}).get("data", {})
    same = data.get("fingerprint") == survey.fingerprint
    split = data.get("split", {}) if same else {}
    own = {which: [p.name for p in survey.folder.pairs if p.split == which] for which in ("train", "val", "test")}
    members = {part: list(split.get(part, ())) or own[part] for part in ("train", "val", "test")}
    everything = [pair.name for pair in survey.folder.pairs]
    if which == "auto":
        which = "test" if members["test"] else "val" if same and members["val"] else "all"
    names = everything if which == "all" else members[which]
    if not names:
        raise UsageError(
            f"{survey.folder.root} has no {which} split",
            "a folder with that split, or the folder the model was trained on",
            "choose --split all",
        )
    chosen = set(names)
    pairs = tuple(pair for pair in survey.folder.pairs if pair.name in chosen)
    part = "all pictures" if which == "all" else f"the {which} split"
    origin = " of the folder the model was trained on" if same else ""
    return Choice(pairs, f"{part}{origin}", tuple(_warnings(survey, pairs, data, same, which)))


def _warnings(survey: Survey, pairs: Sequence[Pair], data: dict[str, Any], same: bool, which: str) -> list[str]:
    warnings = []
    trained = set(data.get("digests", {}).values())
    seen = [pair.name for pair in pairs if survey.pictures[pair.name].digest in trained]
    if seen:
        shown = ", ".join(seen[:3]) + (", …" if len(seen) > 3 else "")
        warnings.append(
            f"{len(seen)} of the {len(pairs)} pictures were trained on ({shown}): these scores are too good."
        )
    if same and which == "val":
        warnings.append(
            "The validation pictures were not trained on, but they chose the best epoch; "
            "a test on other pictures may score a little lower."
        )
    return warnings


def _evaluate(segmenter: Segmenter, pairs: Sequence[Pair], machine: Machine) -> Generator[Event, None, Evaluation]:
    results: list[ImageResult] = []
    samples = (read_sample(pair, segmenter.classes) for pair in pairs)
    for result in evaluate_each(segmenter, samples, machine):
        results.append(result)
        yield Progress("scoring", len(results), len(pairs))
    return summarise(segmenter, results)


def _write(
    result: TestResult, segmenter: Segmenter, card: Card, choice: Choice, machine: Machine
) -> Generator[Event, None, None]:
    folder = result.report.parent
    write_json(folder / "scores.json", result.to_json())
    write_text(folder / "images.csv", images_csv(result.evaluation))
    panels = []
    shown = _panel_pairs(result.evaluation, choice.pairs)
    samples = (read_sample(pair, segmenter.classes) for pair in shown)
    rows = dict(result.evaluation.images)
    for sample in samples:
        found = next(evaluate_each(segmenter, [sample], machine))
        panels.append(panel(sample, found, rows[sample.name], segmenter))
        yield Progress("drawing the report", len(panels), len(shown))
    write_report(result.report, report_contents(result, segmenter, card, panels, machine))


def _panel_pairs(evaluation: Evaluation, pairs: Sequence[Pair]) -> list[Pair]:
    by_name = {pair.name: pair for pair in pairs}
    ordered = sorted(evaluation.images, key=lambda row: row[1].mean_iou if row[1].mean_iou is not None else 2.0)
    names = [name for name, _ in ordered]
    if len(names) > PANELS:
        names = [*names[: PANELS - 1], names[-1]]
    return [by_name[name] for name in names]


def panel(sample: Sample, result: ImageResult, found: Scores, segmenter: Segmenter) -> ImagePanel:
    """A sample's pictures for the report."""
    colours = segmenter.classes.colours
    ignored = float((sample.labels == IGNORE_ID).mean())
    return ImagePanel(
        name=sample.name,
        picture=displayable(sample.image),
        truth=overlay(sample.image, sample.labels, colours),
        prediction=overlay(sample.image, result.prediction, colours),
        error=error_picture(sample.labels, result.prediction),
        mean_iou=found.mean_iou,
        note=f"{ignored:.0%} of the pixels are ignored" if ignored >= 0.005 else "",
    )


def images_csv(evaluation: Evaluation) -> str:
    """The per-image table, worst first; empty cells where nothing could be counted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = evaluation.matrix.names
    writer.writerow(["image", "mean_iou", "mean_dice", "global_accuracy", "class_accuracy", "pixels",
                     *(f"iou {name}" for name in names)])  # fmt: skip
    rows = sorted(evaluation.images, key=lambda row: (row[1].mean_iou is None, row[1].mean_iou or 0.0))
    for name, found in rows:
        cells = [found.mean_iou, found.mean_dice, found.global_accuracy, found.class_accuracy]
        ious = [c.iou for c in found.classes]
        writer.writerow([name, *map(_cell, cells), found.pixels, *map(_cell, ious)])
    return text.getvalue()


def result_text(result: TestResult) -> str:
    """The scores as a page of text."""
    parts = [*(f"note: {warning}" for warning in result.warnings), scores_table(result.scores)]
    if len(result.evaluation.images) > 1:
        parts.append(worst_images_table(result.evaluation.images, 10))
    parts.append(f"report: {result.report}")
    return "\n\n".join(parts)


def report_contents(
    result: TestResult, segmenter: Segmenter, card: Card, panels: Sequence[ImagePanel], machine: Machine
) -> ReportContents:
    """Everything the page of a test says."""
    found, story = result.scores, card.get("story", {})
    data, software = story.get("data", {}), story.get("software", {})
    settings = story.get("config", {}).get("training", {})
    accuracy = found.global_accuracy
    split = data.get("split", {})
    return ReportContents(
        title=f"{segmenter.net} on {result.data.resolve().name}",
        subtitle=f"{len(result.evaluation.images)} pictures, {found.pixels:,} pixels: {result.which}",
        summary=[
            ("mean IoU", _number(found.mean_iou)),
            ("mean Dice", _number(found.mean_dice)),
            ("global accuracy", _number(accuracy)),
            ("class accuracy", _number(found.class_accuracy)),
            ("pixel error", _number(None if accuracy is None else 1 - accuracy)),
        ],
        facts=[
            ("Model", [
                ("network", segmenter.net),
                ("source", str(story.get("citation", ""))),
                ("parameters", f"{sum(p.numel() for p in segmenter.network.parameters()):,}"),
                ("classes", segmenter.classes.describe_values()),
            ]),
            ("Training", [
                ("data", f"{data.get('name', 'unknown')}: {len(split.get('train', ()))} pictures trained on, "
                         f"{len(split.get('val', ()))} for validation"),
                ("how the split was made", str(split.get("origin", ""))),
                ("best epoch", f"{story.get('epoch', '')} after {story.get('seconds', 0):.0f} s"),
                ("optimiser", f"{settings.get('optimiser', '')}, learning rate {settings.get('learning_rate', '')}, "
                              f"batch {settings.get('batch_size', '')}, seed {settings.get('seed', '')}"),
                ("machine", str(story.get("machine", ""))),
                ("software", ", ".join(f"{name} {version}" for name, version in software.items())),
                ("created", str(story.get("created", ""))),
            ]),
            ("Test", [
                ("data", str(result.data)),
                ("pictures", result.which),
                ("machine", machine.describe()),
            ]),
        ],
        colours=segmenter.classes.colours,
        matrix=result.evaluation.matrix,
        scores=found,
        image_rows=result.evaluation.images,
        panels=panels,
        history=_history(result.model, story),
        findings=list(result.warnings),
        notes=["Scores count the original pixels of each picture once; ignored pixels count nowhere."],
        command=f"unpool test {result.model} {result.data}",
    )  # fmt: skip


def _history(model: Path, story: dict[str, Any]) -> list[dict[str, Any]]:
    """All epochs of the run beside the model, or those up to the best from the card."""
    log = model.parent / "log.jsonl"
    try:
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return list(story.get("history", ()))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"

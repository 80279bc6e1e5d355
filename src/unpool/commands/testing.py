"""``test``: a model and a folder in, scores out."""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unpool.checkpoint import Card, load_model
from unpool.classes import Labels
from unpool.commands.checking import check, require_sound, require_unchanged
from unpool.commands.events import Event, Progress, Said
from unpool.commands.recording import begin_test, record_test
from unpool.commands.run_folder import MODEL_FILE, free_path, require_writable
from unpool.commands.test_page import images_csv, panel, report_contents
from unpool.config import DataSettings
from unpool.data import Pair, Survey, group_of, read_sample
from unpool.data.batches import SampleStore
from unpool.engine import Evaluation, ImageResult, Machine, Precision, choose_machine, evaluate_together, summarise
from unpool.engine.processes import Processes, join
from unpool.errors import UsageError
from unpool.io.files import write_json, write_text
from unpool.io.folders import mark_output
from unpool.metrics import (
    ABSENT_RULE,
    BoundaryEvaluation,
    BoundaryScores,
    Counted,
    Intervals,
    Scores,
    bootstrap,
    boundary_scores,
    scores,
)
from unpool.report import boundaries_table, intervals_rule, scores_table, worst_images_table, write_report
from unpool.report.text import WIDTH
from unpool.segmenter import Segmenter

Which = Literal["auto", "train", "val", "test", "all"]

PANELS = 8
"""Pictures in the report: the worst ones and the best one."""

NOTHING: Labels = np.zeros((0, 0), dtype=np.uint8)


@dataclass(frozen=True)
class TestResult:
    """Scores of a model on a folder.

    Attributes
    ----------
    which: which pictures were scored, in words.
    intervals: of the scores; None where one picture was scored.
    digests: sha256 of each picture's pixels, by its name.
    report: the HTML report; scores.json and images.csv lie beside it.
    warnings: what a reader of the scores must know.
    boundaries: boundary scores, where they were asked for.
    """

    __test__ = False  # not a test class, whatever pytest thinks

    model: Path
    data: Path
    which: str
    evaluation: Evaluation
    intervals: Intervals | None
    digests: Mapping[str, str]
    report: Path
    warnings: tuple[str, ...]
    boundaries: BoundaryEvaluation | None = None

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
            "intervals": self.intervals.to_json() if self.intervals else None,
            "loss": self.evaluation.loss,
            "confusion": {
                "names": list(self.evaluation.matrix.names),
                "counts": self.evaluation.matrix.counts.tolist(),
            },
            "images": [
                {"name": name, "digest": self.digests[name], **found.to_json()}
                for name, found in self.evaluation.images
            ],
            "boundaries": self.boundaries.to_json() if self.boundaries else None,
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
    boundaries: Counted | None = None,
    fingerprint: str | None = None,
) -> Generator[Event, None, TestResult]:
    """Score a model on the original pixels of a folder's pictures.

    Parameters
    ----------
    model: a model file or the run folder that holds one.
    which: the split to score. ``auto``: the test split, else the validation split, else everything; on the folder
        the model was trained on the splits are those of that training, elsewhere the folder's own.
    out: where the report goes; by default ``test-<folder>`` beside the model, numbered if it exists.
    boundaries: score boundaries as well, with the BF score of the classes this names.
    fingerprint: of the data, where no other is to be tested on.

    Processes that torchrun started share the pictures; the first gets all results, scores boundaries and writes, the
    others return their own.

    Raises
    ------
    UsageError, DataError, ModelFileError, RunError: see the message.
    """
    processes = join(device)
    path = model_file(model)
    segmenter, card = load_model(path)
    target = out if out is not None else free_path(path.parent / f"test-{folder.resolve().name or 'data'}")
    require_writable(target)
    if processes.first and target.is_dir() and any(target.iterdir()):
        raise UsageError(f"{target} exists and is not empty", "a new or empty folder", "give another --out")
    survey = yield from check(folder, DataSettings(), table=segmenter.classes)
    require_unchanged(survey, fingerprint)
    require_sound(survey)
    choice = choose_pairs(survey, card, which)
    machine = choose_machine(device, precision)
    machine.place(segmenter.network)
    options = {"which": which, "device": device, "precision": precision, "boundaries": boundaries}
    pictures = {choice.which: len(choice.pairs)}
    begun = yield from begin_test(target, path, segmenter.net, survey, pictures, options, machine)
    yield Said(f"scoring {len(choice.pairs)} pictures: {choice.which}\non {machine.describe()}")
    evaluation, shown, edges = yield from _evaluate(segmenter, choice.pairs, machine, processes, boundaries)
    intervals = bootstrap(evaluation.images, group_of(name for name, _ in evaluation.images))
    digests = {name: survey.pictures[name].digest for name, _ in evaluation.images}
    report = target / "report.html"
    result = TestResult(path, folder, choice.which, evaluation, intervals, digests, report, choice.warnings, edges)
    if not processes.first:
        return result
    mark_output(target)
    write_json(target / "scores.json", result.to_json())
    write_text(target / "images.csv", images_csv(evaluation, edges))
    pairs = {pair.name: pair for pair in choice.pairs}
    panels = [panel(read_sample(pairs[each.name], segmenter.classes), each, segmenter) for each in shown]
    facts = {"data": str(folder), "pictures": choice.which, "machine": machine.describe()}
    command = f"unpool test {path} {folder}" + (f" --boundaries --bf-classes {boundaries}" if boundaries else "")
    page = report_contents(
        segmenter,
        card,
        evaluation,
        panels,
        intervals=intervals,
        model=path,
        test=facts,
        warnings=choice.warnings,
        command=command,
        boundaries=edges,
    )
    write_report(result.report, page)
    record_test(begun, evaluation, intervals)
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
    members = {
        part: list(split.get(part, ())) or [pair.name for pair in survey.folder.pairs if pair.split == part]
        for part in ("train", "val", "test")
    }
    everything = [pair.name for pair in survey.folder.pairs]
    if which == "auto":
        which = "test" if members["test"] else "val" if members["val"] else "all"
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
    warnings = [f"{finding.found}; {finding.repair}" for finding in survey.findings if finding.severity == "warning"]
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


def _evaluate(
    segmenter: Segmenter, pairs: Sequence[Pair], machine: Machine, processes: Processes, counted: Counted | None
) -> Generator[Event, None, tuple[Evaluation, list[ImageResult], BoundaryEvaluation | None]]:
    """Score the pairs; also gives the results to look at, the worst ones and the best one, and the boundaries."""
    results: list[ImageResult] = []
    shown: list[tuple[float, ImageResult]] = []
    edges: list[tuple[str, BoundaryScores]] = []
    known = {pair.name: pair for pair in pairs}
    samples = SampleStore(pairs, segmenter.classes, limit=0)
    for result in evaluate_together(segmenter, samples, [pair.name for pair in pairs], machine, processes):
        score = scores(result.matrix).mean_iou
        shown = sorted([*shown, (2.0 if score is None else score, result)], key=lambda each: each[0])
        del shown[PANELS - 1 : -1]
        if counted and processes.first:
            labels = read_sample(known[result.name], segmenter.classes).labels
            found = boundary_scores(segmenter.classes.names, labels, result.prediction, counted)
            edges.append((result.name, found))
        results.append(replace(result, prediction=NOTHING))  # the predictions of a large set do not fit in memory
        yield Progress("scoring", len(results), len(pairs))
    boundaries = BoundaryEvaluation(counted, tuple(edges)) if counted and edges else None
    return summarise(segmenter, results), [result for _, result in shown], boundaries


def result_text(result: TestResult) -> str:
    """The scores as a page of text."""
    parts = [*(f"note: {warning}" for warning in result.warnings), scores_table(result.scores, result.intervals)]
    parts.append(textwrap.fill(intervals_rule(result.intervals), WIDTH))
    if result.boundaries:
        parts.append(boundaries_table(result.boundaries))
    if len(result.evaluation.images) > 1:
        parts.append(worst_images_table(result.evaluation.images, 10))
    parts.append(f"report: {result.report}")
    return "\n\n".join(parts)

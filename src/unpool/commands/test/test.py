"""``test``: a model and a folder in, scores out."""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unpool.checkpoint.models import load_model
from unpool.class_table import ClassTable
from unpool.commands.check import check, require_sound, require_unchanged
from unpool.commands.events import Event, Message, Progress
from unpool.commands.recording import TestSetup, begin_test, record_test
from unpool.commands.run_folder import free_path, model_file, require_writable
from unpool.commands.test.choice import Which, choose_pairs, turned_warnings
from unpool.commands.test.page import images_csv, panel, report_contents
from unpool.commands.tile_notes import blending_notes
from unpool.config.schema import DataSettings
from unpool.data.batches import SampleStore
from unpool.data.groups import group_of
from unpool.data.samples import Pair, read_sample
from unpool.errors import UsageError
from unpool.io.files import write_json, write_text
from unpool.io.folders import mark_output
from unpool.ledger.text import command
from unpool.machine.device import Machine, Precision, choose_machine
from unpool.metrics.conventions import CONVENTIONS_RULE, Conventional, by_conventions
from unpool.metrics.image_means import image_means, image_numbers
from unpool.metrics.intervals import Intervals, bootstrap, tally
from unpool.metrics.measures import Measure, Measured, measured
from unpool.metrics.named import MEASURES, SAMPLED
from unpool.metrics.scores import ABSENT_RULE, Scores, scores
from unpool.orientation import OrientationSet
from unpool.prediction.averaging import ONCE, Averaging, require_dropout
from unpool.prediction.evaluation import Evaluation, ImageResult, evaluate_together, summarise
from unpool.prediction.predictor import ready
from unpool.processes import Processes, join
from unpool.report.page import ImagePanel, write_report
from unpool.report.text import (
    WIDTH,
    conventions_table,
    image_means_lines,
    intervals_rule,
    measured_table,
    rules_text,
    scores_table,
    worst_first,
    worst_images_table,
)
from unpool.segmenter import Segmenter

PANELS = 8
"""Pictures in the report: the worst ones and the best one."""

WORST = 5
"""Pictures in the text, of which the report has all."""


@dataclass(frozen=True)
class TestResult:
    """Scores of a model on a folder.

    Attributes
    ----------
    which: which pictures were scored, in words.
    intervals: of the scores; None where one picture was scored.
    digests: sha256 of each picture's pixels, by its name.
    groups: the group of each picture, by its name, as the names of the whole folder tell it.
    report: the HTML report; scores.json and images.csv lie beside it.
    warnings: what a reader of the scores must know.
    image_means: the scores of the pictures, averaged; None for a process that got none of them.
    measured: what was measured beside the counts, in the order it was asked for.
    conventions: the scores by other implementations' rules; empty where they were not asked for.
    averaging: which answers were averaged.
    """

    __test__ = False  # not a test class, whatever pytest thinks

    model: Path
    data: Path
    which: str
    evaluation: Evaluation
    intervals: Intervals | None
    digests: Mapping[str, str]
    groups: Mapping[str, str]
    report: Path
    warnings: tuple[str, ...]
    image_means: Measured | None
    measured: tuple[Measured, ...] = ()
    conventions: tuple[Conventional, ...] = ()
    averaging: Averaging = ONCE

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
            "averaging": asdict(self.averaging),
            "rule": ABSENT_RULE,
            "scores": self.scores.to_json(),
            "intervals": self.intervals.to_json() if self.intervals else None,
            "image_means": self.image_means.to_json(images=False) if self.image_means else None,
            "conventions": [each.to_json() for each in self.conventions],
            "loss": self.evaluation.loss,
            "confusion": {
                "names": list(self.evaluation.matrix.names),
                "counts": self.evaluation.matrix.counts.tolist(),
            },
            "images": [
                {"name": name, "digest": self.digests[name], "group": self.groups[name], **found.to_json()}
                for name, found in self.evaluation.images
            ],
            "measures": {each.measure.key: each.to_json() for each in self.measured},
            "report": str(self.report),
        }


def test(
    model: Path,
    folder: Path,
    *,
    which: Which = "auto",
    out: Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    measures: Sequence[str] | None = None,
    conventions: bool = False,
    tta: OrientationSet = "none",
    samples: int = 0,
    fingerprint: str | None = None,
) -> Generator[Event, None, TestResult]:
    """Score a model on the original pixels of a folder's pictures.

    Parameters
    ----------
    model: a model file or the run folder that holds one.
    which: the split to score. ``auto``: the test split, else the validation split, else everything; on the folder
        the model was trained on the splits are those of that training, elsewhere the folder's own.
    out: where the report goes; by default ``test-<folder>`` beside the model, numbered if it exists.
    measures: what to measure beside the counts of pixels: names of ``unpool.metrics.named.MEASURES``; None for
        ``usual_measures``.
    conventions: whether to give the mean IoU and Dice by other implementations' rules too.
    tta, samples: which answers each picture's answer is the mean of, see ``unpool.prediction.averaging``.
    fingerprint: of the data, where no other is to be tested on.

    Processes that torchrun started share the pictures; the first gets all results and writes, the others return their
    own.

    Raises
    ------
    UsageError, DataError, ModelFileError, RunError: see the message.
    """
    processes, averaging = join(device), Averaging(tta, samples)
    path = model_file(model)
    segmenter, card = load_model(path)
    require_dropout(segmenter, averaging)
    target = out if out is not None else free_path(path.parent / f"test-{folder.resolve().name or 'data'}")
    require_writable(target)
    if processes.first and target.is_dir() and any(target.iterdir()):
        raise UsageError(f"{target} exists and is not empty", "a new or empty folder", "give another --out")
    survey = yield from check(folder, DataSettings(), table=segmenter.classes)
    require_unchanged(survey, fingerprint)
    require_sound(survey)
    choice = choose_pairs(survey, card, which)
    warnings = (*choice.warnings, *turned_warnings(card, averaging))
    machine = choose_machine(device, precision)
    placed = ready(segmenter, machine)
    if processes.first:
        warnings += blending_notes(placed, choice.pairs, survey, machine, averaging)
    names = usual_measures(segmenter.classes, averaging) if measures is None else measures
    options = {
        "which": which,
        "device": device,
        "precision": precision,
        "measures": None if measures is None else list(measures),
        "conventions": conventions,
        "tta": tta,
        "samples": samples,
    }
    pictures = {choice.which: len(choice.pairs)}
    setup = TestSetup(path, segmenter.net, survey, pictures, options, machine)
    begun = yield from begin_test(target, setup)
    yield Message(f"scoring {len(choice.pairs)} pictures: {choice.which}\non {machine.describe()}")
    asked = chosen_measures(names, segmenter.classes.names, sampled=samples > 0)
    results = yield from _results(placed, choice.pairs, machine, processes, asked, averaging)
    evaluation, groups = summarise(segmenter, results), group_of(pair.name for pair in survey.folder.pairs)
    result = TestResult(
        model=path,
        data=folder,
        which=choice.which,
        evaluation=evaluation,
        intervals=bootstrap(evaluation.images, groups),
        digests={result.name: survey.pictures[result.name].digest for result in results},
        groups={result.name: groups[result.name] for result in results},
        report=target / "report.html",
        warnings=warnings,
        averaging=averaging,
        image_means=_image_means(evaluation, groups) if results else None,
        measured=tuple(
            measured(measure, [(each.name, each.numbers[k]) for each in results], groups)
            for k, measure in enumerate(asked if results else ())
        ),
        conventions=by_conventions([tally(found) for _, found in evaluation.images]) if conventions else (),
    )
    if not processes.first:
        return result
    mark_output(target)
    write_json(target / "scores.json", result.to_json())
    write_text(target / "images.csv", images_csv(result.evaluation, result.measured))
    facts = {"data": str(folder), "pictures": choice.which, "machine": machine.describe()}
    facts |= {"averaged": averaging.describe()} if averaging.describe() else {}
    page = report_contents(
        segmenter,
        card,
        evaluation,
        _panels(placed, machine, choice.pairs, results, averaging),
        intervals=result.intervals,
        model=path,
        test=facts,
        warnings=warnings,
        command=command(begun.folder, begun.record),
        measured=(*([result.image_means] if result.image_means and len(results) > 1 else []), *result.measured),
        conventions=result.conventions,
    )
    write_report(result.report, page)
    record_test(begun, evaluation, result.intervals)
    yield Message(result_text(result))
    return result


def _image_means(evaluation: Evaluation, groups: Mapping[str, str]) -> Measured:
    numbers = [(name, image_numbers(found)) for name, found in evaluation.images]
    return measured(image_means(evaluation.matrix.names), numbers, groups)


def usual_measures(classes: ClassTable, averaging: Averaging) -> tuple[str, ...]:
    """What is measured where nothing is asked for: objects where the masks number them, uncertainty of samples."""
    return (
        "calibration",
        *(["uncertainty"] if averaging.samples else []),
        *(["objects"] if classes.kind == "instances" else []),
    )


def chosen_measures(names: Sequence[str], classes: Sequence[str], *, sampled: bool = False) -> list[Measure]:
    """The measures of these names, each once; ``sampled`` where dropout is.

    Raises
    ------
    UsageError: there is no measure of a name.
    """
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise UsageError(f"no measure '{unknown[0]}'", ", ".join(MEASURES), "correct --measures")
    known = {**MEASURES, **(SAMPLED if sampled else {})}
    found = [known[name](classes) for name in dict.fromkeys(names)]
    twice = [each.key for each in found if sum(each.key == other.key for other in found) > 1]
    if twice:
        raise UsageError(f"{twice[0]} are to be measured by two rules", "one rule", "name one of them in --measures")
    return found


def _results(
    segmenter: Segmenter,
    pairs: Sequence[Pair],
    machine: Machine,
    processes: Processes,
    measures: Sequence[Measure],
    averaging: Averaging,
) -> Generator[Event, None, list[ImageResult]]:
    """Score the pairs, each once."""
    results: list[ImageResult] = []
    samples, names = SampleStore(pairs, segmenter.classes, limit=0), [pair.name for pair in pairs]
    for result in evaluate_together(segmenter, samples, names, machine, processes, measures, averaging):
        results.append(result)
        yield Progress("scoring", len(results), len(pairs))
    return results


def _panels(
    segmenter: Segmenter,
    machine: Machine,
    pairs: Sequence[Pair],
    results: Sequence[ImageResult],
    averaging: Averaging,
) -> list[ImagePanel]:
    """The worst pictures and the best one, predicted again: a large set's predictions do not fit in memory."""
    known = {pair.name: pair for pair in pairs}
    ordered = [known[name] for name, _ in worst_first([(each.name, scores(each.matrix)) for each in results])]
    chosen = ordered if len(ordered) <= PANELS else [*ordered[: PANELS - 1], ordered[-1]]
    return [panel(read_sample(pair, segmenter.classes), segmenter, machine, averaging) for pair in chosen]


def result_text(result: TestResult) -> str:
    """The scores as a page of text: what matters first, the rules last."""
    images, means = result.evaluation.images, result.image_means
    parts = [textwrap.fill(f"note: {warning}", WIDTH) for warning in result.warnings]
    parts.append(scores_table(result.scores, result.intervals))
    parts += map(measured_table, result.measured)
    if len(images) > 1:
        parts += [image_means_lines(means)] if means else []
        parts.append(worst_images_table(images, WORST))
    parts += [conventions_table(result.conventions)] if result.conventions else []
    parts += [rules_text(_rules(result)), f"report: {result.report}"]
    return "\n\n".join(parts)


def _rules(result: TestResult) -> list[str]:
    rules = [ABSENT_RULE, intervals_rule(result.intervals)]
    rules += [f"{each.measure.title}: {each.measure.rule}" for each in result.measured]
    return rules + ([f"Other rules: {CONVENTIONS_RULE}"] if result.conventions else [])

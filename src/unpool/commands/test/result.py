"""The result of a test: as JSON data, and as a page of text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unpool.metrics.conventions import CONVENTIONS_RULE, ConventionScores
from unpool.metrics.intervals import Intervals
from unpool.metrics.measures import MeasureResult
from unpool.metrics.scores import ABSENT_RULE, Scores
from unpool.prediction.averaging import ONCE, Averaging
from unpool.prediction.evaluation import Evaluation
from unpool.report.text import (
    conventions_table,
    image_means_text,
    intervals_rule,
    measure_table,
    rules_text,
    scores_table,
    worst_images_table,
)
from unpool.wording import PAGE_WIDTH

WORST = 5
"""Number of pictures in the text; the report has all of them."""


@dataclass(frozen=True)
class TestResult:
    """The scores of a model on a folder.

    Attributes
    ----------
    which: the tested split, in words.
    intervals: intervals of the scores; None if only one picture was scored.
    digests: sha256 of each picture's pixels, by its name.
    groups: group of each picture, by its name; it follows from the names of all pictures in the folder.
    report: the HTML report; scores.json and images.csv are in the same folder.
    warnings: warnings for the reader of the scores.
    image_means: scores of the pictures, averaged; None for a process that scored no picture.
    measured: results of the measures, in the order of the request.
    conventions: scores by other implementations' rules; empty unless requested.
    averaging: predictions that were averaged for each picture.
    """

    __test__ = False  # pytest takes a class of this name for a test

    model: Path
    data: Path
    which: str
    evaluation: Evaluation
    intervals: Intervals | None
    digests: Mapping[str, str]
    groups: Mapping[str, str]
    report: Path
    warnings: tuple[str, ...]
    image_means: MeasureResult | None
    measured: tuple[MeasureResult, ...] = ()
    conventions: tuple[ConventionScores, ...] = ()
    averaging: Averaging = ONCE

    @property
    def scores(self) -> Scores:
        """The scores over all pictures."""
        return self.evaluation.scores

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        return {
            "model": str(self.model),
            "data": str(self.data),
            "which": self.which,
            "warnings": list(self.warnings),
            "averaging": asdict(self.averaging),
            "rule": ABSENT_RULE,
            "scores": self.scores.to_json(),
            "intervals": self.intervals.to_json() if self.intervals else None,
            "image_means": self.image_means.to_json() if self.image_means else None,
            "conventions": [each.to_json() for each in self.conventions],
            "loss": self.evaluation.loss,
            "confusion": {
                "names": list(self.evaluation.matrix.names),
                "counts": self.evaluation.matrix.counts.tolist(),
            },
            "images": [
                {"name": name, "digest": self.digests[name], "group": self.groups[name], **scores.to_json()}
                for name, scores in self.evaluation.images
            ],
            "measures": {each.measure.key: each.to_json() for each in self.measured},
            "report": str(self.report),
        }


def result_text(result: TestResult) -> str:
    """Return the result as a page of text: warnings and scores first, the rules last."""
    images, means = result.evaluation.images, result.image_means
    parts = [textwrap.fill(f"note: {warning}", PAGE_WIDTH) for warning in result.warnings]
    parts.append(scores_table(result.scores, result.intervals))
    parts += map(measure_table, result.measured)
    if len(images) > 1:
        parts += [image_means_text(means)] if means else []
        parts.append(worst_images_table(images, WORST))
    parts += [conventions_table(result.conventions)] if result.conventions else []
    parts += [rules_text(_rules(result)), f"report: {result.report}"]
    return "\n\n".join(parts)


def _rules(result: TestResult) -> list[str]:
    rules = [ABSENT_RULE, intervals_rule(result.intervals)]
    rules += [f"{each.measure.title}: {each.measure.rule}" for each in result.measured]
    return rules + ([f"Other rules: {CONVENTIONS_RULE}"] if result.conventions else [])

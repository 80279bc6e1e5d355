"""Which pictures are tested, and what a reader of their scores has to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unpool.checkpoint.card import Card
from unpool.data.samples import Pair
from unpool.dataset.survey_result import Survey
from unpool.errors import UsageError
from unpool.prediction.averaging import Averaging

Which = Literal["auto", "train", "val", "test", "all"]


@dataclass(frozen=True)
class Choice:
    """The pictures to score, and why these."""

    pairs: tuple[Pair, ...]
    which: str
    warnings: tuple[str, ...]


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


def orientation_warnings(card: Card, averaging: Averaging) -> list[str]:
    """What to know where pictures are turned for a model that was trained on upright ones."""
    orientation = card.get("story", {}).get("config", {}).get("augmentation", {}).get("orientation")
    if averaging.tta in ("none", "mirror") or orientation != "upright":
        return []
    return [
        f"The model was trained on upright pictures; those that --tta {averaging.tta} turns are strange to it. "
        "--tta mirror keeps them upright."
    ]


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

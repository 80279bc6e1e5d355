"""Which pictures are tested, and the warnings that a reader of their scores needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unpool.checkpoint.card import Card
from unpool.data.samples import Pair
from unpool.dataset.survey_result import Survey
from unpool.errors import UsageError
from unpool.ledger.lineage import OF_TRAINING_FOLDER
from unpool.prediction.averaging import Averaging
from unpool.wording import first_of

Which = Literal["auto", "train", "val", "test", "all"]

TRAINED_ON = "pictures were trained on"
"""Words of a warning, by which a comparison finds it in scores.json."""


@dataclass(frozen=True)
class Choice:
    """The pairs to test, their split in words, and warnings about it."""

    pairs: tuple[Pair, ...]
    which: str
    warnings: tuple[str, ...]


def choose_pairs(survey: Survey, card: Card, which: Which) -> Choice:
    """Choose the pairs to test.

    Raises
    ------
    UsageError: the requested split has no pictures.
    """
    data = card.get("story", {}).get("data", {})
    same_folder = data.get("fingerprint") == survey.fingerprint
    split = data.get("split", {}) if same_folder else {}
    members = {
        part: list(split.get(part, ())) or [pair.name for pair in survey.folder.pairs if pair.split == part]
        for part in ("train", "val", "test")
    }
    if which == "auto":
        which = "test" if members["test"] else "val" if members["val"] else "all"
    names = [pair.name for pair in survey.folder.pairs] if which == "all" else members[which]
    if not names:
        raise UsageError(
            f"{survey.folder.root} has no {which} split",
            "a folder with that split, or the folder the model was trained on",
            "choose --split all",
        )
    chosen = set(names)
    pairs = tuple(pair for pair in survey.folder.pairs if pair.name in chosen)
    part = "all pictures" if which == "all" else f"the {which} split"
    origin = OF_TRAINING_FOLDER if same_folder else ""
    chose_epoch = same_folder and which == "val"
    return Choice(pairs, f"{part}{origin}", tuple(_warnings(survey, pairs, data, chose_epoch)))


def orientation_warnings(card: Card, averaging: Averaging) -> list[str]:
    """Return a warning if pictures are rotated or flipped for a model that was trained on upright ones only."""
    orientation = card.get("story", {}).get("config", {}).get("augmentation", {}).get("orientation")
    if averaging.tta in ("none", "mirror") or orientation != "upright":
        return []
    return [
        f"The model was trained on upright pictures only, and --tta {averaging.tta} uses other orientations too. "
        "Use --tta mirror to keep pictures upright."
    ]


def _warnings(survey: Survey, pairs: Sequence[Pair], data: dict[str, Any], chose_epoch: bool) -> list[str]:
    """Return the warnings; pictures that were trained on are recognised by the hash of their pixels, not by name."""
    warnings = [f"{finding.found}; {finding.repair}" for finding in survey.findings if finding.severity == "warning"]
    trained = set(data.get("digests", {}).values())
    trained_on = [pair.name for pair in pairs if survey.pictures[pair.name].digest in trained]
    if trained_on:
        names = first_of(trained_on, 3)
        warnings.append(f"{len(trained_on)} of the {len(pairs)} {TRAINED_ON} ({names}): these scores are too good.")
    if chose_epoch:
        warnings.append(
            "The validation pictures were not trained on, but they chose the best epoch; "
            "a test on other pictures may score a little lower."
        )
    return warnings

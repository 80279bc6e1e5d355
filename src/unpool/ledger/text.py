"""The words of lists and pages of runs: scores, sections, and the command that repeats a run.

This is not in the report room, because that room imports matplotlib, which takes a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unpool.ledger.record import Record
from unpool.wording import DASH, command_text, decodable, on_one_line

TITLES = {
    "mean_iou": "mean IoU",
    "mean_dice": "mean Dice",
    "global_accuracy": "global accuracy",
    "class_accuracy": "class accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
}
"""The names in tables of the scores of a set, by their names in ``Scores``."""

OPTION_OF = {"which": "split"}
"""Names of a test's options on the command line, where they differ from those in a record."""


def command_line(folder: Path, record: Record) -> str:
    """Return the command line that does the run in a folder again."""
    if record.kind == "train":
        return command_text(["unpool", "train", record.data.folder, "--recipe", absolute(folder / "config.toml")])
    given = [(OPTION_OF.get(name, name), value) for name, value in record.settings.items()]
    options = [word for name, value in given for word in _option(name.replace("_", "-"), value)]
    model = record.model.file if record.model else "MODEL"
    return command_text(["unpool", "test", model, record.data.folder, *options])


def folder_files(folder: Path) -> list[str]:
    """Return the names in a run's folder, sorted; folders end with a slash, hidden files are left out."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [decodable(path.name) + ("/" if path.is_dir() else "") for path in paths if not path.name.startswith(".")]


def section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Return lines under a title, a label and a value each, without those that have no value; "" where none has one."""
    filled = [(on_one_line(label), on_one_line(value)) for label, value in rows if value]
    width = max((len(label) for label, _ in filled), default=0)
    return "\n".join([title, *(f"  {label:<{width}}  {value}" for label, value in filled)]) if filled else ""


def absolute(path: Path) -> str:
    """Return the absolute path of a file, as a text."""
    return decodable(str(path.absolute()))


def score_text(record: Record, name: str = "mean_iou") -> str:
    """Return a score with three decimals, and its interval where it has one: ``0.812 [0.790, 0.833]``."""
    value, interval = record.scores.get(name), record.intervals.get(name)
    text = DASH if value is None else f"{value:.3f}"
    return text if interval is None else f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _option(name: str, value: Any) -> list[str]:
    if value in (None, False, "auto", "none", 0, []):
        return []
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}"] if value is True else [f"--{name}", str(value)]

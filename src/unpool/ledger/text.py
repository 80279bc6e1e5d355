"""Runs as text for a terminal: a list with one line for each, and a page for one.

This is not in the report room, because that room imports matplotlib, which takes a second.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unpool.ledger.folders import FoundRun, FoundRuns
from unpool.ledger.record import Record
from unpool.wording import DASH, bytes_text, clock_text, command_text, decodable, dotted_names, on_one_line, shortened

HEAD = ("id", "kind", "created", "data", "net", "state", "mean IoU", "time", "memory", "folder")
RIGHT_ALIGNED = ("time", "memory")
NAME_LETTERS = 24
"""The most letters of a data folder's name in the list."""

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


def runs_text(runs: FoundRuns) -> str:
    """Return a list with one line for each run, and one for each record that cannot be read."""
    lines = _table([HEAD, *map(_row, runs.runs)]) if runs.runs else ["no runs"]
    lost = [f"unreadable: {on_one_line(str(each.path))}: {on_one_line(each.why)}" for each in runs.unreadable]
    return "\n".join([*lines, *(["", *lost] if lost else [])])


def run_text(run: FoundRun, tests: Sequence[FoundRun], maker: FoundRun | None) -> str:
    """Return a page with all facts of one run.

    Parameters
    ----------
    tests: the tests of the model that the run made.
    maker: the training that made a test's model, where it was found.
    """
    record = run.record
    reason = f" ({on_one_line(record.error.splitlines()[0])})" if record.error else ""
    settings_title = "Settings that differ from the defaults" if record.kind == "train" else "Options"
    parts = [
        f"{record.id}: {record.kind}, {run.state}{reason}",
        _section("Run", _run_rows(run)),
        _section("Data", _data_rows(record)),
        _section("Model", _model_rows(record, maker)),
        _section(settings_title, _setting_rows(record)),
        _section("Scores", [(TITLES.get(name, name), score_text(record, name)) for name in record.scores]),
    ]
    if tests:
        parts.append("\n".join(["Tests of this model", *(f"  {line}" for line in _table([*map(_row, tests)]))]))
    parts.append("\n".join(["Files", *(f"  {on_one_line(name)}" for name in folder_files(run.folder))]))
    again = command_line(run.folder, run.record)
    rerun = command_text(["unpool", "runs", "rerun", run.folder])  # an id alone is found in the folder runs only
    parts.append(f"to run it again: {again}\nor:              {rerun}")
    return "\n\n".join(part for part in parts if part)


def command_line(folder: Path, record: Record) -> str:
    """Return the command line that does the run in a folder again."""
    if record.kind == "train":
        return command_text(["unpool", "train", record.data.folder, "--recipe", _absolute(folder / "config.toml")])
    given = [(OPTION_OF.get(name, name), value) for name, value in record.settings.items()]
    options = [word for name, value in given for word in _option(name.replace("_", "-"), value)]
    model = record.model.file if record.model else "MODEL"
    return command_text(["unpool", "test", model, record.data.folder, *options])


def folder_files(folder: Path) -> list[str]:
    """Return the names in a run's folder, sorted; folders end with a slash, hidden files are left out."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [decodable(path.name) + ("/" if path.is_dir() else "") for path in paths if not path.name.startswith(".")]


def score_text(record: Record, name: str = "mean_iou") -> str:
    """Return a score with three decimals, and its interval where it has one: ``0.812 [0.790, 0.833]``."""
    value, interval = record.scores.get(name), record.intervals.get(name)
    text = DASH if value is None else f"{value:.3f}"
    return text if interval is None else f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _row(run: FoundRun) -> tuple[str, ...]:
    record = run.record
    return (
        record.id,
        record.kind,
        f"{record.created.astimezone():%Y-%m-%d %H:%M}",
        shortened(on_one_line(record.data.name), NAME_LETTERS),
        on_one_line(record.net),
        run.state,
        score_text(record),
        clock_text(record.seconds),
        bytes_text(record.peak_bytes),
        on_one_line(str(run.folder)),
    )


def _run_rows(run: FoundRun) -> list[tuple[str, str]]:
    record = run.record
    epochs = f"{record.epochs}, the best was {record.best_epoch or 'none'}" if record.epochs is not None else ""
    return [
        ("folder", _absolute(run.folder)),
        ("created", f"{record.created.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("took", f"{clock_text(record.seconds)}, at most {bytes_text(record.peak_bytes)} of memory"),
        ("epochs", epochs),
        ("seed", "" if record.seed is None else str(record.seed)),
        ("machine", f"{record.machine}; {record.process.host}"),
        ("code", f"unpool {record.code.version}, sources {record.code.digest[:12]}"),
        ("software", ", ".join(f"{name} {version}" for name, version in record.software.items())),
    ]


def _data_rows(record: Record) -> list[tuple[str, str]]:
    data = record.data
    return [
        ("folder", data.folder),
        ("fingerprint", data.fingerprint[:12]),
        ("pictures", ", ".join(f"{count} {part}" for part, count in data.pictures.items())),
        ("chosen", data.choice),
    ]


def _model_rows(record: Record, maker: FoundRun | None) -> list[tuple[str, str]]:
    return [
        ("network", record.net),
        ("began with", record.start.file if record.start else ""),
        ("file", record.model.file if record.model else ""),
        ("file's digest", record.model.digest[:12] if record.model else ""),
        ("trained by", f"{maker.record.id}, {maker.folder}" if maker else ""),
    ]


def _setting_rows(record: Record) -> list[tuple[str, str]]:
    settings = record.changed if record.kind == "train" else dict(dotted_names(record.settings))
    return [(name, json.dumps(value, ensure_ascii=False)) for name, value in settings.items() if value is not None]


def _section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    filled = [(on_one_line(label), on_one_line(value)) for label, value in rows if value]
    width = max((len(label) for label, _ in filled), default=0)
    return "\n".join([title, *(f"  {label:<{width}}  {value}" for label, value in filled)]) if filled else ""


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEAD))]
    return ["  ".join(map(_padded, row, widths, HEAD)).rstrip() for row in rows]


def _padded(cell: str, width: int, column: str) -> str:
    return cell.rjust(width) if column in RIGHT_ALIGNED else cell.ljust(width)


def _option(name: str, value: Any) -> list[str]:
    if value in (None, False, "auto", "none", 0, []):
        return []
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}"] if value is True else [f"--{name}", str(value)]


def _absolute(path: Path) -> str:
    return decodable(str(path.absolute()))

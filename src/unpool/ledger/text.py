"""The ledger as text for a terminal. It stands here because the report room brings matplotlib, for which a listing
would wait a second.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unpool.io.folders import readable
from unpool.ledger.folders import Entry, Found
from unpool.ledger.record import Record
from unpool.ledger.selection import flat

DASH = "–"
HEAD = ("id", "kind", "created", "data", "net", "state", "mean IoU", "time", "memory", "folder")
NUMBERS = ("time", "memory")
LONGEST_NAME = 24
"""Letters of a data folder's name in the listing."""

TITLES = {
    "mean_iou": "mean IoU",
    "mean_dice": "mean Dice",
    "global_accuracy": "global accuracy",
    "class_accuracy": "class accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
}
"""The scores of a set, by their names in ``Scores``, as they are called in tables."""

OPTION_OF = {"which": "split"}
"""Options of a test that the command line calls otherwise."""


def listing(found: Found) -> str:
    """One line for each run, and one for each record that cannot be read."""
    lines = _table([HEAD, *map(_row, found.entries)]) if found.entries else ["no runs"]
    lost = [f"unreadable: {_clean(str(each.path))}: {_clean(each.why)}" for each in found.unreadable]
    return "\n".join([*lines, *(["", *lost] if lost else [])])


def page(entry: Entry, tests: Sequence[Entry], maker: Entry | None) -> str:
    """Everything about one run.

    Parameters
    ----------
    tests: the tests that were made of its model.
    maker: the training that a test's model came from, where it was found.
    """
    record = entry.record
    reason = f" ({_clean(record.error.splitlines()[0])})" if record.error else ""
    parts = [
        f"{record.id}: {record.kind}, {entry.state}{reason}",
        _section("Run", _run_rows(entry)),
        _section("Data", _data_rows(record)),
        _section("Model", _model_rows(record, maker)),
        _section(
            "Settings that differ from the defaults" if record.kind == "train" else "Options", _setting_rows(record)
        ),
        _section("Scores", [(TITLES.get(name, name), score_text(record, name)) for name in record.scores]),
    ]
    if tests:
        parts.append("\n".join(["Tests of this model", *(f"  {line}" for line in _table([*map(_row, tests)]))]))
    parts.append("\n".join(["Files", *(f"  {_clean(name)}" for name in files(entry.folder))]))
    parts.append(f"again: {_clean(command(entry.folder, entry.record))}\nor:    unpool runs rerun {record.id}")
    return "\n\n".join(part for part in parts if part)


def command(folder: Path, record: Record) -> str:
    """The command line that does the same again as the run in a folder."""
    if record.kind == "train":
        return shlex.join(["unpool", "train", record.data.folder, "--recipe", _absolute(folder / "config.toml")])
    given = [(OPTION_OF.get(name, name), value) for name, value in record.settings.items()]
    options = [word for name, value in given for word in _option(name.replace("_", "-"), value)]
    return shlex.join(["unpool", "test", record.model.file if record.model else "MODEL", record.data.folder, *options])


def files(folder: Path) -> list[str]:
    """What lies in a run's folder, folders with a slash; nothing hidden."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [readable(each.name) + ("/" if each.is_dir() else "") for each in found if not each.name.startswith(".")]


def score_text(record: Record, name: str = "mean_iou") -> str:
    """A score with three decimals, and its interval where it has one."""
    value, interval = record.scores.get(name), record.intervals.get(name)
    text = DASH if value is None else f"{value:.3f}"
    return text if interval is None else f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]"


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours too."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def memory(count: int | None) -> str:
    """Bytes as MB or GB."""
    if count is None:
        return DASH
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _row(entry: Entry) -> tuple[str, ...]:
    record = entry.record
    return (
        record.id,
        record.kind,
        f"{record.created.astimezone():%Y-%m-%d %H:%M}",
        _shortened(_clean(record.data.name)),
        _clean(record.net),
        entry.state,
        score_text(record),
        duration(record.seconds),
        memory(record.peak_bytes),
        _clean(str(entry.folder)),
    )


def _run_rows(entry: Entry) -> list[tuple[str, str]]:
    record = entry.record
    epochs = f"{record.epochs}, the best was {record.best_epoch or 'none'}" if record.epochs is not None else ""
    return [
        ("folder", _absolute(entry.folder)),
        ("created", f"{record.created.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("took", f"{duration(record.seconds)}, at most {memory(record.peak_bytes)} of memory"),
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


def _model_rows(record: Record, maker: Entry | None) -> list[tuple[str, str]]:
    return [
        ("network", record.net),
        ("began with", record.start.file if record.start else ""),
        ("file", record.model.file if record.model else ""),
        ("file's digest", record.model.digest[:12] if record.model else ""),
        ("trained by", f"{maker.record.id}, {maker.folder}" if maker else ""),
    ]


def _setting_rows(record: Record) -> list[tuple[str, str]]:
    plain = record.changed if record.kind == "train" else dict(flat(record.settings))
    return [(name, json.dumps(value, ensure_ascii=False)) for name, value in plain.items() if value is not None]


def _section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    shown = [(label, _clean(value)) for label, value in rows if value]
    width = max((len(label) for label, _ in shown), default=0)
    return "\n".join([title, *(f"  {label:<{width}}  {value}" for label, value in shown)]) if shown else ""


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEAD))]
    return ["  ".join(map(_padded, row, widths, HEAD)).rstrip() for row in rows]


def _padded(cell: str, width: int, column: str) -> str:
    return cell.rjust(width) if column in NUMBERS else cell.ljust(width)


def _option(name: str, value: Any) -> list[str]:
    if value in (None, False, "auto", "none", 0, []):
        return []
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}"] if value is True else [f"--{name}", str(value)]


def _absolute(path: Path) -> str:
    return readable(str(path.absolute()))


def _clean(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in readable(text))


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"

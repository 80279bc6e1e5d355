"""One run as a page of text: its settings, data, model, scores and notes, and how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from unpool.ledger.changes import changes_between, changes_text
from unpool.ledger.folders import FoundRun
from unpool.ledger.lineage import Lineage
from unpool.ledger.record import Record
from unpool.ledger.run_list import tests_table
from unpool.ledger.text import TITLES, absolute, command_line, folder_files, score_text, section
from unpool.wording import bytes_text, clock_text, command_text, dotted_names, on_one_line


def run_text(run: FoundRun, tests: Sequence[FoundRun], maker: FoundRun | None, lineage: Lineage) -> str:
    """Return a page with all facts of one run.

    Parameters
    ----------
    tests: the tests of the model that the run made.
    maker: the training that made a test's model, where it was found.
    lineage: of the runs among which its parent is searched.
    """
    record = run.record
    reason = f" ({on_one_line(record.error.splitlines()[0])})" if record.error else ""
    settings_title = "Settings that differ from the defaults" if record.kind == "train" else "Options"
    parts = [
        f"{record.id}: {record.kind}, {run.state}{reason}",
        section("Run", _run_rows(run)),
        section("Origin", _origin_rows(run, lineage)),
        section("Data", _data_rows(record)),
        section("Model", _model_rows(record, maker)),
        section(settings_title, _setting_rows(record)),
        section("Scores", [(TITLES.get(name, name), score_text(record, name)) for name in record.scores]),
        section("Notes", [(f"{note.time.astimezone():%Y-%m-%d %H:%M}", note.text) for note in run.notes.entries]),
        section("Unreadable notes", [("", odd) for odd in run.notes.odd]),
    ]
    if tests:
        parts.append("\n".join(["Tests of this model", *(f"  {line}" for line in tests_table(tests, lineage))]))
    parts.append("\n".join(["Files", *(f"  {on_one_line(name)}" for name in folder_files(run.folder))]))
    again = command_line(run.folder, run.record)
    rerun = command_text(["unpool", "runs", "rerun", run.folder])  # an id alone is found in the folder runs only
    parts.append(f"to run it again: {again}\nor:              {rerun}")
    return "\n\n".join(part for part in parts if part)


def _origin_rows(run: FoundRun, lineage: Lineage) -> list[tuple[str, str]]:
    """Return what a training was changed from, and its place in a study."""
    record, study = run.record, run.record.study
    rows = []
    if record.parent is not None:
        parent = lineage.training(record.parent)
        rows.append(
            ("changed from", f"{record.parent}, {parent.folder}" if parent else f"{record.parent}, not found here")
        )
        rows.append(("changes", changes_text(changes_between(parent.record, record)) or "none" if parent else ""))
    elif record.kind == "train" and (near := lineage.nearest(run)) is not None:
        rows.append(("changed from", f"not recorded; the nearest earlier training is {near.record.id}, {near.folder}"))
        rows.append(("changes from it", changes_text(changes_between(near.record, record)) or "none"))
    if study is not None:
        rows += [("study", study.folder), ("variant", study.variant), ("tried because", study.note)]
    return rows


def _run_rows(run: FoundRun) -> list[tuple[str, str]]:
    record = run.record
    epochs = f"{record.epochs}, the best was {record.best_epoch or 'none'}" if record.epochs is not None else ""
    return [
        ("folder", absolute(run.folder)),
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

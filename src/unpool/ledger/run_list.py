"""Runs as a list for a terminal: one line for each, with the columns that fit on a page and tell runs apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from unpool.ledger.changes import assignments_text, changed_settings
from unpool.ledger.folders import FoundRun, FoundRuns
from unpool.ledger.lineage import Lineage, pictures_tested, standing
from unpool.ledger.text import score_text, section
from unpool.wording import PAGE_WIDTH, bytes_text, clock_text, on_one_line, shortened

COLUMNS = (
    "id", "kind", "created", "data", "net", "study", "variant", "changes", "from", "val mIoU", "test mIoU", "tested on",
    "time", "memory", "state", "folder",
)  # fmt: skip
"""The columns of the list. Those of ``_TELLING`` are not shown where all runs have one value."""

_TELLING = ("kind", "data", "net", "study", "variant", "tested on", "state")
_MAY_LACK = ("data", "tested on")  # a test whose training is unknown, a training without a test
_IF_THERE_IS_ROOM = ("created", "time", "memory")
_OF_TESTS = ("id", "created", "tested on", "val mIoU", "test mIoU", "state", "folder")
_RIGHT_ALIGNED = ("time", "memory")
_NAME_LETTERS = 24  # of the name of data, a study or a variant
_FEWEST_LETTERS = 20  # of changes on a page

_FROM = "from: the run whose settings a training changed, or the training that a test tested."
_NEAREST = "~: not recorded; the earlier training on the same data with the fewest other settings."
_SEEN = "seen: the model was trained on pictures of this test."

ListRow = dict[str, str]


def runs_text(runs: FoundRuns, lineage: Lineage | None = None, *, wide: bool = False) -> str:
    """Return a list with one line for each run, then notes, and one line for each record that cannot be read.

    Parameters
    ----------
    lineage: of all runs among which parents and tests are searched; by default of the listed ones.
    wide: whether columns that do not fit on a page are shown too, and changes in full.
    """
    known = lineage or Lineage(runs.runs)
    parts = [_list(runs.runs, known, wide=wide)] if runs.runs else ["no runs"]
    notes = [
        (known.name(run), f"{note.time.astimezone():%Y-%m-%d}  {note.text}")
        for run in runs.runs
        for note in run.notes.entries
    ]
    parts.append(section("Notes", notes))
    lost = [f"unreadable: {on_one_line(str(each.path))}: {on_one_line(each.why)}" for each in runs.unreadable]
    lost += [f"unreadable: {on_one_line(odd)}" for run in runs.runs for odd in run.notes.odd]
    return "\n\n".join(part for part in (*parts, "\n".join(lost)) if part)


def tests_table(tests: Sequence[FoundRun], lineage: Lineage) -> list[str]:
    """Return the lines of a table of tests, for the page of the training that made their model."""
    rows = [_row(run, lineage, {}) for run in tests]
    return _lines(rows, [name for name in _OF_TESTS if any(row[name] for row in rows)])


def _list(runs: Sequence[FoundRun], lineage: Lineage, *, wide: bool) -> str:
    shared = _shared_changes(runs, lineage)
    rows = [_row(run, lineage, shared) for run in runs]
    equal = {
        name: next(iter(values))
        for name in _TELLING
        if len(rows) > 1 and len(values := {row[name] for row in rows} - ({""} if name in _MAY_LACK else set())) == 1
    }
    columns = [name for name in COLUMNS if name not in equal and any(row[name] for row in rows)]
    lines = _facts(equal, on_one_line(assignments_text(shared)))
    drawn, shown = (rows, columns) if wide else _fitting(rows, columns)
    lines += _lines(drawn, shown)
    away = [name for name in columns if name not in shown]
    away += ["changes in full"] if any(row["changes"].endswith("…") for row in drawn) else []
    away += ["intervals"] if [row["test mIoU"] for row in drawn] != [row["test mIoU"] for row in rows] else []
    legend = [_FROM] if "from" in shown else []
    legend += [_NEAREST] if any(row["from"].startswith("~") for row in rows) else []
    legend += [_SEEN] if any(row["test mIoU"].endswith(" seen") for row in rows) else []
    legend += [f"--wide also shows: {', '.join(away)}."] if away else []
    return "\n".join([*lines, *(["", *legend] if legend else [])])


def _facts(equal: ListRow, settings: str) -> list[str]:
    """Return the lines above a list: what is the same in all runs that have it; and an empty line after them."""
    runs = [f"{name} {value}" for name, value in equal.items() if value and name not in _MAY_LACK]
    trainings = [f"data {equal['data']}"] if "data" in equal else []
    tests = [f"on {equal['tested on']}"] if "tested on" in equal else []
    parts = {"runs": runs, "trainings": [*trainings, *([settings] if settings else [])], "tests": tests}
    lines = [f"all {which}: {', '.join(facts)}" for which, facts in parts.items() if facts]
    return [*lines, ""] if lines else []


def _shared_changes(runs: Sequence[FoundRun], lineage: Lineage) -> dict[str, object]:
    """Return the settings that differ from the defaults in the same way in all of several trainings."""
    trainings = {id(made): made for run in runs if (made := _training(run, lineage)) is not None}
    if len(trainings) < 2:
        return {}
    first, *others = [changed_settings(run.record) for run in trainings.values()]
    return {name: value for name, value in first.items() if all(each.get(name, ...) == value for each in others)}


def _training(run: FoundRun, lineage: Lineage) -> FoundRun | None:
    return run if run.record.kind == "train" else lineage.maker(run)


def _row(run: FoundRun, lineage: Lineage, shared: Mapping[str, object]) -> ListRow:
    record, training, study = run.record, _training(run, lineage), lineage.study(run)
    changed = changed_settings(training.record) if training is not None else {}
    changes = {name: value for name, value in changed.items() if name not in shared}
    if record.kind == "test":
        changes = {**changes, **dict(pictures_tested(record).options)}
    test = lineage.held_out(run) if record.kind == "train" else run
    row = {
        "id": lineage.name(run),
        "kind": record.kind,
        "created": f"{record.created.astimezone():%Y-%m-%d %H:%M}",
        "data": _name(training.record.data.name) if training is not None else "",
        "net": on_one_line(record.net),
        "study": _name(Path(study.folder).name) if study else "",
        "variant": _name(study.variant) if study else "",
        "changes": on_one_line(assignments_text(changes)),
        "from": _from(run, lineage),
        "val mIoU": score_text(record) if record.kind == "train" else "",
        "test mIoU": score_text(test.record) if test is not None else "",
        "tested on": _name(pictures_tested(test.record).text) if test is not None else "",
        "time": clock_text(record.seconds),
        "memory": bytes_text(record.peak_bytes),
        "state": run.state,
        "folder": on_one_line(str(run.folder)),
    }
    if record.kind == "test" and standing(record) == "val":
        row["val mIoU"], row["test mIoU"] = score_text(record), ""
    elif record.kind == "test" and standing(record) == "seen":
        row["test mIoU"] += " seen"
    return row


def _from(run: FoundRun, lineage: Lineage) -> str:
    record, letters = run.record, lineage.letters
    if record.kind == "test":
        made = lineage.maker(run)
        return lineage.name(made) if made is not None else ""
    if record.parent is not None:
        return record.parent[:letters]
    nearest = lineage.nearest(run)
    return f"~{lineage.name(nearest)}" if nearest is not None else ""


def _name(name: str) -> str:
    return shortened(on_one_line(name), _NAME_LETTERS)


def _fitting(rows: list[ListRow], columns: Sequence[str]) -> tuple[list[ListRow], list[str]]:
    """Return rows and columns that fit on a page: scores without intervals, shorter changes, fewer columns."""
    bare = [_without_intervals(row) for row in rows]
    kept = [name for name in columns if name not in _IF_THERE_IS_ROOM]
    for names in (kept, [name for name in kept if name != "folder"]):
        for drawn in (rows, bare, _shortened(rows, names), _shortened(bare, names)):
            if _width(drawn, names) <= PAGE_WIDTH:
                return drawn, _with_more(drawn, names, columns)
    return drawn, names


def _with_more(rows: Sequence[ListRow], kept: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return the columns that are kept, and others as long as they fit on the page."""
    shown = set(kept)
    for name in _IF_THERE_IS_ROOM:
        if name in columns and _width(rows, [each for each in columns if each in shown | {name}]) <= PAGE_WIDTH:
            shown.add(name)
    return [name for name in columns if name in shown]


def _shortened(rows: list[ListRow], columns: Sequence[str]) -> list[ListRow]:
    longest = max(len(row["changes"]) for row in rows)
    most = max(longest - max(_width(rows, columns) - PAGE_WIDTH, 0), _FEWEST_LETTERS)
    return [{**row, "changes": shortened(row["changes"], most)} for row in rows]


def _without_intervals(row: ListRow) -> ListRow:
    bare = {name: re.sub(r" \[.*\]", "", row[name]) for name in ("val mIoU", "test mIoU")}
    return {**row, **bare}


def _width(rows: Sequence[ListRow], columns: Sequence[str]) -> int:
    return max(map(len, _lines(rows, columns)))


def _lines(rows: Sequence[ListRow], columns: Sequence[str]) -> list[str]:
    cells = [list(columns), *([row[name] for name in columns] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
    return ["  ".join(map(_padded, row, widths, columns)).rstrip() for row in cells]


def _padded(cell: str, width: int, column: str) -> str:
    return cell.rjust(width) if column in _RIGHT_ALIGNED else cell.ljust(width)

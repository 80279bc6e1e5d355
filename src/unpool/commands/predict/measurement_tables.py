"""The tables ``objects.csv`` and ``classes.csv`` of a folder of predictions, from the measurements of each picture."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unpool.errors import DataError, UsageError
from unpool.io.documents import json_value
from unpool.io.files import atomic_path
from unpool.io.outputs import read_journal, stamp_of
from unpool.io.pixel_size import PixelSize
from unpool.objects.measurements import SHAPE_COLUMNS
from unpool.report.spreadsheet import text_cell

TABLES = ("objects.csv", "classes.csv")
"""The names of the tables: a row for each object, and a row for each picture and class."""

_LENGTHS = ("perimeter", "centroid_row", "centroid_column", "major_axis", "minor_axis")
"""Measurements of objects that are lengths, and that physical units are given for."""

_PIXELS = frozenset({"area", *_LENGTHS, "box_top", "box_left", "box_bottom", "box_right"})


class _Part(NamedTuple):
    """The measurements of one picture: the first line of its file, and its pixel size."""

    file: Path
    head: dict[str, Any]
    size: PixelSize | None


def refuse_tables(folder: Path, *, resume: bool) -> None:
    """Raise UsageError where a table exists, and with ``--resume`` where it is not as unpool wrote it."""
    entries = read_journal(folder).entries if resume else {}
    stamps = [entry.stamps for entry in entries.values()]
    for path in (folder.resolve() / name for name in TABLES):
        own = any(each.get(path.name) == stamp_of(path) for each in stamps)
        if os.path.lexists(path) and not own:
            changed = "; somebody changed it, or another program wrote it" if resume else ""
            raise UsageError(
                f"{path} exists already{changed}",
                "a folder without tables, as they get the objects of all pictures of the command",
                "give another --out, or --overwrite" if not resume else "move it away, or give another --out",
            )


def other_measurements(folder: Path, files: Sequence[Path]) -> list[str]:
    """Return the names of pictures whose measurements an earlier command left in a folder, without these files."""
    names = {Path(name) for entry in read_journal(folder).entries.values() if entry.done for name in entry.stamps}
    own = {path.relative_to(folder.resolve()) for path in files}
    found = (name for name in names - own if name.suffix == ".jsonl" and (folder / name).is_file())
    return sorted(Path(*name.parts[1:]).with_suffix("").as_posix() for name in found)


def write_tables(folder: Path, files: Sequence[Path]) -> tuple[Path, Path]:
    """Write both tables atomically and return their paths; they have the pictures in the order of the files.

    Parameters
    ----------
    files: the measurements of each picture, as ``unpool.commands.predict.object_files`` writes them.

    Raises
    ------
    DataError: a file is missing, or is not what ``predict`` wrote.
    RunError: no room, or no right to write.
    """
    parts = [_part(file) for file in files]
    channels = range(1, 1 + max((int(part.head["channels"]) for part in parts), default=0))
    intensities = [f"{name}_{number}" for number in channels for name in ("mean", "std")]
    units = sorted({part.size.unit for part in parts if part.size}, reverse=True)
    objects, classes = (folder / name for name in TABLES)
    head = ["picture", "object", "class", *map(_titled, SHAPE_COLUMNS), *intensities, *_physical_titles(units, True)]
    _write(objects, head, (row for part in parts for row in _object_rows(part, intensities, units)))
    head = ["picture", "class", "area_px", "share", "objects", *intensities, *_physical_titles(units, False)]
    _write(classes, head, (row for part in parts for row in _class_rows(part, intensities, units)))
    return objects, classes


def _titled(name: str) -> str:
    return f"{name}_px" if name in _PIXELS else f"{name}_deg" if name == "angle" else name


def _physical_titles(units: Sequence[str], lengths: bool) -> Iterator[str]:
    for unit in units:
        yield from (f"pixel_height_{unit}", f"pixel_width_{unit}", f"area_{unit}2")
        yield from (f"{name}_{unit}" for name in _LENGTHS if lengths)


def _physical_cells(row: dict[str, Any], size: PixelSize | None, units: Sequence[str], lengths: bool) -> Iterator[str]:
    """Yield the cells of ``_physical_titles``; empty where a picture has no size in that unit, or none of its length.

    Lengths in any direction have no size where pixels are not square.
    """
    for unit in units:
        names = _LENGTHS if lengths else ()
        if size is None or size.unit != unit:
            yield from [""] * (3 + len(names))
            continue
        yield from map(_number, (size.row, size.column, row["area"] * size.row * size.column))
        for name in names:
            side = size.row if name == "centroid_row" else size.column
            known = name.startswith("centroid") or size.isotropic
            yield _number(row[name] * side) if known and row[name] is not None else ""


def _object_rows(part: _Part, intensities: Sequence[str], units: Sequence[str]) -> Iterator[list[str]]:
    picture = text_cell(str(part.head["picture"]))
    for row in _lines(part.file):
        if "object" in row:
            measured = [_number(row.get(name)) for name in (*SHAPE_COLUMNS, *intensities)]
            physical = _physical_cells(row, part.size, units, True)
            yield [picture, str(row["object"]), text_cell(str(row["class"])), *measured, *physical]


def _class_rows(part: _Part, intensities: Sequence[str], units: Sequence[str]) -> Iterator[list[str]]:
    picture = text_cell(str(part.head["picture"]))
    for row in part.head["classes"]:
        measured = [_number(row.get(name)) for name in ("area", "share", "objects", *intensities)]
        yield [picture, text_cell(str(row["class"])), *measured, *_physical_cells(row, part.size, units, False)]


def _number(value: float | None) -> str:
    """Return a number for a cell: whole, or with 8 digits; an empty cell for none."""
    if value is None:
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.8g}"


def _part(file: Path) -> _Part:
    lines = _lines(file)
    try:
        head = next(lines)
        size = PixelSize(**head["pixel_size"]) if head["pixel_size"] else None
        if "classes" in head and "channels" in head:
            return _Part(file, head, size)
    except (KeyError, StopIteration, TypeError):
        pass
    raise _damaged(file, "its first line has no measurements of a picture")


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json_value(line)
    except OSError as error:
        raise _damaged(file, error.strerror or str(error)) from error
    except ValueError as error:
        raise _damaged(file, str(error)) from error


def _damaged(file: Path, why: str) -> DataError:
    return DataError(
        f"{file}: {why}",
        "the measurements that predict --objects wrote for this picture",
        "repeat the command with --overwrite",
    )


def _write(path: Path, head: Sequence[str], rows: Iterator[list[str]]) -> None:
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(head)
        table.writerows(rows)

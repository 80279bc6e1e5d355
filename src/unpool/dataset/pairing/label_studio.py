"""The masks of Label Studio's export: one file for each region, named after its task, whose picture its JSON has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from unpool.dataset.pairing.folder import FolderContents, PlacedFile, composed
from unpool.errors import DataError
from unpool.io.documents import json_value
from unpool.io.text_files import read_text
from unpool.wording import count_text

_MASK = re.compile(r"^task-(?P<task>\d+)-annotation-(?P<drawing>\d+-by-[^-]*)-[^-]+-(?P<label>.+?)-\d+$")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of a file that was uploaded."""
_MOST_BYTES = 200_000_000


def label_studio_masks(contents: FolderContents) -> dict[PlacedFile, list[tuple[PlacedFile, str]]]:
    """Return the masks of each picture with the labels of their regions; nothing for masks of other programs.

    A task's picture is the one that the JSON export names, or the one that is named after the task's number.

    Raises
    ------
    DataError: the pictures of the tasks are not known, or a task was drawn by several people.
    """
    masks = {file: match for file in contents.files if (match := _MASK.match(file.path.stem))}
    images = [file for file in contents.files if file not in masks]
    if not masks or not images:
        return {}
    by_task = {**_named_after_tasks(images), **_named_in_exports(contents, images)}
    found: dict[PlacedFile, list[tuple[PlacedFile, str]]] = defaultdict(list)
    drawings: dict[str, set[str]] = defaultdict(set)
    for file, match in masks.items():
        if image := by_task.get(match["task"]):
            found[image].append((file, match["label"]))
            drawings[match["task"]].add(match["drawing"])
    if not found:
        raise DataError(
            f"{contents.root}: {count_text(len(masks), 'mask')} of Label Studio whose pictures are not known, such as "
            f"{next(iter(masks)).path.name}",
            "Label Studio's JSON export of the same tasks beside the masks, which names the picture of each task",
            "export the tasks as JSON too, into this folder; or name each picture after its task, such as 12.png for "
            "task-12",
        )
    if task := next((task for task, each in drawings.items() if len(each) > 1), None):
        raise DataError(
            f"{contents.root}: task {task} of Label Studio has {len(drawings[task])} annotations",
            "one annotation for each task",
            "move the masks of the others into a folder unused/",
        )
    return dict(found)


def _named_after_tasks(images: list[PlacedFile]) -> dict[str, PlacedFile]:
    stems = [(re.sub(r"^task[-_]?", "", file.path.stem), file) for file in images]
    return {stem: file for stem, file in stems if stem.isdigit()}


def _named_in_exports(contents: FolderContents, images: list[PlacedFile]) -> dict[str, PlacedFile]:
    """Return the pictures that the JSON exports in the folder name, by task, as far as there is one of the name."""
    by_name: dict[str, list[PlacedFile]] = defaultdict(list)
    for file in images:
        by_name[composed(file.path.name)].append(file)
    found = {}
    for task, name in _tasks(contents):
        fitting = by_name.get(name) or by_name.get(_UPLOADED.sub("", name)) or []
        if len(fitting) == 1:
            found[task] = fitting[0]
    return found


def _tasks(contents: FolderContents) -> Iterator[tuple[str, str]]:
    """Yield the number of each task in the JSON files of a folder, and the last name of each path in its data."""
    for file in contents.others:
        if file.path.suffix.lower() != ".json":
            continue
        try:
            data = json_value(read_text(file.path, _MOST_BYTES))
        except (DataError, ValueError):
            continue
        for task in data if isinstance(data, list) else []:
            if isinstance(task, dict) and isinstance(task.get("id"), int):
                yield from ((str(task["id"]), name) for name in _names(task))


def _names(task: Mapping[str, Any]) -> Iterator[str]:
    data = task.get("data")
    texts = [*data.values()] if isinstance(data, dict) else [task.get("image")]
    for text in texts:
        if isinstance(text, str):
            parts = urlsplit(text)
            path = parts.query.removeprefix("d=") if parts.query.startswith("d=") else parts.path
            yield composed(PurePosixPath(unquote(path)).name)

"""The lists of a folder: text files such as ``train.txt`` or ``val_list.txt``, which name the pictures of a split."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from unpool.dataset.findings import Finding
from unpool.dataset.pairing.folder import Folder, FolderContents, composed
from unpool.dataset.pairing.words import SPLITS, list_split
from unpool.errors import DataError
from unpool.io.text_files import read_text
from unpool.wording import decodable, first_of

_SUFFIXES = frozenset({".txt", ".lst", ".csv"})
_UNREAD_SUFFIXES = frozenset({".json", ".tsv", ".yaml", ".yml"})
_MOST_BYTES = 50_000_000
_HEADING = frozenset(
    [
        "image",
        "images",
        "img",
        "mask",
        "masks",
        "label",
        "labels",
        "annotation",
        "file",
        "filename",
        "name",
        "path",
        "picture",
        "id",
    ]
)


class ListFile(NamedTuple):
    """A list: its split, its file, and its lines, which are not empty, with their numbers from 1."""

    split: str
    path: Path
    lines: tuple[tuple[int, str], ...]


def find_lists(contents: FolderContents) -> list[ListFile]:
    """Return the lists that hold for a folder.

    They lie in the folder itself; or else in ``ImageSets/Segmentation``, as Pascal VOC has them, which there may be
    several of; or else in the only sub-folder that has lists.

    Raises
    ------
    DataError: a folder has two lists for one split, or a list cannot be read.
    """
    folders = _folders_with_lists(contents)
    of_voc = [folder for folder in folders if folder.parts[-2:] == ("ImageSets", "Segmentation")]
    chosen = [contents.root] if contents.root in folders else of_voc or (list(folders) if len(folders) == 1 else [])
    return [each for folder in chosen for each in _lists_of(folders[folder])]


def lists_of_each_folder(contents: FolderContents) -> list[list[ListFile]]:
    """Return the lists of each folder that has some; none of a folder whose lists are broken."""
    found = []
    for paths in _folders_with_lists(contents).values():
        try:
            found.append(_lists_of(paths))
        except DataError:
            continue
    return found


def _folders_with_lists(contents: FolderContents) -> dict[Path, list[Path]]:
    folders: dict[Path, list[Path]] = {}
    for path in sorted(file.path for file in contents.others if _may_be_list(file.path)):
        folders.setdefault(path.parent, []).append(path)
    return folders


def folder_of_pictures(path: Path) -> Path:
    """Return the folder whose pictures a list names: that of the list, or that of ``ImageSets``."""
    places = [k for k, part in enumerate(path.parts) if part == "ImageSets"]
    return Path(*path.parts[: places[-1]]) if places else path.parent


def listed_path(text: str) -> PurePosixPath:
    """Return a path of a list with slashes and composed letters, as Linux and most programs write it."""
    return PurePosixPath(composed(text.replace("\\", "/")))


def unused_lists(contents: FolderContents, folder: Folder) -> list[Finding]:
    """Return the finding that files look like lists, name pictures of the folder, and are not used."""
    stems = {composed(file.path.stem) for file in contents.files}
    used = {path.parent for path in folder.lists}
    unused = [
        decodable(file.path.relative_to(contents.root).as_posix())
        for file in contents.others
        if file.path not in folder.lists
        and _looks_like_list(file.path)
        and not (file.path.parent in used and "trainval" in file.path.stem)
        and names_picture(file.path, stems)
    ]
    if not unused:
        return []
    given = any(pair.split for pair in folder.pairs)
    return [
        Finding(
            "note" if given else "warning",
            "lists-unused",
            f"not used, although they name pictures: {first_of(unused)}",
            "" if given else "lists train.txt, val.txt and test.txt in the folder, each with one picture on a line",
            "" if given else "save the lists that you mean under these names, or remove them",
            tuple(unused),
        )
    ]


def names_picture(path: Path, stems: Collection[str]) -> bool:
    """Return whether the beginning of a text file has the name of a picture as a word.

    Parameters
    ----------
    stems: the pictures' names without suffix, with composed letters.
    """
    with path.open("rb") as file:
        text = composed(file.read(100_000).decode("utf-8", "replace"))
    words = re.split(r"[\s,;:\"'<>=\[\]{}]+", text)[:2000]
    return any(word in stems or listed_path(word).stem in stems for word in words if word)


def _may_be_list(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and list_split(path.stem) is not None and path.stat().st_size <= _MOST_BYTES


def _looks_like_list(path: Path) -> bool:
    words = {*re.split(r"[\W_\d]+", path.stem.lower())}
    named = list_split(path.stem) is not None or words & {*SPLITS, "split", "splits", "fold", "folds", "trainval"}
    return bool(named) and path.suffix.lower() in _SUFFIXES | _UNREAD_SUFFIXES


def _lists_of(paths: Sequence[Path]) -> list[ListFile]:
    """Return the list of each split in one folder; a name that is only the split's goes before others."""
    by_split: dict[str, list[ListFile]] = {}
    plain = [path for path in paths if path.stem.lower() in SPLITS]
    named = {list_split(path.stem) for path in plain}
    for path in [*plain, *(path for path in paths if list_split(path.stem) not in named)]:
        split = list_split(path.stem)
        assert split is not None
        by_split.setdefault(split, []).append(ListFile(split, path, _lines(path)))
    for split, lists in by_split.items():
        if other := next((each for each in lists if each.lines != lists[0].lines), None):
            raise DataError(
                f"two lists for the split {split}: {lists[0].path} and {other.path}",
                "one list for each split",
                "remove one of them",
            )
    return [lists[0] for lists in by_split.values()]


def _lines(path: Path) -> tuple[tuple[int, str], ...]:
    texts = enumerate(map(str.strip, read_text(path, _MOST_BYTES).splitlines()), 1)
    lines = tuple((number, text) for number, text in texts if text)
    headed = path.suffix.lower() == ".csv" and lines and {*re.split(r"[\W_]+", lines[0][1].lower())} <= _HEADING
    return lines[1:] if headed else lines

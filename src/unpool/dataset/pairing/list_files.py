"""List files: ``train.txt`` with a picture and its mask on every line, as Caffe's SegNet and others write, or with
only a picture's name, as Pascal VOC does."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from unpool.dataset.pairing.names import SPLITS
from unpool.errors import DataError
from unpool.io.read.images import IMAGE_SUFFIXES

_SUFFIX = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
_LINE = re.compile(rf"^(?P<image>.+?\.(?:{_SUFFIX}))\s*[\s,;]\s*(?P<mask>.+\.(?:{_SUFFIX}))$", re.IGNORECASE)
_LONGEST = 50_000_000


class Listed(NamedTuple):
    """One line of a list: the split, the picture's path as the list words it, and the two files."""

    split: str
    words: PurePosixPath
    image: Path
    mask: Path


def find_lists(root: Path) -> dict[str, Path]:
    """Split to list file, for the ``.txt`` files of a folder whose first line names a picture and a mask."""
    found: dict[str, Path] = {}
    for path in sorted(root.glob("*.txt")):
        split = SPLITS.get(path.stem.lower())
        if split is None or not path.is_file() or next(_lines(path), None) is None:
            continue
        if split in found:
            raise DataError(
                f"two lists for one split: {found[split]} and {path}", "one list a split", "remove one of them"
            )
        found[split] = path
    return found


def read_lists(lists: Mapping[str, Path]) -> list[Listed]:
    """The lines of all lists, with the files they name.

    A path is relative to its list's folder. Leading folders that do not exist here, as in
    ``/SegNet/CamVid/train``, are left out, the same number on every line of a list.

    Raises
    ------
    DataError: a line names no two files, a file is missing, or it is unclear how many folders to leave out.
    """
    return [line for split, path in lists.items() for line in _read(split, path)]


def find_name_lists(root: Path) -> dict[str, Path]:
    """Split to list file, for ``.txt`` files whose lines are bare names, in the folder or VOC's ``ImageSets``."""
    for folder in (root, root / "ImageSets" / "Segmentation"):
        found: dict[str, Path] = {}
        for path in sorted(folder.glob("*.txt")):
            split = SPLITS.get(path.stem.lower())
            if (
                split is not None
                and path.is_file()
                and path.stat().st_size <= _LONGEST
                and next(_lines(path), None) is None
            ):
                found.setdefault(split, path)
        if found:
            return found
    return {}


def read_name_lists(lists: Mapping[str, Path], names: Collection[str]) -> dict[str, str]:
    """Which split the lists put each pair in; ``names`` are the folder's pairs.

    A line may be a pair's whole name or its last part, with or without the picture's suffix.

    Raises
    ------
    DataError: a line names no pair or several, or a pair stands in two lists.
    """
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(PurePosixPath(name).name, []).append(name)
    splits: dict[str, str] = {}
    for split, path in lists.items():
        for line in filter(None, map(str.strip, path.read_text(encoding="utf-8-sig", errors="replace").splitlines())):
            word = PurePosixPath(line.replace("\\", "/"))
            word = word.with_suffix("") if word.suffix.lower() in IMAGE_SUFFIXES else word
            fits = [str(word)] if str(word) in names else by_stem.get(word.name, [])
            if len(fits) != 1 or splits.setdefault(fits[0], split) != split:
                named = "a pair of another list" if len(fits) == 1 else f"{len(fits)} pairs"
                raise DataError(
                    f"{path}: '{line[:80]}' names {named}",
                    "each line to name one pair of picture and mask, in one list",
                    "correct the list, or remove it so that a split is made",
                )
    return splits


def _read(split: str, path: Path) -> Iterator[Listed]:
    lines = [pair for pair in _lines(path) if pair]
    drop = _dropped_folders(path, *lines[0])
    for image, mask in lines:
        files = [_located(path.parent, words, drop) for words in (image, mask)]
        for words, file in zip((image, mask), files, strict=True):
            if not file.is_file():
                raise DataError(
                    f"{path}: names {words}, and there is no such file",
                    "every file in the list",
                    "correct the list or bring the file; paths are relative to the list's folder",
                )
        yield Listed(split, PurePosixPath(*_parts(image)[drop:]), *files)


def _lines(path: Path) -> Iterator[tuple[str, str] | None]:
    """Picture and mask of every line; the first is None where the file is no such list."""
    if path.stat().st_size > _LONGEST:
        return
    first = True
    for number, text in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not text.strip():
            continue
        match = _LINE.match(text.strip())
        if match is None and first:
            return
        if match is None:
            raise DataError(
                f"{path}: line {number} is '{text.strip()[:80]}'",
                "a picture and its mask, with a space, tab or comma between them",
                "correct the line",
            )
        first = False
        yield match["image"], match["mask"]


def _dropped_folders(path: Path, image: str, mask: str) -> int:
    depth = min(len(_parts(image)), len(_parts(mask)))
    fits = [
        drop for drop in range(depth) if all(_located(path.parent, words, drop).is_file() for words in (image, mask))
    ]
    if len(fits) == 1 or 0 in fits:
        return fits[0]
    raise DataError(
        f"{path}: its first line names {image}, "
        + ("found in more than one way" if fits else f"not found from {path.parent}"),
        "paths relative to the list's folder",
        "correct the paths in the list",
    )


def _located(folder: Path, words: str, drop: int) -> Path:
    if drop == 0:
        return folder / words
    return folder.joinpath(*_parts(words)[drop:])


def _parts(words: str) -> tuple[str, ...]:
    """Folders and name, with a leading slash as a part of its own so that it can be left out."""
    return PurePosixPath(words.replace("\\", "/")).parts

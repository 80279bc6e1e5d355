"""The layout with lists of pairs: ``train.txt`` with a picture and its mask on every line, as Caffe's SegNet has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from unpool.data.samples import Pair
from unpool.dataset.pairing.folder import Folder, FolderContents
from unpool.dataset.pairing.words import SPLITS, folder_role
from unpool.errors import DataError
from unpool.io.read.images import IMAGE_SUFFIXES

_SUFFIX = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
_LINE = re.compile(rf"^(?P<image>.+?\.(?:{_SUFFIX}))\s*[\s,;]\s*(?P<mask>.+\.(?:{_SUFFIX}))$", re.IGNORECASE)
_MOST_BYTES = 50_000_000


class _ListedPair(NamedTuple):
    """One line of a list: its split, the picture's path as it stands in the list, and the two files."""

    split: str
    listed: PurePosixPath
    image: Path
    mask: Path


def pair_by_lists(contents: FolderContents) -> Folder | None:
    """Pair a folder by its ``.txt`` files whose first line names a picture and a mask; None without such files.

    A path is relative to its list's folder. Leading folders that do not exist here, such as ``/SegNet/CamVid`` in
    ``/SegNet/CamVid/train``, are left out, the same number on every line of a list.

    Raises
    ------
    DataError: a line does not name two files, a file is missing, a picture is listed twice, or a list's paths fit
        more than one file.
    """
    root, lists = contents.root, _find_lists(contents.root)
    if not lists:
        return None
    lines = [line for split, path in lists.items() for line in _read(split, path)]
    counts = Counter(_pair_name(line) for line in lines)
    pairs = [Pair(_pair_name(line, counts), line.image, line.mask, line.split) for line in lines]
    pairs.sort(key=lambda pair: pair.name)
    for image, same in groupby(sorted(pairs, key=lambda pair: pair.image), key=lambda pair: pair.image):
        if len(list(same)) > 1:
            raise DataError(
                f"{root}: the lists name {image} more than once",
                "every picture on one line of one list",
                "keep one of the lines and remove the others",
            )
    names = ", ".join(path.name for path in lists.values())
    return Folder(root, f"pairs and their split listed in {names}", tuple(pairs), (), ())


def is_pair_list(path: Path) -> bool:
    """Return whether the first line of a text file names a picture and a mask."""
    return next(_lines(path), None) is not None


def is_too_large(path: Path) -> bool:
    """Return whether a text file is too large (above 50 MB) to be a list."""
    return path.stat().st_size > _MOST_BYTES


def _find_lists(root: Path) -> dict[str, Path]:
    """Return the list file of each split."""
    lists: dict[str, Path] = {}
    for path in sorted(root.glob("*.txt")):
        split = SPLITS.get(path.stem.lower())
        if split is None or not path.is_file() or not is_pair_list(path):
            continue
        if split in lists:
            raise DataError(
                f"two lists for the split {split}: {lists[split]} and {path}",
                "one list for each split",
                "remove one of them",
            )
        lists[split] = path
    return lists


def _pair_name(line: _ListedPair, counts: Mapping[str, int] = MappingProxyType({})) -> str:
    """Return the pair's name: its path without folders that only say split or kind.

    Where ``counts`` has that name twice, the name is the full path.
    """
    roles = [(part, folder_role(part)) for part in line.listed.parts[:-1]]
    places = [part for part, role in roles if part != "/" and not role.kind and role.split != line.split]
    short = "/".join([line.split, *places, line.listed.stem])
    return short if counts.get(short, 1) == 1 else "/".join([line.split, *line.listed.parts])


def _read(split: str, path: Path) -> Iterator[_ListedPair]:
    lines = list(_lines(path))
    skipped = _skipped_folders(path, *lines[0])
    for image, mask in lines:
        files = [_located(path.parent, listed, skipped) for listed in (image, mask)]
        for listed, file in zip((image, mask), files, strict=True):
            if not file.is_file():
                raise DataError(
                    f"{path} names {listed}, which does not exist",
                    "paths of files, relative to the list's folder",
                    "correct the list, or bring the file",
                )
        yield _ListedPair(split, PurePosixPath(*_parts(image)[skipped:]), *files)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield picture and mask of every line; nothing where the first line does not name them."""
    if is_too_large(path):
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
                "a picture and its mask, separated by a space, a tab or a comma",
                "correct the line",
            )
        first = False
        yield match["image"], match["mask"]


def _skipped_folders(path: Path, image: str, mask: str) -> int:
    """Return how many leading folders to leave out of a list's paths, judged by its first line."""
    depth = min(len(_parts(image)), len(_parts(mask)))
    fits = [
        skipped
        for skipped in range(depth)
        if all(_located(path.parent, listed, skipped).is_file() for listed in (image, mask))
    ]
    if len(fits) == 1 or 0 in fits:
        return fits[0]
    raise DataError(
        f"{path}: the first line names {image}, "
        + ("which fits more than one file" if fits else f"which is not in {path.parent}"),
        "paths of files, relative to the list's folder",
        "correct the paths in the list",
    )


def _located(folder: Path, listed: str, skipped: int) -> Path:
    return folder.joinpath(*_parts(listed)[skipped:]) if skipped else folder / listed


def _parts(listed: str) -> tuple[str, ...]:
    """Return the folders and the name; a leading slash is a part of its own, so that it can be left out."""
    return PurePosixPath(listed.replace("\\", "/")).parts

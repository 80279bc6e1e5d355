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
from unpool.dataset.pairing.folder import Folder, FolderContents, composed
from unpool.dataset.pairing.split_lists import ListFile, find_lists, listed_path
from unpool.dataset.pairing.words import folder_role
from unpool.errors import DataError
from unpool.io.read.images import IMAGE_SUFFIXES

_SUFFIX = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
_LINE = re.compile(rf"^(?P<image>.+?\.(?:{_SUFFIX}))\s*[\s,;]\s*(?P<mask>.+\.(?:{_SUFFIX}))$", re.IGNORECASE)


class _ListedPair(NamedTuple):
    """One line of a list: its split, the picture's path as it stands in the list, and the two files."""

    split: str
    listed: PurePosixPath
    image: Path
    mask: Path


def pair_by_lists(contents: FolderContents) -> Folder | None:
    """Pair a folder by its lists whose first line names a picture and a mask; None without such lists.

    A path is relative to its list's folder, to one above it, or to the only one below it that has it. Leading folders
    that do not exist here, such as ``/SegNet/CamVid`` in ``/SegNet/CamVid/train``, are left out, the same number on
    every line of a list.

    Raises
    ------
    DataError: a line does not name two files, a file is missing, a picture is listed twice, or a list's paths fit
        more than one file.
    """
    root = contents.root
    lists = [each for each in find_lists(contents) if is_pair_list(each)]
    if not lists:
        return None
    lines = [line for each in lists for line in _read(contents, each)]
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
    paths = tuple(each.path for each in lists)
    names = ", ".join(path.relative_to(root).as_posix() for path in paths)
    return Folder(root, f"pairs and their split listed in {names}", tuple(pairs), (), (), paths)


def is_pair_list(each: ListFile) -> bool:
    """Return whether the first line of a list names a picture and a mask."""
    return bool(each.lines) and _LINE.match(each.lines[0][1]) is not None


def _pair_name(line: _ListedPair, counts: Mapping[str, int] = MappingProxyType({})) -> str:
    """Return the pair's name: its path without folders that only say split or kind.

    Where ``counts`` has that name twice, the name is the full path.
    """
    roles = [(part, folder_role(part)) for part in line.listed.parts[:-1]]
    places = [part for part, role in roles if part != "/" and not role.kind and role.split != line.split]
    short = "/".join([line.split, *places, line.listed.stem])
    return short if counts.get(short, 1) == 1 else "/".join([line.split, *line.listed.parts])


def _read(contents: FolderContents, each: ListFile) -> Iterator[_ListedPair]:
    path, lines = each.path, [_line(each.path, *line) for line in each.lines]
    base, skipped = _base(contents, path, *lines[0])
    for listed in lines:
        files = [contents.find(_located(base, name, skipped)) for name in listed]
        for name, file in zip(listed, files, strict=True):
            if file is None:
                raise DataError(
                    f"{path} names {name}, which does not exist{contents.alike_text(listed_path(name).name)}",
                    f"paths of files, relative to {base}",
                    "correct the list, or bring the file",
                )
        image, mask = (file for file in files if file)
        yield _ListedPair(each.split, PurePosixPath(*listed_path(listed[0]).parts[skipped:]), image, mask)


def _line(path: Path, number: int, text: str) -> tuple[str, str]:
    """Return the picture and the mask that a line names."""
    match = _LINE.match(text)
    if match is None:
        raise DataError(
            f"{path}: line {number} is '{text[:80]}'",
            "a picture and its mask, separated by a space, a tab or a comma",
            "correct the line",
        )
    return match["image"], match["mask"]


def _base(contents: FolderContents, path: Path, image: str, mask: str) -> tuple[Path, int]:
    """Return the folder that a list's paths begin in, and how many of their leading folders to leave out.

    Its first line decides. The list's folder goes before those above it, and these before those below it.
    """
    depth = min(len(listed_path(image).parts), len(listed_path(mask).parts))
    for base in [folder for folder in path.parents if folder.is_relative_to(contents.root)]:
        fits = [
            skipped
            for skipped in range(depth)
            if all(contents.find(_located(base, listed, skipped)) for listed in (image, mask))
        ]
        if len(fits) == 1 or 0 in fits:
            return base, fits[0]
        if fits:
            raise _unclear(path, f"{image}, which fits more than one file")
    inside = _bases_inside(contents, path, image)
    if len(inside) == 1 and contents.find(_located(inside[0], mask, 0)):
        return inside[0], 0
    missing = next((each for each in (image, mask) if not contents.has_name(listed_path(each).name)), image)
    raise _unclear(path, f"{missing}, which is not in {path.parent}{contents.alike_text(listed_path(missing).name)}")


def _bases_inside(contents: FolderContents, path: Path, listed: str) -> list[Path]:
    """Return the folders below that of a list in which the path of a picture begins."""
    parts = tuple(map(composed, listed_path(listed).parts))
    files = [file.path for file in contents.files if file.path.is_relative_to(path.parent)]
    return sorted({f.parents[len(parts) - 1] for f in files if tuple(map(composed, f.parts[-len(parts) :])) == parts})


def _unclear(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: the first line names {what}",
        "paths of files, relative to the list's folder",
        "correct the paths in the list, or bring the files",
    )


def _located(folder: Path, listed: str, skipped: int) -> Path:
    return folder / PurePosixPath(*listed_path(listed).parts[skipped:])

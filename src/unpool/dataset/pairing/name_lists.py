"""Lists of names: ``train.txt`` with one picture name on every line, as Pascal VOC has in ``ImageSets``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from unpool.dataset.findings import Finding
from unpool.dataset.pairing.folder import Folder, FolderContents, composed
from unpool.dataset.pairing.pair_lists import is_pair_list
from unpool.dataset.pairing.split_lists import (
    ListFile,
    find_lists,
    folder_of_pictures,
    listed_path,
    lists_of_each_folder,
)
from unpool.errors import DataError
from unpool.io.read.arrays import ARRAY_SUFFIXES
from unpool.io.read.images import IMAGE_SUFFIXES
from unpool.wording import count_text, decodable, first_of

_NUMBERS_AFTER = re.compile(r"^(?P<name>\S+)(?:[ \t,;]+-?\d+)+$")
"""A name with numbers after it, as in the lists of Oxford's pets: ``Abyssinian_1 1 1 1``."""


def split_by_name_lists(contents: FolderContents, folder: Folder) -> Folder:
    """Return the folder with the split of its lists of names; unchanged without lists, or where pairs have a split.

    A line may be a pair's full name, the last part of it, or a path, with or without the picture's suffix.

    Raises
    ------
    DataError: a line names no picture or several pairs, or two lists name the same pair.
    """
    if any(pair.split for pair in folder.pairs):
        return folder
    names = _Names(contents, folder)
    lists = [each for each in find_lists(contents) if each.lines and not is_pair_list(each)]
    lists = [each for each in lists if each.path.parent in _sure_folders(contents.root, each) or names.any_fit(each)]
    if not lists:
        fitting = [each for each in lists_of_each_folder(contents) if all(map(names.all_fit, each))]
        lists = fitting[0] if len(fitting) == 1 else []
    if not lists:
        return folder
    splits: dict[str, str] = {}
    for each in lists:
        for line, name in names.of(each):
            if splits.setdefault(name, each.split) != each.split:
                raise _wrong_line(each.path, line, "names a pair of another list")
    paths = tuple(each.path for each in lists)
    return replace(
        folder,
        layout=f"{folder.layout}; split by {', '.join(path.relative_to(folder.root).as_posix() for path in paths)}",
        pairs=tuple(replace(pair, split=splits.get(pair.name)) for pair in folder.pairs),
        lists=paths,
        findings=(*folder.findings, *names.without_mask()),
    )


def _sure_folders(root: Path, each: ListFile) -> tuple[Path, ...]:
    """Return the folders in which a file with a list's name is one, even where it names no picture."""
    return root, folder_of_pictures(each.path) / "ImageSets" / "Segmentation"


class _Names:
    """The pairs and pictures of a folder by their names, for the lines of lists."""

    def __init__(self, contents: FolderContents, folder: Folder) -> None:
        self._contents = contents
        self._full = {pair.name for pair in folder.pairs}
        self._by_stem: dict[str, list[tuple[PurePosixPath, str]]] = {}
        for pair in folder.pairs:
            for path in (pair.image, pair.mask):
                if not path.is_relative_to(folder.root):
                    continue  # a mask that is assembled in the cache folder
                place = _plain(path.relative_to(folder.root).as_posix())
                self._by_stem.setdefault(place.name, []).append((place, pair.name))
        self._maskless = {composed(path.stem) for path in folder.unpaired_images}
        self._skipped: list[str] = []

    def any_fit(self, each: ListFile) -> bool:
        """Return whether a line of a list names a pair."""
        return any(self._fits(each, text) for _, text in each.lines)

    def all_fit(self, each: ListFile) -> bool:
        """Return whether a list has lines, and each names one pair."""
        return bool(each.lines) and all(len(self._fits(each, text)) == 1 for _, text in each.lines)

    def of(self, each: ListFile) -> Iterator[tuple[tuple[int, str], str]]:
        """Yield each line of a list with the name of its pair; a picture without a mask is left out."""
        for line in each.lines:
            fits = self._fits(each, line[1])
            if len(fits) == 1:
                yield line, fits[0]
            elif fits:
                raise _wrong_line(each.path, line, f"names {count_text(len(fits), 'pair')}: {first_of(fits, 3)}")
            elif _plain(line[1]).name in self._maskless:
                self._skipped.append(line[1])
            else:
                hint = self._contents.alike_text(_plain(line[1]).name)
                raise _wrong_line(each.path, line, f"names no picture of the folder{hint}")

    def without_mask(self) -> Sequence[Finding]:
        """Return a note on the lines that name pictures without a mask."""
        if not self._skipped:
            return ()
        found = f"{count_text(len(self._skipped), 'picture')} of the lists without a mask: {first_of(self._skipped)}"
        return (Finding("note", "listed-without-mask", decodable(found)),)

    def _fits(self, each: ListFile, text: str) -> list[str]:
        """Return the names of the pairs that a line names: of one, or of those whose paths fit it best."""
        listed = _plain(text)
        numbered = _NUMBERS_AFTER.match(text)
        if numbered and listed.name not in self._by_stem and str(listed) not in self._full:
            listed = _plain(numbered["name"])
        if str(listed) in self._full:
            return [str(listed)]
        home = folder_of_pictures(each.path)
        known = self._by_stem.get(listed.name, [])
        inside = [entry for entry in known if (self._contents.root / entry[0]).is_relative_to(home)] or known
        scores = {name: max(_common_end(path, listed) for path, other in inside if other == name) for _, name in inside}
        return sorted(name for name, score in scores.items() if score == max(scores.values()))


def _plain(text: str) -> PurePosixPath:
    """Return a listed path without the suffix of a picture or of arrays."""
    path = listed_path(text)
    return path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES | ARRAY_SUFFIXES else path


def _common_end(one: PurePosixPath, other: PurePosixPath) -> int:
    """Return how many of the last parts two paths share."""
    pairs = list(zip(reversed(one.parts), reversed(other.parts), strict=False))
    return next((k for k, (a, b) in enumerate(pairs) if a != b), len(pairs))


def _wrong_line(path: Path, line: tuple[int, str], what: str) -> DataError:
    return DataError(
        f"{path}: line {line[0]}, '{line[1][:80]}', {what}",
        "every line to name one pair, and every pair to be in one list",
        "correct the list, or remove it so that Unpool chooses the split",
    )

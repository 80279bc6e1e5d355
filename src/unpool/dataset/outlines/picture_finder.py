"""The pictures of a folder, found by the name or the path that an annotation file has for them.

A path in an annotation file is compared with the files that are there, and never opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from unpool.dataset.pairing.folder import PlacedFile, composed
from unpool.dataset.pairing.words import SPLITS
from unpool.errors import DataError
from unpool.wording import first_of


class PictureFinder:
    """The picture files of a folder by name and by stem."""

    def __init__(self, files: Sequence[PlacedFile]) -> None:
        self._by_name: dict[str, list[PlacedFile]] = {}
        self._by_stem: dict[str, list[PlacedFile]] = {}
        for file in files:
            self._by_name.setdefault(composed(file.path.name), []).append(file)
            self._by_stem.setdefault(composed(file.path.stem), []).append(file)

    def has_stem(self, stem: str) -> bool:
        """Return whether a picture has this name without suffix, with composed letters."""
        return stem in self._by_stem

    def by_path(self, written: str, near: PlacedFile) -> PlacedFile | None:
        """Return the picture that a file names by a path; None where it is not there.

        The path may begin on another computer: of several pictures of this name, the one counts that has most of the
        path's last folders, then the split of the annotation file, then the nearest place to it.

        Raises
        ------
        DataError: several pictures fit equally.
        """
        parts = [composed(part) for part in re.split(r"[\\/]", written) if part not in ("", ".", "..")]
        if not parts:
            return None
        return _nearest(self._by_name.get(parts[-1], []), parts, near, written)

    def by_stem(self, stem: str, near: PlacedFile) -> PlacedFile | None:
        """Return the picture whose name without suffix is ``stem``, see ``by_path``. Raises DataError."""
        return _nearest(self._by_stem.get(composed(stem), []), [composed(stem)], near, stem)


def split_in_name(path: Path) -> str | None:
    """Return the split in the name of an annotation file, such as ``instances_val2017.json``; None without one."""
    words = re.split(r"[\W_\d]+", path.stem.lower())
    found = {SPLITS[word] for word in words if word in SPLITS and word not in ("tr", "ts")}
    return found.pop() if len(found) == 1 else None


def _nearest(files: Sequence[PlacedFile], parts: Sequence[str], near: PlacedFile, written: str) -> PlacedFile | None:
    if len(files) < 2:
        return files[0] if files else None
    split = near.split or split_in_name(near.path)

    def rank(file: PlacedFile) -> tuple[int, bool, bool, int]:
        own = [composed(part) for part in file.path.parts]
        pairs = zip(own[-2::-1], parts[-2::-1], strict=False)
        equal = next((k for k, (one, other) in enumerate(pairs) if one != other), min(len(own), len(parts)) - 1)
        common = len(Path(os.path.commonpath([file.path, near.path])).parts)
        return equal, split is not None and file.split == split, file.place == near.place, common

    best = max(map(rank, files))
    chosen = [file for file in files if rank(file) == best]
    if len(chosen) > 1:
        raise DataError(
            f"{near.path}: {written} fits more than one picture: {first_of([str(file.path) for file in chosen], 3)}",
            "one picture for each annotation",
            "rename one of the pictures, or move those that you do not mean out of the folder",
        )
    return chosen[0]

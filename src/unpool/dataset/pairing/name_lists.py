"""Lists of names: ``train.txt`` with one picture name on every line, as Pascal VOC has in ``ImageSets``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from unpool.dataset.pairing.folder import Folder
from unpool.dataset.pairing.pair_lists import is_pair_list, is_too_large
from unpool.dataset.pairing.words import SPLITS
from unpool.errors import DataError
from unpool.io.read.images import IMAGE_SUFFIXES
from unpool.wording import count_text


def split_by_name_lists(folder: Folder) -> Folder:
    """Return the folder with the split of its lists of names; unchanged without lists, or where pairs have a split.

    Lists lie in the folder itself or in ``ImageSets/Segmentation``. A line may be a pair's full name or the last
    part of it, with or without the picture's suffix.

    Raises
    ------
    DataError: a line names no pair or several, or two lists name the same pair.
    """
    if any(pair.split for pair in folder.pairs) or not (lists := _find_lists(folder.root)):
        return folder
    splits = _read_splits(lists, {pair.name for pair in folder.pairs})
    return replace(
        folder,
        layout=f"{folder.layout}; split by {', '.join(str(path.relative_to(folder.root)) for path in lists.values())}",
        pairs=tuple(replace(pair, split=splits.get(pair.name)) for pair in folder.pairs),
    )


def _find_lists(root: Path) -> dict[str, Path]:
    """Return the list file of each split."""
    for folder in (root, root / "ImageSets" / "Segmentation"):
        lists: dict[str, Path] = {}
        for path in sorted(folder.glob("*.txt")):
            split = SPLITS.get(path.stem.lower())
            if split is not None and path.is_file() and not is_too_large(path) and not is_pair_list(path):
                lists.setdefault(split, path)
        if lists:
            return lists
    return {}


def _read_splits(lists: Mapping[str, Path], names: Collection[str]) -> dict[str, str]:
    """Return the split of each pair name that the lists name."""
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(PurePosixPath(name).name, []).append(name)
    splits: dict[str, str] = {}
    for split, path in lists.items():
        for line in filter(None, map(str.strip, path.read_text(encoding="utf-8-sig", errors="replace").splitlines())):
            listed = PurePosixPath(line.replace("\\", "/"))
            listed = listed.with_suffix("") if listed.suffix.lower() in IMAGE_SUFFIXES else listed
            fits = [str(listed)] if str(listed) in names else by_stem.get(listed.name, [])
            if len(fits) != 1 or splits.setdefault(fits[0], split) != split:
                named = "a pair of another list" if len(fits) == 1 else count_text(len(fits), "pair")
                raise DataError(
                    f"{path}: '{line[:80]}' names {named}",
                    "every line to name one pair, and every pair to be in one list",
                    "correct the list, or remove it so that Unpool chooses the split",
                )
    return splits

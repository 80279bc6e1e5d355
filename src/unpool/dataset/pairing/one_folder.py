"""The layout with pictures and masks in one folder: ``x.png`` and ``x_mask.png``."""

from __future__ import annotations

from unpool.dataset.pairing.folder import Folder, FolderContents
from unpool.dataset.pairing.matching import match_together, paired_folder


def pair_one_folder(contents: FolderContents) -> Folder | None:
    """Pair a folder in which a mask's name has one word more than its picture's; None without such a pair.

    Raises
    ------
    DataError: two rules pair equally many files, or two files have the same name.
    """
    match = match_together(contents.files)
    if not match.pairs:
        return None
    return paired_folder(contents.root, f"pictures and masks in one folder, paired by {match.rule}", match)

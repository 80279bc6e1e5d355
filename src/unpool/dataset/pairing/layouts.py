"""The folder layouts that Unpool knows, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from unpool.dataset.pairing.folder import Folder, FolderContents, no_layout
from unpool.dataset.pairing.name_lists import split_by_name_lists
from unpool.dataset.pairing.one_folder import pair_one_folder
from unpool.dataset.pairing.pair_lists import pair_by_lists
from unpool.dataset.pairing.separate_folders import pair_separate_folders
from unpool.errors import DataError
from unpool.wording import count_text

Layout: TypeAlias = Callable[[FolderContents], Folder | None]
"""A function that pairs the files of a folder, or returns None where the folder has another layout.

It raises DataError where the folder has its layout and something in it is wrong.
"""

LAYOUTS: tuple[Layout, ...] = (pair_by_lists, pair_separate_folders, pair_one_folder)
"""The known layouts. They are tried in this order, and the first that returns pairs decides."""


def find_pairs(root: Path, instances: bool = False) -> Folder:
    """Find the pairs of pictures and masks in a folder.

    Parameters
    ----------
    instances: the masks hold object numbers; a folder ``instances/`` is then preferred to other mask folders.

    Raises
    ------
    DataError: the folder does not exist, has no pairs, or can be read in more than one way; the message names them.
    """
    root = Path(root)
    if not root.is_dir():
        found = "this is a file" if root.exists() else "there is no such folder"
        raise DataError(f"{root}: {found}", "a folder with pictures and masks", "check the path")
    contents = FolderContents(root, instances)
    try:
        folder = first_layout(contents)
        if folder is None:
            count = len(contents.files)
            raise no_layout(
                root, f"{count_text(count, 'picture file')}, and no masks among them" if count else "no picture files"
            )
    except DataError as error:
        if not contents.left_out:
            raise
        found = f"{error.found}; {contents.left_out}"
        raise DataError(found, error.expected, f"{error.repair}; delete a mark that hides your own files") from error
    return replace(split_by_name_lists(folder), left_out=contents.left_out)


def first_layout(contents: FolderContents) -> Folder | None:
    """Return the pairs of a folder by the first layout that fits; None where none does. Raises DataError."""
    return next((folder for layout in LAYOUTS if (folder := layout(contents))), None)

"""The folder layouts that Unpool knows, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from unpool.dataset.findings import Finding
from unpool.dataset.pairing.alike_names import pair_alike_names
from unpool.dataset.pairing.folder import Folder, FolderContents
from unpool.dataset.pairing.lone_files import with_lone_files
from unpool.dataset.pairing.name_lists import split_by_name_lists
from unpool.dataset.pairing.one_folder import pair_one_folder
from unpool.dataset.pairing.pair_lists import pair_by_lists
from unpool.dataset.pairing.partners import no_layout_error
from unpool.dataset.pairing.separate_folders import pair_separate_folders
from unpool.dataset.pairing.several_masks import pair_several_masks
from unpool.dataset.pairing.split_lists import unused_lists
from unpool.dataset.pairing.words import UNUSED
from unpool.errors import DataError
from unpool.wording import count_text

Layout: TypeAlias = Callable[[FolderContents], Folder | None]
"""A function that pairs the files of a folder, or returns None where the folder has another layout.

It raises DataError where the folder has its layout and something in it is wrong.
"""

LAYOUTS: tuple[Layout, ...] = (
    pair_by_lists,
    pair_separate_folders,
    pair_one_folder,
    pair_several_masks,
    pair_alike_names,
)
"""The known layouts. They are tried in this order, and the first that returns pairs decides."""


def find_pairs(root: Path, instances: bool = False, regions: bool = False) -> Folder:
    """Find the pairs of pictures and masks in a folder.

    Parameters
    ----------
    instances: the masks hold object numbers; a folder ``instances/`` is then preferred to other mask folders.
    regions: the masks hold no object numbers; objects in files of their own are then joined to one region.

    Raises
    ------
    DataError: the folder does not exist, has no pairs, or can be read in more than one way; the message names them.
    """
    root = Path(root)
    if not root.is_dir():
        found = "this is a file" if root.exists() else "there is no such folder"
        raise DataError(f"{root}: {found}", "a folder with pictures and masks", "check the path")
    contents = FolderContents(root, instances, regions)
    try:
        folder = first_layout(contents)
        if folder is None:
            raise no_layout_error(contents)
    except DataError as error:
        if not contents.left_out:
            raise
        found = f"{error.found}; {contents.left_out}"
        raise DataError(found, error.expected, f"{error.repair}; delete a mark that hides your own files") from error
    folder = split_by_name_lists(contents, replace(folder, others=tuple(file.path for file in contents.others)))
    folder = with_lone_files(contents, folder)
    return replace(folder, findings=(*folder.findings, *unused_lists(contents, folder), *_own_outputs(contents)))


def first_layout(contents: FolderContents) -> Folder | None:
    """Return the pairs of a folder by the first layout that fits; None where none does. Raises DataError."""
    return next((folder for layout in LAYOUTS if (folder := layout(contents))), None)


def _own_outputs(contents: FolderContents) -> Iterator[Finding]:
    if contents.left_out:
        repair = "nothing, unless some of them are yours: then delete the mark"
        yield Finding("note", "own-outputs", contents.left_out, repair=repair)
    if contents.unused:
        found = f"left out: {count_text(len(contents.unused), 'picture file')} in folders named {UNUSED}"
        yield Finding("note", "unused-folder", found)

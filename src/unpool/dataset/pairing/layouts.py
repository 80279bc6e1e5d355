"""The folder layouts that Unpool knows, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from unpool.dataset.findings import Finding
from unpool.dataset.outlines.drawn_folder import pair_outlines, unused_outlines
from unpool.dataset.pairing.alike_names import pair_alike_names
from unpool.dataset.pairing.array_files import pair_in_array_files, with_arrays
from unpool.dataset.pairing.folder import Folder, FolderContents
from unpool.dataset.pairing.foreign_formats import ARCHIVE_SUFFIXES
from unpool.dataset.pairing.lone_files import with_lone_files
from unpool.dataset.pairing.name_lists import split_by_name_lists
from unpool.dataset.pairing.one_folder import pair_one_folder
from unpool.dataset.pairing.pair_lists import pair_by_lists
from unpool.dataset.pairing.partners import no_layout_error
from unpool.dataset.pairing.separate_folders import pair_separate_folders
from unpool.dataset.pairing.several_masks import pair_several_masks
from unpool.dataset.pairing.split_lists import unused_lists
from unpool.dataset.pairing.stacks import pair_stack_files, with_slices
from unpool.dataset.pairing.unread_files import full_suffix
from unpool.dataset.pairing.words import UNUSED
from unpool.errors import DataError
from unpool.io.read.arrays import ARRAY_SUFFIXES
from unpool.wording import count_text, python_line

Layout: TypeAlias = Callable[[FolderContents], Folder | None]
"""A function that pairs the files of a folder, or returns None where the folder has another layout.

It raises DataError where the folder has its layout and something in it is wrong.
"""

LAYOUTS: tuple[Layout, ...] = (
    pair_by_lists,
    pair_separate_folders,
    pair_one_folder,
    pair_stack_files,
    pair_several_masks,
    pair_alike_names,
)
"""The known layouts. They are tried in this order, and the first that returns pairs decides."""

ARRAY_LAYOUTS: tuple[Layout, ...] = (pair_in_array_files, *LAYOUTS)
"""The layouts where files of arrays count as picture files, which are tried where no picture files are pairs."""


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
        raise _no_folder(root)
    contents = FolderContents(root, instances, regions=regions)
    try:
        folder = first_layout(contents)
        findings = unused_outlines(contents) if folder else []
        folder = folder or pair_outlines(contents)
        if folder is None:
            raise no_layout_error(replace(contents, arrays=contents.has_arrays))
    except DataError as error:
        if not contents.left_out:
            raise
        found = f"{error.found}; {contents.left_out}"
        raise DataError(found, error.expected, f"{error.repair}; delete a mark that hides your own files") from error
    if any({pair.image.suffix.lower(), pair.mask.suffix.lower()} & ARRAY_SUFFIXES for pair in folder.pairs):
        contents = replace(contents, arrays=True)
    folder = split_by_name_lists(contents, replace(folder, others=tuple(file.path for file in contents.others)))
    folder = with_arrays(with_slices(with_lone_files(contents, folder)))
    findings += [*unused_lists(contents, folder), *_own_outputs(contents)]
    return replace(folder, findings=(*folder.findings, *findings))


def _no_folder(root: Path) -> DataError:
    expected = "a folder with pictures and masks"
    if not root.exists():
        return DataError(f"{root}: there is no such folder", expected, "check the path")
    suffix = full_suffix(root)
    if suffix in ARCHIVE_SUFFIXES:
        folder = root.with_name(root.name[: len(root.name) - len(suffix)])
        unpack = python_line("import shutil, sys; shutil.unpack_archive(sys.argv[1], sys.argv[2])", root, folder)
        return DataError(f"{root}: this is an archive", expected, f"{unpack}, then give {folder}")
    return DataError(f"{root}: this is a file", expected, "give the folder that holds it")


def first_layout(contents: FolderContents) -> Folder | None:
    """Return the pairs of a folder by the first layout that fits; None where none does. Raises DataError."""
    try:
        folder = _first(LAYOUTS, contents)
    except DataError:
        folder = _first(ARRAY_LAYOUTS, replace(contents, arrays=True)) if contents.has_arrays else None
        if folder is None:
            raise
    if folder is None and contents.has_arrays:
        folder = _first(ARRAY_LAYOUTS, replace(contents, arrays=True))
    return folder


def _first(layouts: Iterable[Layout], contents: FolderContents) -> Folder | None:
    return next((folder for layout in layouts if (folder := layout(contents))), None)


def _own_outputs(contents: FolderContents) -> Iterator[Finding]:
    if contents.left_out:
        repair = "nothing, unless some of them are yours: then delete the mark"
        yield Finding("note", "own-outputs", contents.left_out, repair=repair)
    if contents.unused:
        found = f"left out: {count_text(len(contents.unused), 'picture file')} in folders named {UNUSED}"
        yield Finding("note", "unused-folder", found)

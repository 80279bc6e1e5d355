"""The pictures of a folder or a pattern without their masks, for commands that take pictures alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from unpool.dataset.pairing.folder import FolderContents, PlacedFile, placed_file
from unpool.dataset.pairing.layouts import first_layout
from unpool.dataset.pairing.words import folder_role
from unpool.errors import DataError
from unpool.wording import count_text, first_of


class PicturesAlone(NamedTuple):
    """Pictures without masks.

    Attributes
    ----------
    files: the pictures.
    notes: sentences on files that are left out, and on files that may be masks and are taken.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def pictures_of_folder(root: Path) -> PicturesAlone:
    """Return the pictures of a folder; what ``unpool check`` reads as masks is left out, except where all is masks.

    Raises
    ------
    DataError: see ``unpool.io.folders.find_files``.
    """
    contents = FolderContents(root)
    if not contents.files and contents.has_arrays:
        contents = FolderContents(root, arrays=True)
    masks, notes = _masks_of_pairs(contents)
    masks |= {file.path for file in contents.files if file.kind == "mask"}
    alone = _without(contents.files, masks, root)
    left_out = (contents.left_out,) if contents.left_out else ()
    return PicturesAlone(alone.files, (*left_out, *notes, *alone.notes))


def pictures_of_pattern(root: Path, paths: Sequence[Path]) -> PicturesAlone:
    """Return the pictures among the files of a pattern; files in folders of masks are left out beside others.

    Parameters
    ----------
    root: the folders of the pattern before its first wildcard.
    """
    files = [placed_file(root, path) for path in paths]
    return _without(files, {file.path for file in files if file.kind == "mask"}, root)


def _masks_of_pairs(contents: FolderContents) -> tuple[set[Path], tuple[str, ...]]:
    try:
        folder = first_layout(contents)
    except DataError as error:
        if any(file.kind == "mask" for file in contents.files):
            return set(), ()
        return set(), (f"{error.found}; no file is left out as a mask",)
    if folder is None:
        return set(), ()
    masks = {pair.mask for pair in folder.pairs if pair.mask != pair.image}  # else both are arrays in one file
    return masks.union(folder.unpaired_masks), ()


def _without(files: Sequence[PlacedFile], masks: set[Path], root: Path) -> PicturesAlone:
    """Return the files that are no masks; all files with a note where there are no others."""
    paths = tuple(file.path for file in files)
    masks = masks.intersection(paths)  # a list may name masks elsewhere
    pictures = tuple(path for path in paths if path not in masks)
    if pictures and masks:
        names = first_of([path.relative_to(root).as_posix() for path in paths if path in masks], 3)
        count = count_text(len(masks), "mask")
        note = f"{root}: left out: {count} ({names}); to predict a mask, name it, or a folder of masks"
        return PicturesAlone(pictures, (note,))
    if not paths or not (masks or folder_role(root.resolve().name).kind == "mask"):
        return PicturesAlone(paths, ())
    note = f"{root}: a name of a folder of masks; taken as pictures: {count_text(len(paths), 'file')}"
    return PicturesAlone(paths, (note,))

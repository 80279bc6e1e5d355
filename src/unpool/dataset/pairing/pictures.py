"""The pictures of a folder or a pattern without their masks, for commands that take pictures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from unpool.dataset.pairing.channels import ChannelFiles, cases_to_stack, film_or_channels, stacked
from unpool.dataset.pairing.folder import FolderContents, PlacedFile, placed_file, placed_files
from unpool.dataset.pairing.layouts import first_layout
from unpool.dataset.pairing.lone_files import continued_masks
from unpool.dataset.pairing.words import folder_role
from unpool.errors import DataError
from unpool.wording import count_text, first_of


class PicturesAlone(NamedTuple):
    """Pictures without masks.

    Attributes
    ----------
    files: the pictures.
    notes: sentences on files that are left out, and on files that may be masks and are taken.
    cases: of each picture whose channels were stacked, the files of these channels.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]
    cases: Mapping[Path, ChannelFiles] = MappingProxyType({})


def pictures_of_folder(root: Path, channels: int | None = None) -> PicturesAlone:
    """Return the pictures of a folder; what ``unpool check`` reads as masks is left out, except where all is masks.

    Channels in files of their own are stacked as ``unpool check`` stacks them.

    Parameters
    ----------
    channels: of the network; None where it is not known.

    Raises
    ------
    DataError: see ``unpool.io.folders.find_files``; or a case lacks a channel.
    """
    contents = FolderContents(root)
    if not contents.files and contents.has_arrays:
        contents = FolderContents(root, arrays=True)
    masks, notes = _masks_of_pairs(contents)
    files = (*contents.files, *placed_files(root, contents.unused))
    masks |= {file.path for file in files if file.kind == "mask"}
    alone = _without(files, masks, root)
    left_out = (contents.left_out,) if contents.left_out else ()
    return _with_stacks(root, alone._replace(notes=(*left_out, *notes, *alone.notes)), channels)


def pictures_of_pattern(root: Path, paths: Sequence[Path], channels: int | None = None) -> PicturesAlone:
    """Return the pictures among the files of a pattern; files in folders of masks are left out beside others.

    Parameters
    ----------
    root: the folders of the pattern before its first wildcard.
    channels: of the network; None where it is not known.

    Raises
    ------
    DataError: a case lacks a channel.
    """
    files = [placed_file(root, path) for path in paths]
    alone = _without(files, {file.path for file in files if file.kind == "mask"}, root)
    return _with_stacks(root, alone, channels)


def _with_stacks(root: Path, alone: PicturesAlone, channels: int | None) -> PicturesAlone:
    """Return pictures of which each case, whose channels are files, is one."""
    cases, count = cases_to_stack(alone.files, channels)
    if not cases:
        film = film_or_channels(alone.files)
        return alone._replace(notes=(*alone.notes, f"{root}: {film}")) if film else alone
    stacks = {stacked(case, count): case for case in cases}
    note = f"{root}: {count_text(count, 'channel')} in files of their own are stacked to one picture for each case"
    return PicturesAlone(tuple(stacks), (*alone.notes, note), stacks)


def _masks_of_pairs(contents: FolderContents) -> tuple[set[Path], tuple[str, ...]]:
    try:
        folder = first_layout(contents)
    except DataError as error:
        if any(file.kind == "mask" for file in contents.files):
            return set(), ()
        return set(), (f"{error.found}; no file is left out as a mask",)
    if folder is None:
        return set(), ()
    views = {pair.field_of_view for pair in folder.pairs if pair.field_of_view}
    continued = {path for _, path in continued_masks(folder)}
    masks = {pair.mask for pair in folder.pairs if pair.mask != pair.image}  # else both are arrays in one file
    return masks.union(folder.unpaired_masks, folder.parts, views, continued), ()


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

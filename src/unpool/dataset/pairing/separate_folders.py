"""The layout with pictures and masks in separate folders: ``images`` and ``masks``, or ``train`` and ``trainannot``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from unpool.dataset.pairing.folder import Folder, FolderContents, PlacedFile
from unpool.dataset.pairing.matching import Match, match_separate, paired_folder
from unpool.dataset.pairing.partners import no_pairs, no_pictures
from unpool.errors import DataError
from unpool.wording import count_text, first_of


class _Way(NamedTuple):
    """One way to pair: files of one kind of picture folder with files of one kind of mask folder."""

    images: Sequence[PlacedFile]
    masks: Sequence[PlacedFile]
    match: Match

    @property
    def holds_objects(self) -> bool:
        return self.masks[0].word.startswith("instance")


def pair_separate_folders(contents: FolderContents) -> Folder | None:
    """Pair a folder in which a sub-folder's name says that it holds masks; None without one.

    Pictures are in folders with a picture word in their names, or else in all folders without a mask word.

    Raises
    ------
    DataError: no picture and mask have the same name, or there is more than one way to pair them.
    """
    root, files = contents.root, contents.files
    masks = [file for file in files if file.kind == "mask"]
    if not masks:
        return None
    images = [file for file in files if file.kind == "image"] or [file for file in files if file.kind is None]
    ways = [
        _Way(some_images, some_masks, match)
        for some_images in _by_word(images)
        for some_masks in _by_word(masks)
        if (match := match_separate(some_images, some_masks)).pairs
    ]
    if contents.instances and any(way.holds_objects for way in ways):
        ways = [way for way in ways if way.holds_objects]
    if not ways:
        raise no_pairs(contents, images, masks) if images else no_pictures(contents, masks)
    if len(ways) > 1:
        folders = [f"{_folders(root, way.images)} with {_folders(root, way.masks)}" for way in ways]
        raise DataError(
            f"{root}: pictures and masks can be paired in more than one way: {' or '.join(folders)}",
            "one folder of pictures and one of masks",
            "move the folder that you do not mean elsewhere, or rename it to 'unused'",
        )
    way = ways[0]
    layout = f"pictures in {_folders(root, way.images)}, masks in {_folders(root, way.masks)}, paired by "
    others = len(files) - len(way.images) - len(way.masks)
    unused = f"; not used: {count_text(others, 'picture file')} in other folders" if others else ""
    return paired_folder(root, layout + way.match.rule + unused, way.match)


def _by_word(files: Sequence[PlacedFile]) -> list[list[PlacedFile]]:
    words = sorted({file.word for file in files})
    return [[file for file in files if file.word == word] for word in words]


def _folders(root: Path, files: Sequence[PlacedFile]) -> str:
    """Return the folders of some files, relative to the root: ``train/images/ + val/images/``."""
    folders = sorted({file.path.parent.relative_to(root).as_posix() for file in files})
    return first_of([folder + "/" if folder != "." else "the folder itself" for folder in folders], 3, " + ")

"""The layout with pictures and masks in separate folders: ``images`` and ``masks``, or ``train`` and ``trainannot``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from unpool.dataset.pairing.field_of_view import shown_alone, truth_and_view, with_views
from unpool.dataset.pairing.folder import Folder, FolderContents, PlacedFile
from unpool.dataset.pairing.matching import Match, match_separate, paired_folder
from unpool.dataset.pairing.unused_masks import unused_masks
from unpool.dataset.pairing.words import DRAWN_FROM_MASKS, FIELD_OF_VIEW_WORDS, UNUSED
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

    def has_words(self, words: frozenset[str]) -> bool:
        """Return whether the name of the masks' folder is one of some words, or their names end with one."""
        plain = re.sub(r"[\W_]", "", self.match.rule.rpartition(" ")[2])
        return self.masks[0].word in words or any(plain == f"x{word}" for word in words)


def pair_separate_folders(contents: FolderContents) -> Folder | None:
    """Pair a folder in which a sub-folder's name says that it holds masks; None where no names are equal there.

    Pictures are in folders with a picture word in their names, or else in all folders without a mask word. Of masks by
    two people those of the first are taken; masks of the field of view belong to the pictures, and are not the truth.

    Raises
    ------
    DataError: there is more than one way to pair.
    """
    root, files = contents.root, contents.files
    masks = [file for file in files if file.kind == "mask"]
    images = [file for file in files if file.kind == "image"] or [file for file in files if file.kind is None]
    ways = _ways(images, masks) or _ways_by_name(images, masks)
    if not ways:
        return None
    if contents.instances and any(way.holds_objects for way in ways):
        ways = [way for way in ways if way.holds_objects]
    ways = [way for way in ways if not way.has_words(DRAWN_FROM_MASKS)] or ways
    way, view = _with_view(ways) if len(ways) == 2 else (ways[0], None)
    if len(ways) > 1 and view is None:
        folders = [f"{_folders(root, way.images)} with {_folders(root, way.masks)}" for way in ways]
        raise DataError(
            f"{root}: pictures and masks can be paired in more than one way: {' or '.join(folders)}",
            "one folder of pictures and one of masks",
            f"move the folder that you do not mean elsewhere, or rename it to '{UNUSED}'",
        )
    layout = f"pictures in {_folders(root, way.images)}, masks in {_folders(root, way.masks)}, paired by "
    others = len(files) - len(way.images) - len(way.masks) - (len(view.masks) if view else 0)
    unused = f"; not used: {count_text(others, 'picture file')} in other folders" if others else ""
    folder = paired_folder(root, layout + way.match.rule + unused, way.match)
    if view:
        return with_views(folder, view.match, _folders(root, view.masks))
    return _with_unknown_truth(contents, folder, way) if way.masks[0].word in FIELD_OF_VIEW_WORDS else folder


def _ways(images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> list[_Way]:
    """Return the ways in which there are pairs. Raises DataError, see ``match_separate``."""
    return [
        _Way(some_images, some_masks, match)
        for some_images in _by_word(images)
        for some_masks in _by_word(masks)
        if (match := match_separate(some_images, some_masks)).pairs
    ]


def _ways_by_name(images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> list[_Way]:
    """Return the ways of folders such as ``train_images`` and ``masks``, of which one alone names a split.

    The masks of one folder may also belong to pictures of several, as of ``images_part_1`` and ``images_part_2``.
    """
    if any(file.kind is None for file in images):
        return []
    aside = [file for file in images if file.split] if any(file.split for file in masks) else []
    own = {file.path: file for file in images}
    free = [[replace(file, split=None) for file in side if file not in aside] for side in (images, masks)]
    counts = [len({file.path.parent for file in side}) for side in (images, masks)]
    try:
        ways = _ways(*free)
        if not ways and counts[0] > 1 == counts[1]:
            ways = _ways(*([replace(file, place="", word=side[0].word) for file in side] for side in free))
    except DataError:
        return []  # one name in several splits
    splits = {file.path: file.split for file in masks}
    found = []
    for way in ways:
        pairs = [(own[image.path], mask) for image, mask in way.match.pairs]
        pairs = [(replace(image, split=image.split or splits[mask.path]), mask) for image, mask in pairs]
        found.append(way._replace(match=way.match._replace(pairs=tuple(pairs), images=(*way.match.images, *aside))))
    return found


def _with_unknown_truth(contents: FolderContents, folder: Folder, way: _Way) -> Folder:
    """Return the folder of masks that may be fields of view, with the masks beside them where they are."""
    others = unused_masks(contents, folder)
    if others is None:
        return replace(folder, findings=(*folder.findings, *shown_alone(way.match)))
    truth = Match(others.pairs, (), (), "alike names")
    if truth_and_view({"": truth, way.masks[0].word: way.match}) is None:
        return folder
    layout = f"pictures in {_folders(contents.root, way.images)}, masks {others.text}, paired by alike names"
    chosen = paired_folder(contents.root, layout, truth)
    return with_views(chosen, way.match, _folders(contents.root, way.masks))


def _with_view(ways: Sequence[_Way]) -> tuple[_Way, _Way | None]:
    """Return the way of the truth, and that of the fields of view where the other has these."""
    by_word = {way.masks[0].word: way for way in ways}
    same_images = {file.path for file in ways[0].images} == {file.path for file in ways[1].images}
    known = truth_and_view({word: way.match for word, way in by_word.items()}) if same_images else None
    return (by_word[known[0]], by_word[known[1]]) if known else (ways[0], None)


def _by_word(files: Sequence[PlacedFile]) -> list[list[PlacedFile]]:
    words = sorted({file.word for file in files})
    return [[file for file in files if file.word == word] for word in words]


def _folders(root: Path, files: Sequence[PlacedFile]) -> str:
    """Return the folders of some files, relative to the root: ``train/images/ + val/images/``."""
    folders = sorted({file.path.parent.relative_to(root).as_posix() for file in files})
    return first_of([folder + "/" if folder != "." else "the folder itself" for folder in folders], 3, " + ")

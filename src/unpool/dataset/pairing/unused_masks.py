"""Files beside the pairs of a folder that may be its masks: with the names of the pictures, and few values."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from unpool.dataset.pairing.few_values import share_with_few_values
from unpool.dataset.pairing.folder import Folder, FolderContents, PlacedFile
from unpool.dataset.pairing.name_relations import name_relations
from unpool.dataset.pairing.words import DRAWN_FROM_MASKS

_MOST_OF = 0.8
"""Share of the pictures that such files need to have."""
_MOST_FILES = 20_000
"""Files up to which a folder is searched; the names of these are compared in seconds."""


class UnusedMasks(NamedTuple):
    """Files that may be masks: (picture, file), and the form of their names for messages."""

    pairs: tuple[tuple[PlacedFile, PlacedFile], ...]
    text: str


def unused_masks(contents: FolderContents, folder: Folder, known: Collection[str] = ()) -> UnusedMasks | None:
    """Return files that no layout uses, and that most pictures of the folder have one of; None without such files.

    Parameters
    ----------
    known: paths of files that are named in findings.
    """
    used = {path for pair in folder.pairs for path in (pair.image, pair.mask, pair.field_of_view)}
    used |= {*folder.unpaired_images, *folder.unpaired_masks, *folder.parts}
    images = {pair.image for pair in folder.pairs}
    free = [
        file
        for file in contents.files
        if file.path not in used and str(file.path) not in known and not _is_drawn(file.path.parent.name)
    ]
    if not free or len(contents.files) > _MOST_FILES:
        return None
    paired = [file for file in contents.files if file.path in images]
    for relation in name_relations([*paired, *free], len(contents.root.parts)):
        for k in (0, 1):
            pairs = tuple((pair[1 - k], pair[k]) for pair in relation.pairs)
            if (
                sum(image.path in images and mask.path not in images for image, mask in pairs) >= _MOST_OF * len(images)
                and not relation.forms[k].words & DRAWN_FROM_MASKS
                and share_with_few_values([mask.path for _, mask in pairs]) == 1
            ):
                return UnusedMasks(pairs, relation.forms[k].text())
    return None


def _is_drawn(folder: str) -> bool:
    return re.sub(r"[\W_]", "", folder.lower()) in DRAWN_FROM_MASKS

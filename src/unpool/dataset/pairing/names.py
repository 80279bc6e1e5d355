"""The words the field uses in the names of folders and files."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

SPLITS = {
    "train": "train",
    "training": "train",
    "tr": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "ts": "test",
}
IMAGE_FOLDERS = frozenset(
    [
        "image",
        "images",
        "img",
        "imgs",
        "imgdir",
        "imagedir",
        "raw",
        "input",
        "inputs",
        "jpegimages",
        "leftimg8bit",
        "pictures",
        "photos",
        "x",
    ]
)
MASK_FOLDERS = frozenset(
    [
        "mask",
        "masks",
        "label",
        "labels",
        "anndir",
        "maskdir",
        "labeldir",
        "annotation",
        "annotations",
        "annot",
        "annots",
        "ann",
        "anns",
        "anno",
        "gt",
        "gts",
        "groundtruth",
        "groundtruths",
        "instances",
        "instance",
        "segmentation",
        "segmentations",
        "segmentationclass",
        "seg",
        "segs",
        "gtfine",
        "manual",
        "1stmanual",
        "target",
        "targets",
        "y",
    ]
)
MASK_WORDS = [
    "mask",
    "masks",
    "label",
    "labels",
    "labelids",
    "gtfine_labelids",
    "gt",
    "groundtruth",
    "ground_truth",
    "l",
    "p",
    "seg",
    "segs",
    "segmentation",
    "anno",
    "annotation",
    "annot",
    "target",
    "manual",
    "manual1",
    "1st_manual",
    "instances",
    "instance",
    "instanceids",
    "mask_rgb",
]
IMAGE_WORDS = ["image", "img", "raw", "sat", "leftimg8bit", "0000", "input", "training", "test"]


class FolderRole(NamedTuple):
    """What a folder's name says: ``word`` is the name without its split, ``kind`` image or mask."""

    split: str | None
    kind: str | None
    word: str


@lru_cache(maxsize=4096)
def folder_role(name: str) -> FolderRole:
    """Read a folder's name: ``train``, ``masks``, ``trainannot``, ``imagesTr``, ``val_labels``, …"""
    plain = re.sub(r"[\W_]", "", name.lower())
    if plain in SPLITS and plain not in ("tr", "ts"):
        return FolderRole(SPLITS[plain], None, "")
    for word in sorted(SPLITS, key=len, reverse=True):
        for rest in (plain.removeprefix(word), plain.removesuffix(word)):
            if rest != plain and (kind := _kind(rest)):
                return FolderRole(SPLITS[word], kind, rest)
    return FolderRole(None, _kind(plain), plain)


def _kind(word: str) -> str | None:
    if word in IMAGE_FOLDERS:
        return "image"
    return "mask" if word in MASK_FOLDERS else None


class Affix(NamedTuple):
    """A word before or after what a picture and its mask have in common, as ``_mask`` in ``x_mask``."""

    before: str
    after: str

    def strip(self, stem: str) -> str | None:
        """The stem without the affix, or None where it has another form."""
        lower = stem.lower()
        if len(stem) <= len(self.before) + len(self.after):
            return None
        if not lower.startswith(self.before) or not lower.endswith(self.after):
            return None
        return stem[len(self.before) : len(stem) - len(self.after)]

    def example(self) -> str:
        """A name of this form, for messages."""
        return f"{self.before}x{self.after}"


NO_AFFIX = Affix("", "")


def affixes(words: list[str]) -> tuple[Affix, ...]:
    """Every way the words are put before or after a name; first the empty one."""
    return (
        NO_AFFIX,
        *(Affix("", mark + word) for word in words for mark in "_-. "),
        *(Affix(word + mark, "") for word in words for mark in "_-. "),
    )


MASK_AFFIXES = affixes(MASK_WORDS)
IMAGE_AFFIXES = affixes(IMAGE_WORDS)

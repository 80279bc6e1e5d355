"""The words in the names of folders and files that mean split, picture or mask.

All words are in lower case.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
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
"""Words for the split, as a folder's full name or at one end of it; ``tr`` and ``ts`` at one end only."""

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
        "volume",
        "volumes",
        "stack",
        "stacks",
        "x",
    ]
)
"""Names of folders with pictures, without a split's word and without ``_``, ``-`` and spaces."""

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
        "gtcoarse",
        "manual",
        "manual1",
        "1stmanual",
        "firstmanual",
        "labelsah",
        "manual2",
        "2ndmanual",
        "secondmanual",
        "labelsvk",
        "fov",
        "fovs",
        "vessel",
        "vessels",
        "target",
        "targets",
        "y",
    ]
)
"""Names of folders with masks, without a split's word and without ``_``, ``-`` and spaces."""

SECOND_OBSERVERS = frozenset({"manual2", "2ndmanual", "secondmanual", "labelsvk", "vk", "2ndho"})
"""Names of folders and files with a second person's masks, which are left alone where the first person's are there."""

FIELD_OF_VIEW_WORDS = frozenset({"mask", "masks", "fov", "fovs", "fovmask", "fovmasks", "roi", "rois"})
"""Names of folders and files with the field of view of a retina camera, as far as another folder has the vessels."""

VESSEL_WORDS = frozenset({"manual", "manual1", "1stmanual", "firstmanual", "labelsah", "vessel", "vessels", "1stho"})
"""Names of folders and files with the vessels of a retina, beside which ``mask`` means the field of view."""

UNUSED = "unused"
"""Name of a folder whose pictures are left out."""

PREFERRED_WORDS = ["gtfine_labeltrainids", "gtcoarse_labeltrainids", "labeltrainids"]
"""Words of masks that are taken before others of the same pictures: Cityscapes' ids to train on, with 255 for void."""

MASK_WORDS = [
    *PREFERRED_WORDS,
    "mask",
    "masks",
    "label",
    "labels",
    "labelids",
    "gtfine_labelids",
    "gtcoarse_labelids",
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
    "1stho",
    "ah",
    "instances",
    "instance",
    "instanceids",
    "mask_rgb",
]
"""Words that a mask's name has before or after the part that it shares with its picture, as in ``x_mask``."""

IMAGE_WORDS = ["image", "img", "raw", "sat", "leftimg8bit", "0000", "input", "training", "test", "volume", "stack"]
"""Words that a picture's name has before or after the part that it shares with its mask, as in ``img_x``."""

DERIVED_WORDS = frozenset(
    [
        "color",
        "colour",
        "colors",
        "colours",
        "colormask",
        "instanceids",
        "instancetrainids",
        "labelids",
        "polygons",
        "overlay",
        "vis",
        "viz",
        "preview",
        "panoptic",
        "colormap",
        "colormaps",
        "colourmap",
        "colourmaps",
        "colored",
        "coloured",
        "overlays",
        "visual",
        "visualization",
        "visualisation",
        "outline",
        "outlines",
        "flows",
        "superpixels",
    ]
)
"""Last words of files that are drawn from the masks of the same pictures, without ``_``, ``-`` and spaces."""

DRAWN_FROM_MASKS = DERIVED_WORDS | SECOND_OBSERVERS | {"rgb", "maskshuman", "segmentationobject"}
"""Words of folders and files with other masks of the same pictures, which are left alone beside the masks."""

_LIST_WORDS = frozenset(
    [
        "list",
        "lists",
        "set",
        "split",
        "splits",
        "id",
        "ids",
        "image",
        "images",
        "img",
        "imgs",
        "file",
        "files",
        "filelist",
        "filelists",
        "name",
        "names",
        "filename",
        "filenames",
        "pair",
        "pairs",
        "path",
        "paths",
    ]
)
"""Words beside the split's word in the name of a list, as in ``train_list`` and ``list_train``."""


def list_split(stem: str) -> str | None:
    """Return the split that a list's name says: ``train``, ``val_list``, ``list-test``; None for other names."""
    plain = re.sub(r"[\W_]", "", stem.lower())
    rests = {word: {plain.removeprefix(word), plain.removesuffix(word)} - {plain} for word in SPLITS}
    named = [word for word in SPLITS if rests[word] & _LIST_WORDS or (plain == word and word not in ("tr", "ts"))]
    return SPLITS[max(named, key=len)] if named else None


class FolderRole(NamedTuple):
    """The meaning of a folder's name.

    Attributes
    ----------
    split: ``train``, ``val``, ``test`` or None.
    kind: ``image``, ``mask`` or None.
    word: the name in lower case without its split; empty where the name is only a split.
    rest: what else the name holds, for a meaning that only some of its words give; empty for others.
    """

    split: str | None
    kind: str | None
    word: str
    rest: str = ""


@lru_cache(maxsize=4096)
def folder_role(name: str) -> FolderRole:
    """Return the meaning of a folder's name: ``train``, ``masks``, ``trainannot``, ``imagesTr``, ``val_labels``, …"""
    plain = _plain(name)
    if plain in SPLITS and plain not in ("tr", "ts"):
        return FolderRole(SPLITS[plain], None, "")
    if kind := _kind(plain):  # annots are no annotations to test with
        return FolderRole(None, kind, plain)
    for word in sorted(SPLITS, key=len, reverse=True):
        for rest in (plain.removeprefix(word), plain.removesuffix(word)):
            if rest != plain and (kind := _kind(rest)):
                return FolderRole(SPLITS[word], kind, rest)
    return FolderRole(None, None, plain)


@lru_cache(maxsize=4096)
def role_by_words(name: str) -> FolderRole:
    """Return the meaning that single words of a folder's name give, as in ``ISIC2018_Training_Input``, ``masks_png``.

    A word for masks goes before one for pictures, as in ``gt_image_2``, except where both are there together, as in
    ``images_and_masks``.
    """
    words = name_words(name)
    split = next((word for word in words if word in SPLITS and word not in ("tr", "ts")), None)
    two = [one + other for one, other in pairwise(words)]
    kinds = {kind for word in (*words, *two) if len(word) > 1 and (kind := _kind(word))}
    kind = None if {"and", "with", "plus"} & {*words} else "mask" if "mask" in kinds else next(iter(kinds), None)
    joined = [each for each in two if kind and _kind(each) == kind]
    left = [word for word in words if word not in _FORMAT_WORDS and word != split and _kind(word) != kind]
    rest = " ".join(word for word in left if not any(word in each for each in joined))
    word = "".join(word for word in words if word != split)
    return FolderRole(SPLITS[split] if split else None, kind, word, rest if kind else word)


def name_words(name: str) -> list[str]:
    """Return the words and numbers of a name in lower case: ``JPEGImages_2`` has jpeg, images and 2."""
    return [word.lower() for word in _NAME_WORD.findall(name)]


_NAME_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_FORMAT_WORDS = frozenset({"png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif"})


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _kind(word: str) -> str | None:
    if word in IMAGE_FOLDERS:
        return "image"
    return "mask" if word in MASK_FOLDERS else None


class Affix(NamedTuple):
    """A word before or after the part that a picture and its mask share, as ``_mask`` in ``x_mask``."""

    before: str
    after: str

    def strip(self, stem: str) -> str | None:
        """Return the stem without the affix, or None where it does not have the affix."""
        lower = stem.lower()
        if len(stem) <= len(self.before) + len(self.after):
            return None
        if not lower.startswith(self.before) or not lower.endswith(self.after):
            return None
        return stem[len(self.before) : len(stem) - len(self.after)]

    def example(self) -> str:
        """Return a name of this form, for messages: ``x_mask``."""
        return f"{self.before}x{self.after}"


NO_AFFIX = Affix("", "")


def affixes(words: list[str]) -> tuple[Affix, ...]:
    """Return each word before and after a name, with each separator; no affix comes first."""
    return (
        NO_AFFIX,
        *(Affix("", separator + word) for word in words for separator in "_-. "),
        *(Affix(word + separator, "") for word in words for separator in "_-. "),
    )


@lru_cache(maxsize=16)
def any_affix(some: tuple[Affix, ...]) -> re.Pattern[str]:
    """Return the pattern of stems that have one of some affixes: a quick search before each is tried."""
    ends = [f"^{re.escape(affix.before)}" if affix.before else f"{re.escape(affix.after)}$" for affix in some]
    return re.compile("|".join(ends), re.IGNORECASE)


MASK_AFFIXES = affixes(MASK_WORDS)
IMAGE_AFFIXES = affixes(IMAGE_WORDS)
PREFERRED_AFFIXES = frozenset(affixes(PREFERRED_WORDS)[1:])

"""Published sets whose masks are known by their names or their class file: Cityscapes, ADE20K, COCO-Stuff, ISPRS."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from unpool.class_table import IGNORE_ID
from unpool.data.samples import Pair
from unpool.dataset.mask_values.class_names import ClassNames
from unpool.dataset.mask_values.named_class import NamedClass
from unpool.errors import DataError
from unpool.io.read.masks import read_mask
from unpool.wording import all_of

_CITYSCAPES = (
    ("road", 7), ("sidewalk", 8), ("building", 11), ("wall", 12), ("fence", 13), ("pole", 17), ("traffic light", 19),
    ("traffic sign", 20), ("vegetation", 21), ("terrain", 22), ("sky", 23), ("person", 24), ("rider", 25), ("car", 26),
    ("truck", 27), ("bus", 28), ("train", 31), ("motorcycle", 32), ("bicycle", 33),
)  # fmt: skip
"""The 19 classes that Cityscapes scores, with their labelIds, in the order of their labelTrainIds."""
_CITYSCAPES_OTHERS = tuple(sorted({*range(34), IGNORE_ID} - {value for _, value in _CITYSCAPES}))
"""The labelIds that Cityscapes does not score, and 255 for the licence plates."""
_LABEL_IDS = re.compile(r".+_gt(?:Fine|Coarse)_labelIds", re.IGNORECASE)
_TRAIN_IDS = re.compile(r".+_labelTrainIds", re.IGNORECASE)

_ADE20K = re.compile(r"ADE_(?:train|val)_\d{8}")
_ADE20K_CLASSES = 150

_NO_BOUNDARY = re.compile(r".+_noBoundary", re.IGNORECASE)
_ISPRS = (
    ("impervious surfaces", (255, 255, 255)), ("building", (0, 0, 255)), ("low vegetation", (0, 255, 255)),
    ("tree", (0, 255, 0)), ("car", (255, 255, 0)), ("clutter", (255, 0, 0)), ("void", (0, 0, 0)),
)  # fmt: skip
"""The classes of the ISPRS benchmark on semantic labelling, with their colours."""

_COCO_STUFF_IDS = 182
"""The largest id in COCO-Stuff's labels.txt."""


def known_set(pairs: Sequence[Pair]) -> ClassNames | None:
    """Return the classes of a published set whose masks all have its names; None for every other set."""
    stems = [pair.mask.stem for pair in pairs]
    if all(_TRAIN_IDS.fullmatch(stem) for stem in stems):
        classes = [NamedClass(name, place) for place, (name, _) in enumerate(_CITYSCAPES)]
        remark = f"the masks hold Cityscapes' ids to train on: {IGNORE_ID} is ignored"
        return ClassNames(tuple(classes), (IGNORE_ID,), "Cityscapes' labelTrainIds", remark)
    if all(_LABEL_IDS.fullmatch(stem) for stem in stems):
        classes = [NamedClass(name, value) for name, value in _CITYSCAPES]
        remark = (
            f"the masks hold Cityscapes' labelIds: its {len(classes)} scored classes are named, and all other ids, "
            "such as 0 unlabeled, 9 parking and 29 caravan, are ignored, as in its own scores; name the classes with "
            "--classes to choose others"
        )
        return ClassNames(tuple(classes), _CITYSCAPES_OTHERS, "Cityscapes' labelIds", remark)
    if all(_ADE20K.fullmatch(stem) for stem in stems):
        classes = [NamedClass(f"class {value}", value) for value in range(1, _ADE20K_CLASSES + 1)]
        remark = (
            "the masks have the names of ADE20K's scene parsing: 0, which stands for all other things, is ignored; "
            "put its objectInfo150.txt into the folder to have the names of its 150 classes"
        )
        return ClassNames(tuple(classes), (0,), "ADE20K's ids", remark)
    if all(_NO_BOUNDARY.fullmatch(stem) for stem in stems) and all(has_colours(pair.mask) for pair in pairs[:3]):
        classes = [NamedClass(name, colour=colour) for name, colour in _ISPRS]
        remark = (
            "the masks are named as those of ISPRS (Potsdam, Vaihingen) without boundaries: black, where boundaries "
            "were, is ignored"
        )
        return ClassNames(tuple(classes), None, "ISPRS' colours", remark)
    return None


def has_colours(path: Path) -> bool:
    """Return whether a mask has colours other than greys; one that cannot be read has none."""
    try:
        pixels = read_mask(path)
    except DataError:
        return False
    return pixels.ndim == 3 and bool((pixels != pixels[..., :1]).any())


def counted_as_the_masks(names: ClassNames, present: Collection[int]) -> ClassNames:
    """Return the names by the values of the masks, for COCO-Stuff, whose class file counts from 1 and its masks from 0.

    Parameters
    ----------
    present: flat values of all masks.
    """
    value_of = {named.name: named.value for named in names.classes}
    ends = value_of.get("unlabeled"), value_of.get("person"), value_of.get("wood")
    if ends != (0, 1, _COCO_STUFF_IDS) or names.by_hand or _COCO_STUFF_IDS in present:
        return names
    if IGNORE_ID not in present:
        remark = (
            f"{names.source} is COCO-Stuff's, in which 0 is unlabeled and 1 person; in its own pixel maps 0 is person, "
            "and 255 unlabeled: compare one mask with its picture"
        )
        return replace(names, remark=remark)
    moved = [replace(n, value=n.value - 1) for n in names.classes if n.value]
    first = all_of([f"{named.value} {named.name}" for named in moved[:2]])
    remark = (
        f"{names.source} is COCO-Stuff's, which counts from 1, and the masks are its pixel maps, which count from 0: "
        f"each value is one less ({first}), and {IGNORE_ID}, unlabeled, is ignored"
    )
    return ClassNames(tuple(moved), (IGNORE_ID,), names.source, remark)

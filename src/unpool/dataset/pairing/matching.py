"""Pairing by name: one rule for all files, never the order of the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from unpool.data.samples import Pair
from unpool.dataset.pairing.folder import Folder, PlacedFile
from unpool.dataset.pairing.words import IMAGE_AFFIXES, MASK_AFFIXES, MASK_NAME, NO_AFFIX, SPLITS, Affix
from unpool.errors import DataError
from unpool.wording import first_of

_Key: TypeAlias = tuple[str, str, str]
"""Split, sub-folder and common part of the name."""


class Match(NamedTuple):
    """Pictures and masks paired by one rule, and the files without a partner.

    Attributes
    ----------
    pairs: (picture, mask).
    images, masks: pictures without a mask, and masks without a picture.
    rule: the rule in words, such as ``the same name``.
    """

    pairs: tuple[tuple[PlacedFile, PlacedFile], ...]
    images: tuple[PlacedFile, ...]
    masks: tuple[PlacedFile, ...]
    rule: str


class _Rule(NamedTuple):
    image: Affix
    mask: Affix

    def __str__(self) -> str:
        if self.image == self.mask == NO_AFFIX:
            return "the same name"
        return f"'{self.image.example()}' with '{self.mask.example()}'"


def match_separate(images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> Match:
    """Pair pictures and masks of different folders by the rule that pairs most.

    Raises
    ------
    DataError: two rules pair equally many, or two pictures or two masks have the same name.
    """
    mask_keys = {affix: keys for affix in MASK_AFFIXES if (keys := _keys(masks, affix))}
    counts = {
        _Rule(image_affix, mask_affix): len(keys & others)
        for image_affix in IMAGE_AFFIXES
        if (keys := _keys(images, image_affix))
        for mask_affix, others in mask_keys.items()
    }
    return _apply(_best(counts), images, masks)


def match_together(files: Sequence[PlacedFile]) -> Match:
    """Pair files of one folder in which a mask's name has one word more, as ``x_mask`` has for ``x``.

    Raises
    ------
    DataError: two rules pair equally many, or two pictures or two masks have the same name.
    """
    counts: dict[_Rule, int] = {}
    named = [file for file in files if MASK_NAME.search(file.path.stem)]
    for mask_affix in MASK_AFFIXES[1:]:
        mask_keys = _keys(named, mask_affix)
        for image_affix in IMAGE_AFFIXES if mask_keys else ():
            counts[_Rule(image_affix, mask_affix)] = len(mask_keys & _keys(files, image_affix))
    rule = _best(counts)
    masks = {file.path for file in files if rule.mask != NO_AFFIX and rule.mask.strip(file.path.stem)}
    return _apply(
        rule,
        [file for file in files if file.path not in masks],
        [file for file in files if file.path in masks],
    )


def paired_folder(root: Path, layout: str, match: Match) -> Folder:
    """Return the folder of a match: its pairs with their names and splits, sorted by name.

    Parameters
    ----------
    layout: one sentence on how the folder was read.
    """
    pairs = [Pair(_pair_name(image), image.path, mask.path, image.split) for image, mask in match.pairs]
    splits = sorted({pair.split for pair in pairs if pair.split}, key=list(SPLITS).index)
    return Folder(
        root=root,
        layout=layout + (f"; split by the folder into {', '.join(splits)}" if splits else ""),
        pairs=tuple(sorted(pairs, key=lambda pair: pair.name)),
        unpaired_images=tuple(sorted(file.path for file in match.images)),
        unpaired_masks=tuple(sorted(file.path for file in match.masks)),
    )


def _pair_name(image: PlacedFile) -> str:
    return "/".join(part for part in (image.split, image.place, image.path.stem) if part)


def _keys(files: Sequence[PlacedFile], affix: Affix) -> set[_Key]:
    return {key for file in files if (key := _key(file, affix))}


def _key(file: PlacedFile, affix: Affix) -> _Key | None:
    common = affix.strip(file.path.stem)
    return (file.split or "", file.place, common) if common else None


def _best(counts: dict[_Rule, int]) -> _Rule:
    most = max(counts.values(), default=0)
    if most == 0:
        return _Rule(NO_AFFIX, NO_AFFIX)
    rules = [rule for rule, count in counts.items() if count == most]
    if len(rules) > 1:
        raise DataError(
            f"masks can be paired in {len(rules)} ways: {first_of(list(map(str, rules)), separator='; ')}",
            "one mask for every picture",
            "move the masks that you do not mean out of the folder",
        )
    return rules[0]


def _apply(rule: _Rule, images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> Match:
    image_of, mask_of = _by_key(images, rule.image, "pictures"), _by_key(masks, rule.mask, "masks")
    pairs = tuple((image_of[key], mask_of[key]) for key in sorted(image_of.keys() & mask_of.keys()))
    paired = {file.path for pair in pairs for file in pair}
    return Match(
        pairs,
        tuple(file for file in images if file.path not in paired),
        tuple(file for file in masks if file.path not in paired),
        str(rule),
    )


def _by_key(files: Sequence[PlacedFile], affix: Affix, kind: str) -> dict[_Key, PlacedFile]:
    by_key: dict[_Key, PlacedFile] = {}
    for file in files:
        key = _key(file, affix)
        if key is None:
            continue
        if key in by_key:
            raise DataError(
                f"two {kind} have the same name: {by_key[key].path} and {file.path}",
                "one picture and one mask of each name",
                "rename one of them, or move it out of the folder; if one is the mask of the other, "
                "move the masks into a folder masks/",
            )
        by_key[key] = file
    return by_key

"""Pairing by name: one rule for all files, never the order of the files."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from unpool.data.samples import Pair
from unpool.dataset.pairing.folder import Folder, PlacedFile, composed
from unpool.dataset.pairing.words import (
    FIELD_OF_VIEW_WORDS,
    IMAGE_AFFIXES,
    MASK_AFFIXES,
    NO_AFFIX,
    PREFERRED_AFFIXES,
    SPLITS,
    UNUSED,
    VESSEL_WORDS,
    Affix,
    any_affix,
)
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


_SAME_NAME = _Rule(NO_AFFIX, NO_AFFIX)


def match_separate(images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> Match:
    """Pair pictures and masks of different folders by the rule that pairs most; by one for each split if these do.

    Raises
    ------
    DataError: two rules pair equally many, or two pictures or two masks have the same name.
    """
    splits = sorted({file.split or "" for file in (*images, *masks)})
    parts = [_of_split(split, images, masks) for split in splits] if len(splits) > 1 else []
    rules = [_first_rule(*part) for part in parts]
    counts = [count for rule, count in rules if rule]
    if len({rule for rule, _ in rules if rule}) > 1 and sum(counts) > _first_count(images, masks):
        matches = [_apply(rule or _SAME_NAME, *part) for (rule, _), part in zip(rules, parts, strict=True)]
        found = [match.rule + (f" in {split}" if split else "") for match, split in zip(matches, splits, strict=True)]
        return Match(
            tuple(pair for match in matches for pair in match.pairs),
            tuple(file for match in matches for file in match.images),
            tuple(file for match in matches for file in match.masks),
            ", ".join(text for text, match in zip(found, matches, strict=True) if match.pairs),
        )
    rule = next((rule for fold in (False, True) if (rule := _best(_counts(images, masks, fold)))), None)
    return _apply(rule, images, masks) if rule else Match((), tuple(images), tuple(masks), "")


def _of_split(
    split: str, images: Sequence[PlacedFile], masks: Sequence[PlacedFile]
) -> tuple[list[PlacedFile], list[PlacedFile]]:
    return [f for f in images if (f.split or "") == split], [f for f in masks if (f.split or "") == split]


def _first_rule(images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> tuple[_Rule | None, int]:
    """Return the rule that pairs most, and how many; none where two pair equally many."""
    counts = _counts(images, masks)
    try:
        rule = _best(counts)
    except DataError:
        return None, 0
    return rule, counts[rule] if rule else 0


def _first_count(images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> int:
    return max(_counts(images, masks).values(), default=0)


def matches_together(files: Sequence[PlacedFile]) -> dict[str, Match]:
    """Pair files of one folder in which a mask's name has one word more, as ``x_mask`` has for ``x``.

    Returns
    -------
    The match of the rule that pairs most, or of several that pair equally many; with the words of the masks, without
    ``_``, ``-`` and spaces. Where this is a field of view and vessels were drawn in some pictures, both.

    Raises
    ------
    DataError: two pictures or two masks have the same name.
    """
    named = [file for file in files if any_affix(MASK_AFFIXES[1:]).search(composed(file.path.stem))]
    counts = _counts(files, named, affixes=MASK_AFFIXES[1:])
    rules = _rules_with_most(counts)
    if rules and all(_word(rule) in FIELD_OF_VIEW_WORDS for rule in rules):
        vessels = {rule: count for rule, count in counts.items() if _word(rule) in VESSEL_WORDS}
        rules += [rule for rule in _rules_with_most(vessels) if rule not in rules]
    matches = {}
    for rule in rules:
        masks = {file.path for file in files if rule.mask.strip(file.path.stem)}
        images = [file for file in files if file.path not in masks]
        matches[_word(rule)] = _apply(rule, images, [file for file in files if file.path in masks])
    return matches


def _word(rule: _Rule) -> str:
    return re.sub(r"[\W_]", "", rule.mask.before + rule.mask.after)


def require_one_of_each_name(files: Sequence[PlacedFile]) -> None:
    """Raise DataError where two pictures of a folder have the same name."""
    _by_key(files, NO_AFFIX, "pictures", None)


def _counts(
    images: Sequence[PlacedFile],
    masks: Sequence[PlacedFile],
    fold: bool = False,
    affixes: Sequence[Affix] | None = None,
) -> dict[_Rule, int]:
    """Return how many pairs each rule gives. ``fold``: capital and small letters are equal."""
    mask_keys = {affix: keys for affix in affixes or MASK_AFFIXES if (keys := _keys(masks, affix, fold))}
    return {
        _Rule(image_affix, mask_affix): len(keys & others)
        for image_affix in (IMAGE_AFFIXES if mask_keys else ())
        if (keys := _keys(images, image_affix, fold))
        for mask_affix, others in mask_keys.items()
    }


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
    return composed("/".join(part for part in (image.split, image.place, image.path.stem) if part))


def _keys(files: Sequence[PlacedFile], affix: Affix, fold: bool) -> set[_Key]:
    return {key for file in files if (key := _key(file, affix, fold))}


def _key(file: PlacedFile, affix: Affix, fold: bool) -> _Key | None:
    common = affix.strip(composed(file.path.stem))
    if not common:
        return None
    place = composed(file.place)
    return (file.split or "", place.casefold(), common.casefold()) if fold else (file.split or "", place, common)


def _best(counts: dict[_Rule, int]) -> _Rule | None:
    """Return the rule that pairs most, of two the one for preferred masks; None where none pairs any."""
    rules = _rules_with_most(counts)
    if len(rules) > 1:
        raise more_rules([str(rule) for rule in rules])
    return rules[0] if rules else None


def _rules_with_most(counts: dict[_Rule, int]) -> list[_Rule]:
    most = max(counts.values(), default=0)
    rules = [rule for rule, count in counts.items() if count == most] if most else []
    return [rule for rule in rules if rule.mask in PREFERRED_AFFIXES] or rules


def more_rules(rules: Sequence[str]) -> DataError:
    """Return the error of masks that can be paired by several rules."""
    return DataError(
        f"masks can be paired in {len(rules)} ways: {first_of(list(rules), separator='; ')}",
        "one mask for every picture",
        f"move the masks that you do not mean out of the folder, or into a folder {UNUSED}/",
    )


def _apply(rule: _Rule, images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> Match:
    """Pair by a rule; those that are left are paired where only capital letters differ."""
    pairs: list[tuple[PlacedFile, PlacedFile]] = []
    folded = 0
    for fold in (False, True):
        if fold and not (images and masks):
            break
        alike = (_keys(images, rule.image, fold) & _keys(masks, rule.mask, fold)) if fold else None
        image_of = _by_key(images, rule.image, "pictures", alike)
        mask_of = _by_key(masks, rule.mask, "masks", alike)
        found = [(image_of[key], mask_of[key]) for key in sorted(image_of.keys() & mask_of.keys())]
        paired = {file.path for pair in found for file in pair}
        images = [file for file in images if file.path not in paired]
        masks = [file for file in masks if file.path not in paired]
        pairs += found
        folded += len(found) if fold else 0
    aside = f", of {folded} pairs without regard to capital letters" if folded else ""
    return Match(tuple(pairs), tuple(images), tuple(masks), f"{rule}{aside}")


def _by_key(
    files: Sequence[PlacedFile], affix: Affix, kind: str, folded: Collection[_Key] | None
) -> dict[_Key, PlacedFile]:
    """Return the file of each key; of ``folded`` keys, which have no capital letters, where these are given."""
    by_key: dict[_Key, PlacedFile] = {}
    for file in files:
        key = _key(file, affix, fold=folded is not None)
        if key is None or (folded is not None and key not in folded):
            continue
        if key in by_key:
            raise DataError(
                f"two {kind} have the same name{_likeness(by_key[key], file)}: {by_key[key].path} and {file.path}",
                "one picture and one mask of each name",
                "rename one of them, or move it out of the folder; if one is the mask of the other, "
                "move the masks into a folder masks/",
            )
        by_key[key] = file
    return by_key


def _likeness(one: PlacedFile, other: PlacedFile) -> str:
    """Return in words why two names count as the same; empty where they are equal."""
    stems = [str(file.path.with_suffix("")) for file in (one, other)]
    if stems[0] == stems[1]:
        return ""
    if composed(stems[0]) == composed(stems[1]):
        return " (their letters are composed differently, as macOS does)"
    return " apart from capital letters" if stems[0].casefold() == stems[1].casefold() else ""

"""Pairing by name: one rule for a whole set, never by the order of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from unpool.dataset.pairing.names import IMAGE_AFFIXES, MASK_AFFIXES, NO_AFFIX, Affix
from unpool.errors import DataError

_Key: TypeAlias = tuple[str, str, str]
"""Split, sub-folder and common part of the name."""


@dataclass(frozen=True)
class FoundFile:
    """A picture file with what its folders say.

    Attributes
    ----------
    split: ``train``, ``val``, ``test`` or None.
    place: its sub-folder, without the folders that name a split or a kind.
    kind: ``image``, ``mask`` or None.
    word: the word of the folder name that says so, as ``labels``; empty without one.
    """

    path: Path
    split: str | None
    place: str
    kind: str | None
    word: str


class Match(NamedTuple):
    """Files paired under one rule, with the files of either side that found no partner."""

    pairs: tuple[tuple[FoundFile, FoundFile], ...]
    images: tuple[FoundFile, ...]
    masks: tuple[FoundFile, ...]
    rule: str


class _Rule(NamedTuple):
    image: Affix
    mask: Affix

    def __str__(self) -> str:
        if self.image == self.mask == NO_AFFIX:
            return "the same name"
        return f"'{self.image.example()}' beside '{self.mask.example()}'"


def match_apart(images: Sequence[FoundFile], masks: Sequence[FoundFile]) -> Match:
    """Pair pictures and masks of different folders by the rule that pairs most.

    Raises
    ------
    DataError: two rules pair equally many, or two files of one side have the same name.
    """
    cores = {affix: keys for affix in MASK_AFFIXES if (keys := _keys(masks, affix))}
    counts = {
        _Rule(ours, theirs): len(keys & masked)
        for ours in IMAGE_AFFIXES
        if (keys := _keys(images, ours))
        for theirs, masked in cores.items()
    }
    return _apply(_best(counts), images, masks)


def match_together(files: Sequence[FoundFile]) -> Match:
    """Pair files of one folder in which a mask's name has a word more, as ``x_mask`` beside ``x``.

    Raises
    ------
    DataError: as ``match_apart``.
    """
    counts: dict[_Rule, int] = {}
    for theirs in MASK_AFFIXES[1:]:
        masked = _keys(files, theirs)
        for ours in IMAGE_AFFIXES if masked else ():
            counts[_Rule(ours, theirs)] = len(masked & _keys(files, ours))
    rule = _best(counts)
    named = {file.path for file in files if rule.mask != NO_AFFIX and rule.mask.strip(file.path.stem)}
    return _apply(
        rule,
        [file for file in files if file.path not in named],
        [file for file in files if file.path in named],
    )


def _keys(files: Sequence[FoundFile], affix: Affix) -> set[_Key]:
    return {key for file in files if (key := _key(file, affix))}


def _key(file: FoundFile, affix: Affix) -> _Key | None:
    core = affix.strip(file.path.stem)
    return (file.split or "", file.place, core) if core else None


def _best(counts: dict[_Rule, int]) -> _Rule:
    most = max(counts.values(), default=0)
    if most == 0:
        return _Rule(NO_AFFIX, NO_AFFIX)
    rules = [rule for rule, count in counts.items() if count == most]
    if len(rules) > 1:
        raise DataError(
            f"masks can be paired in {len(rules)} ways: " + "; ".join(map(str, rules[:4])),
            "one mask for every picture",
            "move the masks that are not meant out of the folder",
        )
    return rules[0]


def _apply(rule: _Rule, images: Sequence[FoundFile], masks: Sequence[FoundFile]) -> Match:
    ours, theirs = _by_key(images, rule.image, "pictures"), _by_key(masks, rule.mask, "masks")
    pairs = tuple((ours[key], theirs[key]) for key in sorted(ours.keys() & theirs.keys()))
    paired = {file.path for pair in pairs for file in pair}
    return Match(
        pairs,
        tuple(file for file in images if file.path not in paired),
        tuple(file for file in masks if file.path not in paired),
        str(rule),
    )


def _by_key(files: Sequence[FoundFile], affix: Affix, what: str) -> dict[_Key, FoundFile]:
    found: dict[_Key, FoundFile] = {}
    for file in files:
        key = _key(file, affix)
        if key is None:
            continue
        if key in found:
            raise DataError(
                f"two {what} of one name: {found[key].path} and {file.path}",
                "one picture and one mask of a name",
                "rename one of them, or move it out of the folder; if one is the mask of the other, "
                "move the masks into a folder masks/",
            )
        found[key] = file
    return found

"""The layout with several masks for each picture, one for each object or each class, which are joined."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from unpool.data.samples import Pair
from unpool.dataset.findings import Finding, from_error
from unpool.dataset.pairing.belonging import Belonging, belonging_by
from unpool.dataset.pairing.folder import Folder, FolderContents, PlacedFile, composed
from unpool.dataset.pairing.joined_masks import JoinedMask, Joining, MaskPart, is_area, joined_mask, most_alike
from unpool.dataset.pairing.label_studio import label_studio_masks
from unpool.dataset.pairing.matching import Match, paired_folder
from unpool.dataset.pairing.partners import SEVERAL_DRAWINGS, several_masks_error
from unpool.dataset.pairing.words import DRAWN_FROM_MASKS, IMAGE_AFFIXES
from unpool.errors import DataError
from unpool.wording import all_of, count_text, first_of

_MOST_OF = 0.8
"""Share of the masks that need to belong to a picture."""
_LEAST = 0.1
"""Share of the pictures that need to have several masks."""
_MOST_CLASSES = 30
_BACKGROUND = "background"
_LOOKED_AT = 5
"""Pictures whose masks are looked at before a folder is taken as one of this layout."""
_ALIKE = 0.5
"""Intersection over union above which two masks show one thing, drawn twice."""
_TAG = re.compile(r"(?:^|[_\-. ])tag[_\-. ]", re.IGNORECASE)
_COUNTER = re.compile(r"[_\-. ]?\(?\d+\)?$")


class _Labelled(NamedTuple):
    """A mask with the word that its name has beside its picture's, without a number."""

    mask: PlacedFile
    label: str


def pair_several_masks(contents: FolderContents) -> Folder | None:
    """Pair a folder in which pictures have several masks, and join these; None for other folders.

    Masks with a few words, the same for many pictures, show a class each; all others show an object each.

    Raises
    ------
    DataError: the masks of a picture show the same thing, or see ``label_studio_masks``.
    RunError: there is no cache folder, or it cannot be written.
    """
    exported = {
        image: [_Labelled(mask, label) for mask, label in own] for image, own in label_studio_masks(contents).items()
    }
    if exported:
        return _joined_folder(contents, exported)
    for found in _ways(contents):
        masks = {image: labelled for image, own in found.masks if (labelled := _wanted(found, image, own))}
        several = sum(len(own) > 1 for own in masks.values())
        if several >= max(_LEAST * len(masks), min(2, len(masks))) and _are_areas(masks):
            _require_different(contents, found, masks)
            return _joined_folder(contents, masks)
    return None


def _ways(contents: FolderContents) -> Iterator[Belonging]:
    """Yield the way by which most masks belong to a picture, and some pictures have several: of two the fuller one.

    Where no word says which files are masks, a way to read all files is yielded too.
    """
    masks = [file for file in contents.files if file.kind == "mask"]
    images = [file for file in contents.files if file.kind == "image"]
    images = images or [file for file in contents.files if file.kind is None]
    if masks and images:
        yield from _fullest([belonging_by(way, images, masks) for way in ("word", "place", "folder")], len(masks))
    files = contents.files
    found = [each for way in ("word", "folder") if len((each := belonging_by(way, files, files)).masks) > 1]
    yield from _fullest([each for each in found if each.count + len(each.masks) >= _MOST_OF * len(files)], 0)


def _fullest(ways: Sequence[Belonging], number: int) -> list[Belonging]:
    """Return the way in which most pictures have masks, of those with most of the masks; none where two have as many.

    Parameters
    ----------
    number: of the masks.
    """
    fitting = [each for each in ways if each.count > len(each.masks) and each.count >= _MOST_OF * number]
    most = max((len(each.masks) for each in fitting), default=0)
    fullest = [each for each in fitting if len(each.masks) == most]
    return fullest if len(fullest) == 1 else []


def _wanted(found: Belonging, image: PlacedFile, masks: Sequence[PlacedFile]) -> list[_Labelled]:
    labelled = [_Labelled(mask, _label(found.way, image, mask)) for mask in sorted(masks, key=lambda m: m.path)]
    return [each for each in labelled if not _is_drawn_from_masks(each)]


def _is_drawn_from_masks(each: _Labelled) -> bool:
    words = re.split(r"[_\-. ]", each.label.lower())
    texts = (words[-1], "".join(words), re.sub(r"[\W_]", "", each.mask.path.parent.name.lower()))
    return any(text in DRAWN_FROM_MASKS for text in texts)


def _label(way: str, image: PlacedFile, mask: PlacedFile) -> str:
    """Return the word of a mask's name or folder that its picture does not have, without a number."""
    if way == "place":
        return composed(mask.place.removeprefix(image.place).strip("/"))
    stem = composed(mask.path.stem)
    if way == "word":
        stem = _without_picture(stem, composed(image.path.stem))
    if tag := _TAG.search(stem):
        stem = stem[tag.end() :]
    return _COUNTER.sub("", stem.strip("_-. ")).strip("_-. ")


def _without_picture(stem: str, picture: str) -> str:
    """Return the name of a mask without that of its picture, as it is or without a word such as ``img_``."""
    names = [common for affix in IMAGE_AFFIXES if (common := affix.strip(picture))]
    for name in sorted(names, key=len, reverse=True):
        if stem.casefold().startswith(name.casefold()):
            return stem[len(name) :]
        if stem.casefold().endswith(name.casefold()):
            return stem[: len(stem) - len(name)]
    return stem


def _are_areas(masks: Mapping[PlacedFile, Sequence[_Labelled]]) -> bool:
    """Return whether the masks of the first pictures hold 0 and one other value each."""
    first = [own for own in masks.values() if len(own) > 1][:_LOOKED_AT]
    return all(is_area(each.mask.path) for own in first for each in own[:50])


def _require_different(
    contents: FolderContents, found: Belonging, masks: Mapping[PlacedFile, Sequence[_Labelled]]
) -> None:
    first = [own for own in masks.values() if len(own) > 1][:_LOOKED_AT]
    alike = [most_alike([each.mask.path for each in own[:20]]) for own in first]
    if sum(share > _ALIKE for share in alike) * 2 > len(alike):
        raise several_masks_error(contents, found, SEVERAL_DRAWINGS)


def _classes(masks: Mapping[PlacedFile, Sequence[_Labelled]]) -> list[str]:
    """Return the classes that the words of masks mean; none where they mean objects."""
    pictures = Counter(label for own in masks.values() for label in {each.label for each in own})
    if not 2 <= len(pictures) <= _MOST_CLASSES or "" in pictures:
        return []
    if not all(re.search(r"[^\W\d_]", label) for label in pictures):
        return []
    shared = sum(count for count in pictures.values() if count > 1)
    if shared < _MOST_OF * sum(pictures.values()):
        return []
    return sorted(label for label in pictures if label.lower() != _BACKGROUND)


def _joined_folder(contents: FolderContents, masks: Mapping[PlacedFile, Sequence[_Labelled]]) -> Folder:
    classes = [] if contents.instances else _classes(masks)
    how: Joining = "classes" if classes else "area" if contents.regions else "objects"
    number_of = {label: k for k, label in enumerate(classes, 1)}
    joined: dict[PlacedFile, JoinedMask] = {}
    broken: list[tuple[PlacedFile, DataError]] = []
    for image, own in masks.items():
        parts = [
            MaskPart(each.mask.path, number_of.get(each.label, 0) if classes else k) for k, each in enumerate(own, 1)
        ]
        try:
            joined[image] = joined_mask(parts, how, image.path.stem)
        except DataError as error:
            broken.append((image, error))
    if not joined:
        raise broken[0][1]
    used = {each.mask.path for own in masks.values() for each in own}
    number = len(used)
    left = [file for file in contents.files if file.path not in used and file not in masks]
    placed = {image: replace(image, path=joined[image].path) for image in joined}
    match = Match(
        tuple(placed.items()),
        tuple(file for file in left if file.kind != "mask"),
        tuple(file for file in left if file.kind == "mask"),
        "",
    )
    what = f"classes {all_of(classes)}" if classes else "areas of 0 and 255" if how == "area" else "object numbers"
    image, own = next(iter(masks.items()))
    example = " with ".join(file.path.relative_to(contents.root).as_posix() for file in (image, own[0].mask))
    layout = f"{number:,} masks joined for {count_text(len(masks), 'picture')}, such as {example}, as {what}"
    folder = paired_folder(contents.root, layout, match)
    lines = [f"{k}={name}" for k, name in enumerate([_BACKGROUND, *classes])] if classes else []
    return replace(
        folder,
        objects=how == "objects",
        classes=tuple(lines),
        parts=tuple(sorted(used)),
        findings=(
            *(from_error(error, "broken-part", image.path.stem) for image, error in broken),
            *_findings(folder.pairs, joined, how),
        ),
    )


def _findings(pairs: Sequence[Pair], joined: Mapping[PlacedFile, JoinedMask], how: Joining) -> Iterator[Finding]:
    """Yield the note that the masks are object numbers, and what is known of overlaps."""
    if how == "objects":
        found = "one mask file for each object: read as object numbers, as with --masks instances"
        yield Finding("note", "joined-objects", found, "", "use --masks values to read all objects as one class")
    shown = "each such pixel belongs to the smallest of its masks" if how != "area" else "they are in one region"
    yield from overlap_findings(pairs, {image.path: mask for image, mask in joined.items()}, shown)


def overlap_findings(pairs: Sequence[Pair], joined: Mapping[Path, JoinedMask], shown: str) -> Iterator[Finding]:
    """Yield the note on pixels that lie in more than one of the masks that were joined.

    Parameters
    ----------
    joined: the masks by the paths of their pictures.
    shown: what these pixels become, in words.
    """
    counts = {pair.name: joined[pair.image].overlap for pair in pairs if pair.image in joined}
    names = [name for name, overlap in counts.items() if overlap]
    if names:
        found = (
            f"masks of one picture overlap in {sum(counts.values()):,} pixels of {count_text(len(names), 'picture')}"
        )
        yield Finding(
            "note",
            "overlapping-masks",
            f"{found}: {first_of(names)}; {shown}",
            "",
            "",
            tuple(names),
        )

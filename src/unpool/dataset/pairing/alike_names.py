"""The layout in which names and pixels show the masks: two series of files with alike names, one with few values."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from unpool.dataset.pairing.few_values import LOOKED_AT, share_with_few_values
from unpool.dataset.pairing.folder import Folder, FolderContents, PlacedFile, composed
from unpool.dataset.pairing.foreign_formats import FOREIGN_FORMATS
from unpool.dataset.pairing.matching import Match, paired_folder
from unpool.dataset.pairing.name_relations import Form, Relation, name_relations, without_split
from unpool.dataset.pairing.unread_files import full_suffix
from unpool.dataset.pairing.words import (
    DERIVED_WORDS,
    DRAWN_FROM_MASKS,
    MASK_FOLDERS,
    MASK_WORDS,
    PREFERRED_WORDS,
    UNUSED,
)
from unpool.errors import DataError
from unpool.io.read.file_facts import picture_size
from unpool.wording import count_text, first_of

_MOST_OF = 0.8
"""Share of the pairs of the largest reading, and of the masks, that a reading needs."""
_MOST_RELATIONS = 40
"""Relations, from the largest, whose pixels are looked at."""
_MASK_WORDS = (MASK_FOLDERS | {re.sub(r"[\W_]", "", word) for word in MASK_WORDS}) - {"y", "l", "p"}

_GAP = re.compile(r"[_\-. ]")


class _Reading(NamedTuple):
    """A relation of which one side is known to be the masks.

    Attributes
    ----------
    why: how that is known, in words.
    """

    relation: Relation
    mask_side: int
    why: str

    @property
    def image(self) -> Form:
        return self.relation.forms[1 - self.mask_side]

    @property
    def mask(self) -> Form:
        return self.relation.forms[self.mask_side]

    @property
    def pairs(self) -> list[tuple[PlacedFile, PlacedFile]]:
        """(picture, mask)."""
        return [(pair[1 - self.mask_side], pair[self.mask_side]) for pair in self.relation.pairs]

    def text(self) -> str:
        return f"{self.image.text()} with {self.mask.text()}"


def pair_alike_names(contents: FolderContents) -> Folder | None:
    """Pair a folder by names that differ in one part; None where no names do.

    Words in the names or folders, or else the pixels of a few files, show which of both are the masks.

    Raises
    ------
    DataError: there is more than one way, or nothing shows which files are the masks.
    """
    files = contents.files
    relations = [each for each in name_relations(files, len(contents.root.parts)) if _is_evident(each)]
    if not relations or _unread_partners(contents):
        return None
    readings = [reading for each in relations[:_MOST_RELATIONS] if (reading := _reading(each))]
    readings = [each for each in readings if _holds_most_masks(each, files)]
    most = max((len(each.pairs) for each in readings), default=0)
    largest = relations[0]
    if most < len(largest) and 2 * len(largest) >= _MOST_OF * len(files) and (why := _undecided(largest, len(files))):
        raise _without_masks(contents, largest, why)
    chosen = _chosen([each for each in readings if len(each.pairs) >= _MOST_OF * most])
    if len(chosen) > 1:
        raise _more_ways(contents, chosen)
    return _folder(contents, chosen[0]) if chosen else None


def _is_evident(relation: Relation) -> bool:
    """Return whether names are alike by more than chance: equal, or different in the same way more than once."""
    return len(relation) > 1 or all(form.plain for form in relation.forms)


def _unread_partners(contents: FolderContents) -> bool:
    """Return whether files that are not read have the names of masks, whose pictures they may be."""
    stems = {composed(file.path.stem) for file in contents.files if file.kind == "mask"}
    return any(
        full_suffix(file.path) in FOREIGN_FORMATS and composed(file.path.name.split(".")[0]) in stems
        for file in contents.others
    )


def _reading(relation: Relation) -> _Reading | None:
    """Return a relation with its masks; None where nothing shows them, or words and pixels disagree."""
    named = [_named_as_masks(form, relation.side(k)) for k, form in enumerate(relation.forms)]
    few = _shares(relation)
    by_pixels = None
    for k in (0, 1):
        mask, image = few[k], few[1 - k]
        if mask == 1 and image is not None and image < 0.5:
            by_pixels = k
    by_words = named.index(True) if sum(named) == 1 else None
    if by_pixels is not None:
        return _Reading(relation, by_pixels, "few values") if by_words in (None, by_pixels) else None
    if by_words is None or few[by_words] not in (None, 1):
        return None
    return _Reading(relation, by_words, "")


def _shares(relation: Relation) -> list[float | None]:
    return [share_with_few_values([file.path for file in relation.side(k)]) for k in (0, 1)]


def _named_as_masks(form: Form, files: Sequence[PlacedFile]) -> bool:
    return all(file.kind == "mask" for file in files) or bool(form.words & _MASK_WORDS)


def _holds_most_masks(reading: _Reading, files: Sequence[PlacedFile]) -> bool:
    """Return whether most files in the folders of the masks, and with their beginning or end, belong to a picture."""
    folders = {mask.path.parent for _, mask in reading.pairs}
    paired = {mask.path.with_suffix("") for _, mask in reading.pairs}
    masks = [file for file in files if file.path.parent in folders and _has_form(file, reading.mask)]
    further = sum(not reading.mask.whole and _continues(file.path, paired) for file in masks)
    return len(reading.pairs) >= _MOST_OF * (len(masks) - further)


def _continues(path: Path, others: Collection[Path]) -> bool:
    """Return whether a name begins with that of one of some paths without suffix, as that of an overlay may."""
    return any(path.with_name(path.stem[: gap.start()] or path.name) in others for gap in _GAP.finditer(path.stem))


def _has_form(file: PlacedFile, form: Form) -> bool:
    stem = file.path.stem.casefold()
    if form.whole:
        return stem == form.before
    return (
        stem.startswith(form.before)
        and stem.endswith(form.after)
        and (not form.suffix or file.path.suffix.lower() == form.suffix)
    )


def _chosen(readings: Sequence[_Reading]) -> list[_Reading]:
    """Return the readings without those of drawings of the masks, and of further pictures beside plain ones."""
    wanted = [each for each in readings if not each.mask.words & DRAWN_FROM_MASKS]
    wanted = wanted or _usual_masks(readings) or list(readings)
    wanted = [each for each in wanted if not each.image.words & DERIVED_WORDS] or wanted
    if len(wanted) > 1:
        wanted = [each for each in wanted if _sizes_agree(each)] or wanted
    for mask in {frozenset(mask.path for _, mask in each.pairs) for each in wanted}:
        same = [each for each in wanted if {m.path for _, m in each.pairs} == mask]
        plain = [each for each in same if each.image.plain and not each.image.folders]
        plain = plain or [each for each in same if all(image.kind == "image" for image, _ in each.pairs)]
        plain = plain or [each for each in same if each.image.plain and each.mask.plain]
        if len(same) > 1 and len(plain) == 1:
            wanted = [each for each in wanted if each not in same or each is plain[0]]
    return wanted


def _sizes_agree(reading: _Reading) -> bool:
    """Return whether a few pictures have the sizes of their masks, as small copies of pictures have not."""
    for image, mask in reading.pairs[:: -(-len(reading.pairs) // LOOKED_AT)]:
        try:
            if picture_size(image.path) != picture_size(mask.path):
                return False
        except DataError:
            continue
    return True


def _usual_masks(readings: Sequence[_Reading]) -> list[_Reading]:
    """Return the readings whose masks have a usual word, as Cityscapes' ``labelIds``; the ids to train on alone."""
    for words in (PREFERRED_WORDS, MASK_WORDS):
        plain = {_plain(word) for word in words}
        if found := [each for each in readings if _plain(each.mask.before + each.mask.after) in plain]:
            return found
    return []


def _plain(word: str) -> str:
    return re.sub(r"[\W_]", "", word)


def _folder(contents: FolderContents, reading: _Reading) -> Folder:
    pairs = reading.pairs
    paired = {file.path for pair in pairs for file in pair}
    image_folders, mask_folders = ({pair[k].path.parent for pair in pairs} for k in (0, 1))
    left = [file for file in contents.files if file.path not in paired]
    masks = [file for file in left if file.path.parent in mask_folders and _has_form(file, reading.mask)]
    masks = [] if reading.mask.plain and not reading.mask.suffix and image_folders & mask_folders else masks
    images = [
        file
        for file in left
        if file not in masks and file.path.parent in image_folders and _has_form(file, reading.image)
    ]
    why = ", the masks known by their few values" if reading.why else ""
    layout = f"paired by alike names, {reading.text()}{why}"
    pairs = [(_in_place(image, reading.image), mask) for image, mask in pairs]
    others = len(left) - len(masks) - len(images)
    unused = f"; not used: {count_text(others, 'other picture file')}" if others else ""
    return paired_folder(contents.root, layout + unused, Match(tuple(pairs), tuple(images), tuple(masks), ""))


def _in_place(image: PlacedFile, form: Form) -> PlacedFile:
    """Return a picture whose place has none of the folders that only say that it is one, for its name."""
    parts = [part for part in image.place.split("/") if without_split(part) not in form.folders]
    return replace(image, place="/".join(parts))


def _more_ways(contents: FolderContents, readings: Sequence[_Reading]) -> DataError:
    ways = [reading.text() for reading in readings]
    return DataError(
        f"{contents.root}: pictures and masks can be paired in more than one way: {first_of(ways, 4, ' or ')}",
        "one picture and one mask of each name",
        f"move the files that you do not mean into a folder {UNUSED}/, which is left out",
    )


def _undecided(relation: Relation, number: int) -> str:
    """Return in words why nothing shows the masks of a relation; empty where there may be none.

    Parameters
    ----------
    number: of all files.
    """
    if any(form.words and all(word.isdigit() for word in form.words) for form in relation.forms):
        return ""
    shares = _shares(relation)
    if None in shares:
        return "" if number == len(relation.forms) else "some cannot be read, so that their pixels show no masks"
    if min(share for share in shares if share is not None) == 1:
        return "both hold few values, so that their pixels do not show which are the masks"
    return ""


def _without_masks(contents: FolderContents, relation: Relation, why: str) -> DataError:
    """Return the error of alike names of which nothing shows the masks."""
    examples = " and ".join(file.path.relative_to(contents.root).as_posix() for file in relation.pairs[0])
    one, other = relation.forms
    if one.folders != other.folders:
        repair = "move the pictures into a folder images/, and the masks into a folder masks/ beside it"
    elif one.suffix:
        repair = "move the masks into a folder masks/"
    else:
        repair = "name the mask of x.png x_mask.png"
    return DataError(
        f"{contents.root}: {count_text(len(relation), 'file')} {one.text()} and {other.text()} have alike names, such "
        f"as {examples}, but {why}",
        "a word that means masks in the names of the masks or of their folder",
        repair,
    )

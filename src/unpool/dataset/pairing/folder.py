"""A folder of pictures and masks: its files as a layout reads them, and the pairs that were found."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unpool.data.samples import Pair
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.class_names import ClassNames
from unpool.dataset.pairing.words import UNUSED, FolderRole, folder_role, role_by_words
from unpool.errors import DataError
from unpool.io.folders import FoundFiles, find_files, is_junk
from unpool.io.read.arrays import ARRAY_SUFFIXES
from unpool.wording import decodable, first_of

_EXPECTED = "a folder with pictures and masks"
_REPAIR = (
    "put the pictures into images/ and the masks, with the same names, into masks/; or name the mask of x.png "
    "x_mask.png, in the same folder; or use train/images, train/masks, val/images and val/masks"
)


@dataclass(frozen=True)
class PlacedFile:
    """A file with the meaning of the folders that it lies in.

    Attributes
    ----------
    split: ``train``, ``val``, ``test`` or None.
    place: its sub-folder, without the folders that name a split or a kind.
    kind: ``image``, ``mask`` or None.
    word: the word in a folder's name that gives the kind, such as ``labels``; empty where ``kind`` is None.
    """

    path: Path
    split: str | None
    place: str
    kind: str | None
    word: str


@dataclass(frozen=True)
class FolderContents:
    """The files of a folder that exists; they are listed when first used.

    Attributes
    ----------
    instances: the masks hold object numbers.
    arrays: files of arrays count as picture files.
    regions: the masks hold no object numbers.
    """

    root: Path
    instances: bool = False
    arrays: bool = False
    regions: bool = False

    @cached_property
    def found(self) -> FoundFiles:
        """All files below ``root``. Raises DataError, see ``unpool.io.folders.find_files``."""
        return find_files(self.root)

    @cached_property
    def files(self) -> tuple[PlacedFile, ...]:
        """All picture files below ``root`` that are not ``unused``, with the meaning of their folders.

        A file of arrays beside a picture file of the same name is left out: a person has converted it. Raises DataError
        as ``found``.
        """
        unused, pictures = {*self.unused}, self.found.pictures
        if not self.arrays:
            return placed_files(self.root, [path for path in pictures if path not in unused])
        known = set(pictures)
        converted = {path.with_suffix("") for path in pictures}
        read = [
            path
            for path in self.found.files
            if path in known or (path.suffix.lower() in ARRAY_SUFFIXES and path.with_suffix("") not in converted)
        ]
        return placed_files(self.root, [path for path in read if path not in unused])

    @cached_property
    def has_arrays(self) -> bool:
        """Whether there are files of arrays. Raises DataError as ``found``."""
        return any(path.suffix.lower() in ARRAY_SUFFIXES for path in self.found.files)

    @cached_property
    def unused(self) -> tuple[Path, ...]:
        """The picture files in folders that are named ``unused``."""
        return tuple(
            path
            for path in self.found.pictures
            if UNUSED in (part.lower() for part in path.relative_to(self.root).parts[:-1])
        )

    @cached_property
    def others(self) -> tuple[PlacedFile, ...]:
        """All other files below ``root``: lists, class files, and files of formats that are not read."""
        pictures = {*self.found.pictures}
        return tuple(placed_file(self.root, path) for path in self.found.files if path not in pictures)

    @property
    def left_out(self) -> str:
        """A sentence on files that output marks leave out; empty where no layout has looked for files."""
        return self.found.left_out_text() if "found" in vars(self) else ""

    def find(self, path: Path) -> Path | None:
        """Return the file of a path, whose letters may be composed differently on the disk; None without one."""
        return path if path.is_file() else self._by_name.get(composed(str(path)))

    def alike_text(self, name: str) -> str:
        """Return in words a file whose last name differs only by capital letters or its suffix; empty without one."""
        stem = Path(composed(name)).stem.casefold()
        other = next((path for path in self.found.files if composed(path.stem).casefold() == stem), None)
        return f"; there is {other.relative_to(self.root)}" if other else ""

    def has_name(self, name: str) -> bool:
        """Return whether a file of any sub-folder has this last name."""
        return any(composed(path.name) == name for path in self.found.files)

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        return {composed(str(path)): path for path in self.found.files}


@dataclass(frozen=True)
class Folder:
    """The pairs of pictures and masks in a folder.

    Attributes
    ----------
    layout: one sentence on how the folder was read.
    pairs: sorted by name.
    unpaired_images, unpaired_masks: pictures without a mask, and masks without a picture.
    lists: the lists that gave pairs or splits.
    others: the files that are no pictures.
    findings: findings about lists, about files that are not read, and about files without a partner.
    names: the classes of masks that are drawn from outlines; None for other masks.
    objects: whether the masks hold object numbers, because they were joined from one file for each object.
    classes: the classes of masks that were joined from one file for each class, as ``--classes`` takes them.
    parts: the files that were joined to the masks of the pairs.
    """

    root: Path
    layout: str
    pairs: tuple[Pair, ...]
    unpaired_images: tuple[Path, ...]
    unpaired_masks: tuple[Path, ...]
    lists: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    names: ClassNames | None = None
    objects: bool = False
    classes: tuple[str, ...] = ()
    parts: tuple[Path, ...] = ()


def composed(name: str) -> str:
    """Return a name with composed letters (Unicode's NFC), so that names that look alike are equal.

    macOS writes an umlaut as two letters, other systems as one.
    """
    return unicodedata.normalize("NFC", name)


def no_layout(root: Path, found: str) -> DataError:
    """Return the error for a folder that fits no layout; ``found`` names the files that it has."""
    return DataError(f"{root}: {found} ({_contents_text(root)})", _EXPECTED, _REPAIR)


def placed_file(root: Path, path: Path) -> PlacedFile:
    """Return a file with the meaning of the folders between ``root`` and it."""
    return placed_files(root, [path])[0]


def placed_files(root: Path, paths: Sequence[Path]) -> tuple[PlacedFile, ...]:
    """Return files with the meaning of the folders between ``root`` and them.

    A folder with a known word among others, such as ``5_Labels_all``, has its meaning where no other folder of the
    file has one by its whole name, and where it does not hold all files. Such a word for a split counts where one for
    training is among them.
    """
    parts = [path.relative_to(root).parts[:-1] for path in paths]
    around = _around_all(parts)
    splits = {role_by_words(part).split for each in parts for part in each[around:]}
    placed = [_placed(path, each, around, "train" in splits) for path, each in zip(paths, parts, strict=True)]
    if around and all(file.kind == placed[0].kind for file in placed):
        inside = [
            _placed(path, each, around, "train" in splits, within=around)
            for path, each in zip(paths, parts, strict=True)
        ]
        if len({file.kind for file in inside}) > 1:  # a folder around everything may be called segmentation
            return tuple(inside)
    return tuple(placed)


def _around_all(parts: Sequence[tuple[str, ...]]) -> int:
    """Return how many folders lie around all files."""
    if len({*parts}) < 2:
        return len(parts[0]) if parts else 0
    return next((k for k, level in enumerate(zip(*parts, strict=False)) if len({*level}) > 1), min(map(len, parts)))


def _placed(path: Path, parts: tuple[str, ...], around: int, splits: bool, within: int = 0) -> PlacedFile:
    """Return a file with the meaning of its folders.

    Parameters
    ----------
    around: how many of the first folders hold all files; single words in their names mean nothing.
    splits: whether single words mean splits.
    within: how many of the first folders have no kind at all.
    """
    whole = [folder_role(part) for part in parts]
    worded = [role_by_words(part) if k >= around else FolderRole(None, None, "") for k, part in enumerate(parts)]
    with_kind = [k for k, role in enumerate(whole) if role.kind and k >= within]
    kind_at = next((k for k in with_kind if whole[k].kind == "mask"), next(iter(with_kind), None))
    role = None if kind_at is None else whole[kind_at]
    split_at = next((k for k, role in enumerate(whole) if role.split), None)
    split = None if split_at is None else whole[split_at].split
    place = {k: part for k, part in enumerate(parts) if k not in (kind_at, split_at)}
    if role is None and (by_words := [k for k, role in enumerate(worded) if role.kind]):
        role = worded[by_words[-1]]
        place[by_words[-1]] = role.rest
    if split is None and splits:
        at = next((k for k, role in enumerate(worded) if role.split), None)
        split = None if at is None else worded[at].split
        if at in place:
            place[at] = worded[at].rest
    return PlacedFile(
        path=path,
        split=split,
        place="/".join(part for part in place.values() if part),
        kind=None if role is None else role.kind,
        word="" if role is None else role.word,
    )


def _contents_text(root: Path) -> str:
    paths = [path for path in root.iterdir() if not is_junk(path.name)]
    names = sorted(decodable(path.name) + ("/" if path.is_dir() else "") for path in paths)
    return f"it contains {first_of(names, 6)}" if names else "it is empty"

"""A folder of pictures and masks: its files as a layout reads them, and the pairs that were found."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unpool.data.samples import Pair
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.class_names import ClassNames
from unpool.dataset.pairing.words import folder_role
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
    """

    root: Path
    instances: bool = False
    arrays: bool = False

    @cached_property
    def found(self) -> FoundFiles:
        """All files below ``root``. Raises DataError, see ``unpool.io.folders.find_files``."""
        return find_files(self.root)

    @cached_property
    def files(self) -> tuple[PlacedFile, ...]:
        """All picture files below ``root``, with the meaning of their folders. Raises DataError as ``found``.

        A file of arrays beside a picture file of the same name is left out: a person has converted it.
        """
        pictures = self.found.pictures
        if not self.arrays:
            return tuple(placed_file(self.root, path) for path in pictures)
        known = set(pictures)
        converted = {path.with_suffix("") for path in pictures}
        return tuple(
            placed_file(self.root, path)
            for path in self.found.files
            if path in known or (path.suffix.lower() in ARRAY_SUFFIXES and path.with_suffix("") not in converted)
        )

    @cached_property
    def has_arrays(self) -> bool:
        """Whether there are files of arrays. Raises DataError as ``found``."""
        return any(path.suffix.lower() in ARRAY_SUFFIXES for path in self.found.files)

    @cached_property
    def others(self) -> tuple[PlacedFile, ...]:
        """All other files below ``root``: lists, class files, and files of formats that are not read."""
        pictures = {file.path for file in self.files}
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
    parts = path.relative_to(root).parts[:-1]
    roles = [folder_role(part) for part in parts]
    kind_at = next((k for k, role in enumerate(roles) if role.kind), None)
    split_at = next((k for k, role in enumerate(roles) if role.split), None)
    return PlacedFile(
        path=path,
        split=None if split_at is None else roles[split_at].split,
        place="/".join(part for k, part in enumerate(parts) if k not in (kind_at, split_at)),
        kind=None if kind_at is None else roles[kind_at].kind,
        word="" if kind_at is None else roles[kind_at].word,
    )


def _contents_text(root: Path) -> str:
    paths = [path for path in root.iterdir() if not is_junk(path.name)]
    names = sorted(decodable(path.name) + ("/" if path.is_dir() else "") for path in paths)
    return f"it contains {first_of(names, 6)}" if names else "it is empty"

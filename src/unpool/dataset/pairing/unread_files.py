"""Files that stand where pictures or masks are expected, and whose formats are not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from unpool.dataset.pairing.folder import FolderContents, PlacedFile
from unpool.dataset.pairing.foreign_formats import DICOM_BY_CONTENT, DICOM_FILES, FOREIGN_FORMATS
from unpool.wording import count_text, decodable, first_of

DRAWING_FORMATS = frozenset({".json", ".geojson", ".xml", ".txt", ".csv", ".yaml", ".seg", ".roi", ".qpdata"})
"""Suffixes of files in which annotation tools keep outlines. They count as masks in a folder of masks only."""


_FORMATS = {**FOREIGN_FORMATS, DICOM_BY_CONTENT: DICOM_FILES}


class UnreadFiles(NamedTuple):
    """The files of one suffix in one folder that are not read, of which ``kind`` is ``image``, ``mask`` or None.

    Attributes
    ----------
    root: the folder that was searched; ``folder`` is the place of the files in it.
    written: the suffix as the first file has it, with its capital letters.
    """

    root: Path
    folder: str
    suffix: str
    number: int
    kind: str | None
    written: str = ""

    def __str__(self) -> str:
        where = "the folder itself" if self.folder == "." else f"{self.folder}/"
        verb = "which is not read" if self.number == 1 else "which are not read"
        without = f"{self.number:,} files without suffix"
        files = count_text(self.number, f"{self.suffix} file") if self.suffix else without
        what = f" ({_FORMATS[self.suffix].what})" if self.suffix in _FORMATS else ""
        return f"{where} holds {files}{what}, {verb}"

    @property
    def repair(self) -> str:
        """What a person can do about them."""
        if self.suffix in DRAWING_FORMATS:
            return "export masks from the annotation tool as PNG files, one for each picture, into masks/"
        if not self.suffix:
            return "give the files the suffix of their format, such as .png, or save them as PNG or TIFF"
        return _FORMATS[self.suffix].repair_text(self.root, self.written or self.suffix)


def unread_files(contents: FolderContents) -> list[UnreadFiles]:
    """Return the files that are not read where pictures or masks may be, the most frequent first."""
    counts: Counter[tuple[str, str, str | None]] = Counter()
    written: dict[str, str] = {}
    for file in _whole(contents.others):
        suffix = DICOM_BY_CONTENT if not contents.files and _is_dicom(file.path) else full_suffix(file.path)
        written.setdefault(suffix, file.path.name[len(file.path.name) - len(suffix) :])
        if suffix in _FORMATS or (suffix in DRAWING_FORMATS and file.kind == "mask") or (not suffix and file.kind):
            folder = decodable(file.path.parent.relative_to(contents.root).as_posix())
            counts[folder, suffix, file.kind] += 1
    found = [
        UnreadFiles(contents.root, folder, suffix, count, kind, written[suffix])
        for (folder, suffix, kind), count in counts.most_common()
    ]
    return [each for each in found if each.suffix or each.number > 1]  # a lone one is a README or a LICENSE


def _is_dicom(path: Path) -> bool:
    """Return whether a file of no known format is DICOM's, which has its mark behind 128 bytes."""
    if full_suffix(path) in {*FOREIGN_FORMATS, *DRAWING_FORMATS}:
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def unread_text(files: Iterable[UnreadFiles]) -> str:
    """Return one sentence on files that are not read: ``images/ holds 8 .ppm files, which are not read``."""
    return first_of([str(each) for each in files], 3, "; ")


def unread_repair(files: Sequence[UnreadFiles]) -> str:
    """Return what a person can do about files that are not read, for the two most frequent formats."""
    repairs = list(dict.fromkeys(each.repair for each in files))
    return "; and ".join(repairs[:2])


def full_suffix(path: Path) -> str:
    """Return a file's suffix in lower case, with the one before ``.gz`` and other compressions."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() + suffix if suffix in (".gz", ".bz2", ".xz") else suffix


def _whole(files: Iterable[PlacedFile]) -> Iterable[PlacedFile]:
    """Yield each file, and for the parts of a Zarr folder the folder, once."""
    seen: set[Path] = set()
    for file in files:
        folder = next((each for each in file.path.parents if each.suffix.lower() == ".zarr"), None)
        if folder is None:
            yield file
        elif folder not in seen:
            seen.add(folder)
            yield replace(file, path=folder)

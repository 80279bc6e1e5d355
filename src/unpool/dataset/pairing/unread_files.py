"""Files that stand where pictures or masks are expected, and whose formats are not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from unpool.dataset.pairing.folder import FolderContents, PlacedFile
from unpool.wording import count_text, decodable, first_of

_ARCHIVES = frozenset({".zip", ".tar", ".tar.gz", ".7z", ".rar"})

PICTURE_FORMATS = _ARCHIVES | frozenset(
    [
        ".pfm",
        ".npy",
        ".npz",
        ".mat",
        ".jp2",
        ".j2k",
        ".jxl",
        ".heic",
        ".heif",
        ".avif",
        ".dcm",
        ".dicom",
        ".ima",
        ".nii",
        ".nii.gz",
        ".mha",
        ".mhd",
        ".nrrd",
        ".hdr",
        ".czi",
        ".lif",
        ".nd2",
        ".oib",
        ".oif",
        ".lsm",
        ".vsi",
        ".svs",
        ".ndpi",
        ".scn",
        ".mrxs",
        ".ims",
        ".stk",
        ".dv",
        ".mrc",
        ".rec",
        ".h5",
        ".hdf5",
        ".hdf",
        ".nc",
        ".zarr",
        ".parquet",
        ".tfrecord",
        ".exr",
        ".tga",
        ".psd",
        ".svg",
        ".pdf",
        ".ico",
        ".eps",
        ".dng",
        ".cr2",
        ".nef",
        ".arw",
        ".raw",
        ".bin",
        ".pt",
        ".pth",
        ".pkl",
        ".rle",
    ]
)
"""Suffixes, in lower case, of files that hold pictures or masks in formats that are not read."""

DRAWING_FORMATS = frozenset({".json", ".geojson", ".xml", ".txt", ".csv", ".yaml", ".seg", ".roi", ".shp", ".qpdata"})
"""Suffixes of files in which annotation tools keep outlines. They count as masks in a folder of masks only."""


class UnreadFiles(NamedTuple):
    """The files of one suffix in one folder that are not read, of which ``kind`` is ``image``, ``mask`` or None."""

    folder: str
    suffix: str
    number: int
    kind: str | None

    def __str__(self) -> str:
        where = "the folder itself" if self.folder == "." else f"{self.folder}/"
        verb = "which is not read" if self.number == 1 else "which are not read"
        without = f"{self.number:,} files without suffix"
        files = count_text(self.number, f"{self.suffix} file") if self.suffix else without
        return f"{where} holds {files}, {verb}"

    @property
    def repair(self) -> str:
        """What a person can do about them."""
        if self.suffix in DRAWING_FORMATS:
            return "export masks from the annotation tool as PNG files, one for each picture, into masks/"
        if self.suffix in _ARCHIVES:
            return "unpack the archive"
        if not self.suffix:
            return "give the files the suffix of their format, such as .png, or save them as PNG or TIFF"
        return "save them as PNG or TIFF"


def unread_files(contents: FolderContents) -> list[UnreadFiles]:
    """Return the files that are not read where pictures or masks may be, the most frequent first."""
    counts: Counter[tuple[str, str, str | None]] = Counter()
    for file in _whole(contents.others):
        suffix = full_suffix(file.path)
        if (
            suffix in PICTURE_FORMATS
            or (suffix in DRAWING_FORMATS and file.kind == "mask")
            or (not suffix and file.kind)
        ):
            folder = decodable(file.path.parent.relative_to(contents.root).as_posix())
            counts[folder, suffix, file.kind] += 1
    found = [UnreadFiles(folder, suffix, count, kind) for (folder, suffix, kind), count in counts.most_common()]
    return [each for each in found if each.suffix or each.number > 1]  # a lone one is a README or a LICENSE


def unread_text(files: Iterable[UnreadFiles]) -> str:
    """Return one sentence on files that are not read: ``images/ holds 8 .ppm files, which are not read``."""
    return first_of([str(each) for each in files], 3, "; ")


def full_suffix(path: Path) -> str:
    """Return a file's suffix in lower case, with the one before ``.gz``."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() + suffix if suffix == ".gz" else suffix


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

"""The pictures that are predicted, and the files that are written for each."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from unpool.dataset.pairing.channels import ChannelFiles
from unpool.dataset.pairing.folder import FolderContents
from unpool.dataset.pairing.foreign_formats import FOREIGN_FORMATS
from unpool.dataset.pairing.pictures import PicturesAlone, pictures_of_folder, pictures_of_pattern
from unpool.dataset.pairing.unread_files import full_suffix, unread_files, unread_repair, unread_text
from unpool.errors import DataError, UsageError
from unpool.io.destination import ignores_case, require_short, require_writable
from unpool.io.files import safe_child
from unpool.io.folders import require_letters
from unpool.io.outputs import journal_names
from unpool.io.place_files import PlaceFile, place_files
from unpool.io.read.arrays import ARRAY_SUFFIXES
from unpool.io.read.file_facts import is_oriented
from unpool.io.read.formats import read_header
from unpool.io.read.images import IMAGE_SUFFIXES
from unpool.io.read.zarr import is_zarr
from unpool.io.write.part_folder import require_own
from unpool.io.write.suffix import output_suffixes
from unpool.prediction.result import Kept
from unpool.report.pictures import OPACITY

_EXPECTED = f"a picture ({', '.join(sorted(IMAGE_SUFFIXES))}), a folder of them, or a pattern such as 'scans/*.tif'"

ProbabilityType = Literal["float32", "uint16", "uint8"]
"""The pixel type of files of probabilities; integers hold the probability times the type's largest number, rounded."""


RequestedForm = Literal["grey", "palette"]
"""A form of masks that a person can ask for."""


@dataclass(frozen=True)
class ExtraOutputs:
    """The files that are written for each picture in addition to the mask.

    Attributes
    ----------
    overlays: whether to write the picture with the mask over it, into ``overlays``.
    probabilities: pixel type of a TIFF (classes, rows, columns) in ``probabilities``; None writes none.
    uncertainty: whether to write a float32 TIFF into ``uncertainty``: the variance of each class's probability
        (classes, rows, columns) where dropout is sampled, else 1 - confidence (rows, columns).
    objects: whether to separate objects, and to write their numbers into ``objects``, an int32 TIFF (rows, columns),
        and their measurements into ``measurements``.
    mask_form: the form of the masks; None for that of the training masks.
    opacity: weight of the class colours in overlays, 0..1.
    """

    overlays: bool = False
    probabilities: ProbabilityType | None = None
    uncertainty: bool = False
    objects: bool = False
    mask_form: RequestedForm | None = None
    opacity: float = OPACITY

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise UsageError(f"an opacity of {self.opacity:g}", "a number from 0 to 1", f"give --opacity {OPACITY:g}")


@dataclass(frozen=True)
class Target:
    """A picture and the name of its outputs: a relative path without suffix.

    Attributes
    ----------
    source: the file that is read.
    made_from: the person's file from which the source was made, or the first of them; None where it is the source.
    """

    source: Path
    name: PurePosixPath
    made_from: Path | None = None

    @property
    def own(self) -> Path:
        """The person's file."""
        return self.made_from or self.source


@dataclass(frozen=True)
class Outputs:
    """The files of one picture; None for a file that is not requested.

    Attributes
    ----------
    legend: the legend of an overlay that keeps the size of its picture: a TIFF, or one with a place on the earth.
        Other overlays have it below the picture.
    place: the files beside the picture that place it on the earth; each file of pixels gets copies of them.
    displaced: the picture has such files, and an EXIF orientation that makes them wrong for its mask.
    """

    mask: Path
    overlay: Path | None
    probabilities: Path | None
    uncertainty: Path | None
    probability_type: ProbabilityType = "float32"
    objects: Path | None = None
    measurements: Path | None = None

    opacity: float = OPACITY
    legend: Path | None = None
    place: tuple[PlaceFile, ...] = ()
    displaced: bool = False

    def paths(self) -> tuple[Path, ...]:
        """Return the files that are requested, the mask first, and those that come with them."""
        paths = (*self.pixels(), self.measurements, self.legend, *(path for _, path in self.copies()))
        return tuple(path for path in paths if path is not None)

    def pixels(self) -> tuple[Path, ...]:
        """Return the files that have a value or a colour for each pixel of the picture."""
        paths = (self.mask, self.overlay, self.probabilities, self.uncertainty, self.objects)
        return tuple(path for path in paths if path is not None)

    def copies(self) -> list[tuple[PlaceFile, Path]]:
        """Return each copy of the files that place the picture: the file, and the path of the copy."""
        pairs = [(file, file.beside(path)) for path in self.pixels() for file in self.place]
        return [(file, path) for file, path in pairs if not _is_same(file.source, path)]

    def write_copies(self) -> None:
        """Write the copies of the files that place the picture. Raises RunError."""
        for file, path in self.copies():
            file.write(path)

    @property
    def keep(self) -> Kept:
        """The maps that the files are written from, in addition to the class ids."""
        unsure = self.uncertainty is not None
        return Kept(unsure, self.probabilities is not None, variance=unsure, inside=self.objects is not None)


class FoundTargets(NamedTuple):
    """The pictures that are predicted, and sentences on files that were left out or may be masks."""

    targets: list[Target]
    notes: tuple[str, ...]


def find_targets(inputs: Iterable[str], out: Path, channels: int | None = None) -> FoundTargets:
    """Return the pictures that inputs name, each once, with the names of their outputs.

    Masks that lie beside pictures are left out, and so are files that an earlier command wrote into ``out``.

    Parameters
    ----------
    inputs: pictures, folders (searched with their sub-folders) and patterns.
    out: the folder of the outputs.
    channels: of the network; None where it is not known. Channels in files of their own are stacked by it.

    Raises
    ------
    DataError: an input matches no picture, a folder cannot be read, or a name has bytes that are no UTF-8.
    """
    home = Path(os.path.realpath(out))
    written = {home / name for name in journal_names(out)}
    found = [_targets_of(text, written, channels) for text in inputs]
    by_name = {(target.name, os.path.realpath(target.source)): target for each in found for target in each.targets}
    return FoundTargets(list(by_name.values()), tuple(note for each in found for note in each.notes))


def _targets_of(text: str, written: Container[Path], channels: int | None) -> FoundTargets:
    """Return the targets of one input; files that were ``written`` are left out of folders and patterns."""
    path = Path(text)
    if path.is_dir() and not is_zarr(path):
        root, alone = path, pictures_of_folder(path, channels)
    elif glob.has_magic(text) and not path.exists():
        root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        known = IMAGE_SUFFIXES | ARRAY_SUFFIXES
        matches = [p for p in map(Path, sorted(glob.glob(text, recursive=True))) if p.suffix.lower() in known]
        alone = pictures_of_pattern(root, [p for p in matches if not p.is_dir()], channels)
    else:
        root, alone = path.parent, PicturesAlone((path,) if os.path.lexists(path) else (), ())
        _refuse_foreign(path)
    pictures = [p for p in alone.files if Path(os.path.realpath(p)) not in written or p == path]
    if not pictures:
        raise _no_picture(text, written=bool(alone.files))
    return FoundTargets([_target(p, root, alone.cases.get(p)) for p in pictures], alone.notes)


def _refuse_foreign(path: Path) -> None:
    """Raise DataError where a file has the suffix of a format that is not read, unless it can be read all the same."""
    suffix = full_suffix(path)
    if suffix not in FOREIGN_FORMATS or suffix in ARRAY_SUFFIXES or not path.is_file():
        return
    try:
        read_header(path)
    except DataError as error:
        what = FOREIGN_FORMATS[suffix]
        repair = what.repair_text(path.parent, path.name[len(path.name) - len(suffix) :])
        raise DataError(f"{path}: {what.what}, which is not read", _EXPECTED, repair) from error


def _target(source: Path, root: Path, case: ChannelFiles | None) -> Target:
    """Return the target of a picture; its outputs are named after the case where its channels were stacked."""
    relative = (case.case if case else source).relative_to(root)
    require_letters(relative, root)
    name = PurePosixPath((relative if case else relative.with_suffix("")).as_posix())
    return Target(source, name, case.files[0] if case else None)


def _no_picture(text: str, *, written: bool) -> DataError:
    path = Path(text)
    expected = _EXPECTED
    if written:
        return DataError(f"{text}: only files that unpool wrote into --out", expected, "give another --out")
    if path.is_dir():
        if unread := unread_files(FolderContents(path)):
            return DataError(f"{text}: no picture found, but {unread_text(unread)}", expected, unread_repair(unread))
        found = "no picture found" if any(path.iterdir()) else "the folder is empty"
        return DataError(f"{text}: {found}", expected, "put pictures into it, or check the path")
    found = "no picture found" if glob.has_magic(text) else "no such file or folder"
    return DataError(f"{text}: {found}", expected, "check the path")


def outputs_of(target: Target, out: Path, extras: ExtraOutputs) -> Outputs:
    """Return the files of a picture.

    The mask is a PNG, or has the suffix of ``unpool.io.write.suffix.mask_suffix`` where the picture is large, tiled or
    placed on the earth.
    """
    suffix, shown = output_suffixes(target.source)
    place = place_files(target.own)
    displaced = bool(place) and is_oriented(target.own)
    apart = shown == ".tif" or bool(place)

    def extra(requested: bool, folder: str, suffix: str) -> Path | None:
        return safe_child(out, f"{folder}/{target.name}{suffix}") if requested else None

    return Outputs(
        mask=safe_child(out, f"{target.name}{suffix}"),
        overlay=extra(extras.overlays, "overlays", shown),
        probabilities=extra(extras.probabilities is not None, "probabilities", ".tif"),
        uncertainty=extra(extras.uncertainty, "uncertainty", ".tif"),
        probability_type=extras.probabilities or "float32",
        objects=extra(extras.objects, "objects", ".tif"),
        measurements=extra(extras.objects, "measurements", ".jsonl"),
        opacity=extras.opacity,
        legend=extra(extras.overlays and apart, "overlays", ".legend.png"),
        place=() if displaced else place,
        displaced=displaced,
    )


def _is_same(file: Path, copy: Path) -> bool:
    """Return whether a copy would have the place of the file itself, as where masks lie beside their pictures."""
    names = file.name.casefold(), copy.name.casefold()
    return names[0] == names[1] and os.path.realpath(file.parent) == os.path.realpath(copy.parent)


def refuse_collisions(targets: Sequence[Target], outputs: Sequence[Outputs]) -> None:
    """Raise UsageError where two files would have the same path, or paths that the file system takes for one."""
    writers: dict[str, tuple[Path, Target]] = {}
    for target, files in zip(targets, outputs, strict=True):
        for path in files.paths():
            written, other = writers.setdefault(unicodedata.normalize("NFC", str(path)).casefold(), (path, target))
            if other is not target and (written == path or ignores_case(path.parent)):
                raise UsageError(
                    f"{other.own} and {target.own} would both be written to {path}",
                    "pictures with different names",
                    "predict them into different --out folders",
                )


def require_places(targets: Sequence[Target], outputs: Sequence[Outputs]) -> None:
    """Raise UsageError where an output cannot be written to its place, or names a folder that somebody else made."""
    paths = [(path, target) for target, files in zip(targets, outputs, strict=True) for path in files.paths()]
    for folder in {path.parent for path, _ in paths}:
        require_writable(folder)
    for path, target in paths:
        require_short(path, target.own)
        require_own(path)


def refuse_existing(outputs: Iterable[Outputs], *, resume: bool) -> None:
    """Raise UsageError where an output exists already.

    Parameters
    ----------
    resume: whether ``--resume`` is given. Then the outputs are those that the same command did not leave.
    """
    existing = [path for files in outputs for path in files.paths() if os.path.lexists(path)]
    if not existing:
        return
    found = f"{existing[0]} exists already" + (f", and {len(existing) - 1} more" if len(existing) > 1 else "")
    if resume:
        raise UsageError(
            f"{found}; --resume cannot keep it: somebody changed it, or another model, other options or another "
            "program wrote it",
            "outputs of the same command, or none",
            "repeat the command with the model and options of the outputs, give another --out, or --overwrite",
        )
    raise UsageError(
        found,
        "outputs that do not exist yet",
        "give another --out, --resume to keep the outputs of the same command, or --overwrite to replace them",
    )


def file_ids(paths: Iterable[Path]) -> frozenset[tuple[int, int]]:
    """Return the device and number of each file, which are the same for all names of one file."""
    facts = (path.stat() for path in paths if path.exists())
    return frozenset((each.st_dev, each.st_ino) for each in facts)


def refuse_sources(sources: frozenset[tuple[int, int]], target: Target, outputs: Outputs) -> None:
    """Raise DataError where an output would replace a picture that is predicted, by any name of its file.

    Parameters
    ----------
    sources: ``file_ids`` of all pictures.
    """
    for path in outputs.paths():
        if file_ids([path]) & sources:
            itself = file_ids([path]) == file_ids([target.own])
            raise DataError(
                f"{target.own}: its {'mask' if path == outputs.mask else 'output'} would replace "
                + ("the picture itself" if itself else f"the picture {path}"),
                "an output folder apart from the pictures",
                "give another --out",
            )

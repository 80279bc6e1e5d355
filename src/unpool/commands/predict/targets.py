"""The pictures that are predicted, and the files that are written for each."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Literal

from unpool.errors import DataError, UsageError
from unpool.io.files import safe_child
from unpool.io.folders import picture_files
from unpool.io.read.images import IMAGE_SUFFIXES
from unpool.io.read.zarr import is_zarr
from unpool.io.write.suffix import mask_suffix_of_file
from unpool.prediction.result import Kept

ProbabilityType = Literal["float32", "uint16", "uint8"]
"""The pixel type of files of probabilities; integers hold the probability times the type's largest number, rounded."""


@dataclass(frozen=True)
class ExtraOutputs:
    """The files that are written for each picture in addition to the mask.

    Attributes
    ----------
    overlays: whether to write the picture with the mask over it, into ``overlays``.
    probabilities: pixel type of a TIFF (rows, columns, classes) in ``probabilities``; None writes none.
    uncertainty: whether to write a float32 TIFF into ``uncertainty``: the variance of each class's probability
        (rows, columns, classes) where dropout is sampled, else 1 - confidence (rows, columns).
    """

    overlays: bool = False
    probabilities: ProbabilityType | None = None
    uncertainty: bool = False


@dataclass(frozen=True)
class Target:
    """A picture and the name of its outputs: a relative path without suffix."""

    source: Path
    name: PurePosixPath


@dataclass(frozen=True)
class Outputs:
    """The files of one picture; None for a file that is not requested."""

    mask: Path
    overlay: Path | None
    probabilities: Path | None
    uncertainty: Path | None
    probability_type: ProbabilityType = "float32"

    def paths(self) -> tuple[Path, ...]:
        """Return the files that are requested."""
        paths = (self.mask, self.overlay, self.probabilities, self.uncertainty)
        return tuple(path for path in paths if path is not None)

    @property
    def keep(self) -> Kept:
        """The maps that the files are written from, in addition to the class ids."""
        unsure = self.uncertainty is not None
        return Kept(confidence=unsure, probabilities=self.probabilities is not None, variance=unsure)


def find_targets(inputs: Iterable[str], out: Path) -> list[Target]:
    """Return the pictures that inputs name, each once, with the names of their outputs.

    Parameters
    ----------
    inputs: pictures, folders (searched with their sub-folders) and patterns.
    out: the folder of the outputs; it is not searched, even inside a folder that is.

    Raises
    ------
    DataError: an input matches no picture.
    """
    home = out.resolve()
    targets = [target for text in inputs for target in _targets_of(text, home)]
    return list({(target.name, target.source.resolve()): target for target in targets}.values())


def _targets_of(text: str, out: Path) -> list[Target]:
    path = Path(text)
    if is_zarr(path):
        pictures = [(path, Path(path.name))]
    elif path.is_dir():
        pictures = [(p, p.relative_to(path)) for p in picture_files(path) if not _is_output(p, out, path)]
    elif path.is_file():
        pictures = [(path, Path(path.name))]
    else:
        fixed = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        matches = [p for p in map(Path, sorted(glob.glob(text, recursive=True))) if p.suffix.lower() in IMAGE_SUFFIXES]
        pictures = [(p, p.relative_to(fixed)) for p in matches if p.is_file() and not _is_output(p, out, fixed)]
    if not pictures:
        raise _no_picture(text)
    return [Target(source, PurePosixPath(relative.with_suffix("").as_posix())) for source, relative in pictures]


def _no_picture(text: str) -> DataError:
    path = Path(text)
    expected = f"a picture ({', '.join(sorted(IMAGE_SUFFIXES))}), a folder of them, or a pattern such as 'scans/*.tif'"
    if path.is_dir():
        found = "no picture found" if any(path.iterdir()) else "the folder is empty"
        return DataError(f"{text}: {found}", expected, "put pictures into it, or check the path")
    found = "no picture found" if glob.has_magic(text) else "no such file or folder"
    return DataError(f"{text}: {found}", expected, "check the path")


def _is_output(picture: Path, out: Path, searched: Path) -> bool:
    """Return whether a picture lies in the output folder, where that folder is inside the searched one."""
    return searched.resolve() in out.parents and picture.resolve().is_relative_to(out)


def outputs_of(target: Target, out: Path, extras: ExtraOutputs) -> Outputs:
    """Return the files of a picture.

    The mask is a PNG, or has the suffix of ``unpool.io.write.suffix.mask_suffix`` where the picture is large, tiled or
    placed on the earth.
    """
    suffix = mask_suffix_of_file(target.source)
    shown = ".png" if suffix == ".png" else ".tif"

    def extra(requested: bool, folder: str, suffix: str) -> Path | None:
        return safe_child(out, f"{folder}/{target.name}{suffix}") if requested else None

    return Outputs(
        mask=safe_child(out, f"{target.name}{suffix}"),
        overlay=extra(extras.overlays, "overlays", shown),
        probabilities=extra(extras.probabilities is not None, "probabilities", ".tif"),
        uncertainty=extra(extras.uncertainty, "uncertainty", ".tif"),
        probability_type=extras.probabilities or "float32",
    )


def refuse_collisions(targets: Sequence[Target], outputs: Sequence[Outputs]) -> None:
    """Raise UsageError where two files would have the same path."""
    writers: dict[Path, Target] = {}
    for target, files in zip(targets, outputs, strict=True):
        for path in files.paths():
            other = writers.setdefault(path, target)
            if other is not target:
                raise UsageError(
                    f"{other.source} and {target.source} would both be written to {path}",
                    "pictures with different names",
                    "predict them into different --out folders",
                )


def refuse_existing(outputs: Iterable[Outputs], *, resume: bool) -> None:
    """Raise UsageError where an output exists already.

    Parameters
    ----------
    resume: whether ``--resume`` is given. Then the outputs are those that another command wrote.
    """
    existing = [path for files in outputs for path in files.paths() if path.exists()]
    if not existing:
        return
    found = f"{existing[0]} exists already" + (f", and {len(existing) - 1} more" if len(existing) > 1 else "")
    if resume:
        raise UsageError(
            f"{found}; --resume cannot keep it: another model, other options or another program wrote it",
            "outputs of the same command, or none",
            "repeat the command with the model and options of the outputs, give another --out, or --overwrite",
        )
    raise UsageError(
        found,
        "outputs that do not exist yet",
        "give another --out, --resume to keep the outputs of the same command, or --overwrite to replace them",
    )


def refuse_itself(target: Target, outputs: Outputs) -> None:
    """Raise DataError where an output would replace the picture itself."""
    if target.source.resolve() in outputs.paths():
        raise DataError(
            f"{target.source}: its mask would replace the picture itself",
            "an output folder apart from the pictures",
            "give another --out",
        )

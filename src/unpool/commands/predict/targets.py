"""Which pictures are predicted, and the files that come of each."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Sequence
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

ProbabilityType = Literal["float32", "uint16", "uint8"]
"""The pixel type that probabilities are written in."""


@dataclass(frozen=True)
class Target:
    """A picture and the name of its outputs: a relative path without suffix."""

    source: Path
    name: PurePosixPath


@dataclass(frozen=True)
class Outputs:
    """Where the results of one picture go, None for what is not wanted; the pixel type of the probabilities."""

    mask: Path
    overlay: Path | None
    probabilities: Path | None
    uncertainty: Path | None
    scale: ProbabilityType = "float32"

    def paths(self) -> tuple[Path, ...]:
        """The files that will be written."""
        wanted = (self.mask, self.overlay, self.probabilities, self.uncertainty)
        return tuple(path for path in wanted if path is not None)


def find_targets(inputs: Iterable[str], out: Path) -> list[Target]:
    """The pictures that inputs name, each once, with their outputs' names; an ``out`` inside is not searched.

    Raises
    ------
    UsageError: an input matches nothing.
    """
    home = out.resolve()
    found = [target for text in inputs for target in _targets_of(text, home)]
    return list({(target.name, target.source.resolve()): target for target in found}.values())


def _targets_of(text: str, out: Path) -> list[Target]:
    path = Path(text)
    if is_zarr(path):
        found = [(path, Path(path.name))]
    elif path.is_dir():
        found = [(p, p.relative_to(path)) for p in picture_files(path) if not _is_output(p, out, path)]
    elif path.is_file():
        found = [(path, Path(path.name))]
    else:
        fixed = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        matches = [p for p in map(Path, sorted(glob.glob(text, recursive=True))) if p.suffix.lower() in IMAGE_SUFFIXES]
        found = [(p, p.relative_to(fixed)) for p in matches if p.is_file() and not _is_output(p, out, fixed)]
    if not found:
        raise UsageError(
            f"{text}: no picture found" if path.is_dir() or glob.has_magic(text) else f"{text}: no such file or folder",
            f"a picture ({', '.join(sorted(IMAGE_SUFFIXES))}), a folder of them, or a pattern such as 'scans/*.tif'",
            "check the path",
        )
    return [Target(source, PurePosixPath(relative.with_suffix("").as_posix())) for source, relative in found]


def _is_output(picture: Path, out: Path, searched: Path) -> bool:
    """Whether a picture lies in the output folder, where that lies inside the searched one."""
    return searched.resolve() in out.parents and picture.resolve().is_relative_to(out)


def outputs_of(target: Target, out: Path, kinds: Collection[str], scale: ProbabilityType) -> Outputs:
    """Where a picture's mask goes, and what else is wanted of it: folders of these names.

    The mask is a PNG, or what ``unpool.io.write.suffix.mask_suffix`` says where the picture is large,
    tiled or placed on the earth.
    """
    suffix = mask_suffix_of_file(target.source)
    shown = ".png" if suffix == ".png" else ".tif"

    def of_kind(kind: str, suffix: str) -> Path | None:
        return safe_child(out, f"{kind}/{target.name}{suffix}") if kind in kinds else None

    return Outputs(
        mask=safe_child(out, f"{target.name}{suffix}"),
        overlay=of_kind("overlays", shown),
        probabilities=of_kind("probabilities", ".tif"),
        uncertainty=of_kind("uncertainty", ".tif"),
        scale=scale,
    )


def refuse_collisions(targets: Sequence[Target], outputs: Sequence[Outputs]) -> None:
    """Refuse two pictures with one output. Raises UsageError."""
    writers: dict[Path, Target] = {}
    for target, wanted in zip(targets, outputs, strict=True):
        for path in wanted.paths():
            other = writers.setdefault(path, target)
            if other is not target:
                raise UsageError(
                    f"{other.source} and {target.source} would both be written to {path}",
                    "pictures with different names",
                    "predict them into different --out folders",
                )


def refuse_existing(outputs: Iterable[Outputs]) -> None:
    """Refuse to write over anything. Raises UsageError."""
    there = [path for wanted in outputs for path in wanted.paths() if path.exists()]
    if there:
        raise UsageError(
            f"{there[0]} exists already" + (f", and {len(there) - 1} more" if len(there) > 1 else ""),
            "outputs that do not exist yet",
            "give another --out, --resume to keep what the same command wrote, or --overwrite to replace them",
        )


def refuse_itself(target: Target, outputs: Outputs) -> None:
    """Refuse to write over the picture that is predicted. Raises DataError."""
    if target.source.resolve() in outputs.paths():
        raise DataError(
            f"{target.source}: its mask would replace the picture itself",
            "an output folder apart from the pictures",
            "give another --out",
        )

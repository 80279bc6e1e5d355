"""``predict``: a model and pictures in, masks in the person's own values out."""

from __future__ import annotations

import glob
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from unpool.checkpoint import load_model
from unpool.commands.events import Event, Progress, Said
from unpool.commands.run_folder import require_writable
from unpool.commands.testing import model_file, turned_warnings
from unpool.data.folder_names import folder_role
from unpool.engine import ONCE, Averaging, Machine, Precision, answer, choose_machine, require_dropout
from unpool.engine.processes import Processes, join
from unpool.errors import DataError, UnpoolError, UsageError
from unpool.io import IMAGE_SUFFIXES, read_image, write_image, write_mask
from unpool.io.files import safe_child
from unpool.io.folders import mark_output, picture_files
from unpool.report import overlay
from unpool.segmenter import Segmenter

Scale = Literal["float32", "uint16", "uint8"]
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
    scale: Scale = "float32"

    def paths(self) -> tuple[Path, ...]:
        """The files that will be written."""
        wanted = (self.mask, self.overlay, self.probabilities, self.uncertainty)
        return tuple(path for path in wanted if path is not None)


@dataclass(frozen=True)
class Predicted:
    """What ``predict`` wrote.

    Attributes
    ----------
    written: picture and mask of each prediction.
    failed: pictures that could not be predicted, with the reason.
    """

    folder: Path
    written: tuple[tuple[Path, Path], ...]
    failed: tuple[tuple[Path, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "folder": str(self.folder),
            "written": [{"image": str(image), "mask": str(mask)} for image, mask in self.written],
            "failed": [{"image": str(image), "reason": reason} for image, reason in self.failed],
        }


def predict(
    model: Path,
    inputs: Sequence[str],
    out: Path,
    *,
    overlays: bool = False,
    probabilities: Scale | None = None,
    uncertainty: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    precision: Precision = "auto",
    averaging: Averaging = ONCE,
) -> Generator[Event, None, Predicted]:
    """Write a mask for every picture.

    Parameters
    ----------
    model: a model file or the run folder that holds one.
    inputs: pictures, folders (searched with their sub-folders) and globs.
    out: masks go to ``out/<name>.png``, mirroring sub-folders; overlays to ``out/overlays``, probabilities to
        ``out/probabilities``, uncertainty to ``out/uncertainty``.
    probabilities: write a TIFF (rows, columns, classes) of this pixel type; integers hold the probability times the
        type's largest number, rounded.
    uncertainty: write a float32 TIFF: where dropout is sampled the variance of each class's probability over the
        answers (rows, columns, classes), else 1 - confidence (rows, columns).
    overwrite: replace outputs that exist; otherwise they are refused before any work.
    averaging: which answers each picture's answer is the mean of.

    Processes that torchrun started share the pictures; each returns its own. A picture that cannot be read does not
    stop the others; it is listed in ``failed``.

    Raises
    ------
    UsageError, ModelFileError: see the message.
    """
    processes = join(device)
    segmenter, card = load_model(model_file(model))
    require_dropout(segmenter, averaging)
    targets = find_targets(inputs, out)
    require_writable(out)
    wanted = {"overlays": overlays, "probabilities": probabilities is not None, "uncertainty": uncertainty}
    kinds = [kind for kind in wanted if wanted[kind]]
    outputs = [_outputs(target, out, kinds, probabilities or "float32") for target in targets]
    _refuse_collisions(targets, outputs)
    if not overwrite:
        _refuse_existing(outputs)
    machine = choose_machine(device, precision)
    machine.place(segmenter.network)
    if folder_role(out.name).kind != "mask":  # a folder called masks is meant to be data
        mark_output(out)
    averaged = f", the mean of {averaging.describe()}" if averaging.describe() else ""
    yield Said(f"predicting {len(targets)} picture{'s' if len(targets) != 1 else ''}{averaged} on {machine.describe()}")
    for warning in turned_warnings(card, averaging):
        yield Said(f"note: {warning}")
    written: list[tuple[Path, Path]] = []
    failed: list[tuple[Path, str]] = []
    processes.agree(0)  # all have seen that nothing is in the way before one of them writes
    mine = list(processes.share(list(zip(targets, outputs, strict=True))))
    for number, (target, places) in enumerate(mine, start=1):
        try:
            _predict_one(segmenter, target.source, places, machine, averaging)
            written.append((target.source, places.mask))
        except UnpoolError as error:
            failed.append((target.source, str(error)))
            yield Said(f"skipped: {error}")
        yield Progress("predicting", number, len(mine))
    missed = _missed(targets, failed, processes)
    done = len(targets) - len(missed)
    elsewhere = [source for source in missed if source not in dict(failed)]
    if elsewhere:
        yield Said(f"skipped by other processes: {', '.join(map(str, elsewhere))}")
    yield Said(f"{done} mask{'s' if done != 1 else ''} in {out}"
               + (f"; {len(missed)} pictures could not be predicted" if missed else ""))  # fmt: skip
    return Predicted(out, tuple(written), tuple(failed))


def _missed(targets: Sequence[Target], failed: Iterable[tuple[Path, str]], processes: Processes) -> list[Path]:
    """The pictures that any of the processes failed on."""
    own = {source for source, _ in failed}
    counts = processes.sum_counts(torch.tensor([int(target.source in own) for target in targets]))
    return [target.source for target, count in zip(targets, counts.tolist(), strict=True) if count]


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
    if path.is_dir():
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


def _outputs(target: Target, out: Path, kinds: Collection[str], scale: Scale) -> Outputs:
    """Where a picture's mask goes, and what else is wanted of it: folders of these names."""

    def of_kind(kind: str, suffix: str) -> Path | None:
        return safe_child(out, f"{kind}/{target.name}{suffix}") if kind in kinds else None

    return Outputs(
        mask=safe_child(out, f"{target.name}.png"),
        overlay=of_kind("overlays", ".png"),
        probabilities=of_kind("probabilities", ".tif"),
        uncertainty=of_kind("uncertainty", ".tif"),
        scale=scale,
    )


def _refuse_collisions(targets: Sequence[Target], outputs: Sequence[Outputs]) -> None:
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


def _refuse_existing(outputs: Sequence[Outputs]) -> None:
    there = [path for wanted in outputs for path in wanted.paths() if path.exists()]
    if there:
        raise UsageError(
            f"{there[0]} exists already" + (f", and {len(there) - 1} more" if len(there) > 1 else ""),
            "outputs that do not exist yet",
            "give another --out, or --overwrite to replace them",
        )


def _predict_one(
    segmenter: Segmenter,
    source: Path,
    outputs: Outputs,
    machine: Machine,
    averaging: Averaging,
) -> None:
    if source.resolve() in outputs.paths():
        raise DataError(
            f"{source}: its mask would replace the picture itself",
            "an output folder apart from the pictures",
            "give another --out",
        )
    image = read_image(source)
    found = answer(
        segmenter,
        image,
        str(source),
        machine,
        averaging=averaging,
        uncertainty=outputs.uncertainty is not None,
        whole=outputs.probabilities is not None,
    )
    if outputs.probabilities:
        assert found.probabilities is not None
        write_image(outputs.probabilities, scaled(np.moveaxis(found.probabilities, 0, -1), outputs.scale))
    if outputs.uncertainty:
        write_image(outputs.uncertainty, np.moveaxis(found.uncertainty, 0, -1))
    if outputs.overlay:
        write_image(outputs.overlay, overlay(image, found.prediction, segmenter.classes.colours))
    write_mask(outputs.mask, found.prediction, segmenter.classes)


def scaled(probabilities: NDArray[np.float32], scale: Scale) -> NDArray[Any]:
    """Probabilities in the pixel type ``scale``: round(255 p), round(65535 p), or p itself."""
    if scale == "float32":
        return probabilities
    return np.asarray(np.rint(probabilities * np.float32(np.iinfo(scale).max)), dtype=scale)

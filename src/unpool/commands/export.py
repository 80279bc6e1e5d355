"""``export``: a model in a file for other programs, which is compared with the model before it is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.checkpoint.card import Card
from unpool.checkpoint.models import load_model
from unpool.checkpoint.probe import probe_logits
from unpool.commands.events import Event, Message
from unpool.commands.run_folder import model_file
from unpool.dataset.pairing.pictures import pictures_of_folder
from unpool.errors import DataError, UsageError
from unpool.export.bioimage import PACKAGE_INPUT, BioimagePackage, PackagePages, require_accepted
from unpool.export.equality import ExportDifference, export_difference, pattern_pictures, require_equal
from unpool.export.extras import import_extra
from unpool.export.graph import ExportOutput, ExportPrecision
from unpool.export.onnx_file import build_onnx_model, onnx_runner, quantise, write_metadata
from unpool.export.torch_program import program_runner, write_program
from unpool.io.destination import require_writable
from unpool.io.files import atomic_path
from unpool.io.read.images import read_image
from unpool.report.card import card_sections
from unpool.report.pictures import displayable, overlay, png_file
from unpool.report.sections import Section, as_markdown
from unpool.segmenter import Segmenter
from unpool.wording import bytes_text

ExportFormat = Literal["onnx", "torch-export", "bioimageio"]

MOST_PICTURES = 64
"""Number of pictures that are read from a folder: every other one calibrates, the rest check."""

MOST_SIDE = 512
"""Rows and columns that are used of each of these pictures, from its top left corner."""


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export.

    Attributes
    ----------
    pixels: the pixel type of the input; needed only if the model was trained on several.
    pictures: a folder of pictures like the training pictures, which calibrate int8 and check the export.
    authors: names for a package.
    """

    output: ExportOutput = "probabilities"
    precision: ExportPrecision = "float32"
    pixels: str | None = None
    pictures: Path | None = None
    authors: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportRequest:
    """All that a writer of a format needs.

    Attributes
    ----------
    pixels: the pixel type of the input, which chooses the normalisation constants.
    pictures: (rows, columns, channels), for calibration and for the check; may be empty.
    """

    segmenter: Segmenter
    card: Card
    options: ExportOptions
    pixels: str
    pictures: tuple[NDArray[Any], ...]

    def facts(self) -> dict[str, Any]:
        """Return the facts that the export adds to the card."""
        return {"pixels": self.pixels, "output": self.options.output, "precision": self.options.precision}

    def calibration_pictures(self) -> Sequence[NDArray[Any]]:
        """Return the pictures that give the ranges of integers."""
        return self.pictures[::2] or list(pattern_pictures(self.segmenter, self.pixels, smallest=False))

    def check_pictures(self) -> Sequence[NDArray[Any]]:
        """Return the pictures of the check; of an export in int8 that pictures calibrate, only others like them."""
        others = self.pictures[1::2] or self.pictures
        if self.options.precision == "int8" and others:
            return others
        return [*pattern_pictures(self.segmenter, self.pixels, smallest=True), *others]


@dataclass(frozen=True)
class ExportResult:
    """The file that ``export`` wrote.

    Attributes
    ----------
    difference: its difference from the model, which computes in float32 and on the CPU.
    """

    path: Path
    format: ExportFormat
    output: ExportOutput
    precision: ExportPrecision
    difference: ExportDifference

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        return {
            "path": str(self.path),
            "format": self.format,
            "output": self.output,
            "precision": self.precision,
            "bytes": self.path.stat().st_size,
            "difference": self.difference._asdict(),
        }


def export(
    model: Path, to: ExportFormat, out: Path | None = None, options: ExportOptions = ExportOptions()
) -> Generator[Event, None, ExportResult]:
    """Write a model in another format, and compare the export with the model before the file takes its place.

    Parameters
    ----------
    model: a model file or the run folder that has one.
    out: the file to write; by default next to the model, with its name and the suffix of the format.

    Raises
    ------
    UsageError, DataError, ModelFileError: see the message.
    RunError: the export differs from the model by more than its precision allows; no file is written.
    """
    path = model_file(model)
    segmenter, card = load_model(path)
    target = out if out is not None else path.with_suffix(WRITERS[to].suffix)
    require_writable(target.parent)
    if os.path.lexists(target):
        raise UsageError(f"{target} exists", "a new file", "give another --out")
    _require_possible(to, options)
    pixels = _pixel_type(segmenter, options.pixels)
    request = ExportRequest(segmenter, card, options, pixels, _pictures(segmenter, pixels, options.pictures))
    yield Message(f"exporting {path} ({segmenter.net}, {options.precision}, {pixels} pixels to {options.output})")
    if options.precision == "int8" and not request.pictures:
        yield Message("note: a made picture gives the ranges of int8; --pictures with real ones gives better ranges")
    if segmenter.normalisation.by == "picture":
        yield Message(
            "note: the exported model normalises each picture by its own mean and deviation; give it whole pictures, "
            "because it takes a tile for a picture of its own"
        )
    with atomic_path(target, replace=False) as draft:
        difference = WRITERS[to].write(request, draft)
    result = ExportResult(target, to, options.output, options.precision, difference)
    yield Message(f"{target}: {bytes_text(target.stat().st_size)}\nagainst the model in float32: {difference}")
    return result


def _write_onnx(request: ExportRequest, draft: Path) -> ExportDifference:
    output, precision = request.options.output, request.options.precision
    model = build_onnx_model(request.segmenter, request.pixels, output, half=precision == "float16")
    if precision == "int8":
        model = quantise(model, request.calibration_pictures())
    write_metadata(model, request.card, request.facts())
    difference = export_difference(request.segmenter, onnx_runner(model, output), request.check_pictures())
    require_equal(difference, precision)
    draft.write_bytes(model.SerializeToString())
    return difference


def _write_program(request: ExportRequest, draft: Path) -> ExportDifference:
    write_program(draft, request.segmenter, request.pixels, request.card, request.facts())
    # torch treats a side that becomes one pixel, below the last pooling, as a constant; so no smallest sizes here.
    pictures = [*pattern_pictures(request.segmenter, request.pixels, smallest=False), *request.pictures]
    difference = export_difference(request.segmenter, program_runner(draft), pictures)
    require_equal(difference, request.options.precision)
    return difference


def _write_package(request: ExportRequest, draft: Path) -> ExportDifference:
    import_extra("bioimageio.core", "bioimageio")
    output = request.options.output
    model = build_onnx_model(request.segmenter, request.pixels, output, dtype=PACKAGE_INPUT)
    write_metadata(model, request.card, request.facts())
    run = onnx_runner(model, output)
    difference = export_difference(
        request.segmenter, lambda batch: run(batch.astype(np.float32)), request.check_pictures()
    )
    require_equal(difference, request.options.precision)
    pages = _package_pages(request, difference)
    BioimagePackage(request.segmenter, request.card, request.pixels, model, pages).write(draft)
    require_accepted(draft)
    return difference


def _package_pages(request: ExportRequest, difference: ExportDifference) -> PackagePages:
    segmenter, options = request.segmenter, request.options
    sections = [
        *card_sections(request.card, [("input", f"{request.pixels} pixel values; output: {options.output}")]),
        Section("validation", (f"Against the model in PyTorch, in float32: {difference}.",)),
    ]
    picture = (request.pictures or tuple(pattern_pictures(segmenter, request.pixels, smallest=False)))[0]
    labels = probe_logits(segmenter, picture).argmax(dim=0).numpy().astype(np.uint8)
    cover = np.concatenate([displayable(picture), overlay(picture, labels, segmenter.classes.colours)], axis=1)
    return PackagePages(f"# {segmenter.net}\n\n{as_markdown(sections)}", png_file(cover), options.authors)


class FormatWriter(NamedTuple):
    """The way to write one format.

    Attributes
    ----------
    suffix: of the file.
    write: writes the file, compares it with the model, and returns the difference.
    all_options: whether the format can give class ids, and other precisions than float32.
    """

    suffix: str
    write: Callable[[ExportRequest, Path], ExportDifference]
    all_options: bool = False


WRITERS: dict[ExportFormat, FormatWriter] = {
    "onnx": FormatWriter(".onnx", _write_onnx, all_options=True),
    "torch-export": FormatWriter(".pt2", _write_program),
    "bioimageio": FormatWriter(".zip", _write_package),
}


def _require_possible(to: ExportFormat, options: ExportOptions) -> None:
    if not WRITERS[to].all_options and (options.output, options.precision) != ("probabilities", "float32"):
        raise UsageError(
            f"--to {to} with --output {options.output} --precision {options.precision}",
            "probabilities in float32",
            "give --to onnx, or leave out --output and --precision",
        )


def _pixel_type(segmenter: Segmenter, requested: str | None) -> str:
    known = sorted(segmenter.normalisation.constants)
    if requested in known or (requested is None and len(known) == 1):
        return requested or known[0]
    raise UsageError(
        "a model trained on several pixel types" if requested is None else f"--pixels {requested}",
        f"one of {', '.join(known)}, which the model was trained on",
        f"give --pixels {known[0]}",
    )


def _pictures(segmenter: Segmenter, pixels: str, folder: Path | None) -> tuple[NDArray[Any], ...]:
    """Return the pictures of a folder that have the pixel type, without masks, cut to a size that is quick to compute.

    Masks beside pictures would give int8 a wrong range.
    """
    if folder is None:
        return ()
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        repair = "check the path, or leave --pictures out"
        raise DataError(f"--pictures {folder}: {found}", "a folder of pictures", repair)
    files = pictures_of_folder(folder).files[:MOST_PICTURES]
    pictures = [segmenter.normalisation.match_channels(read_image(file), str(file)) for file in files]
    fitting = tuple(picture[:MOST_SIDE, :MOST_SIDE] for picture in pictures if str(picture.dtype) == pixels)
    if not fitting:
        raise UsageError(
            f"--pictures {folder}: no picture of {pixels} pixels",
            "a folder of pictures like those of the training",
            "give that folder, or leave --pictures out",
        )
    return fitting

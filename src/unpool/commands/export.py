"""``export``: a model in, the same model for other programs out, proven equal before it is left there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unpool.checkpoint.card import Card
from unpool.checkpoint.models import load_model
from unpool.checkpoint.probe import probe_logits
from unpool.commands.events import Event, Message
from unpool.commands.run_folder import model_file, require_writable
from unpool.errors import UsageError
from unpool.export.bioimage import NUMBER, Pages, require_accepted, write_package
from unpool.export.equality import ExportDifference, export_difference, patterns, require_equal
from unpool.export.extras import extra
from unpool.export.graph import ExportPrecision, Output
from unpool.export.onnx_file import describe, onnx_model, quantised, runner
from unpool.export.torch_program import program_runner, write_program
from unpool.io.files import atomic_path
from unpool.io.folders import picture_files
from unpool.io.read.images import read_image
from unpool.report.card import card_sections
from unpool.report.pictures import displayable, overlay, png_file
from unpool.report.sections import Section, as_markdown
from unpool.segmenter import Segmenter

Format = Literal["onnx", "torch-export", "bioimageio"]

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch-export": ".pt2", "bioimageio": ".zip"}
MOST_PICTURES = 64
"""Pictures of a folder that are looked at; every other one calibrates, the rest check."""

SIDE = 512
"""Rows and columns at most that are taken of each."""


@dataclass(frozen=True)
class Exported:
    """What ``export`` left.

    Attributes
    ----------
    difference: how far it is from the model, in float32 and on the CPU.
    """

    path: Path
    format: Format
    output: Output
    precision: ExportPrecision
    difference: ExportDifference

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "path": str(self.path),
            "format": self.format,
            "output": self.output,
            "precision": self.precision,
            "bytes": self.path.stat().st_size,
            "difference": self.difference._asdict(),
        }


@dataclass(frozen=True)
class ExportRequest:
    """What is to be exported: a segmenter with its card, and how.

    Attributes
    ----------
    pixels: the pixel type the export takes, with its normalisation constants.
    pictures: (rows, columns, channels), for calibration and for the check; may be none.
    """

    segmenter: Segmenter
    card: Card
    pixels: str
    output: Output
    precision: ExportPrecision
    pictures: tuple[NDArray[Any], ...]
    authors: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """What the export adds to the card."""
        return {"pixels": self.pixels, "output": self.output, "precision": self.precision}

    def calibration(self) -> Sequence[NDArray[Any]]:
        """Pictures to take the ranges of numbers from."""
        return self.pictures[::2] or list(patterns(self.segmenter, self.pixels, smallest=False))

    def check(self) -> Sequence[NDArray[Any]]:
        """Pictures to compare on; where integers are calibrated on pictures, only on others like them."""
        others = self.pictures[1::2] or self.pictures
        if self.precision == "int8" and others:
            return others
        return [*patterns(self.segmenter, self.pixels, smallest=True), *others]


def export(
    model: Path,
    to: Format,
    out: Path | None = None,
    *,
    output: Output = "probabilities",
    precision: ExportPrecision = "float32",
    pixels: str | None = None,
    pictures: Path | None = None,
    authors: Sequence[str] = (),
) -> Generator[Event, None, Exported]:
    """Write a model in another format, and compare what it computes before the file is left there.

    Parameters
    ----------
    model: a model file or the run folder that holds one.
    out: the file; by default beside the model, with its name and the format's suffix.
    pixels: the pixel type the export takes, where the model was trained on several.
    pictures: a folder of pictures like those of the training, to calibrate int8 on and to compare on.
    authors: who a package names.

    Raises
    ------
    UsageError, DataError, ModelFileError: see the message.
    RunError: the export differs from the model by more than its precision allows; no file is left.
    """
    path = model_file(model)
    segmenter, card = load_model(path)
    target = out if out is not None else path.with_suffix(SUFFIXES[to])
    require_writable(target.parent)
    if target.exists():
        raise UsageError(f"{target} exists", "a new file", "give another --out")
    _require_possible(to, output, precision)
    kind = _pixel_type(segmenter, pixels)
    order = ExportRequest(
        segmenter, card, kind, output, precision, _pictures(segmenter, kind, pictures), tuple(authors)
    )
    yield Message(f"exporting {path} ({segmenter.net}, {precision}, {kind} pixels to {output})")
    if precision == "int8" and not order.pictures:
        yield Message(
            "note: without --pictures the ranges of int8 come from a made-up picture; pictures make them better"
        )
    with atomic_path(target) as draft:
        found = WRITERS[to](order, draft)
    result = Exported(target, to, output, precision, found)
    yield Message(f"{target}: {target.stat().st_size / 1e6:.1f} MB\nagainst the model in float32: {found}")
    return result


def _write_onnx(order: ExportRequest, draft: Path) -> ExportDifference:
    model = onnx_model(order.segmenter, order.pixels, order.output, half=order.precision == "float16")
    if order.precision == "int8":
        model = quantised(model, order.calibration())
    describe(model, order.card, order.facts())
    found = export_difference(order.segmenter, runner(model, order.output), order.check())
    require_equal(found, order.precision)
    draft.write_bytes(model.SerializeToString())
    return found


def _write_program(order: ExportRequest, draft: Path) -> ExportDifference:
    write_program(draft, order.segmenter, order.pixels, order.card, order.facts())
    # torch takes a side that becomes a single pixel, below the last pooling, for a constant.
    checked = [*patterns(order.segmenter, order.pixels, smallest=False), *order.pictures]
    found = export_difference(order.segmenter, program_runner(draft), checked)
    require_equal(found, order.precision)
    return found


def _write_package(order: ExportRequest, draft: Path) -> ExportDifference:
    extra("bioimageio.core", "bioimageio")
    model = onnx_model(order.segmenter, order.pixels, order.output, number=NUMBER)
    describe(model, order.card, order.facts())
    run = runner(model, order.output)
    found = export_difference(order.segmenter, lambda batch: run(batch.astype(np.float32)), order.check())
    require_equal(found, order.precision)
    write_package(draft, order.segmenter, order.pixels, order.card, model, _pages(order, found))
    require_accepted(draft)
    return found


def _pages(order: ExportRequest, found: ExportDifference) -> Pages:
    sections = [
        *card_sections(order.card, [("input", f"{order.pixels} pixel values; output: {order.output}")]),
        Section("validation", (f"Against the model in PyTorch, in float32: {found}.",)),
    ]
    picture = (order.pictures or tuple(patterns(order.segmenter, order.pixels, smallest=False)))[0]
    labels = probe_logits(order.segmenter, picture).argmax(dim=0).numpy().astype(np.uint8)
    colours = order.segmenter.classes.colours
    cover = np.concatenate([displayable(picture), overlay(picture, labels, colours)], axis=1)
    return Pages(f"# {order.segmenter.net}\n\n{as_markdown(sections)}", png_file(cover), order.authors)


WRITERS: dict[Format, Callable[[ExportRequest, Path], ExportDifference]] = {
    "onnx": _write_onnx,
    "torch-export": _write_program,
    "bioimageio": _write_package,
}


def _require_possible(to: Format, output: Output, precision: ExportPrecision) -> None:
    if to != "onnx" and (output, precision) != ("probabilities", "float32"):
        raise UsageError(
            f"--to {to} with --output {output} --precision {precision}",
            "probabilities in float32",
            "leave both out, or export to onnx",
        )


def _pixel_type(segmenter: Segmenter, asked: str | None) -> str:
    known = sorted(segmenter.normalisation.constants)
    if asked in known or (asked is None and len(known) == 1):
        return asked or known[0]
    raise UsageError(
        "a model trained on several pixel types" if asked is None else f"--pixels {asked}",
        f"one of {', '.join(known)}, which the model was trained on",
        f"give --pixels {known[0]}",
    )


def _pictures(segmenter: Segmenter, pixels: str, folder: Path | None) -> tuple[NDArray[Any], ...]:
    """Pictures of a folder in the wanted pixel type, cut to a size that is quick to compute."""
    if folder is None:
        return ()
    files = list(islice(picture_files(folder), MOST_PICTURES)) if folder.is_dir() else []
    pictures = [segmenter.normalisation.match_channels(read_image(file), str(file)) for file in files]
    fitting = tuple(picture[:SIDE, :SIDE] for picture in pictures if str(picture.dtype) == pixels)
    if not fitting:
        raise UsageError(
            f"--pictures {folder}: no picture of {pixels} pixels",
            "a folder of pictures like those of the training",
            "give that folder, or leave --pictures out",
        )
    return fitting

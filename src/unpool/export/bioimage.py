"""A model as a package of the BioImage Model Zoo, which Fiji, ilastik, QuPath and others open (spec 0.5).

The package is a zip file. Its ``rdf.yaml`` describes the tensors and names the other files: the weights as ONNX, a test
picture with the model's answer, a page of documentation and a cover.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from unpool.checkpoint.card import Card
from unpool.checkpoint.probe import probe_logits, probe_picture
from unpool.errors import RunError
from unpool.export.extras import import_extra, without_warnings
from unpool.export.onnx_file import OnnxModel
from unpool.segmenter import Segmenter

SPEC = "0.5.4"
INPUT_ID, OUTPUT_ID = "image", "probabilities"
PACKAGE_INPUT = torch.float32
"""The number type that programs of the zoo give, for pictures of every pixel type."""


@dataclass(frozen=True)
class PackagePages:
    """The parts of a package that a person sees.

    Attributes
    ----------
    documentation: Markdown.
    cover: the bytes of a PNG file.
    authors: names; may be empty.
    """

    documentation: str
    cover: bytes
    authors: tuple[str, ...]


class TileSides(NamedTuple):
    """Sides of the tiles that a package takes, and its halo, in pixels.

    Legal sides are ``smallest``, ``smallest + step`` and so on. ``halo`` pixels at each edge of an output tile are not
    exact and must be cut off.
    """

    smallest: int
    step: int
    halo: int


@dataclass(frozen=True)
class BioimagePackage:
    """A package before it is written.

    Attributes
    ----------
    pixels: pixel type of the pictures: ``uint8``, ``uint16`` or ``float32``.
    model: ONNX from raw pixels, given as float32, to probabilities.
    """

    segmenter: Segmenter
    card: Card
    pixels: str
    model: OnnxModel
    pages: PackagePages

    def write(self, path: Path) -> None:
        """Write the package to a zip file."""
        sides = self.tile_sides()
        picture = probe_picture(
            self.segmenter.normalisation, self.pixels, (sides.smallest, sides.smallest + sides.step)
        )
        expected = probe_logits(self.segmenter, picture).softmax(dim=0)[None]
        contents = {
            "weights.onnx": self.model.SerializeToString(),
            "test_input.npy": _npy(np.moveaxis(picture, -1, 0)[None].astype(np.float32)),
            "test_output.npy": _npy(expected.numpy()),
            "README.md": self.pages.documentation.encode("utf-8"),
            "cover.png": self.pages.cover,
        }
        description = self._description(sides, contents)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in {"rdf.yaml": _yaml(description), **contents}.items():
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)

    @property
    def _takes_whole_pictures(self) -> bool:
        """Whether a tile would be normalised by other constants than its picture."""
        return self.segmenter.normalisation.by == "picture"

    def tile_sides(self) -> TileSides:
        """Return the sides of tiles that the network takes, and their halo."""
        structure = self.segmenter.network.structure
        reach, step = None if self._takes_whole_pictures else structure.halo, structure.stride
        halo = -(-max(reach) // step) * step if reach else 0
        return TileSides(2 * halo + 2 * step, step, halo)

    def _description(self, sides: TileSides, contents: dict[str, bytes]) -> dict[str, Any]:
        """Return ``rdf.yaml`` as plain data."""

        def file(name: str) -> dict[str, str]:
            return {"source": name, "sha256": hashlib.sha256(contents[name]).hexdigest()}

        segmenter, card = self.segmenter, self.card
        data = str(card["story"].get("data", {}).get("name", "")).strip()
        optional = {"license": card["licence"], "timestamp": card["story"].get("created")}
        return {
            "format_version": SPEC,
            "type": "model",
            "name": _plain(f"{segmenter.net} {data or 'by unpool'}"),  # the specification requires five letters
            "description": f"Semantic segmentation with {segmenter.net}: {', '.join(segmenter.classes.names)}."[:1000],
            "authors": [{"name": name} for name in self.pages.authors],
            "cite": _citations(card),
            "documentation": "README.md",
            "covers": ["cover.png"],
            "tags": ["semantic-segmentation", "unpool", segmenter.net],
            "inputs": [self._input(sides, file("test_input.npy"))],
            "outputs": [self._output(sides, file("test_output.npy"))],
            "weights": {"onnx": {**file("weights.onnx"), "opset_version": self.model.opset_import[0].version}},
            **{key: value for key, value in optional.items() if value},
        }

    def _input(self, sides: TileSides, tensor: dict[str, str]) -> dict[str, Any]:
        channels = self.segmenter.network.in_channels
        names = ["red", "green", "blue"] if channels == 3 else [f"channel{k}" for k in range(channels)]
        described = (
            f"whole {self.pixels} pictures as stored; each is normalised inside by its own mean and deviation"
            if self._takes_whole_pictures
            else f"pixel values as stored in {self.pixels} pictures; they are normalised inside"
        )
        return {
            "id": INPUT_ID,
            "description": described[:128],
            "axes": [
                {"type": "batch"},
                {"type": "channel", "channel_names": names},
                *(
                    {"type": "space", "id": axis, "size": {"min": sides.smallest, "step": sides.step}}
                    for axis in ("y", "x")
                ),
            ],
            "data": {"type": "float32"},
            "test_tensor": tensor,
        }

    def _output(self, sides: TileSides, tensor: dict[str, str]) -> dict[str, Any]:
        halo = {"halo": sides.halo} if sides.halo else {}
        names = [re.sub(r"\W", "_", name) for name in self.segmenter.classes.names]
        if len(set(names)) < len(names):
            names = [f"class{k}" for k in range(len(names))]
        return {
            "id": OUTPUT_ID,
            "description": "the probability of each class",
            "axes": [
                {"type": "batch"},
                {"type": "channel", "channel_names": names},
                *(
                    {"type": "space", "id": axis, "size": {"tensor_id": INPUT_ID, "axis_id": axis}, **halo}
                    for axis in ("y", "x")
                ),
            ],
            "data": {"type": "float32"},
            "test_tensor": tensor,
        }


def require_accepted(path: Path) -> None:
    """Raise an error unless the validator of the zoo can read and run a package.

    Raises
    ------
    UsageError: the extra is missing.
    RunError: the validator does not accept the package.
    """
    core = import_extra("bioimageio.core", "bioimageio")
    with without_warnings():
        summary = core.test_model(path)
    if summary.status != "passed":
        faults = [f"{each.name}: {error.msg}" for each in summary.details for error in each.errors]
        raise RunError(
            f"bioimageio.core does not accept the package ({'; '.join(faults)[:500] or summary.status})",
            "a package that its validator runs",
            'install a fitting pydantic: pip install "pydantic<2.13" (bioimageio.core 0.11 needs it); '
            "otherwise export to onnx, and tell the authors of unpool",
        )


def _citations(card: Card) -> list[dict[str, str]]:
    """Return the paper of the network, if the card names one with its arXiv number."""
    number = re.search(r"arXiv (\d{4}\.\d{4,5})", card["citation"] or "")
    return [{"text": card["citation"], "url": f"https://arxiv.org/abs/{number[1]}"}] if number else []


def _plain(name: str) -> str:
    return re.sub(r"[^\w\-+ ()]", "-", name, flags=re.ASCII).strip()[:120]


def _npy(array: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(array), allow_pickle=False)
    return content.getvalue()


def _yaml(data: dict[str, Any]) -> bytes:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode("utf-8")

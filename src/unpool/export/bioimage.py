"""A model as a package of the BioImage Model Zoo, which Fiji, ilastik, QuPath and others open (spec 0.5).

A zip file with ``rdf.yaml``, which describes the tensors, and what it names: the weights as ONNX with everything
inside, a test picture and the answer to it, a page of documentation and a cover.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from unpool.checkpoint.card import Card
from unpool.checkpoint.probe import probe_logits, probe_picture
from unpool.errors import RunError
from unpool.export.extras import extra, quiet
from unpool.export.onnx_file import OnnxModel
from unpool.segmenter import Segmenter

SPEC = "0.5.4"
INPUT, OUTPUT = "image", "probabilities"
NUMBER = torch.float32
"""What programs give, whatever the pictures were stored in."""


@dataclass(frozen=True)
class Pages:
    """What a person sees of a package.

    Attributes
    ----------
    documentation: Markdown.
    cover: the bytes of a PNG file.
    authors: names; may be none.
    """

    documentation: str
    cover: bytes
    authors: tuple[str, ...]


def write_package(path: Path, segmenter: Segmenter, pixels: str, card: Card, model: OnnxModel, pages: Pages) -> None:
    """Write a package.

    Parameters
    ----------
    model: ONNX from raw ``pixels``, given as float32, to probabilities.
    """
    sides = _sides(segmenter)
    picture = probe_picture(segmenter.normalisation, pixels, (sides.smallest, sides.smallest + sides.step))
    expected = probe_logits(segmenter, picture).softmax(dim=0)[None]
    contents = {
        "weights.onnx": model.SerializeToString(),
        "test_input.npy": _npy(np.moveaxis(picture, -1, 0)[None].astype(np.float32)),
        "test_output.npy": _npy(expected.numpy()),
        "README.md": pages.documentation.encode("utf-8"),
        "cover.png": pages.cover,
    }
    described = _description(segmenter, pixels, card, model, pages, sides, contents)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"rdf.yaml": _yaml(described), **contents}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def require_accepted(path: Path) -> None:
    """Let the zoo's own validator read and run a package.

    Raises
    ------
    UsageError: the extra is missing.
    RunError: it does not accept the package.
    """
    core = extra("bioimageio.core", "bioimageio")
    with quiet():
        summary = core.test_model(path)
    if summary.status != "passed":
        faults = [f"{each.name}: {error.msg}" for each in summary.details for error in each.errors]
        raise RunError(
            f"bioimageio.core does not accept the package ({'; '.join(faults)[:500] or summary.status})",
            "a package that its validator runs",
            "bioimageio.core 0.11 wants pydantic below 2.13; else export to onnx, and tell the authors of unpool",
        )


@dataclass(frozen=True)
class Sides:
    """Sides of the tiles a program may give, and how many pixels at an output tile's edge are not to be used."""

    smallest: int
    step: int
    halo: int


def _sides(segmenter: Segmenter) -> Sides:
    structure = segmenter.network.structure
    reach, step = structure.halo, structure.stride
    halo = -(-max(reach) // step) * step if reach else 0
    return Sides(2 * halo + 2 * step, step, halo)


def _description(
    segmenter: Segmenter,
    pixels: str,
    card: Card,
    model: OnnxModel,
    pages: Pages,
    sides: Sides,
    contents: dict[str, bytes],
) -> dict[str, Any]:
    """``rdf.yaml`` as plain data."""

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(contents[name]).hexdigest()}

    data = str(card["story"].get("data", {}).get("name", "")).strip()
    told = {"license": card["licence"], "timestamp": card["story"].get("created")}
    return {
        "format_version": SPEC,
        "type": "model",
        "name": _plain(f"{segmenter.net} {data or 'by unpool'}"),  # five letters at least
        "description": f"Semantic segmentation with {segmenter.net}: {', '.join(segmenter.classes.names)}."[:1000],
        "authors": [{"name": name} for name in pages.authors],
        "cite": _cited(card),
        "documentation": "README.md",
        "covers": ["cover.png"],
        "tags": ["semantic-segmentation", "unpool", segmenter.net],
        "inputs": [_input(segmenter, pixels, sides, file("test_input.npy"))],
        "outputs": [_output(segmenter, sides, file("test_output.npy"))],
        "weights": {"onnx": {**file("weights.onnx"), "opset_version": model.opset_import[0].version}},
        **{key: value for key, value in told.items() if value},
    }


def _input(segmenter: Segmenter, pixels: str, sides: Sides, tensor: dict[str, str]) -> dict[str, Any]:
    channels = segmenter.network.in_channels
    names = ["red", "green", "blue"] if channels == 3 else [f"channel{k}" for k in range(channels)]
    return {
        "id": INPUT,
        "description": f"pixel values as stored in {pixels} pictures; they are normalised inside"[:128],
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


def _output(segmenter: Segmenter, sides: Sides, tensor: dict[str, str]) -> dict[str, Any]:
    halo = {"halo": sides.halo} if sides.halo else {}
    names = [re.sub(r"\W", "_", name) for name in segmenter.classes.names]
    if len(set(names)) < len(names):
        names = [f"class{k}" for k in range(len(names))]
    return {
        "id": OUTPUT,
        "description": "the probability of each class",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": names},
            *(
                {"type": "space", "id": axis, "size": {"tensor_id": INPUT, "axis_id": axis}, **halo}
                for axis in ("y", "x")
            ),
        ],
        "data": {"type": "float32"},
        "test_tensor": tensor,
    }


def _cited(card: Card) -> list[dict[str, str]]:
    """The network's paper, where the card names one with a number of the arXiv."""
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

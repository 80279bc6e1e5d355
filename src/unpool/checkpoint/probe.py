"""The probe: a small picture that is made by a formula, and the model's stored answer to it.

The probe shows whether a machine computes what the machine of the training computed. The picture is made by arithmetic
on integers and one exact formula, so it is the same on every machine; a hash confirms it. A card never holds a
person's picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.nets.weights import restored
from unpool.normalisation import Normalisation
from unpool.segmenter import Segmenter

RECIPE = "waves, discs and grain, 1"
PIXEL_TYPES = ("uint8", "uint16", "float32")
SMALLEST = (33, 46)
"""Rows and columns of the picture, unless the network's stride needs more; odd rows, so that it is extended."""

PROBE_PLACES = (4, 6)
"""Rows and columns of the grid of pixels whose logits are stored."""

TOLERANCE = 1e-3
"""Largest difference of a logit, as a share of the largest logit. Float32 on another processor differs by about 1e-6 in
each layer and 1e-5 in all; bfloat16 by about 1e-2."""

DISCS = ((0.3, 0.25, 0.18), (0.65, 0.6, 0.25), (0.25, 0.8, 0.12))
"""Centre row and column of each disc as shares of the sides, and its radius as a share of the shorter side."""


@dataclass(frozen=True)
class Probe:
    """A picture's formula and a model's answer to the picture.

    Attributes
    ----------
    recipe: name of the formula.
    pixels: the picture's pixel type.
    size: the picture's rows and columns.
    picture: sha256 of the picture's bytes.
    arithmetic: number type and processor of the answer, in words.
    tolerance: largest difference of a logit, as a share of ``largest``.
    largest: the largest absolute logit of the picture.
    places: (row, column) of the stored logits.
    logits: float32, K numbers for each place.
    undecided: one bit for each pixel, row by row, in hexadecimal; set where the two highest logits are so close that
        the tolerance could exchange them.
    classes: sha256 of the uint8 class ids (rows, columns), 255 where undecided.
    """

    recipe: str
    pixels: str
    size: tuple[int, int]
    picture: str
    arithmetic: str
    tolerance: float
    largest: float
    places: tuple[tuple[int, int], ...]
    logits: tuple[tuple[float, ...], ...]
    undecided: str
    classes: str

    def to_card(self) -> dict[str, Any]:
        """Return plain JSON data, which ``from_card`` reads."""
        return asdict(self)

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Probe:
        """Return the probe of a card. Raise TypeError, KeyError or ValueError where the data are not a probe's."""
        rows, columns = (int(side) for side in card["size"])
        places = tuple((int(row), int(column)) for row, column in card["places"])
        logits = tuple(tuple(map(float, each)) for each in card["logits"])
        probe = cls(**{**card, "size": (rows, columns), "places": places, "logits": logits})
        if len(places) != len(logits) or not all(0 <= r < rows and 0 <= c < columns for r, c in places):
            raise ValueError("the probe's places do not fit its size or its logits")
        if probe.pixels not in PIXEL_TYPES or not 0 < probe.tolerance < 1 or rows * columns > 2**22:
            raise ValueError("the probe's pixel type, tolerance or size")
        bytes.fromhex(probe.undecided)
        return probe


@dataclass(frozen=True)
class ProbeResult:
    """The comparison of an answer with the stored one.

    Attributes
    ----------
    picture: whether the picture is the stored one.
    difference: largest difference of a logit from its stored value, as a share of the largest logit.
    tolerance: largest difference that is allowed.
    classes: whether every decided pixel has the stored class.
    """

    picture: bool
    difference: float
    tolerance: float
    classes: bool

    @property
    def holds(self) -> bool:
        """Whether the answer is the stored one, within the tolerance."""
        return self.picture and self.difference <= self.tolerance and self.classes


def probe_of(segmenter: Segmenter, tensors: Mapping[str, Tensor]) -> Probe | None:
    """Return the probe of a segmenter, in float32 on the CPU; None where the answer is not finite.

    A second network shares the tensors (``unpool.nets.weights.restored``). It is not initialised and draws no random
    numbers, so a training is not changed. One core takes 0.04 s for ``segnet-basic`` and 0.2 s for ``unet``.

    Parameters
    ----------
    tensors: the network's state on the CPU. The segmenter's own network may be training on a GPU; it is not used.
    """
    pixels = next(kind for kind in PIXEL_TYPES if kind in segmenter.normalisation.constants)
    stride = segmenter.network.structure.stride
    size = (max(SMALLEST[0], stride + 1), max(SMALLEST[1], stride * 3 // 2))
    image = probe_picture(segmenter.normalisation, pixels, size)
    own = segmenter.network
    copy = restored(own.structure, own.in_channels, segmenter.outputs, tensors)
    logits = probe_logits(replace(segmenter, network=copy), image)
    if not torch.isfinite(logits).all():
        return None
    largest = float(logits.abs().max())
    first, second = logits.topk(2, dim=0).values
    undecided = (first - second <= 2 * TOLERANCE * largest).numpy()
    places = _grid(size)
    return Probe(
        recipe=RECIPE,
        pixels=pixels,
        size=size,
        picture=_sha256(image),
        arithmetic="float32 on the CPU",
        tolerance=TOLERANCE,
        largest=largest,
        places=places,
        logits=tuple(tuple(logits[:, row, column].tolist()) for row, column in places),
        undecided=np.packbits(undecided).tobytes().hex(),
        classes=_sha256(_decided(logits, undecided)),
    )


def compare_probe(probe: Probe, image: NDArray[Any], logits: Tensor) -> ProbeResult:
    """Compare an answer with the stored one.

    Parameters
    ----------
    image: the picture that was predicted.
    logits: float32 (K, rows, columns).
    """
    answer = np.array([logits[:, row, column].tolist() for row, column in probe.places])
    expected = np.array(probe.logits)
    same_shape = answer.shape == expected.shape and tuple(logits.shape[1:]) == probe.size
    difference = float(np.abs(answer - expected).max()) / max(probe.largest, 1e-30) if same_shape else np.inf
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(probe.undecided), dtype=np.uint8))
    count = probe.size[0] * probe.size[1]
    classes = same_shape and bits.size >= count and _sha256(
        _decided(logits, bits[:count].reshape(probe.size).astype(bool))
    ) == probe.classes  # fmt: skip
    return ProbeResult(_sha256(image) == probe.picture, difference, probe.tolerance, classes)


@torch.inference_mode()
def probe_logits(segmenter: Segmenter, image: NDArray[Any]) -> Tensor:
    """Return the classes' logits for a picture in one piece, float32 (K, rows, columns), in float32 on the CPU."""
    inputs = segmenter.prepare(image, "the probe")
    top, left = segmenter.frame((image.shape[0], image.shape[1])).offset
    with torch.autocast("cpu", enabled=False):
        logits = segmenter.network(inputs)
    own: Tensor = logits[0, :, top : top + image.shape[0], left : left + image.shape[1]].float()
    return segmenter.class_logits(own)


def probe_picture(normalisation: Normalisation, pixels: str, size: tuple[int, int]) -> NDArray[Any]:
    """Return the picture (rows, columns, channels): waves, discs and grain, in the range of the training pictures."""
    rows, columns = np.indices(size)
    constants = normalisation.constants[pixels]
    channels = []
    for k, (mean, std) in enumerate(zip(constants.mean, constants.std, strict=True)):
        wave = np.abs((3 * rows + 5 * columns + 11 * k) % 48 - 24) / 12 - 1
        grain = ((rows * 7919 + columns * 104729 + k * 1299709) * 2654435761 >> 9) % 256 / 128 - 1
        channels.append(mean + std * (0.75 * wave + 0.25 * grain + _discs(size)))
    values = np.stack(channels, axis=-1)
    if pixels == "float32":
        return values.astype(np.float32)
    rounded: NDArray[Any] = np.rint(values).clip(0, np.iinfo(pixels).max).astype(pixels)
    return rounded


def _discs(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return 1 inside the discs and -0.25 outside."""
    rows, columns = np.indices(size)
    inside = np.zeros(size, dtype=bool)
    for row, column, radius in DISCS:
        distance = (rows - int(row * size[0])) ** 2 + (columns - int(column * size[1])) ** 2
        inside |= distance <= int(radius * min(size)) ** 2
    return np.where(inside, 1.0, -0.25)


def _grid(size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return (row, column) of pixels that are spread over a picture up to its corners."""
    rows, columns = (
        np.linspace(0, side - 1, k).astype(int).tolist() for side, k in zip(size, PROBE_PLACES, strict=True)
    )
    return tuple((row, column) for row in rows for column in columns)


def _decided(logits: Tensor, undecided: NDArray[np.bool_]) -> NDArray[np.uint8]:
    ids = logits.argmax(dim=0).numpy().astype(np.uint8)
    ids[undecided] = 255
    return ids


def _sha256(array: NDArray[Any]) -> str:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()

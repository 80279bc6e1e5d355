"""The comparison of an exported model with the model itself, in torch and float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.checkpoint.probe import probe_logits, probe_picture
from unpool.errors import RunError
from unpool.export.graph import ExportPrecision
from unpool.segmenter import Segmenter


class RuntimeOutput(NamedTuple):
    """The output for a batch: probabilities float32 (N, K, rows, columns) and class ids uint8 (N, rows, columns)."""

    probabilities: NDArray[np.float32]
    classes: NDArray[np.uint8]


BatchRunner = Callable[[NDArray[Any]], RuntimeOutput]
"""A function that runs an exported model on a batch (N, channels, rows, columns) of raw pixels."""


class Tolerance(NamedTuple):
    """The largest difference that is allowed: of any probability, and as a share of the class ids."""

    probability: float
    share: float


TOLERANCES: dict[ExportPrecision, Tolerance] = {
    "float32": Tolerance(1e-3, 1e-3),
    "float16": Tolerance(0.1, 0.01),
    "int8": Tolerance(1.0, 0.05),
}
"""The tolerance of each precision. For int8 only class ids are compared: its probabilities are coarse by design."""


class ExportDifference(NamedTuple):
    """The difference between an export and its model.

    Attributes
    ----------
    probability: largest difference of any probability.
    share: share of all pixels whose class ids differ.
    pictures, sizes: number of compared pictures, and their different sizes in rows and columns.
    """

    probability: float
    share: float
    pictures: int
    sizes: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        sizes = ", ".join(f"{rows}x{columns}" for rows, columns in self.sizes[:8])
        return (
            f"largest difference of a probability {self.probability:.1e}, {self.share:.3%} of the class ids differ "
            f"({self.pictures} pictures: {sizes}{', …' if len(self.sizes) > 8 else ''})"
        )


def pattern_pictures(segmenter: Segmenter, pixels: str, *, smallest: bool) -> Iterator[NDArray[Any]]:
    """Yield made pictures (rows, columns, channels) of even and odd sizes, two of them of one size.

    Parameters
    ----------
    pixels: the pixel type: ``uint8``, ``uint16`` or ``float32``.
    smallest: whether to begin with sizes below the network's stride.
    """
    stride = segmenter.network.structure.stride
    sizes = [(2 * stride, 3 * stride)] * 2 + [(3 * stride + 1, 2 * stride - 1), (stride + 7, 2 * stride + 13)]
    for size in [(5, 8), (1, 1)] * smallest + sizes:
        yield probe_picture(segmenter.normalisation, pixels, size)


def export_difference(segmenter: Segmenter, run: BatchRunner, pictures: Sequence[NDArray[Any]]) -> ExportDifference:
    """Return the difference between a segmenter and its export on pictures (rows, columns, channels).

    Pictures of one size that follow each other are run as one batch.

    Raises
    ------
    DataError: a picture does not fit the model.
    """
    largest, changed, pixels = 0.0, 0, 0
    for batch in _batches(pictures):
        output = run(np.ascontiguousarray(np.moveaxis(np.stack(batch), -1, 1)))
        for k, picture in enumerate(batch):
            logits = probe_logits(segmenter, picture)
            largest = max(largest, float(np.abs(output.probabilities[k] - logits.softmax(dim=0).numpy()).max()))
            changed += int((output.classes[k] != logits.argmax(dim=0).numpy()).sum())
            pixels += output.classes[k].size
    sizes = tuple(dict.fromkeys((picture.shape[0], picture.shape[1]) for picture in pictures))
    return ExportDifference(largest, changed / max(pixels, 1), len(pictures), sizes)


def require_equal(difference: ExportDifference, precision: ExportPrecision) -> None:
    """Raise an error if an export differs from its model by more than its precision allows, or has a NaN.

    Raises
    ------
    RunError: names the difference and the tolerance.
    """
    allowed = TOLERANCES[precision]
    if difference.probability <= allowed.probability and difference.share <= allowed.share:
        return
    repair = "give pictures like those of the training with --pictures" if precision == "int8" else "use float32"
    raise RunError(
        f"the exported model does not compute what the model computes: {difference}",
        f"in {precision} a difference of at most {allowed.probability:g} in any probability, "
        f"and at most {allowed.share:.1%} of the class ids",
        f"{repair}; nothing was written",
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of logits (N, K, rows, columns)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _batches(pictures: Sequence[NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    batch: list[NDArray[Any]] = []
    for picture in pictures:
        if batch and batch[0].shape != picture.shape:
            yield batch
            batch = []
        batch.append(picture)
    if batch:
        yield batch

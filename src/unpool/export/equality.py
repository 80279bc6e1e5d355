"""Whether an exported model computes what the model computes in torch, in float32."""

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
    """Probabilities float32 (N, K, rows, columns) and uint8 class ids (N, rows, columns) of a batch."""

    probabilities: NDArray[np.float32]
    classes: NDArray[np.uint8]


Run = Callable[[NDArray[Any]], RuntimeOutput]
"""What runs an exported model on a batch (N, channels, rows, columns) of raw pixels."""


class Tolerance(NamedTuple):
    """What an exported model may differ by: any probability, and the share of class ids."""

    probability: float
    share: float


TOLERANCES: dict[ExportPrecision, Tolerance] = {
    "float32": Tolerance(1e-3, 1e-3),
    "float16": Tolerance(0.1, 0.01),
    "int8": Tolerance(1.0, 0.05),
}
"""Of int8 the class ids alone are judged: its probabilities are coarse by design."""


class ExportDifference(NamedTuple):
    """How far two answers are apart: the largest difference of a probability, and of all pixels the share whose class
    ids differ; on how many ``pictures`` of which ``sizes``."""

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


def patterns(segmenter: Segmenter, pixels: str, *, smallest: bool) -> Iterator[NDArray[Any]]:
    """Pictures (rows, columns, channels) of even and odd sizes, two of them of one size.

    Parameters
    ----------
    smallest: whether to begin with sizes below the network's stride.
    """
    stride = segmenter.network.structure.stride
    sizes = [(2 * stride, 3 * stride)] * 2 + [(3 * stride + 1, 2 * stride - 1), (stride + 7, 2 * stride + 13)]
    for size in [(5, 8), (1, 1)] * smallest + sizes:
        yield probe_picture(segmenter.normalisation, pixels, size)


def export_difference(segmenter: Segmenter, run: Run, pictures: Sequence[NDArray[Any]]) -> ExportDifference:
    """Run both on pictures (rows, columns, channels), neighbours of one size as a batch.

    Raises
    ------
    DataError: a picture does not fit the model.
    """
    largest, changed, pixels = 0.0, 0, 0
    for batch in _batches(pictures):
        found = run(np.ascontiguousarray(np.moveaxis(np.stack(batch), -1, 1)))
        for k, picture in enumerate(batch):
            logits = probe_logits(segmenter, picture)
            largest = max(largest, float(np.abs(found.probabilities[k] - logits.softmax(dim=0).numpy()).max()))
            changed += int((found.classes[k] != logits.argmax(dim=0).numpy()).sum())
            pixels += found.classes[k].size
    sizes = tuple(dict.fromkeys((picture.shape[0], picture.shape[1]) for picture in pictures))
    return ExportDifference(largest, changed / max(pixels, 1), len(pictures), sizes)


def require_equal(found: ExportDifference, precision: ExportPrecision) -> None:
    """Refuse an exported model that differs by more than its precision allows; NaN is refused too.

    Raises
    ------
    RunError: names both.
    """
    allowed = TOLERANCES[precision]
    if found.probability <= allowed.probability and found.share <= allowed.share:
        return
    repair = "give pictures like those of the training with --pictures" if precision == "int8" else "use float32"
    raise RunError(
        f"the exported model does not compute what the model computes: {found}",
        f"in {precision} a difference of at most {allowed.probability:g} in any probability, "
        f"and at most {allowed.share:.1%} of the class ids",
        f"{repair}; nothing was written",
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of logits (N, K, rows, columns)."""
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

"""Sizes through a structure: what comes out, which sizes are legal, how far an output pixel sees."""

from __future__ import annotations

from unpool.errors import UsageError
from unpool.geometry import (
    Interval,
    before_convolution,
    before_pooling,
    before_upsampling,
    convolved_size,
    padding_of,
    pooled_size,
)
from unpool.nets.structure import Structure

SEARCH_LIMIT = 4096
"""How far above a size the nearest legal one is looked for, in pixels."""


def output_size(structure: Structure, size: int) -> int | None:
    """The output's size along one axis for an input of ``size`` pixels, or None where the network cannot run."""
    pad = padding_of(structure.padding, structure.kernel)
    least = 2 if structure.norm == "instance" else 1  # a single pixel has no deviation to normalise by
    crossing = []
    for _ in structure.widths:
        for _ in range(structure.encoder_convolutions):
            size = convolved_size(size, structure.kernel, pad)
        if size < least or (structure.pooling_rounding == "floor" and size % 2):
            return None
        crossing.append(size)
        size = pooled_size(size, structure.pooling_rounding)
    if structure.bottom:
        for _ in range(structure.encoder_convolutions):
            size = convolved_size(size, structure.kernel, pad)
    for across in reversed(crossing):
        if size < least:
            return None
        size = across if structure.up == "unpool" else 2 * size
        for _ in range(structure.decoder_convolutions):
            size = convolved_size(size, structure.kernel, pad)
    return size if size >= least else None


def legal_size(structure: Structure, size: int) -> int:
    """The smallest size at or above ``size`` that the network can run on.

    Raises
    ------
    UsageError: there is none within reach.
    """
    for candidate in range(size, size + SEARCH_LIMIT):
        if output_size(structure, candidate) is not None:
            return candidate
    raise UsageError(
        f"no legal size from {size} to {size + SEARCH_LIMIT} pixels",
        "a structure that can run on some size",
        "use fewer stages, or padding=same",
    )


def halo(structure: Structure) -> int:
    """Pixels around an aligned block of output that its computation reads, on the wider side.

    The walk goes from the output back to the picture along the deepest path, which contains every other.
    """
    pad = padding_of(structure.padding, structure.kernel)
    last = structure.stride - 1
    seen: Interval = (0, last)
    for _ in structure.widths:
        seen = _before_convolutions(seen, structure.decoder_convolutions, structure.kernel, pad)
        seen = before_upsampling(seen, reach=1 if structure.up == "bilinear" else 0)
    if structure.bottom:
        seen = _before_convolutions(seen, structure.encoder_convolutions, structure.kernel, pad)
    for _ in structure.widths:
        seen = before_pooling(seen)
        seen = _before_convolutions(seen, structure.encoder_convolutions, structure.kernel, pad)
    return max(-seen[0], seen[1] - last)


def _before_convolutions(seen: Interval, count: int, kernel: int, padding: int) -> Interval:
    for _ in range(count):
        seen = before_convolution(seen, kernel, padding)
    return seen

"""Sizes through a structure: what comes out, which sizes are legal, how far an output pixel sees."""

from __future__ import annotations

from typing import NamedTuple

import torch

from unpool.errors import UsageError
from unpool.geometry import BILINEAR, BLOCKS, Layer, Padding, Transposed, Window, pooled_size, reads, sides
from unpool.nets.fcn import FCNStructure, fcn_halo, fcn_output_size
from unpool.nets.structure import Structure

AnyStructure = Structure | FCNStructure

SEARCH_LIMIT = 4096
"""How far above a size the nearest legal one is looked for, in pixels."""


def output_size(structure: AnyStructure, size: int) -> int | None:
    """The output's size along one axis for an input of ``size`` pixels, or None where the network cannot run."""
    if isinstance(structure, FCNStructure):
        return fcn_output_size(structure, size)
    least = 2 if structure.norm in ("group", "instance") else 1  # a single pixel has no deviation to normalise by
    crossing = []
    for stage in range(1, structure.depth + 1):
        entered = size
        size = _convolved(structure, structure.encoder_count(stage), structure.padding, size)
        if size < least or (structure.pooling_rounding == "floor" and size % 2):
            return None
        crossing.append((size, entered if structure.skip_from == "pooled" else size))
        size = pooled_size(size, structure.pooling_rounding)
    if structure.bottom:
        size = _convolved(structure, structure.encoder_count(structure.depth + 1), structure.padding, size)
    for stage in range(structure.depth, 0, -1):
        if size < least:
            return None
        before_pooling_size, across = crossing[stage - 1]
        size = min(2 * size, before_pooling_size)
        joins = structure.joins_at(stage)
        if joins and structure.join == "before":
            size = min(size, across)
        size = _convolved(structure, structure.decoder_count(stage), structure.padding_in_decoder(), size)
        if joins and structure.join == "after":
            size = min(size, across)
    return size if size >= least else None


def legal_size(structure: AnyStructure, size: int) -> int:
    """The smallest size at or above ``size`` that the network can run on.

    Raises
    ------
    UsageError: there is none within reach.
    """
    for candidate in range(max(size, 1), size + SEARCH_LIMIT):
        if output_size(structure, candidate) is not None:
            return candidate
    raise UsageError(
        f"no legal size from {size} to {size + SEARCH_LIMIT} pixels",
        "a structure that can run on some size",
        "use fewer stages, or padding=same",
    )


def detail(structure: AnyStructure) -> int:
    """Pixels of the picture between neighbours of the finest maps or positions that take part in the answer."""
    if isinstance(structure, FCNStructure):
        return structure.prediction_stride
    if structure.skip == "none":
        return structure.stride
    return 2 if structure.skip_from == "pooled" else 1


class Fit(NamedTuple):
    """A legal input size and what its output lacks on each side; ``margin`` is negative where it has too much."""

    size: int
    margin: int


def fit(structure: AnyStructure, wanted: int) -> Fit:
    """The smallest legal input of at least ``wanted`` pixels whose output has as many.

    Raises
    ------
    UsageError: there is none within reach.
    """
    for size in range(wanted, wanted + SEARCH_LIMIT):
        found = output_size(structure, size)
        if found is not None and found >= wanted:
            return Fit(size, (size - found) // 2)
    raise UsageError(
        f"no legal input has an output of {wanted} pixels or more",
        "a structure that keeps most of the picture",
        "use fewer stages, or padding=same",
    )


class SizeRule(NamedTuple):
    """Which inputs a network takes, along one axis: ``smallest``, ``smallest + step``, ``smallest + 2 * step`` …

    The output of each is ``lost`` pixels smaller.
    """

    smallest: int
    step: int
    lost: int

    def fit(self, wanted: int) -> int:
        """The smallest legal input whose output has ``wanted`` pixels or more, which may be a symbol of a graph."""
        missing: int = torch.sym_max(wanted + self.lost - self.smallest, 0)  # type: ignore[no-untyped-call]
        return self.smallest + (missing + self.step - 1) // self.step * self.step


def size_rule(structure: AnyStructure) -> SizeRule | None:
    """The rule that ``fit`` follows, or None where it follows none that is so simple."""
    smallest, _ = fit(structure, 1)
    output = output_size(structure, smallest)
    assert output is not None
    rule = SizeRule(smallest, legal_size(structure, smallest + 1) - smallest, smallest - output)
    tried = range(1, output + 3 * structure.stride)
    return rule if all(rule.fit(wanted) == fit(structure, wanted).size for wanted in tried) else None


class Context(NamedTuple):
    """Pixels of input that an aligned block of output reads before its first and after its last pixel.

    In the output's own count: output pixel o and input pixel o share a number, whatever the padding took away.
    """

    before: int
    after: int


def context(structure: AnyStructure) -> Context | None:
    """What a tile must read around itself to be exact, or None where tiles cannot be exact.

    The walk goes from the output back to the picture along the deepest path, which contains every other. ``full``
    padding moves the maps against each other by crops, so there it gives None.
    """
    if isinstance(structure, FCNStructure):
        reach = fcn_halo(structure)
        return Context(reach, reach)
    if (
        "full" in (structure.padding, structure.padding_in_decoder())
        or structure.padding_in_decoder() != structure.padding
    ):
        return None
    last = structure.stride - 1
    first_read, last_read = reads(deepest_path(structure), (0, last))
    return Context(max(-first_read, 0), max(last_read - last, 0))


def looks_at_everything(structure: AnyStructure) -> bool:
    """Whether a pixel's answer depends on all that the network is given, however far away, through its normalisation.

    ``context`` is then what its convolutions read.
    """
    return isinstance(structure, Structure) and structure.norm in ("group", "instance")


def deepest_path(structure: Structure) -> list[Layer]:
    """The layers from the picture down to the bottom and up again; every other path sees less."""
    down: list[Layer] = []
    up: list[Layer] = []
    for stage in range(1, structure.depth + 1):
        down += [*_convolutions(structure, structure.encoder_count(stage), structure.padding), POOLING]
        up = [
            UP_LAYERS.get(structure.up, _up_convolution(structure.up_kernel)),
            *_convolutions(structure, structure.decoder_count(stage), structure.padding_in_decoder()),
            *up,
        ]
    if structure.bottom:
        down += _convolutions(structure, structure.encoder_count(structure.depth + 1), structure.padding)
    return [*down, *up, Window(structure.head_kernel, 1, *sides("same", structure.head_kernel))]


POOLING = Window(2, 2)
UP_LAYERS: dict[str, Layer] = {"unpool": BLOCKS, "nearest": BLOCKS, "bilinear": BILINEAR}


def _up_convolution(kernel: int) -> Layer:
    return Transposed(Window(kernel, 2, (kernel - 1) // 2, (kernel - 2) // 2))


def _convolutions(structure: Structure, count: int, padding: Padding) -> list[Layer]:
    return [Window(structure.kernel, 1, *sides(padding, structure.kernel))] * count


def _convolved(structure: Structure, count: int, padding: Padding, size: int) -> int:
    for layer in _convolutions(structure, count, padding):
        size = layer.size(size)
    return size

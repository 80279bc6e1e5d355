"""The explanation of a network: the facts about its layers for pictures of one size.

An empty picture passes through the module on torch's meta device, where tensors have a shape and no values: explaining
a network of 134 million parameters takes no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from unpool.errors import UsageError
from unpool.geometry import stored_bytes
from unpool.nets.ensemble import Ensemble
from unpool.nets.explain.reading import PICTURES, LayerReader
from unpool.nets.explain.records import Explanation
from unpool.nets.families import network_of
from unpool.nets.network import Network, NetworkStructure
from unpool.shapes import Size

LARGEST_SIDE = 99_999
"""The most rows or columns of a picture that a network is explained for."""


def explain(network: Network, size: Size, name: str) -> Explanation:
    """Explain a network for pictures of ``size`` (rows, columns).

    The network itself is not used: an empty one of the same structure is built and read.

    Raises
    ------
    UsageError: a size that the network cannot run on, with the nearest legal sizes.
    """
    require_legal(network.structure, size, name)
    if isinstance(network, Ensemble):
        return _joined(network, [explain(member, size, name) for member in network.networks], name)
    empty = _empty_copy(network)
    reader = LayerReader(empty)
    with torch.device("meta"), reader.saved.counting():
        logits = empty(torch.empty(PICTURES, network.in_channels, *size))
    parameters = list(empty.parameters())
    return Explanation(
        name=name,
        in_channels=network.in_channels,
        classes=network.classes,
        size=size,
        output=(logits.shape[2], logits.shape[3]),
        layers=tuple(reader.layers),
        skips=tuple(sorted(reader.skips, key=lambda skip: (skip.stage, skip.what))),
        parameters=sum(p.numel() for p in parameters),
        fixed=sum(p.numel() for p in parameters if not p.requires_grad),
        kernels=sum(p.numel() for p in parameters if p.ndim == 4),
    )


def _joined(network: Ensemble, members: Sequence[Explanation], name: str) -> Explanation:
    """Return the explanation of an ensemble from those of its members, which are computed one after another."""
    numbered = list(enumerate(members))
    # While a member works, the mean of those before it waits.
    waiting = stored_bytes(network.classes, members[0].output)
    return Explanation(
        name=name,
        in_channels=network.in_channels,
        classes=network.classes,
        size=members[0].size,
        output=members[0].output,
        layers=tuple(
            replace(layer, name=f"members.{k}.{layer.name}", bytes_held=layer.bytes_held + waiting * (k > 0))
            for k, member in numbered
            for layer in member.layers
        ),
        skips=tuple(skip for member in members for skip in member.skips),
        parameters=sum(member.parameters for member in members),
        fixed=sum(member.fixed for member in members),
        kernels=sum(member.kernels for member in members),
    )


def require_legal(structure: NetworkStructure, size: Size, name: str) -> None:
    """Raise UsageError for a size that a network cannot run on, with the nearest legal sizes."""
    if all(side > 0 and structure.output_size(side) for side in size):
        return
    rows, columns = (_nearest(structure, side) for side in size)
    refused = f"a picture of {size[0]} x {size[1]} pixels for {name}"
    if not rows or not columns:
        raise UsageError(
            refused,
            "a structure with a legal size nearby",
            "give --set padding=same, or a lower depth",
        )
    nearest = dict.fromkeys([(rows[0], columns[0]), (rows[-1], columns[-1])])
    raise UsageError(
        refused,
        f"sizes it can run on; the nearest are {_either(rows)} rows and {_either(columns)} columns",
        "give " + " or ".join(f"--size {r}x{c}" for r, c in nearest),
    )


def _nearest(structure: NetworkStructure, side: int) -> tuple[int, ...]:
    return tuple(each for each in structure.nearest_legal_sizes(max(side, 1)) if each <= LARGEST_SIDE)


def _either(sizes: tuple[int, ...]) -> str:
    return " or ".join(map(str, sizes))


def _empty_copy(network: Network) -> Network:
    with torch.device("meta"):
        empty = network_of(network.structure, network.in_channels, network.classes)
    for parameter, original in zip(empty.parameters(), network.parameters(), strict=True):
        parameter.requires_grad_(original.requires_grad)
    return empty.train()

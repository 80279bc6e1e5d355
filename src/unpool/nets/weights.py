"""Beginning with what another network has learned, or being that network again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from unpool.errors import UsageError
from unpool.nets.named import Network, network_of
from unpool.nets.sizes import AnyStructure


def restored(structure: AnyStructure, in_channels: int, classes: int, state: Mapping[str, Tensor]) -> Network:
    """The network that has this state, in evaluation mode; it shares the tensors, and nothing is drawn for it.

    Raises
    ------
    RuntimeError: names or shapes of the tensors are others than the network's.
    """
    with torch.device("meta"):
        network = network_of(structure, in_channels, classes)
    network.load_state_dict(dict(state), assign=True)
    return network.eval()


def begin_with(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> tuple[str, ...]:
    """Copy every tensor whose name and shape the network has, and return the names of what it learns without them.

    This is how FCN's stages follow each other (16s from 32s, 8s from 16s): the layers they share have the same names,
    the last deconvolution has another one in each, and new scores are 0, so a finer network begins with the answers of
    the coarser one.

    Raises
    ------
    UsageError: nothing agrees.
    """
    own = network.state_dict()
    fixed = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    taken = {
        name: value
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape and name not in fixed
    }
    if not any(value.ndim > 1 for value in taken.values()):
        raise UsageError(
            f"no layer of {source} has the name and the shape of one of this network",
            "a model of a related structure",
            "leave start out, or give the model's structure to this network",
        )
    network.load_state_dict(taken, strict=False)
    return tuple(name for name in own if name not in taken and name not in fixed)

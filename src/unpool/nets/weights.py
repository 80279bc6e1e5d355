"""Weights that come from a file: a network restored, or a network that begins with another's weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from unpool.errors import UsageError
from unpool.nets.families import network_of
from unpool.nets.network import Network, NetworkStructure


def restored(structure: NetworkStructure, in_channels: int, classes: int, state: Mapping[str, Tensor]) -> Network:
    """Return the network with this state, in evaluation mode; it shares the tensors and draws no random numbers.

    Raises
    ------
    RuntimeError: the tensors have other names or shapes than the network's.
    """
    with torch.device("meta"):
        network = network_of(structure, in_channels, classes)
    network.load_state_dict(dict(state), assign=True)
    return network.eval()


def begin_with(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> tuple[str, ...]:
    """Copy every tensor whose name and shape the network has; return the names of the learned tensors not copied.

    FCN's stages follow each other so (16s from 32s, 8s from 16s): the layers that they share have the same names, the
    last deconvolution has its own name in each, and new scores are 0. A finer network therefore begins with the answers
    of the coarser one.

    Parameters
    ----------
    source: name of the model that the weights come from, for messages.

    Raises
    ------
    UsageError: no tensor has the name and the shape of one of the network.
    """
    own = network.state_dict()
    fixed = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    copied = {
        name: value
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape and name not in fixed
    }
    if not any(value.ndim > 1 for value in copied.values()):
        raise UsageError(
            f"no layer of {source} has the name and the shape of one of this network",
            "a model of a related structure",
            "leave start out, or give the model's structure to this network",
        )
    network.load_state_dict(copied, strict=False)
    return tuple(name for name in own if name not in copied and name not in fixed)

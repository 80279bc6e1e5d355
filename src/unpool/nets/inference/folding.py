"""A network as prediction wants it: each batch normalisation within the convolution before it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unpool.nets.fcn import FCN
from unpool.nets.named import Network


def folded(network: Network, dtype: torch.dtype | None = None) -> Network:
    """A copy that gives the same answers but for rounding, with fewer operations; in evaluation mode.

    A batch normalisation in evaluation mode multiplies each map by a number and adds one, which the convolution before
    it can do by its own weights and biases.

    Parameters
    ----------
    dtype: what the weights of convolutions are rounded to, once and for all; as they are by default.

    Numbers that are not changed are shared with the network; the copy may be moved without it.
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in network.buffers()}
    shared |= {id(tensor): nn.Parameter(tensor.detach(), tensor.requires_grad) for tensor in network.parameters()}
    copy = deepcopy(network, shared).eval()
    for place, name, norm in _normalised(copy):
        setattr(place, name, fuse_conv_bn_eval(getattr(place, name), norm))
    if isinstance(copy, FCN):
        copy.norms = nn.ModuleDict()
    for module in copy.modules():
        if dtype is not None and isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            _round(module, dtype)
    return copy


def _normalised(network: Network) -> Iterator[tuple[nn.Module, str, nn.BatchNorm2d]]:
    """Each convolution that a batch normalisation follows, by its place and name; the normalisation is taken out."""
    if isinstance(network, FCN):
        for name, norm in network.norms.items():
            assert isinstance(norm, nn.BatchNorm2d)
            yield network, name, norm
    for place in list(network.modules()):
        if isinstance(place, nn.Sequential):
            for number, layer in enumerate(place):
                if isinstance(layer, nn.BatchNorm2d):
                    yield place, str(number - 1), layer
                    place[number] = nn.Identity()


def _round(module: nn.Module, dtype: torch.dtype) -> None:
    for name, parameter in list(module.named_parameters(recurse=False)):
        # At once in the order in which machines want weights, or they would be copied again.
        order = torch.channels_last if parameter.ndim == 4 else torch.preserve_format
        rounded = parameter.detach().to(dtype, memory_format=order)
        setattr(module, name, nn.Parameter(rounded, requires_grad=False))

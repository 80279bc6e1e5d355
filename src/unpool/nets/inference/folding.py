"""Batch-norm folding: each batch normalisation becomes part of the convolution before it.

In evaluation mode a batch normalisation multiplies each map by a number and adds a number. The convolution before it
can do both by its own weights and biases.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unpool.nets.network import Network


def folded(network: Network, dtype: torch.dtype | None = None) -> Network:
    """Return a copy in evaluation mode that gives the same logits, except for rounding, with fewer operations.

    The copy shares the tensors that do not change. It may be moved to another device without the original.

    Parameters
    ----------
    dtype: number type of the convolutions' weights; None: as they are.
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in network.buffers()}
    shared |= {id(tensor): nn.Parameter(tensor.detach(), tensor.requires_grad) for tensor in network.parameters()}
    copy = deepcopy(network, shared).eval()
    for norm_path, path in copy.batch_norms().items():
        convolution, norm = copy.get_submodule(path), copy.get_submodule(norm_path)
        assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
        assert isinstance(norm, nn.BatchNorm2d)
        copy.set_submodule(path, fuse_conv_bn_eval(convolution, norm))
        copy.set_submodule(norm_path, nn.Identity())
    for module in copy.modules():
        if dtype is not None and isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            _round(module, dtype)
    return copy


def _round(module: nn.Module, dtype: torch.dtype) -> None:
    for name, parameter in list(module.named_parameters(recurse=False)):
        # Convolutions are fastest with weights in channels-last; in another format each call would copy them.
        memory_format = torch.channels_last if parameter.ndim == 4 else torch.preserve_format
        rounded = parameter.detach().to(dtype, memory_format=memory_format)
        setattr(module, name, nn.Parameter(rounded, requires_grad=False))

"""A network's convolutions alone: the part of a training step that no training loop can avoid."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unpool.machine.device import Machine


class LoneConvolution(NamedTuple):
    """A call of a convolution in a network.

    Attributes
    ----------
    module: the layer, in the number type of its arithmetic in the network.
    maps: its input; it requires a gradient unless it is the picture.
    gradient: gradient of its output.
    """

    module: nn.Module
    maps: Tensor
    gradient: Tensor

    def run(self) -> None:
        """Run forward and backward, with the gradients that its place in the network needs."""
        inputs = [tensor for tensor in (self.maps, *self.module.parameters()) if tensor.requires_grad]
        torch.autograd.grad(self.module(self.maps), inputs, self.gradient)


def lone_convolutions(network: nn.Module, images: Tensor, machine: Machine) -> list[LoneConvolution]:
    """Return every call of a convolution for ``images`` (N, C, H, W); the network is changed and of no further use.

    Number type and memory format are those of ``machine``.
    """
    machine.place(network)
    dtype = torch.bfloat16 if machine.reduced else torch.float32
    found: list[LoneConvolution] = []
    hooks = [layer.register_forward_hook(partial(_note, found, dtype)) for layer in convolutions(network)]
    with machine.arithmetic():
        network(machine.put(images))
    for hook in hooks:
        hook.remove()
    for layer in convolutions(network):
        layer.to(dtype)
    return found


def convolutions(network: nn.Module) -> list[nn.Module]:
    """Return the convolutions and up-convolutions of a network."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]


def _note(
    found: list[LoneConvolution], dtype: torch.dtype, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
) -> None:
    maps = inputs[0].detach().to(dtype).requires_grad_(inputs[0].requires_grad)
    found.append(LoneConvolution(layer, maps, torch.randn_like(output, dtype=dtype)))

"""The tensors in a file: whether they are finite, and whether they fit a network and its optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from unpool.optim import STATE_NAMES

_NEVER_BELOW_0 = {"step", "exp_avg_sq"}
"""Entries of an optimiser's state that count, or are means of squares."""


def require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError where a tensor has NaN or infinity; it names the tensor."""
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            count = int((~torch.isfinite(tensor)).sum())
            raise ValueError(f"{name} has {count} of {tensor.numel()} values that are not finite")


def require_form(found: Any, own: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless data are finite tensors with the names, shapes and types of others."""
    if not isinstance(found, Mapping):
        raise ValueError(f"a {type(found).__name__} in place of tensors")
    if unlike := found.keys() ^ own.keys():
        raise ValueError(f"{min(map(str, unlike))} is in one of both only")
    for name, tensor in own.items():
        _require_like(str(name), found[name], tensor)
    require_finite(found)


def fitting_optimiser_state(found: Any, optimiser: Optimizer) -> dict[str, Any]:
    """Return the stored state of an optimiser, which has its own settings and the stored learning rates.

    Raises
    ------
    ValueError: the state is another optimiser's, or has values that are not finite.
    """
    own = optimiser.state_dict()
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    rates = [group["lr"] for group in found["param_groups"]]
    if len(rates) != len(own["param_groups"]) or not all(type(r) is float and math.isfinite(r) for r in rates):
        raise ValueError("the learning rates are no numbers, or not as many as the optimiser has")
    for index, entries in found["state"].items():
        if index not in range(len(parameters)):
            raise ValueError(f"a state of the parameter {index}, of {len(parameters)}")
        scalar = torch.zeros(())
        forms = {name: scalar if name == "step" else parameters[index] for name in STATE_NAMES[type(optimiser)]}
        if entries:
            require_form(entries, forms)
        if below := [name for name in _NEVER_BELOW_0 & entries.keys() if (entries[name] < 0).any()]:
            raise ValueError(f"{below[0]} has values below 0")
    groups = [{**group, "lr": rate} for group, rate in zip(own["param_groups"], rates, strict=True)]
    return {"state": found["state"], "param_groups": groups}


def _require_like(name: str, found: Any, own: Tensor) -> None:
    if not isinstance(found, Tensor) or found.layout != torch.strided:
        raise ValueError(f"{name} is no plain tensor")
    if (found.shape, found.dtype) != (own.shape, own.dtype):
        raise ValueError(
            f"{name} is {found.dtype} of shape {tuple(found.shape)}, not {own.dtype} of {tuple(own.shape)}"
        )

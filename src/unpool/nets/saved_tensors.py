"""Bytes of the tensors that autograd saves for the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


class SavedTensors:
    """A count of the bytes that autograd saves for the backward pass, each storage once.

    Parameters
    ----------
    left_out: tensors whose storage is not counted, such as a network's parameters.
    counts: tells whether a tensor is counted; by default all are.
    """

    def __init__(self, left_out: Iterable[Tensor], counts: Callable[[Tensor], bool] = lambda _: True) -> None:
        self.bytes = 0
        self._counts = counts
        # Storages are kept, so that no later one gets the address of one that is gone.
        self._known = {_address(tensor): tensor.untyped_storage() for tensor in left_out}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count inside this context; add to the bytes counted before."""
        with saved_tensors_hooks(self._save, lambda tensor: tensor):
            yield

    def _save(self, tensor: Tensor) -> Tensor:
        if _address(tensor) not in self._known and self._counts(tensor):
            self._known[_address(tensor)] = tensor.untyped_storage()
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor.detach()


def _address(tensor: Tensor) -> int:
    # Tensors on the meta device have no data pointer; their storage objects differ all the same.
    address: int = tensor.untyped_storage()._cdata
    return address

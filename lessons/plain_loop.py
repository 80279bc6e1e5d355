"""Training and testing in plain PyTorch: the same loop for every network."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]
"""A function whose batches are pictures (N, C, H, W) and labels (N, H, W): class numbers, as whole numbers."""


def loss_of(network: nn.Module, pictures: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of the logits; labels lose the border that the network does not predict."""
    logits = network(pictures)
    top = (labels.shape[1] - logits.shape[2]) // 2
    left = (labels.shape[2] - logits.shape[3]) // 2
    labels = labels[:, top : top + logits.shape[2], left : left + logits.shape[3]]
    return F.cross_entropy(logits, labels)


def train(network: nn.Module, batches: Batches, epochs: int, learning_rate: float = 1e-3) -> list[float]:
    """Train a network; return the mean loss of each epoch."""
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    history = []
    network.train()
    for _ in range(epochs):
        losses = []
        for pictures, labels in batches():
            optimiser.zero_grad()
            loss = loss_of(network, pictures, labels)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        history.append(sum(losses) / len(losses))
    return history


@torch.no_grad()
def test(network: nn.Module, batches: Batches) -> float:
    """Return the share of pixels whose class is predicted rightly."""
    network.eval()
    right = total = 0
    for pictures, labels in batches():
        predicted = network(pictures).argmax(dim=1)
        top = (labels.shape[1] - predicted.shape[1]) // 2
        left = (labels.shape[2] - predicted.shape[2]) // 2
        labels = labels[:, top : top + predicted.shape[1], left : left + predicted.shape[2]]
        right += int((predicted == labels).sum())
        total += labels.numel()
    return right / total

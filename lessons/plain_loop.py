"""Training and testing in plain PyTorch: the same loop for every network."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]
"""A function whose batches are pictures (N, C, H, W) and labels (N, H, W): class numbers, as whole numbers."""


def middle(labels: Tensor, logits: Tensor) -> Tensor:
    """Return the labels of the pixels that a network predicts; one without padding predicts no border."""
    rows, columns = logits.shape[2:]
    top, left = (labels.shape[1] - rows) // 2, (labels.shape[2] - columns) // 2
    return labels[:, top : top + rows, left : left + columns]


def loss_of(network: nn.Module, pictures: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of all predicted pixels."""
    logits = network(pictures)
    return F.cross_entropy(logits, middle(labels, logits))


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
        logits = network(pictures)
        truth = middle(labels, logits)
        right += int((logits.argmax(dim=1) == truth).sum())
        total += truth.numel()
    return right / total

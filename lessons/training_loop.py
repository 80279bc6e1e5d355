"""What the lesson "Training and testing" measures: the loop of ``plain_loop`` with one line left out at a time.

python -m lessons.training_loop        # train again; two minutes on two cores
"""

from __future__ import annotations

import contextlib
import math
import sys
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lessons import measured
from lessons.from_zero import batches
from lessons.measured import Measurement
from lessons.pages import in_language
from lessons.panels import Panel, strip, table
from lessons.plain_loop import middle
from lessons.plain_segnet import PlainSegNet
from lessons.short_training import cells
from unpool.data.weight_maps import Emphasis, emphasis_map
from unpool.losses.class_weights import balanced_weights, median_frequency_weights

SIDE, EPOCHS, TRAINED, RATE = 96, 10, 6, 3e-3
"""Pixels of a side, epochs, batches of an epoch, and learning rate of the measured trainings."""

LINES = ("nothing", "zero_grad", "backward", "step", "one softmax only")
"""What is left out of each measured training."""


def network() -> PlainSegNet:
    """Return the network of every measured training, with the same first weights each time."""
    torch.manual_seed(0)
    return PlainSegNet(1, 2, width=8)


def loss_after(without: str, made: list[tuple[Tensor, Tensor]]) -> list[float]:
    """Train without one line; return the mean loss of each epoch, by the right loss."""
    trained = network()
    optimiser = torch.optim.Adam(trained.parameters(), lr=RATE)
    history = []
    for _ in range(EPOCHS):
        losses = []
        for pictures, labels in made:
            if without != "zero_grad":
                optimiser.zero_grad()
            logits = trained(pictures)
            right = F.cross_entropy(logits, middle(labels, logits))
            loss = F.cross_entropy(logits.softmax(1), labels) if without == "one softmax only" else right
            if without != "backward":
                loss.backward()
            if without != "step":
                optimiser.step()
            losses.append(right.item())
        history.append(round(sum(losses) / len(losses), 3))
    return history


def loss_table() -> str:
    """Return the measured losses: a row for each line that was left out, a column for each epoch."""
    rows = measured.numbers("training_loop")["losses"]
    names = {
        "nothing": in_language("nothing: the loop as it is", "什么也不去掉：完整的循环"),
        "one softmax only": in_language(
            "nothing, but a second softmax before the loss", "什么也不去掉，但在损失之前多做一次 softmax"
        ),
    }
    head = f"| {in_language('left out', '去掉的行')} | " + " | ".join(f"{k}" for k in range(1, EPOCHS + 1)) + " |"
    lines = [head, "|---|" + "--:|" * EPOCHS]
    for name, losses in rows.items():
        text = names.get(name, f"`{name}`")
        lines.append(f"| {text} | " + " | ".join(f"{loss:.3f}" for loss in losses) + " |")
    return "\n".join(lines)


def accuracy(trained: nn.Module, made: list[tuple[Tensor, Tensor]]) -> float:
    """Return the share of pixels that are predicted rightly, in the mode that the network is in."""
    with torch.no_grad():
        right = [(trained(pictures).argmax(1) == labels).float().mean().item() for pictures, labels in made]
    return sum(right) / len(right)


def kept_bytes(*, gradients: bool) -> int:
    """Return the bytes that a forward pass of one picture of 256 x 256 keeps for the backward pass."""
    kept: dict[int, int] = {}
    module = network().train()
    own = {value.untyped_storage().data_ptr() for value in module.state_dict().values()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept.update({} if storage.data_ptr() in own else {storage.data_ptr(): storage.nbytes()})
        return tensor

    remembering = contextlib.nullcontext() if gradients else torch.no_grad()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), remembering:
        result = module(torch.zeros(1, 1, 256, 256))
    del result
    return sum(kept.values())


def guess() -> float:
    """Return the loss of two equal scores: the natural logarithm of 2."""
    return math.log(2)


def least() -> float:
    """Return the smallest cross-entropy of scores between 0 and 1, with two classes."""
    return math.log(1 + math.exp(-1))


def right(mode: str) -> str:
    """Return a measured share of right pixels as a percentage."""
    return f"{100 * measured.numbers('training_loop')['right'][mode]:.1f} %"


WEIGHT_MAP = Emphasis("separation", strength=10.0, sigma=5.0)
"""The weight map of U-Net's paper."""


def gap_weights() -> str:
    """Return the weight that the map adds in the middle of gaps of several widths, with its sum, as a table."""
    rows = []
    for gap in (2, 6, 20):
        labels = np.ones((9, gap + 8), np.uint8)
        labels[:, 4 : 4 + gap] = 0
        nearest, second = gap // 2, gap // 2 + 1
        added = float(emphasis_map(labels, None, WEIGHT_MAP)[4, 3 + nearest])
        value = 10 * math.exp(-((nearest + second) ** 2) / 50)
        assert abs(added - value) < 0.01, "the package computes the paper's formula"
        rows.append((gap, nearest, second, f"10 · exp(−({nearest} + {second})² / (2 · 5²)) = {value:.2f}"))
    head = (
        in_language("width of the gap", "缝隙宽度"),
        "d1",
        "d2",
        in_language("added to the weight", "权重加上"),
    )
    return table(head, rows)


def class_weights() -> str:
    """Return the class weights of a mask with 95 % background and 5 % cells, with their sums, as a table."""
    shares = (0.95, 0.05)
    middle_share = sum(shares) / 2
    full = median_frequency_weights([95, 5], [100, 100])
    balanced = balanced_weights(shares, cap=3)
    rows = []
    for name, share, weight, root in zip(
        (in_language("background", "背景"), in_language("cell", "细胞")), shares, full, balanced, strict=True
    ):
        bound = f" → {root:.0f}" if (middle_share / share) ** 0.5 > root else ""
        rows.append(
            (
                name,
                f"{middle_share:.2f} / {share:.2f} = {weight:.2f}",
                f"√{weight:.2f} = {(middle_share / share) ** 0.5:.2f}{bound}",
            )
        )
    return table((in_language("class", "类别"), "median-frequency", "balanced"), rows)


@cache
def weight_map() -> str:
    """Draw a made picture, its mask, and the weights that the map adds, as the package computes them."""
    shown = cells(8, seed=2)[2]
    added = emphasis_map(shown.labels, None, WEIGHT_MAP)
    most = f"{float(added.max()):.1f}"
    panels = [
        Panel("input picture", shown.image[..., 0]),
        Panel("its mask", shown.labels * np.uint8(255)),
        Panel(f"added weight: black 0, white {most}", np.round(255 * added / added.max()).astype(np.uint8)),
    ]
    words = "A picture of cells, its mask, and U-Net's weight map: the gaps between cells are bright"
    return strip("weight-map", panels, words, in_row=3, side=220)


def measure() -> Measurement:
    """Train once for each line that is left out, and test the first network in both modes."""
    made, new = list(batches(1, TRAINED, SIDE)), list(batches(99, 4, SIDE))
    losses = {}
    for name in LINES:
        losses[name] = loss_after(name, made)
        sys.stderr.write(f"without {name}: {losses[name]}\n")
    trained = network()
    optimiser = torch.optim.Adam(trained.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        for pictures, labels in made:
            optimiser.zero_grad()
            F.cross_entropy(trained(pictures), labels).backward()
            optimiser.step()
    one_by_one = [
        (picture[None], label[None])
        for pictures, labels in new
        for picture, label in zip(pictures, labels, strict=True)
    ]
    share = {
        "eval": accuracy(trained.eval(), one_by_one),
        "train, batches of 4": accuracy(trained.train(), new),
        "train, one by one": accuracy(trained.train(), one_by_one),
    }
    return Measurement({"losses": losses, "right": {name: round(value, 4) for name, value in share.items()}}, {})

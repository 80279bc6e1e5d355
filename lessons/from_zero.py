"""What the lesson "From zero" shows of the plain networks: sizes, scores, and what SegNet changes.

python -m lessons.from_zero        # train the steps again; two minutes on two cores
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lessons import measured
from lessons.measured import Measurement
from lessons.pages import HERE, in_language, part_of
from lessons.plain_loop import middle, train
from lessons.plain_unet import PlainUNet
from lessons.unet_steps import Hourglass, Neighbours, OnePixel, OneSkip
from unpool.data.synthetic import synthetic_cells
from unpool.geometry import BLOCKS, Layer, Window, receptive_field

SIDE, BATCH, TRAINED, EPOCHS, RATE = 252, 4, 6, 8, 3e-3
"""Pixels of a side, pictures of a batch, batches, epochs and learning rate of the measured trainings."""

_PAIR: Sequence[Layer] = (Window(3), Window(3))
_POOL = Window(2, 2)
_LAYERS: Sequence[Sequence[Layer]] = (
    (Window(1),),
    _PAIR,
    (*_PAIR, _POOL, *_PAIR, BLOCKS),
    (*_PAIR, _POOL, *_PAIR, BLOCKS, *_PAIR),
    (*4 * (*_PAIR, _POOL), *_PAIR, *4 * (BLOCKS, *_PAIR)),
)
"""The layers of each step that change sizes."""


def steps(width: int = 16) -> list[nn.Module]:
    """Return the networks of all steps, the whole U-Net last."""
    return [OnePixel(), Neighbours(width=width), Hourglass(width=width), OneSkip(width=width), PlainUNet(width=width)]


def pictures() -> int:
    """Return the number of pictures that the steps are trained on."""
    return TRAINED * BATCH


def step_table() -> str:
    """Return a table of the steps: output size, parameters, receptive field, and the measured score."""
    scores = measured.numbers("from_zero")["foreground_iou"]
    rows = [
        in_language(
            "| step | class | output of 252 x 252 | parameters | sees | IoU of the cells |",
            "| 步 | 类 | 252 x 252 的输出 | 参数量 | 感受野 | 细胞的 IoU |",
        ),
        "|--:|---|--:|--:|--:|--:|",
    ]
    for number, (network, layers, score) in enumerate(zip(steps(), _LAYERS, scores, strict=True), 1):
        with torch.no_grad():
            side = network(torch.zeros(1, 1, SIDE, SIDE)).shape[2]
        count = sum(parameter.numel() for parameter in network.parameters())
        field = receptive_field(layers)
        name = type(network).__name__
        rows.append(f"| {number} | `{name}` | {side} x {side} | {count:,} | {field} x {field} | {score:.3f} |")
    return "\n".join(rows)


def difference() -> str:
    """Return what changes in ``forward`` from the plain U-Net to the plain SegNet, as a block of differences."""
    programs = [(HERE / name).read_text(encoding="utf-8") for name in ("plain_unet.py", "plain_segnet.py")]
    before, after = (
        part_of(program, part).splitlines()
        for program, part in zip(programs, ("PlainUNet.forward", "PlainSegNet.forward"), strict=True)
    )
    lines = list(difflib.unified_diff(before, after, lineterm="", n=max(len(before), len(after))))[3:]
    return "```diff\n" + "\n".join(line for line in lines if '"""' not in line) + "\n```"


def counted(kernel: int, inputs: int, outputs: int) -> str:
    """Return the sum of a convolution's parameters: its weights, and a bias for each output map."""
    layer = nn.Conv2d(inputs, outputs, kernel)
    total = sum(parameter.numel() for parameter in layer.parameters())
    assert total == kernel * kernel * inputs * outputs + outputs
    return f"{kernel} · {kernel} · {inputs} · {outputs} + {outputs} = {total:,}"


def cell_width() -> int:
    """Return the mean diameter of the made cells, in pixels: of the disc with as many pixels."""
    areas = [count for made in synthetic_cells(4, 1) for count in np.bincount(made.instances.ravel())[1:]]
    return round(float(np.mean(np.sqrt(4 * np.array(areas) / np.pi))))


SCORES = (2.0, 0.0)
"""The scores of two classes at one pixel, of the worked cross-entropy."""


def cross_entropy_sums() -> str:
    """Return softmax and cross-entropy of ``SCORES`` as a table, a row for each class that may be the true one."""
    scores = torch.tensor(SCORES)
    total = " + ".join(f"e^{score:g}" for score in SCORES)
    head = in_language(
        "| class | score | its probability: softmax | cross-entropy if it is the true class |",
        "| 类别 | 分数 | 概率：softmax | 若它是真实类别，交叉熵为 |",
    )
    rows = [head, "|--:|--:|---|---|"]
    for number, (score, share) in enumerate(zip(SCORES, scores.softmax(0).tolist(), strict=True)):
        loss = F.cross_entropy(scores[None], torch.tensor([number])).item()
        rows.append(f"| {number} | {score:g} | e^{score:g} / ({total}) = {share:.3f} | −ln {share:.3f} = {loss:.3f} |")
    return "\n".join(rows)


def batches(seed: int, count: int, side: int = SIDE) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of synthetic cells: pictures float32 (4, 1, side, side), labels int64 (4, side, side)."""
    drawn = synthetic_cells(count * BATCH, seed, sizes=((side, side),))
    while chosen := [picture for _, picture in zip(range(BATCH), drawn, strict=False)]:
        pixels = np.stack([picture.image for picture in chosen]).astype(np.float32)[:, None]
        labels = np.stack([picture.instances > 0 for picture in chosen]).astype(np.int64)
        yield torch.from_numpy((pixels - pixels.mean()) / pixels.std()), torch.from_numpy(labels)


@torch.no_grad()
def foreground_iou(network: nn.Module, seed: int = 99, count: int = 3) -> float:
    """Return the intersection over union of the cells on new pictures, over all pixels together."""
    network.eval()
    both = either = 0
    for pictures, labels in batches(seed, count):
        logits = network(pictures)
        found, true = logits.argmax(dim=1) == 1, middle(labels, logits) == 1
        both += int((found & true).sum())
        either += int((found | true).sum())
    return both / max(either, 1)


def measure() -> Measurement:
    """Train every step in the same loop on the same pictures, and keep its score on new ones."""
    made = list(batches(1, TRAINED))
    scores, losses = [], []
    torch.manual_seed(0)
    for network in steps():
        history = train(network, lambda: iter(made), EPOCHS, RATE)
        scores.append(round(foreground_iou(network), 4))
        losses.append([round(loss, 4) for loss in history])
        sys.stderr.write(f"{type(network).__name__}: {scores[-1]}\n")
    return Measurement({"foreground_iou": scores, "losses": losses}, {})

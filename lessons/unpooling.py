"""What the lesson "Unpooling, deconvolution and dropout" shows: the same 4 x 4 numbers through every way up."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lessons.pages import in_language, photograph
from unpool.data.synthetic import synthetic_cells
from unpool.geometry import Transposed, Window, stored_bytes
from unpool.wording import bytes_text

NUMBERS = torch.tensor([[3.0, 1, 0, 4], [5, 2, 2, 1], [0, 1, 7, 6], [2, 8, 1, 3]])
"""The numbers of the lesson, 4 x 4."""

KERNEL = torch.tensor([[1.0, 2], [3, 4]])
"""The kernel of the up-convolution, 2 x 2."""


def grid(numbers: Tensor) -> str:
    """Return numbers (rows, columns) as a Markdown table without headings; zeros are dots."""
    rows = [[f"{value:g}" if value else "·" for value in row] for row in numbers.tolist()]
    head = "|" + " |" * len(rows[0])
    rule = "|" + "--:|" * len(rows[0])
    return "\n".join([head, rule, *(f"| {' | '.join(row)} |" for row in rows)])


def numbers() -> str:
    """Return the 4 x 4 numbers."""
    return grid(NUMBERS)


def pooled() -> tuple[Tensor, Tensor]:
    """Return the maxima of the 2 x 2 blocks, and the index that PyTorch gives for each: row times 4 plus column."""
    values, indices = F.max_pool2d(NUMBERS[None, None], 2, return_indices=True)
    return values[0, 0], indices[0, 0]


def maxima() -> str:
    """Return the 2 x 2 maxima."""
    return grid(pooled()[0])


def places() -> str:
    """Return the place of each maximum in its block: row and column in the block, as two bits, and PyTorch's index."""
    _, indices = pooled()
    lines = [
        in_language(
            "| block | row, column in the block | bits | PyTorch's index |",
            "| 小块 | 块内的行、列 | 比特 | PyTorch 的索引 |",
        ),
        "|---|---|---|--:|",
    ]
    words = (
        in_language("top left", "左上"),
        in_language("top right", "右上"),
        in_language("bottom left", "左下"),
        in_language("bottom right", "右下"),
    )
    for word, index in zip(words, indices.flatten().tolist(), strict=True):
        row, column = index // 4 % 2, index % 4 % 2
        lines.append(f"| {word} | {row}, {column} | {row}{column} | {index} |")
    return "\n".join(lines)


def unpooled() -> str:
    """Return the maxima at their places, and zeros elsewhere."""
    values, indices = pooled()
    return grid(F.max_unpool2d(values[None, None], indices[None, None], [2, 2])[0, 0])


def nearest() -> str:
    """Return each maximum four times."""
    return grid(F.interpolate(pooled()[0][None, None], scale_factor=2, mode="nearest")[0, 0])


def bilinear() -> str:
    """Return the maxima, interpolated in straight lines between their centres."""
    return grid(F.interpolate(pooled()[0][None, None], scale_factor=2, mode="bilinear", align_corners=False)[0, 0])


def transposed() -> str:
    """Return the transposed convolution of the maxima with ``KERNEL`` and stride 2: a scaled kernel for each."""
    return grid(F.conv_transpose2d(pooled()[0][None, None], KERNEL[None, None], stride=2)[0, 0])


def kernel() -> str:
    """Return the kernel of the transposed convolution."""
    return grid(KERNEL)


def _direct() -> tuple[Tensor, Tensor]:
    """Return the input with zeros between its numbers and around them, and the reversed kernel, of ``transposed``."""
    direct = Transposed(Window(len(KERNEL), 2)).direct()
    values = pooled()[0]
    stretched = torch.zeros(2 * len(values) - 1, 2 * len(values) - 1)
    stretched[::2, ::2] = values
    return F.pad(stretched, (direct.before, direct.after) * 2), KERNEL.flip(0, 1)


def stretched() -> str:
    """Return the maxima with a zero between neighbours and zeros around them, which a convolution then reads."""
    return grid(_direct()[0])


def reversed_kernel() -> str:
    """Return the kernel with its rows and its columns in the opposite order."""
    values, kernel = _direct()
    made = F.conv2d(values[None, None], kernel[None, None])
    assert torch.equal(made, F.conv_transpose2d(pooled()[0][None, None], KERNEL[None, None], stride=2))
    return grid(kernel)


def gradient_of(way: str) -> str:
    """Return the gradient that the sum of the 4 x 4 output has for each of the 2 x 2 numbers.

    Parameters
    ----------
    way: ``transposed`` or ``bilinear``.
    """
    leaf = pooled()[0].clone().requires_grad_()
    if way == "transposed":
        made = F.conv_transpose2d(leaf[None, None], KERNEL[None, None], stride=2)
    else:
        made = F.interpolate(leaf[None, None], scale_factor=2, mode="bilinear", align_corners=False)
    made.sum().backward()
    assert leaf.grad is not None
    return grid(leaf.grad)


def kernel_gradient() -> str:
    """Return the gradient that the sum of the transposed convolution has for each number of the kernel."""
    leaf = KERNEL.clone().requires_grad_()
    F.conv_transpose2d(pooled()[0][None, None], leaf[None, None], stride=2).sum().backward()
    assert leaf.grad is not None
    (value,) = set(leaf.grad.flatten().tolist())
    return f"{value:g}"


def taps(size: int, kernel_size: int) -> str:
    """Return how many products each output pixel of a transposed convolution with stride 2 sums: a checkerboard or not.

    Parameters
    ----------
    size: input pixels along each axis.
    """
    ones = torch.ones(1, 1, size, size)
    padding = (kernel_size - 1) // 2
    return grid(F.conv_transpose2d(ones, torch.ones(1, 1, kernel_size, kernel_size), stride=2, padding=padding)[0, 0])


def gradient_of_pooling() -> str:
    """Return the gradient that the sum of the maxima has for each of the 4 x 4 numbers."""
    leaf = NUMBERS.clone().requires_grad_()
    F.max_pool2d(leaf[None, None], 2).sum().backward()
    assert leaf.grad is not None
    return grid(leaf.grad)


def memory(channels: int, rows: int, columns: int) -> str:
    """Return what a skip connection keeps for one picture: 2 bits a place, 64 bits a place, or the maps themselves.

    Parameters
    ----------
    rows, columns: of the maps before pooling; a place is kept for each 2 x 2 block.
    """
    blocks = (-(-rows // 2), -(-columns // 2))
    head = in_language(
        "| kept for the decoder | bits each | numbers | in all |", "| 为解码器保存 | 每个数的比特数 | 个数 | 总量 |"
    )
    lines = [head, "|---|--:|--:|--:|"]
    index = "`nn.MaxPool2d(return_indices=True)`"
    for name, bits, pixels in (
        (in_language("places, as Unpool keeps them", "位置，Unpool 的存法"), 2, blocks),
        (in_language(f"places, as {index}", f"位置，{index}"), 64, blocks),
        (in_language("feature maps (U-Net), float32", "特征图（U-Net），float32"), 32, (rows, columns)),
    ):
        count = channels * pixels[0] * pixels[1]
        lines.append(f"| {name} | {bits} | {count:,} | {bytes_text(stored_bytes(channels, pixels, bits))} |")
    return "\n".join(lines)


def four_ways_up() -> str:
    """Draw a picture that is pooled twice and brought back by three ways, without any learning."""
    picture = next(iter(synthetic_cells(1, seed=5, sizes=((96, 96),)))).image
    image = torch.from_numpy(picture.astype(np.float32))[None, None]
    first, one = F.max_pool2d(image, 2, return_indices=True)
    second, two = F.max_pool2d(first, 2, return_indices=True)
    placed = F.max_unpool2d(F.max_unpool2d(second, two, [2, 2]), one, [2, 2])
    repeated = F.interpolate(second, scale_factor=4, mode="nearest")
    smooth = F.interpolate(second, scale_factor=4, mode="bilinear", align_corners=False)
    shown = [_enlarged(each) for each in (image, second, placed, repeated, smooth)]
    gap = np.full((shown[0].shape[0], 8), 255, np.uint8)
    sheet = np.concatenate([part for each in shown for part in (each, gap)][:-1], axis=1)
    words = in_language(
        "input; pooled twice; unpooled; nearest; bilinear", "输入；池化两次；反池化；最近邻插值；双线性插值"
    )
    return photograph("four-ways-up", sheet, words)


def _enlarged(image: Tensor, side: int = 192) -> NDArray[np.uint8]:
    factor = side // image.shape[2]
    pixels = image[0, 0].numpy().astype(np.uint8)
    return np.kron(pixels, np.ones((factor, factor), np.uint8))


def dropped(seed: int, *, training: bool = True) -> str:
    """Return the 4 x 4 numbers after dropout with p = 0.5: in training some are 0 and the others doubled."""
    torch.manual_seed(seed)
    return grid(F.dropout(NUMBERS, 0.5, training))


def mean_of_samples(count: int) -> str:
    """Return the mean of many dropout samples of the 4 x 4 numbers: it comes near the numbers themselves."""
    torch.manual_seed(0)
    total = sum((F.dropout(NUMBERS, 0.5, training=True) for _ in range(count)), torch.zeros(4, 4))
    return grid((total / count * 10).round() / 10)

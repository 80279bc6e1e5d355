"""What the lesson "Figure 1 and Figure 2 in words" shows: the maps of the plain networks, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lessons.pages import in_language
from lessons.plain_segnet import PlainSegNet
from lessons.plain_unet import PlainUNet


class Maps(NamedTuple):
    """Feature maps at the end of a module: their number, rows and columns."""

    maps: int
    rows: int
    columns: int

    def __str__(self) -> str:
        return f"{self.maps} x {self.rows} x {self.columns}"


def maps_of(network: nn.Module, size: tuple[int, int], channels: int) -> dict[str, Maps]:
    """Return the maps that every module of a network gives for a picture, by module name; nothing is computed."""
    found: dict[str, Maps] = {}
    network = network.to("meta")
    for name, module in network.named_modules():

        def note(_: nn.Module, __: object, out: Tensor | tuple[Tensor, ...], name: str = name) -> None:
            maps = out[0] if isinstance(out, tuple) else out
            found[name] = Maps(*maps.shape[1:])

        module.register_forward_hook(note)
    network(torch.empty(1, channels, *size, device="meta"))
    return found


def unet_stages() -> str:
    """Return the boxes of U-Net's figure 1 as a table: each stage down and, beside it, the same stage up."""
    maps = maps_of(PlainUNet(), (572, 572), 1)
    lines = [
        in_language(
            "| stage | left: after 1st, 2nd convolution | across: cut to "
            "| right: after up-convolution, joined, 1st, 2nd |",
            "| 级 | 左侧：第 1、2 个卷积之后 | 横向：裁剪到 | 右侧：上卷积、拼接、第 1、2 个卷积之后 |",
        )
    ]
    lines.append("|--:|---|---|---|")
    for stage in range(4):
        left = [maps[f"down.{stage}.{layer}"] for layer in (0, 2)]
        up, right = maps[f"up.{3 - stage}"], [maps[f"joined.{3 - stage}.{layer}"] for layer in (0, 2)]
        across = Maps(left[1].maps, up.rows, up.columns)
        joined = Maps(left[1].maps + up.maps, up.rows, up.columns)
        lines.append(f"| {stage + 1} | {_row(left)} | {across} | {_row([up, joined, *right])} |")
    bottom = [maps[f"bottom.{layer}"] for layer in (0, 2)]
    lines.append(f"| {in_language('5, the bottom', '5，底部')} | {_row(bottom)} | | |")
    return "\n".join(lines)


def segnet_stages() -> str:
    """Return the blocks of SegNet's figure 2 as a table: the convolutions and the size of each stage, both ways."""
    network = PlainSegNet()
    counts = [[_convolutions(stage) for stage in side] for side in (network.down, network.joined)]
    maps = maps_of(network, (360, 480), 3)
    lines = [
        in_language(
            "| stage | encoder: convolutions, maps | decoder: convolutions, maps |",
            "| 级 | 编码器：卷积数，特征图 | 解码器：卷积数，特征图 |",
        ),
        "|--:|---|---|",
    ]
    for stage in range(5):
        words = [
            f"{count}, {maps[name]}"
            for count, name in (
                (counts[0][stage], f"down.{stage}"),
                (counts[1][4 - stage], f"joined.{4 - stage}"),
            )
        ]
        lines.append(f"| {stage + 1} | {' | '.join(words)} |")
    return "\n".join(lines)


def convolution_count(kind: str) -> int:
    """Return the number of convolutions of the plain ``unet`` or ``segnet``, transposed ones included."""
    network = {"unet": PlainUNet, "segnet": PlainSegNet}[kind](width=1)
    return sum(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules())


def _convolutions(stage: nn.Module) -> int:
    return sum(isinstance(module, nn.Conv2d) for module in stage.modules())


def _row(maps: Sequence[Maps]) -> str:
    return ", ".join(map(str, maps))

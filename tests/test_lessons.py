"""Tests of the lessons: the plain networks are those of the package, the plain loop trains, the pages are computed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from lessons import pages, plain_loop
from lessons.plain_loop import loss_of, train
from lessons.plain_segnet import PlainSegNet
from lessons.plain_unet import PlainUNet
from torch import Tensor, nn

from unpool.class_table import IGNORE_ID
from unpool.nets.families import network_of
from unpool.nets.named import SEGNET, UNET_2015, changed

ROOT = Path(__file__).parents[1]


def in_our_order(name: str) -> tuple[int, int, int]:
    """Return where a tensor of a plain network stands in ours, whose decoder has each stage in one piece."""
    room, stage, *_ = name.split(".")
    group = {"down": 0, "bottom": 1, "up": 2, "joined": 2, "head": 3}[room]
    return group, int(stage) if group in (0, 2) else 0, int(room == "joined")


def copied(plain: nn.Module, ours: nn.Module) -> None:
    """Give the plain network the weights and statistics of ours, in order."""
    names, theirs = sorted(plain.state_dict(), key=in_our_order), list(ours.state_dict().values())
    assert [plain.state_dict()[name].shape for name in names] == [value.shape for value in theirs]
    plain.load_state_dict(dict(zip(names, theirs, strict=True)))


@pytest.mark.parametrize(
    ("plain", "structure", "channels", "size"),
    [
        (PlainUNet(1, 2, 4), changed(UNET_2015, width=4), 1, (204, 236)),
        (PlainSegNet(3, 5, 4), changed(SEGNET, width=4), 3, (45, 52)),
    ],
)
def test_the_plain_networks_are_those_of_the_package(
    plain: nn.Module, structure: object, channels: int, size: tuple[int, int]
) -> None:
    ours = network_of(structure, channels, 2 if channels == 1 else 5)  # type: ignore[arg-type]
    copied(plain, ours)
    picture = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0))
    for mode in (False, True):
        plain.train(mode)
        ours.train(mode)
        torch.manual_seed(3)  # the same dropout
        mine = plain(picture)
        torch.manual_seed(3)
        torch.testing.assert_close(mine, ours(picture), rtol=1e-4, atol=1e-5)


def test_the_papers_sizes_and_parameters() -> None:
    with torch.device("meta"):
        unet, segnet = PlainUNet(), PlainSegNet()
        assert unet(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)
    ours = network_of(UNET_2015, 1, 2)
    assert sum(p.numel() for p in unet.parameters()) == sum(p.numel() for p in ours.parameters()) == 31_030_658
    theirs = network_of(SEGNET, 3, 11)
    assert sum(p.numel() for p in segnet.parameters()) == sum(p.numel() for p in theirs.parameters())


def discs() -> Iterator[tuple[Tensor, Tensor]]:
    """Yield two batches of bright discs on noise, always the same."""
    random = np.random.default_rng(0)
    for _ in range(2):
        centre = random.uniform(70, 130, (2, 2))
        grid = np.indices((204, 204))
        labels = np.stack([((grid - c[:, None, None]) ** 2).sum(0) < 30**2 for c in centre])
        pictures = labels + random.normal(0, 0.5, labels.shape)
        yield torch.tensor(pictures[:, None], dtype=torch.float32), torch.tensor(labels, dtype=torch.int64)


@pytest.mark.parametrize("network", [PlainUNet(1, 2, 4), PlainSegNet(1, 2, 4)])
def test_the_plain_loop_trains_both_without_a_change(network: nn.Module) -> None:
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.reset_parameters()
    before = plain_loop.test(network, discs)
    losses = train(network, discs, epochs=8, learning_rate=3e-3)
    assert losses[-1] < 0.9 * losses[0]
    assert plain_loop.test(network, discs) >= before


def test_the_loss_counts_the_predicted_pixels_only() -> None:
    labels = torch.zeros(1, 204, 204, dtype=torch.int64)
    labels[:, :90] = IGNORE_ID  # cross-entropy would refuse this class; 92 rows above are not predicted
    assert torch.isfinite(loss_of(PlainUNet(1, 2, 2), torch.zeros(1, 1, 204, 204), labels))


def test_the_pages_are_what_the_code_computes() -> None:
    wrong = [path for path in pages.pages() if pages.computed(text := path.read_text()) != text]
    assert not wrong, f"run python -m lessons.pages: {wrong}"


def test_each_lesson_computes_the_same_in_both_languages() -> None:
    texts = [path for room in ("lessons", "symptoms") for path in (ROOT / "docs" / room).glob("*.md")]
    english = [path for path in texts if not path.name.endswith(".zh.md")]
    assert english
    for path in english:
        chinese = path.with_name(f"{path.stem}.zh.md")
        assert chinese.is_file(), f"{path.name} has no Chinese page"
        assert pages.parts(path.read_text()) == pages.parts(chinese.read_text()), path.name
        pictures = [re.findall(r"!\[[^]]*\]\(([^)]*)\)", each.read_text()) for each in (path, chinese)]
        assert pictures[0] == pictures[1], path.name


def test_files_that_pages_name_exist() -> None:
    for path in [each for room in ("lessons", "symptoms") for each in (ROOT / "docs" / room).glob("*.md")]:
        for name in re.findall(r"`(src/unpool/[\w/.]+)`", path.read_text()):
            assert (ROOT / name).exists(), f"{path.name} names {name}"

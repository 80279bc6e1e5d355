"""A named network and a block, added by the steps of docs/extending.md."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
from torch import Tensor, nn

import tiny
from unpool.config.settings import resolve
from unpool.nets import blocks, encoder_decoder
from unpool.nets.encoder_decoder import EncoderDecoder
from unpool.nets.explain.explanation import explain
from unpool.nets.named import NAMED_NETS, UNET, UNET_PICTURE, NamedNet, build, changed, named_net
from unpool.nets.network import Network
from unpool.nets.structure import Structure
from unpool.prediction.predictor import Predictor
from unpool.segmenter import Segmenter
from unpool.training.loop import fit
from unpool.training.records import Budget


def trained(network: Network) -> Segmenter:
    """A segmenter of a network after one epoch."""
    drawn = tiny.segmenter()
    model = Segmenter("tiny", network, drawn.normalisation, drawn.classes)
    data = tiny.samples(3)
    list(fit(model, tiny.setup(model, data, data[:1], budget=Budget(epochs=1))))
    network.eval()
    return model


def test_a_named_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry of the table."""
    small = NamedNet("small", changed(UNET, width=4, depth=2), "a small U-Net", "none", (), UNET_PICTURE)
    monkeypatch.setitem(NAMED_NETS, "small", small)
    assert resolve({"net": "small"}).structure == small.structure
    assert explain(build("small", 1, 2), (32, 32), "small").output == (32, 32)
    predictor = Predictor(trained(build("small", 1, 2)), tiny.CPU)
    assert predictor.predict(tiny.samples(1)[0].image, "p").prediction.shape == (48, 56)
    assert named_net("small") is small


class Doubled(nn.Module):
    """Convolutions whose output is added to itself."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, maps: Tensor) -> Tensor:
        return 2 * self.inner(maps)


def test_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of the field ``block``, and a module with a branch in ``blocks.convolutions``."""

    class WithDoubled(Structure):
        block: Literal["plain", "residual", "doubled"] = "doubled"  # type: ignore[assignment]

    plain = blocks.convolutions

    def convolutions(structure: Any, channels: int, widths: Sequence[int], **how: Any) -> nn.Module:
        made = plain(structure, channels, widths, **how)
        return Doubled(made) if structure.block == "doubled" else made

    monkeypatch.setattr(encoder_decoder, "convolutions", convolutions)
    structure = WithDoubled(width=4, depth=2)
    network = EncoderDecoder(structure, 1, 2).eval()
    assert sum(isinstance(module, Doubled) for module in network.modules()) == 5
    model = trained(network)
    image = np.random.default_rng(0).integers(0, 255, (150, 170, 1), dtype=np.uint8)
    whole = Predictor(model, tiny.CPU).probabilities(image, "p")
    tiles = Predictor(model, tiny.CPU, (64, 64)).probabilities(image, "p")
    np.testing.assert_allclose(tiles, whole, atol=1e-5)

"""A family of networks that the package does not know: one structure, one module, its words, one line in the table."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

import tiny
from unpool.checkpoint.models import load_model, save_model
from unpool.commands.explain import explain
from unpool.config.settings import resolve
from unpool.geometry import Border
from unpool.nets.explain.records import Explanation, LayerPart, LayerPlace
from unpool.nets.explain.words import Choices, NetworkWords, PaddingRow
from unpool.nets.families import FAMILIES, Family, network_of, structure_of
from unpool.nets.inference.folding import folded
from unpool.nets.inference.streaming import streamed
from unpool.nets.named import NAMED_NETS, NamedNet, PictureShape
from unpool.nets.network import InputSize, Network, NetworkStructure, SizeRule
from unpool.segmenter import Segmenter


class PlainStructure(NetworkStructure):
    """Convolutions in a row, at the picture's size."""

    kind: Literal["plain"] = "plain"
    width: int = 4
    depth: int = 3
    norm: Literal["none", "batch"] = "batch"

    @property
    def stride(self) -> int:
        return 1

    @property
    def detail(self) -> int:
        return 1

    @property
    def halo(self) -> Border:
        return Border(self.depth, self.depth)

    @property
    def skip_origins(self) -> dict[int, str]:
        return {}

    def output_size(self, size: int) -> int | None:
        return size if size > 0 else None


class PlainNetwork(Network):
    structure: PlainStructure

    def __init__(self, structure: PlainStructure, in_channels: int, classes: int) -> None:
        super().__init__(structure, in_channels, classes)
        layers: list[nn.Module] = []
        for channels in [in_channels] + [structure.width] * (structure.depth - 1):
            layers += [nn.Conv2d(channels, structure.width, 3, padding=1), nn.BatchNorm2d(structure.width), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Conv2d(structure.width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        self.require_input(image)
        logits: Tensor = self.head(self.layers(image))
        return logits

    def place_of(self, path: str) -> LayerPlace:
        return LayerPlace("head" if path == "head" else "encoder", 1)

    def paper_name(self, path: str, part: LayerPart, index: int = 0) -> str:
        return path


class PlainWords(NetworkWords[PlainStructure]):
    def choices(self) -> Choices:
        return Choices(*["plain"] * 9)

    def encoder(self, facts: Explanation) -> str:
        return f"{self.structure.depth} plain convolutions."

    def decoder(self, facts: Explanation) -> str:
        return "None."

    def skips(self, facts: Explanation) -> str:
        return "None."

    def skip_notes(self) -> tuple[str, ...]:
        return ()

    def padding(self) -> str:
        return "Zeros."

    def padding_rows(self, size: int) -> list[PaddingRow]:
        return [PaddingRow("same", str(size), str(size), "0")]


@pytest.fixture(autouse=True)
def _plain_family(monkeypatch: pytest.MonkeyPatch) -> None:
    net = NamedNet("plain", PlainStructure(), "plain", "nobody", ("none",), PictureShape((20, 30), 2, 3))
    monkeypatch.setitem(FAMILIES, "plain", Family(PlainStructure, PlainNetwork, PlainWords))
    monkeypatch.setitem(NAMED_NETS, "plain", net)


def test_it_is_built_and_read_back() -> None:
    structure = PlainStructure(width=8)
    assert structure_of(structure.model_dump(mode="json")) == structure
    assert isinstance(network_of(structure, 1, 2), PlainNetwork)
    config = resolve({"net": "plain", "structure": {"depth": 2}})
    assert config.structure == PlainStructure(depth=2)
    assert resolve(config.model_dump(mode="json")) == config


def test_it_answers_for_its_sizes() -> None:
    structure = PlainStructure()
    assert (structure.legal_size(7), structure.input_for(7), structure.nearest_legal_sizes(7)) == (
        7, InputSize(7, 0), (7,),
    )  # fmt: skip
    assert structure.size_rule() == SizeRule(1, 1, 0)


def test_it_is_explained_beside_another() -> None:
    assert "3 plain convolutions." in explain("plain").text
    assert explain("plain").data["receptive_field"] == 7
    assert "plain: on a picture of 20 x 30 with 2 channels, 3 classes" in explain("plain", "unet").text


@torch.inference_mode()
def test_it_is_saved_folded_and_run_by_rows(tmp_path: Path) -> None:
    known = tiny.segmenter()
    network = network_of(PlainStructure(), 1, 2).eval()
    save_model(tmp_path / "model.safetensors", Segmenter("plain", network, known.normalisation, known.classes), {})
    restored = load_model(tmp_path / "model.safetensors").segmenter.network
    image = torch.randn(1, 1, 33, 21)
    logits = restored(image)
    assert torch.equal(logits, network(image))
    torch.testing.assert_close(folded(restored)(image), logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.cat(list(streamed(restored, image, 8)), 2), logits, rtol=0, atol=1e-5)


def test_a_kind_of_no_family_is_refused() -> None:
    with pytest.raises(ValueError, match="kind 'odd' is not one of encoder-decoder, fcn, ensemble, plain"):
        structure_of({"kind": "odd"})
    with pytest.raises(ValidationError):
        structure_of({"kind": "plain", "depth": "deep"})

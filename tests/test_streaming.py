"""By rows a network answers what it answers at once, and holds little."""

import gc
import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tiny
from test_nets import STEMMED, awake, every_net, points, slim, stemmed
from unpool.class_table import ClassTable
from unpool.convolution.operation import convolve
from unpool.machine.device import Machine
from unpool.nets.families import network_of
from unpool.nets.inference.folding import folded
from unpool.nets.inference.row_memory import most_row_bytes
from unpool.nets.inference.streaming import streamed
from unpool.nets.named import named_net
from unpool.nets.network import Network, NetworkStructure
from unpool.nets.structure import Structure
from unpool.normalisation import ChannelConstants, Normalisation
from unpool.prediction.averaging import Averaging
from unpool.prediction.memory import window_memory
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import PROBABILITIES
from unpool.segmenter import Segmenter


def lively(structure: NetworkStructure, channels: int = 2) -> Network:
    """A network in evaluation mode, with running statistics and biases that are not 0."""
    torch.manual_seed(0)
    network = awake(network_of(structure, channels, 3)).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.2)
                module.running_var.uniform_(0.5, 2)
                module.bias.normal_(std=0.2)
            elif getattr(module, "bias", None) is not None:
                module.bias.normal_(std=0.2)
    return network.to(memory_format=torch.channels_last)


def picture(structure: NetworkStructure, rows: int, columns: int) -> Tensor:
    size = [structure.legal_size(side) for side in (rows, columns)]
    generator = torch.Generator().manual_seed(rows)
    return torch.randn(1, 2, *size, generator=generator).to(memory_format=torch.channels_last)


@torch.inference_mode()
def same_by_rows(structure: NetworkStructure, rows: int, columns: int, dice: random.Random) -> None:
    network, image = lively(structure), picture(structure, rows, columns)
    whole = network(image)
    first = dice.randrange(whole.shape[2])
    some = slice(first, dice.randint(first + 1, whole.shape[2]))
    for at_once in (1, 5, structure.stride, 3 * structure.stride, 10_000):
        for wanted, prepare in ((None, None), (some, None), (some, torch.clone)):
            parts = list(streamed(network, image, at_once, wanted, prepare))
            assert all(part.shape[2] <= at_once for part in parts)
            asked = whole if wanted is None else whole[:, :, wanted]
            torch.testing.assert_close(torch.cat(parts, 2), asked, rtol=0, atol=1e-5 * float(whole.abs().max()))


@every_net
def test_every_net_by_rows_is_itself(name: str) -> None:
    structure = slim(named_net(name).structure)
    same_by_rows(structure, 250 if "fcn" in name else 150, 60, random.Random(0))


LOCAL = [structure for structure in points() if not structure.looks_at_everything]
"""Points of the space whose layers see parts of their maps."""


@pytest.mark.parametrize("number", range(0, len(LOCAL), 3))
def test_points_of_the_space_by_rows_are_themselves(number: int) -> None:
    structure, dice = LOCAL[number], random.Random(number)
    same_by_rows(structure, dice.randint(50, 130), dice.randint(20, 60), dice)


@pytest.mark.parametrize("name", STEMMED)
def test_a_stem_by_rows_is_itself(name: str) -> None:
    structure = slim(stemmed(named_net(name).structure))
    same_by_rows(structure, 260, 60, random.Random(1))


def test_what_looks_at_whole_maps_is_not_taken_by_rows() -> None:
    network = lively(Structure(width=8, depth=2, norm="group"))
    with pytest.raises(TypeError, match="group_norm"):
        next(streamed(network, picture(network.structure, 64, 64), 8))


@every_net
def test_taller_pictures_hold_no_more(name: str) -> None:
    structure = slim(named_net(name).structure)
    network, columns = lively(structure), structure.legal_size(64)
    held = {
        (rows, at_once): most_row_bytes(network, 2, (structure.legal_size(rows), columns), at_once)
        for rows, at_once in ((3000, structure.stride), (6000, structure.stride), (3000, 3000))
    }
    assert held[6000, structure.stride] == pytest.approx(held[3000, structure.stride], rel=0.01)
    assert held[3000, structure.stride] < held[3000, 3000] / 4


@torch.inference_mode()
def test_what_is_held_is_what_tensors_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the storages of all tensors there are after each convolution."""
    structure = Structure(width=8, depth=3, norm="none")
    network, image = lively(structure), picture(structure, 400, 96)
    before, most = _storages(), 0

    def watched(*given: object) -> Tensor:
        nonlocal most
        made: Tensor = convolve(*given)  # type: ignore[arg-type]
        most = max(most, sum(size for place, size in _storages().items() if place not in before))
        return made

    monkeypatch.setattr("unpool.nets.inference.streaming.convolve", watched)
    for _ in streamed(network, image, 16):
        pass
    assert most == pytest.approx(most_row_bytes(network, 2, (image.shape[2], image.shape[3]), 16), rel=0.15)


def _storages() -> dict[int, int]:
    """Place and bytes of the memory of all tensors there are."""
    storages = [each.untyped_storage() for each in gc.get_objects() if type(each) is Tensor]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


@every_net
def test_folding_is_rounding(name: str) -> None:
    folds(slim(named_net(name).structure))


@pytest.mark.parametrize("name", STEMMED)
def test_folding_into_a_stem_is_rounding(name: str) -> None:
    folds(slim(stemmed(named_net(name).structure)))


@torch.inference_mode()
def folds(structure: NetworkStructure) -> None:
    structure = type(structure)(**{**structure.model_dump(), "norm": "batch"})
    network, image = lively(structure), picture(structure, 96, 64)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    whole, light = network(image), folded(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in light.modules())
    torch.testing.assert_close(light(image), whole, rtol=0, atol=1e-5 * float(whole.abs().max()))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    rounded = folded(network, torch.bfloat16)
    kinds = {module.weight.dtype for module in rounded.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)}
    assert kinds == {torch.bfloat16}
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("net", list(tiny.STRUCTURES))
def test_prediction_goes_by_rows_and_gives_the_same(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.segmenter(net)
    image = np.random.default_rng(0).integers(0, 256, (130, 90, 1), dtype=np.uint8)
    whole = Predictor(model, tiny.CPU).probabilities(image, "p")
    monkeypatch.setattr(Machine, "rows_at_once", lambda *_: 8)
    parts = list(Predictor(model, tiny.CPU).tiles(image, "p"))
    assert [(part.rows.start, part.rows.stop) for part in parts] == [
        (top, min(top + 8, 130)) for top in range(0, 130, 8)
    ]
    for tile, averaging in itertools.product((1024, 48), (Averaging(), Averaging("d4"))):
        found = Predictor(model, tiny.CPU, (tile, tile), averaging).predict(image, "p", PROBABILITIES).probabilities
        assert found is not None
        if averaging.tta == "none":
            np.testing.assert_allclose(found, whole, atol=2e-6)
        else:
            assert found.sum(0) == pytest.approx(1, abs=1e-5)


def test_a_wide_picture_by_fcn_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first convolution has rows that read zeros alone, where fewer are computed at a time than it pads."""
    structure = slim(named_net("fcn-8s").structure)
    table = ClassTable("values", ("a", "b", "c"), ((0,), (1,), (2,)), (), ((0, 0, 0), (9, 9, 9), (99, 9, 9)))
    constants = Normalisation(2, {"uint8": ChannelConstants((60.0, 60.0), (50.0, 50.0))})
    model = Segmenter("fcn-8s", lively(structure), constants, table)
    image = np.random.default_rng(0).integers(0, 256, (200, 90, 2), dtype=np.uint8)
    whole = Predictor(model, replace(tiny.CPU, by_rows=False)).probabilities(image, "p")
    monkeypatch.setattr(Machine, "rows_at_once", lambda *_: 32)
    np.testing.assert_allclose(Predictor(model, tiny.CPU).probabilities(image, "p"), whole, atol=2e-6)


@torch.inference_mode()
def test_a_deep_network_is_not_too_deep() -> None:
    structure = Structure(width=2, growth=1, depth=8, encoder_convolutions=16, decoder_convolutions=16, norm="none")
    network, image = lively(structure), picture(structure, 256, 256)
    parts = torch.cat(list(streamed(network, image, 256)), 2)
    torch.testing.assert_close(parts, network(image), rtol=0, atol=1e-5)


def test_a_folded_network_may_be_moved_alone() -> None:
    network = lively(Structure(width=8, depth=2))
    before = {name: parameter.data_ptr() for name, parameter in network.named_parameters()}
    folded(network).to(torch.float64)
    assert {name: parameter.data_ptr() for name, parameter in network.named_parameters()} == before
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("net", list(tiny.STRUCTURES))
def test_the_plan_knows_what_rows_take(net: str) -> None:
    model = Predictor(tiny.segmenter(net), tiny.CPU)
    held = window_memory(model.network, tiny.CPU)
    for rows, columns in ((2000, 700), (3000, 3000), (900, 9000)):
        at_once = tiny.CPU.rows_at_once(columns, model.network.structure.stride)
        size = (model.network.structure.legal_size(rows), model.network.structure.legal_size(columns))
        most = most_row_bytes(model.network, 1, size, at_once)
        assert most <= held.of(*size) - held.fixed <= 2.2 * most


def test_nothing_is_held_afterwards() -> None:
    """Steps and maps refer to each other; their rows do not wait for the collection of garbage."""
    structure = Structure(width=8, depth=3)
    network, image = lively(structure), picture(structure, 400, 96)
    gc.collect()
    gc.disable()
    try:
        before = set(_storages())
        with torch.inference_mode():
            for _ in streamed(network, image, 16):
                pass
            unfinished = streamed(network, image, 16)
            next(unfinished)
            unfinished.close()
            del _, unfinished
        left = [size for place, size in _storages().items() if place not in before]
        assert sum(left) < 1000  # biases, which are the network's
    finally:
        gc.enable()

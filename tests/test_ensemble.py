"""An ensemble answers the mean of its members' probabilities: whole, in tiles, by rows, folded and explained."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import tiny
from test_nets import slim
from test_prediction import picture
from test_streaming import lively, same_by_rows
from unpool.class_table import ClassTable
from unpool.commands.ensemble.joining import join_segmenters
from unpool.errors import UsageError
from unpool.machine.device import Machine
from unpool.nets.ensemble import Ensemble, EnsembleStructure
from unpool.nets.explain.explanation import explain
from unpool.nets.families import network_of, structure_of, words_of
from unpool.nets.inference.folding import folded
from unpool.nets.named import named_net
from unpool.nets.network import NetworkStructure, SizeRule
from unpool.nets.structure import Structure
from unpool.normalisation import ChannelConstants, Normalisation
from unpool.prediction.averaging import Averaging
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import UNCERTAINTY
from unpool.segmenter import Segmenter

THREE = ClassTable(
    "values", ("ground", "cell", "edge"), ((0,), (1,), (2,)), (), ((0, 0, 0), (240, 60, 60), (60, 240, 60))
)
UNET = Structure(width=4, depth=2)
SEGNET = slim(named_net("segnet-basic").structure)
FCN = slim(named_net("fcn-8s").structure)
GROUPS = Structure(width=8, depth=2, norm="group")
VALID = Structure(width=4, depth=2, padding="valid")
ADDED = Structure(width=2, depth=3, up="bilinear", skip="add", norm="none")
ENSEMBLES = {
    "mixed": (UNET, SEGNET, ADDED),
    "equal": (UNET, UNET),
    "valid": (VALID, VALID, VALID),
    "fcn": (FCN, ADDED),
}
every_ensemble = pytest.mark.parametrize("members", ENSEMBLES.values(), ids=ENSEMBLES)


def member(structure: NetworkStructure, number: int) -> Segmenter:
    """A member with weights and with constants of normalisation that no other number has."""
    network = lively(structure, 1)
    torch.manual_seed(number)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1 + 0.3 * torch.randn(()))
    constants = ChannelConstants((60.0 + 20 * number,), (50.0 + 9 * number,))
    return Segmenter(f"net{number}", network, Normalisation(1, {"uint8": constants}), THREE)


def members_of(*structures: NetworkStructure) -> dict[str, Segmenter]:
    return {f"m{number}": member(structure, number) for number, structure in enumerate(structures)}


def mean_of_members(members: dict[str, Segmenter], image: np.ndarray, **how: Any) -> np.ndarray:
    each = [Predictor(model, **{"machine": tiny.CPU, **how}).probabilities(image, "p") for model in members.values()]
    assert np.abs(each[0] - each[1]).max() > 0.01
    return np.mean(each, axis=0, dtype=np.float64)


@every_ensemble
def test_probabilities_are_the_mean_of_the_members(members: tuple[Structure, ...]) -> None:
    known = members_of(*members)
    joined, image = join_segmenters(known), picture(96, 136)
    wanted = mean_of_members(known, image)
    for tile in (32, 45, 1024):
        found = Predictor(joined, tiny.CPU, (tile, tile)).probabilities(image, "p")
        np.testing.assert_allclose(found, wanted, atol=2e-6)


@every_ensemble
def test_tiles_of_any_size_are_the_picture_in_one_piece(members: tuple[Structure, ...]) -> None:
    joined, image = join_segmenters(members_of(*members)), picture(97, 131)
    whole = Predictor(joined, tiny.CPU).probabilities(image, "p")
    for tile in (32, 45):
        found = Predictor(joined, tiny.CPU, (tile, tile)).probabilities(image, "p")
        np.testing.assert_allclose(found, whole, atol=2e-6)


@every_ensemble
def test_large_windows_by_rows_are_the_mean_too(
    members: tuple[Structure, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = members_of(*members)
    joined, image = join_segmenters(known), picture(152, 64)
    wanted = mean_of_members(known, image)
    monkeypatch.setattr(Machine, "rows_at_once", lambda self, columns, stride: stride)
    found = list(Predictor(joined, tiny.CPU).tiles(image, "p"))
    assert len(found) > 3
    np.testing.assert_allclose(torch.cat([part.logits.softmax(0) for part in found], 1), wanted, atol=2e-6)


@every_ensemble
def test_by_rows_it_is_itself(members: tuple[Structure, ...]) -> None:
    same_by_rows(EnsembleStructure(members=members), 150, 60, random.Random(0))


def test_with_a_member_that_looks_at_everything_tiles_are_blended() -> None:
    known = members_of(GROUPS, UNET)
    joined, image = join_segmenters(known), picture(80, 90)
    predictor = Predictor(joined, tiny.CPU, (48, 48))
    assert predictor.blends((80, 90))
    assert not predictor.by_rows
    np.testing.assert_allclose(
        predictor.at_once((80, 90)).probabilities(image, "p"), mean_of_members(known, image), atol=2e-6
    )
    np.testing.assert_allclose(
        predictor.probabilities(image, "p"), mean_of_members(known, image, tile=(48, 48)), atol=2e-6
    )


def test_the_mean_over_orientations_and_in_bfloat16() -> None:
    known = members_of(UNET, ADDED)
    joined, image = join_segmenters(known), picture(48, 40)
    wanted = mean_of_members(known, image, averaging=Averaging("flips"))
    found = Predictor(joined, tiny.CPU, averaging=Averaging("flips")).probabilities(image, "p")
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    reduced = Machine(torch.device("cpu"), reduced=True)
    rounded = Predictor(joined, reduced).probabilities(image, "p")
    np.testing.assert_allclose(rounded, mean_of_members(known, image, machine=reduced), atol=0.01)
    np.testing.assert_allclose(rounded.sum(0), 1, atol=1e-6)


def test_members_that_disagree_are_uncertain() -> None:
    known = members_of(UNET, UNET)
    sure = [each.network for each in known.values()]
    for number, network in enumerate(sure):
        torch.nn.init.zeros_(network.head.weight)
        network.head.bias.data = torch.eye(3)[number] * 500
    found = Predictor(join_segmenters(known), tiny.CPU).predict(picture(20, 20), "p", UNCERTAINTY)
    np.testing.assert_allclose(found.uncertainty, 0.5, atol=1e-6)


@torch.inference_mode()
def test_its_logits_are_logarithms_of_probabilities() -> None:
    logits = join_segmenters(members_of(UNET, SEGNET, FCN)).network(torch.randn(2, 1, 16, 20))
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(2, 16, 20), rtol=0, atol=1e-5)


def test_dropout_is_sampled_in_all_members_at_once() -> None:
    drops = Structure(width=4, depth=2, dropout_after=("bottom", "decoder1"))
    joined, image = join_segmenters(members_of(drops, drops)), picture(20, 20)
    found = Predictor(joined, tiny.CPU, averaging=Averaging(samples=3)).predict(image, "p", UNCERTAINTY)
    assert found.uncertainty.shape == (3, 20, 20)
    assert found.uncertainty.max() > 0


@torch.inference_mode()
def test_every_batch_normalisation_is_folded() -> None:
    network = join_segmenters(
        members_of(UNET, slim(named_net("fcn-8s").structure).model_copy(update={"norm": "batch"}))
    ).network
    image = torch.randn(1, 1, 64, 64)
    small = folded(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in small.modules())
    torch.testing.assert_close(small(image), network(image), rtol=0, atol=1e-4)


def test_it_answers_for_its_sizes() -> None:
    deep = Structure(width=2, depth=4)
    structure = EnsembleStructure(members=(UNET, FCN, deep))
    assert (structure.stride, structure.detail, structure.unpools) == (32, 1, False)
    assert structure.halo == FCN.halo
    assert structure.size_rule() == SizeRule(16, 16, 0)
    assert structure.input_for(70) == (80, 0)
    assert not structure.looks_at_everything
    assert EnsembleStructure(members=(UNET, GROUPS)).looks_at_everything
    assert EnsembleStructure(members=(UNET, SEGNET)).unpools
    assert EnsembleStructure(members=(VALID, VALID)).size_rule() == VALID.size_rule()
    full = Structure(width=4, depth=2, padding="full")
    assert EnsembleStructure(members=(full, full)).halo is None


def test_it_is_read_back() -> None:
    structure = EnsembleStructure(members=(UNET, SEGNET, FCN))
    for plain in (structure.model_dump(mode="json"), structure.model_dump()):
        assert structure_of(plain) == structure
    assert structure.model_dump()["members"][2]["prediction_stride"] == 8
    for wrong in ({"kind": "ensemble", "members": [{"kind": "odd"}, {}]}, {"kind": "ensemble", "members": [{}]}):
        with pytest.raises(ValueError, match=r"odd|at least 2"):
            structure_of(wrong)


def test_structures_that_do_not_fit_are_refused() -> None:
    inner = EnsembleStructure(members=(UNET, UNET))
    with pytest.raises(ValidationError, match="an ensemble in an ensemble"):
        EnsembleStructure(members=(inner, UNET))
    with pytest.raises(ValidationError, match="the outputs of all members the same size"):
        EnsembleStructure(members=(UNET, VALID))  # no legal size in common
    with pytest.raises(ValidationError, match="the outputs of all members the same size"):
        EnsembleStructure(members=(SEGNET, VALID))  # legal sizes in common, other outputs


def test_models_that_do_not_fit_are_refused() -> None:
    known = members_of(UNET, SEGNET)
    one, other = known.values()
    named = replace(THREE, names=("ground", "edge", "cell"))
    wide = tiny.segmenter(channels=3, classes=THREE)
    deep = replace(other, normalisation=Normalisation(1, {"uint16": ChannelConstants((6.0,), (5.0,))}))
    twice = {"uint8": ChannelConstants((60.0,), (50.0,)), "uint16": ChannelConstants((600.0,), (500.0,))}
    moved = {**twice, "uint16": ChannelConstants((600.0,), (900.0,))}
    own = replace(other, normalisation=replace(other.normalisation, by="picture"))
    both, apart = (replace(one, normalisation=Normalisation(1, each)) for each in (twice, moved))
    for models, words in (
        ([one], "an ensemble of 1 model"),
        ([one, join_segmenters(known)], "b: an ensemble already"),
        ([one, replace(other, classes=named)], "b: the classes 0 ground, 1 edge, 2 cell"),
        ([one, replace(other, classes=tiny.CELLS)], "b: the classes 0 background, 255 cell"),
        ([one, replace(other, classes=replace(THREE, ignore=(7,)))], "7 ignored"),
        ([one, wide], "b: a network for 3 channels"),
        ([one, member(VALID, 2)], r"a \(net0\) and b \(net2\) give outputs of one size"),
        ([one, deep], "no pixel type that every model knows: a: uint8; b: uint16"),
        ([one, own], "b: a network for pictures that are normalised each by its own constants"),
        ([both, apart], "in another way for each pixel type"),
    ):
        with pytest.raises(UsageError, match=words):
            join_segmenters(dict(zip("ab", models, strict=False)))
    assert list(join_segmenters({"a": both, "b": one}).normalisation.constants) == ["uint8"]
    joined = join_segmenters({"a": both, "b": replace(both, network=other.network)}).network
    assert isinstance(joined, Ensemble)
    assert (joined.scale == 1).all()
    assert (joined.shift == 0).all()


def test_members_whose_pictures_are_normalised_each_by_its_own_constants_stay_so() -> None:
    members = {
        name: replace(each, normalisation=replace(each.normalisation, by="picture"))
        for name, each in members_of(UNET, SEGNET).items()
    }
    joined = join_segmenters(members)
    image = picture(96, 136) // 3
    found = Predictor(joined, tiny.CPU, (32, 32)).probabilities(image, "p")
    np.testing.assert_allclose(found, mean_of_members(members, image), atol=1e-5)


def test_it_is_explained_as_its_members_together() -> None:
    structure = EnsembleStructure(members=(UNET, SEGNET))
    facts = explain(network_of(structure, 1, 3), (64, 80), "both")
    each = [explain(network_of(one, 1, 3), (64, 80), "one") for one in structure.members]
    for total in ("parameters", "fixed", "kernels", "multiply_adds", "training_bytes", "skip_bytes"):
        assert getattr(facts, total) == sum(getattr(one, total) for one in each), total
    assert facts.parameters == sum(p.numel() for p in network_of(structure, 1, 3).parameters())
    assert facts.receptive_field == max(one.receptive_field for one in each)
    held = [[layer.bytes_held for layer in one.layers] for one in each]
    mean = 4 * 3 * 64 * 80  # of the members before, which waits while another works
    assert [layer.bytes_held for layer in facts.layers] == held[0] + [each_held + mean for each_held in held[1]]
    network = network_of(structure, 1, 3)
    for layer in facts.layers:
        network.get_submodule(layer.name)
        assert network.place_of(layer.name).stage == layer.stage
    words = words_of(structure)
    assert "An ensemble of 2 networks" in words.encoder(facts)
    assert words.padding_rows(61)[0].sizes == "60, 64"

"""The probe: the same picture everywhere, and an answer that a changed network does not give."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny
from unpool.checkpoint.probe import Probe, compare_probe, probe_logits, probe_of, probe_picture
from unpool.normalisation import ChannelConstants, Normalisation
from unpool.segmenter import Segmenter

GREY = Normalisation(1, {"uint8": ChannelConstants((60.0,), (50.0,))})


def asked(model: Segmenter) -> Probe:
    probe = probe_of(model, model.network.state_dict())
    assert probe is not None
    return probe


def test_the_picture_is_the_same_everywhere() -> None:
    picture = probe_picture(GREY, "uint8", (33, 46))
    assert (picture.shape, picture.dtype) == ((33, 46, 1), np.uint8)
    assert picture[0, :6, 0].tolist() == [72, 65, 58, 26, 18, 17]  # the first: 60 + 50 * (0.75 - 0.25 - 0.25), to even
    assert picture.std() > 30


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_the_picture_lies_where_the_training_pictures_lie(kind: str) -> None:
    constants = ChannelConstants((90.0, 100.0), (20.0, 10.0))
    picture = probe_picture(Normalisation(2, {kind: constants}), kind, (64, 64))
    assert str(picture.dtype) == kind
    normal = (picture - np.array(constants.mean)) / np.array(constants.std)
    assert np.abs(normal).max() < 2.5
    assert normal.std() > 0.5


@pytest.mark.parametrize("net", list(tiny.STRUCTURES))
def test_the_answer_holds_and_a_changed_weight_does_not(net: str) -> None:
    model = tiny.segmenter(net)
    probe = Probe.from_card(asked(model).to_card())
    image = probe_picture(model.normalisation, probe.pixels, probe.size)
    found = compare_probe(probe, image, probe_logits(model, image))
    assert found.holds
    assert found.difference == 0
    assert not compare_probe(replace(probe, classes="0" * 64), image, probe_logits(model, image)).holds
    with torch.no_grad():
        model.network.head.weight[0, 0] += 0.5
    changed = compare_probe(probe, image, probe_logits(model, image))
    assert changed.picture
    assert not changed.holds
    assert not compare_probe(probe, image + 1, probe_logits(model, image)).picture


def test_pixels_near_a_tie_may_fall_either_way_and_others_may_not() -> None:
    model = tiny.segmenter()
    image = probe_picture(model.normalisation, "uint8", (33, 46))
    logits = probe_logits(model, image)
    with torch.no_grad():  # so that one of the pixels is an exact tie, and half of them are of either class
        model.network.head.bias[1] += (logits[0] - logits[1]).median()
    probe, logits = asked(model), probe_logits(model, image)
    assert bytes.fromhex(probe.undecided).strip(b"\0")
    nudged = logits + 0.9 * probe.tolerance * probe.largest * torch.tensor([1.0, -1.0])[:, None, None]
    assert not torch.equal(nudged.argmax(0), logits.argmax(0))
    assert compare_probe(probe, image, nudged).holds
    beyond = logits + 3 * probe.tolerance * probe.largest * torch.tensor([1.0, -1.0])[:, None, None]
    found = compare_probe(probe, image, beyond)
    assert not found.holds
    assert not found.classes


def test_asking_leaves_the_network_and_the_random_numbers_alone() -> None:
    model = tiny.segmenter()
    model.network.train()
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    state = torch.get_rng_state()
    asked(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())


def test_a_network_that_answers_no_numbers_has_no_probe() -> None:
    model = tiny.segmenter()
    weights = {name: tensor * torch.nan for name, tensor in model.network.state_dict().items()}
    assert probe_of(model, weights) is None

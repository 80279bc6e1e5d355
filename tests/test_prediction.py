"""Prediction: tiles fit without a seam, any size is right, nothing wrong passes in silence."""

import gc
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tiny
from unpool.errors import DataError, RunError
from unpool.machine.device import Machine
from unpool.normalisation import ChannelConstants, Normalisation
from unpool.orientation import ORIENTATION_SETS
from unpool.prediction.averaging import Averaging
from unpool.prediction.predictor import Predictor
from unpool.segmenter import Segmenter

every_net = pytest.mark.parametrize("net", list(tiny.STRUCTURES))


def picture(rows: int, columns: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(rows).integers(0, 256, (rows, columns, channels), dtype=np.uint8)


def lively(net: str, **structure: Any) -> Segmenter:
    """A segmenter with running statistics and biases that are not 0."""
    model = tiny.segmenter(net, **structure)
    with torch.no_grad():
        for module in model.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.2)
                module.running_var.uniform_(0.5, 2)
                module.bias.normal_(std=0.2)
    return model


def logits(model: Segmenter, image: np.ndarray, tile: int) -> np.ndarray:
    whole = np.full((2, *image.shape[:2]), np.nan, dtype=np.float32)
    for piece in Predictor(model, tiny.CPU, (tile, tile)).tiles(image, "p"):
        assert np.isnan(whole[:, piece.rows, piece.columns]).all()  # every pixel once
        whole[:, piece.rows, piece.columns] = piece.logits.numpy()
    return whole


@every_net
@pytest.mark.parametrize("size", [(97, 131), (64, 200), (101, 33), (1, 90)])
def test_tiles_equal_the_whole(net: str, size: tuple[int, int]) -> None:
    model, image = lively(net), picture(*size)
    whole = logits(model, image, 1024)
    assert np.isfinite(whole).all()
    for tile in (32, 45, 64):
        np.testing.assert_allclose(logits(model, image, tile), whole, atol=1e-5)


def by_picture(model: Segmenter) -> Segmenter:
    """The segmenter for pictures that are normalised each by its own constants."""
    return replace(model, normalisation=replace(model.normalisation, by="picture"))


@every_net
@pytest.mark.parametrize("size", [(97, 131), (1, 90)])
def test_tiles_of_a_picture_by_its_own_constants_equal_the_whole(net: str, size: tuple[int, int]) -> None:
    model, image = by_picture(lively(net)), picture(*size)
    image[:, :40] //= 3  # so that no part has the constants of the picture
    whole = logits(model, image, 1024)
    for tile in (32, 45, 64):
        np.testing.assert_allclose(logits(model, image, tile), whole, atol=1e-5)
    for band in Predictor(model, tiny.CPU, (32, 32)).bands(image, "p", range(1, 2) if size[0] > 64 else None):
        rows = slice(band.top, band.top + len(band.prediction))
        np.testing.assert_array_equal(band.prediction, whole.argmax(0)[rows])


def test_its_own_constants_are_those_of_the_whole_picture() -> None:
    model, image = lively("unet"), picture(97, 131)
    image[:, :40] //= 3
    constants = ChannelConstants((float(image.mean()),), (float(image.std()),))
    by_hand = replace(model, normalisation=Normalisation(1, {"uint8": constants}))
    for tile in (32, 1024):
        np.testing.assert_allclose(logits(by_picture(model), image, tile), logits(by_hand, image, tile), atol=1e-5)


@pytest.mark.parametrize("averaging", [Averaging(), Averaging("d4")])
def test_by_its_own_constants_another_exposure_gives_the_same_answer(averaging: Averaging) -> None:
    model, image = lively("unet"), picture(60, 71) // 3
    predictors = [Predictor(each, tiny.CPU, (32, 32), averaging) for each in (by_picture(model), model)]
    (own, lighter), (by_set, other) = (
        [predictor.probabilities(each, "p") for each in (image, 2 * image + 40)] for predictor in predictors
    )
    np.testing.assert_allclose(lighter, own, atol=1e-5)
    assert np.abs(other - by_set).max() > 0.01


@pytest.mark.parametrize("changes", [{}, {"padding": "valid"}, {"pooling_rounding": "ceil"}])
@pytest.mark.parametrize("size", [(97, 131), (1, 90)])
def test_tiles_with_a_stem_equal_the_whole(changes: dict[str, str], size: tuple[int, int]) -> None:
    model, image = lively("unet", stem="strided", **changes), picture(*size)
    whole = logits(model, image, 1024)
    assert np.isfinite(whole).all()
    for tile in (32, 45):
        np.testing.assert_allclose(logits(model, image, tile), whole, atol=1e-5)


@every_net
def test_any_size_gives_its_own_shape(net: str) -> None:
    model = lively(net)
    for side in range(1, 41):
        for rows, columns in ((side, 41 - side), (side, 7), (1, side)):
            found = Predictor(model, tiny.CPU).predict(picture(rows, columns), "p").prediction
            assert found.shape == (rows, columns)
            assert found.dtype == np.uint8
            assert found.max() <= 1


def test_a_size_the_network_cannot_halve_is_mirrored_up() -> None:
    model, image = lively("unet"), picture(30, 21)
    mirrored = np.pad(image, ((0, 2), (0, 3), (0, 0)), mode="reflect")
    np.testing.assert_allclose(logits(model, image, 64), logits(model, mirrored, 64)[:, :30, :21], atol=1e-5)


@every_net
def test_a_constant_network_gives_a_constant_picture(net: str) -> None:
    model = tiny.segmenter(net)
    nn.init.zeros_(model.network.head.weight)
    model.network.head.bias.data = torch.tensor([0.0, 1.0])
    assert (Predictor(model, tiny.CPU, (32, 32)).predict(picture(50, 61), "p").prediction == 1).all()
    likely = Predictor(model, tiny.CPU, (32, 32)).probabilities(picture(50, 61), "p")
    np.testing.assert_allclose(likely[1], 1 / (1 + np.exp(-1)), rtol=1e-6)


@every_net
def test_probabilities_sum_to_one_and_agree_with_the_prediction(net: str) -> None:
    model, image = lively(net), picture(45, 70)
    likely = Predictor(model, tiny.CPU, (32, 32)).probabilities(image, "p")
    assert (likely.shape, likely.dtype) == ((2, 45, 70), np.float32)
    np.testing.assert_allclose(likely.sum(axis=0), 1, atol=1e-6)
    assert (likely.argmax(axis=0) == Predictor(model, tiny.CPU, (32, 32)).predict(image, "p").prediction).all()


def test_two_classes_that_tie_give_the_lower_id() -> None:
    model = tiny.segmenter()
    nn.init.zeros_(model.network.head.weight)
    assert (Predictor(model, tiny.CPU).predict(picture(20, 20), "p").prediction == 0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_output_that_is_not_finite_is_refused(value: float) -> None:
    model = tiny.segmenter()
    nn.init.constant_(model.network.head.bias, value)
    with pytest.raises(RunError, match=r"scan\.png: the network's output is not finite"):
        Predictor(model, tiny.CPU).predict(picture(20, 20), "scan.png")


def test_the_network_is_folded_once_and_the_segmenter_stays_as_it_was_trained() -> None:
    model, image = lively("unet"), picture(40, 50)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    predictor = Predictor(model, tiny.CPU)
    predictor.predict(image, "p")
    others = [predictor.with_tile((16, 16)), predictor.with_averaging(Averaging("flips")), predictor.at_once((40, 50))]
    for other in others:
        other.predict(image, "p")
        assert other.network is predictor.network
    assert not any(isinstance(module, nn.BatchNorm2d) for module in predictor.network.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert not any(parameter.is_inference() for parameter in predictor.network.parameters())


def test_a_predictor_alone_lets_the_trained_weights_go() -> None:
    model, image = lively("unet"), picture(40, 50)
    trained = [weakref.ref(parameter) for parameter in model.network.parameters()]
    predictor = Predictor(model, Machine(torch.device("cpu"), reduced=True))
    expected = predictor.probabilities(image, "p")
    predictor = predictor.alone()
    del model
    gc.collect()
    assert not [weight for weight in trained if weight() is not None]
    assert (predictor.probabilities(image, "p") == expected).all()


def test_pictures_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"scan\.png: 3 channels"):
        Predictor(tiny.segmenter(), tiny.CPU).predict(picture(20, 20, 3), "scan.png")
    with pytest.raises(DataError, match=r"scan\.png: pixels of type uint16"):
        Predictor(tiny.segmenter(), tiny.CPU).predict(picture(20, 20).astype(np.uint16), "scan.png")


def test_a_network_in_training_mode_is_a_mistake_of_the_program() -> None:
    model = tiny.segmenter()
    model.network.train()
    with pytest.raises(AssertionError, match="batch statistics"):
        Predictor(model, tiny.CPU).predict(picture(20, 20), "p")


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_what_the_network_sees_is_the_normalised_picture_mirrored_beyond_its_edges(padding: str) -> None:
    model, image = tiny.segmenter(padding=padding), picture(30, 45)
    normal = model.normalisation.apply(image, "p")
    for turn in ORIENTATION_SETS["d4"]:
        turned = normal.swapaxes(0, 1) if turn.exchanged else normal
        turned = turned[:: -1 if turn.rows else 1, :: -1 if turn.columns else 1]
        frame = model.frame(turned.shape[:2])
        assert (max(frame.before) > 0) == (padding == "valid")
        pads = [
            (before, size - before - side)
            for before, size, side in zip(frame.before, frame.size, turned.shape, strict=False)
        ]
        wanted = np.pad(turned, [*pads, (0, 0)], mode="reflect").transpose(2, 0, 1)[None]
        np.testing.assert_array_equal(model.prepare(image, "p", orientation=turn), wanted)
        window = slice(3, 20), slice(8, 21)
        np.testing.assert_array_equal(model.prepare(image, "p", window, turn), wanted[:, :, 3:20, 8:21])

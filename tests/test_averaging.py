"""Averaging: a turned answer is the turned picture's, tiled or whole; samples depend on seeds alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tiny
from test_fcn import small, with_scores
from test_prediction import lively, picture
from unpool.errors import UsageError
from unpool.nets.fcn import FCN_8S
from unpool.orientation import ORIENTATION_SETS, Orientation
from unpool.prediction.averaging import Averaging, mean_of
from unpool.prediction.evaluation import evaluate_each
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import UNCERTAINTY, TileLogits
from unpool.segmenter import Segmenter

TURNED = ("mirror", "flips", "rotations", "d4")
STRUCTURES = {
    "unet": {},
    "valid": {"padding": "valid"},
    "segnet-basic": {},
    "bilinear": {"up": "bilinear", "skip": "add"},
    "wide ups": {"up_kernel": 3, "skip": "none"},
    "stem": {"stem": "strided"},
}


def made(name: str) -> Segmenter:
    return tiny.segmenter("segnet-basic" if name == "segnet-basic" else "unet", **STRUCTURES[name])


def turned(image: np.ndarray, turn: Orientation) -> np.ndarray:
    """A whole picture (rows, columns, ...), turned."""
    image = image.swapaxes(0, 1) if turn.exchanged else image
    return image[:: -1 if turn.rows else 1, :: -1 if turn.columns else 1]


def turned_back(maps: np.ndarray, turn: Orientation) -> np.ndarray:
    """Maps (K, rows, columns) of a turned picture, as those of the picture."""
    maps = maps[:, :: -1 if turn.rows else 1, :: -1 if turn.columns else 1]
    return maps.swapaxes(1, 2) if turn.exchanged else maps


def by_hand(model: Segmenter, image: np.ndarray, tta: str) -> np.ndarray:
    """Turn the whole picture, predict it, turn the result back, take the mean."""
    found = [
        turned_back(Predictor(model, tiny.CPU).probabilities(np.ascontiguousarray(turned(image, turn)), "p"), turn)
        for turn in ORIENTATION_SETS[tta]
    ]
    return np.mean(found, axis=0)


@pytest.mark.parametrize(
    ("name", "tta"), [*(("unet", tta) for tta in TURNED), *((name, "d4") for name in STRUCTURES if name != "unet")]
)
def test_turned_tiles_equal_the_turned_whole(name: str, tta: str) -> None:
    model = made(name)
    for size in ((97, 71), (33, 64), (1, 70)):
        image = picture(*size)
        wanted = by_hand(model, image, tta)
        for tile in (32, 45):
            found = Predictor(model, tiny.CPU, (tile, tile), Averaging(tta)).probabilities(image, "p")
            np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_statistics_of_batches_do_not_disturb_it() -> None:
    model, image = lively("unet"), picture(70, 81)
    found = Predictor(model, tiny.CPU, (32, 32), Averaging("d4")).probabilities(image, "p")
    np.testing.assert_allclose(found, by_hand(model, image, "d4"), atol=2e-6)


@pytest.mark.parametrize(("tta", "count"), [("none", 1), ("mirror", 2), ("flips", 4), ("rotations", 4), ("d4", 8)])
def test_the_sets_of_turns_are_groups_of_different_turns(tta: str, count: int) -> None:
    """Any two turns after each other are one of the set, so the mean does not depend on how the picture lay."""
    image = np.arange(12).reshape(3, 4)
    found = {turned(image, turn).tobytes() + bytes(turned(image, turn).shape) for turn in ORIENTATION_SETS[tta]}
    assert len(found) == len(ORIENTATION_SETS[tta]) == Averaging(tta).runs == count
    for first in ORIENTATION_SETS[tta]:
        assert {
            turned(turned(image, first), turn).tobytes() + bytes(turned(turned(image, first), turn).shape)
            for turn in ORIENTATION_SETS[tta]
        } == found


def test_a_mirror_keeps_a_picture_upright() -> None:
    image = np.arange(6).reshape(2, 3)
    assert [turned(image, turn).tolist() for turn in ORIENTATION_SETS["mirror"]] == [
        image.tolist(),
        image[:, ::-1].tolist(),
    ]


def test_rotations_are_the_quarter_turns() -> None:
    image = np.arange(6).reshape(2, 3)
    assert [turned(image, turn).tolist() for turn in ORIENTATION_SETS["rotations"]] == [
        np.rot90(image, quarters).tolist() for quarters in range(4)
    ]


@given(st.sampled_from(ORIENTATION_SETS["d4"]), st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_region_lies_where_its_pixels_do(turn: Orientation, rows: int, columns: int, data: st.DataObject) -> None:
    image = np.arange(rows * columns).reshape(rows, columns, 1)
    start = [data.draw(st.integers(0, side - 1)) for side in (rows, columns)]
    region = tuple(
        slice(first, data.draw(st.integers(first + 1, side)))
        for first, side in zip(start, (rows, columns), strict=True)
    )
    there = turned(image, turn)
    assert turn.size((rows, columns)) == there.shape[:2]
    lain = turn.region(region, (rows, columns))
    np.testing.assert_array_equal(there[lain], turned(image[region], turn))
    places = [np.arange(side)[part] for side, part in zip(there.shape[:2], lain, strict=True)]
    np.testing.assert_array_equal(turn.pixels(image, *places), there[lain])
    np.testing.assert_array_equal(turn.apply(image), there)
    np.testing.assert_array_equal(turn.inverse.apply(there), image)
    assert turn.inverse.region(lain, there.shape[:2]) == region


@given(st.integers(1, 9), st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_mean_and_variance_are_numpys(count: int, seed: int) -> None:
    answers = torch.randn(count, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    likely = answers.double().softmax(1).numpy()
    mean, variance = mean_of(iter(answers))
    np.testing.assert_allclose(mean, likely.mean(0), atol=1e-6)
    np.testing.assert_allclose(variance, likely.var(0), atol=1e-7)
    assert (variance >= 0).all()


def test_logits_of_a_mean_have_its_softmax_even_where_a_class_is_impossible() -> None:
    model = tiny.segmenter()
    nn.init.zeros_(model.network.head.weight)
    model.network.head.bias.data = torch.tensor([500.0, -500.0])
    (piece,) = Predictor(model, tiny.CPU, averaging=Averaging("flips")).tiles(picture(20, 20), "p")
    assert torch.isfinite(piece.logits).all()
    assert (piece.logits.softmax(0)[0] == 1).all()
    assert piece.variance is None


def dropping() -> Segmenter:
    return tiny.segmenter(dropout=0.5, dropout_after=("bottom", "decoder1"))


def sampled(model: Segmenter, image: np.ndarray, **given: object) -> list[TileLogits]:
    return list(Predictor(model, tiny.CPU, (32, 32), Averaging(**{"samples": 3, **given})).tiles(image, "p"))  # type: ignore[arg-type]


def test_samples_are_the_mean_and_variance_of_networks_that_drop_units() -> None:
    model, image = dropping(), picture(40, 61)
    for place, piece in enumerate(sampled(model, image)):
        singles = [sampled(model, image, samples=count)[place] for count in (1, 2)]
        # the first sample alone; of the first two the second: 2 * mean - first
        first = singles[0].logits.softmax(0)
        second = 2 * singles[1].logits.softmax(0) - first
        assert (first - second).abs().max() > 1e-3
        assert (singles[0].variance == 0).all()
        np.testing.assert_allclose(singles[1].variance, ((first - second) / 2) ** 2, atol=1e-6)
        assert piece.variance is not None
        assert piece.variance.shape == piece.logits.shape
        assert piece.variance.max() <= 0.25


def test_a_coin_for_each_pixel_by_hand() -> None:
    """The score is one unit, dropped half of the time and doubled otherwise: 2 m or 0, each with probability 1/2."""
    model, image = tiny.segmenter(dropout=0.5, dropout_after=("decoder1",)), picture(24, 24)
    head = model.network.head
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    head.weight.data[1, 0] = 1
    (plain,) = Predictor(model, tiny.CPU).tiles(image, "p")
    doubled = (2 * (plain.logits[1] - plain.logits[0])).sigmoid()
    (piece,) = Predictor(model, tiny.CPU, averaging=Averaging(samples=400)).tiles(image, "p")
    assert doubled.max() > 0.6
    np.testing.assert_allclose(piece.logits.softmax(0)[1], (doubled + 0.5) / 2, atol=0.05)
    assert piece.variance is not None
    np.testing.assert_allclose(piece.variance[1], (doubled - 0.5) ** 2 / 4, atol=0.01)


def test_samples_do_not_depend_on_what_was_predicted_before_or_on_random_numbers_drawn_elsewhere() -> None:
    model, image = dropping(), picture(40, 61)
    before = sampled(model, image)
    torch.rand(5)
    sampled(model, picture(33, 35))
    after = sampled(model, image)
    other = sampled(model, image, seed=1)
    for one, two, different in zip(before, after, other, strict=True):
        assert torch.equal(one.logits, two.logits)
        assert torch.equal(one.variance, two.variance)
        assert not torch.equal(one.logits, different.logits)


def test_sampling_leaves_no_trace() -> None:
    model = dropping()
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    predictor = Predictor(model, tiny.CPU, (32, 32), Averaging(samples=2))
    iterator = predictor.tiles(picture(70, 40), "p")
    modes = [module.training for module in predictor.network.modules()]
    next(iterator)
    assert [module.training for module in predictor.network.modules()] == modes
    assert not any(isinstance(module, nn.Dropout) and module.training for module in predictor.network.modules())
    assert not any(module.training for module in model.network.modules())
    assert torch.equal(torch.rand(3), wanted)


def test_batch_statistics_stay_fixed_while_units_are_dropped() -> None:
    predictor = Predictor(dropping(), tiny.CPU, (32, 32), Averaging(samples=3))
    networks = (predictor.segmenter.network, predictor.network)
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    list(predictor.tiles(picture(40, 61), "p"))
    for network, values in zip(networks, before, strict=True):
        assert all(torch.equal(value, values[name]) for name, value in network.state_dict().items())


def test_turns_and_samples_multiply() -> None:
    model, image, runs = dropping(), picture(20, 20), []
    model.network.register_forward_hook(lambda *_: runs.append(1))
    averaging = Averaging("d4", samples=3)
    Predictor(model, tiny.CPU, averaging=averaging).predict(image, "p")
    assert len(runs) == averaging.runs == 24


@pytest.mark.parametrize("structure", [{}, {"dropout": 0.0, "dropout_after": ("bottom",)}])
def test_a_network_without_dropout_cannot_be_sampled(structure: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"3 samples of unet, which has no dropout\n(.|\n)*leave out --samples"):
        sampled(tiny.segmenter(**structure), picture(20, 20))
    with pytest.raises(UsageError, match="-1 samples"):
        Averaging(samples=-1)


def test_fcn_samples_too() -> None:
    plain = tiny.segmenter()
    network = with_scores(small(FCN_8S)).eval()
    model = Segmenter("fcn-8s", network, plain.normalisation, plain.classes)
    found = Predictor(model, tiny.CPU, averaging=Averaging(samples=2)).predict(picture(40, 40), "p", UNCERTAINTY)
    assert found.uncertainty.shape == (2, 40, 40)
    assert found.uncertainty.max() > 0


def test_uncertainty_without_samples_is_what_is_missing_to_certainty() -> None:
    model, image = lively("unet"), picture(30, 21)
    keep = UNCERTAINTY._replace(probabilities=True)
    found = Predictor(model, tiny.CPU, averaging=Averaging("flips")).predict(image, "p", keep)
    assert found.probabilities is not None
    np.testing.assert_array_equal(found.uncertainty, 1 - found.probabilities.max(axis=0)[None])
    assert found.uncertainty.dtype == np.float32


def test_validation_takes_the_mean_too() -> None:
    model, (sample,) = lively("unet"), tiny.samples(1)
    (result,) = evaluate_each(Predictor(model, tiny.CPU, averaging=Averaging("d4")), [sample])
    likely = by_hand(model, sample.image, "d4")
    picked = np.take_along_axis(likely, sample.labels[None].astype(np.int64), axis=0)
    assert result.loss == pytest.approx(-np.log(picked).sum(), rel=1e-5)
    assert result.matrix.counts.trace() == (likely.argmax(0) == sample.labels).sum()


def test_an_unknown_set_of_orientations_is_refused() -> None:
    with pytest.raises(UsageError, match=r"tta 'zz'\n  expected: one of none, mirror, flips, rotations, d4"):
        Averaging("zz")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="1000000000 samples\n  expected: a whole number from 0 to"):
        Averaging("none", 10**9)

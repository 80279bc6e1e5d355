"""Blending: tiles of networks that look at everything overlap, and each counts by a Gaussian."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import tiny
from test_averaging import turned_back
from test_prediction import picture
from unpool.errors import RunError
from unpool.nets.fcn import FCN_8S
from unpool.nets.structure import Structure
from unpool.orientation import ORIENTATION_SETS, UPRIGHT, Orientation
from unpool.prediction.averaging import Averaging
from unpool.prediction.blending import OverlappingTiles, axis_weights, overlapping
from unpool.prediction.halo import halo_of, tile_of
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import PROBABILITIES, TileLogits
from unpool.segmenter import Segmenter

STRUCTURES = {
    "group": {"norm": "group", "width": 8},
    "instance": {"norm": "instance"},
    "valid": {"norm": "instance", "padding": "valid"},
    "segnet-basic": {"norm": "instance"},
}
every_norm = pytest.mark.parametrize("name", list(STRUCTURES))
SIZES = ((97, 131), (40, 200), (101, 33), (1, 90))


def made(name: str, **structure: object) -> Segmenter:
    return tiny.segmenter("segnet-basic" if name == "segnet-basic" else "unet", **{**STRUCTURES[name], **structure})


def tile_answer(model: Segmenter, image: np.ndarray, rows: slice, columns: slice, turn: Orientation) -> np.ndarray:
    """Probabilities (K, rows, columns) of one tile, from the window with its halo, by hand."""
    size = (image.shape[0], image.shape[1])
    frame = model.frame(turn.size(size))
    cut = tile_of(turn.region((rows, columns), size), frame.size, halo_of(model.network.structure))
    with torch.inference_mode():
        logits = Predictor(model, tiny.CPU).network(tiny.CPU.put(model.prepare(image, "p", cut.window, turn)))[0]
    return turned_back(logits.softmax(0).double().numpy()[:, cut.inside[0], cut.inside[1]], turn)


def by_hand(model: Segmenter, image: np.ndarray, side: int, turns: tuple[Orientation, ...] = (UPRIGHT,)) -> np.ndarray:
    """Sums of weighted tiles, divided by the sum of the weights, in float64 and all at once."""
    grid = overlapping(image.shape[:2], (side, side), model.network.structure.stride)
    sums, weights = np.zeros((2, *image.shape[:2])), np.zeros(image.shape[:2])
    for rows in grid.rows:
        for columns in grid.columns:
            places = np.ogrid[: rows.stop - rows.start, : columns.stop - columns.start]
            lengths = [axis.size for axis in places]
            away = sum(((x - (n - 1) / 2) / (n / 8)) ** 2 for x, n in zip(places, lengths, strict=True))
            weight = np.exp(-away / 2)
            likely = np.mean([tile_answer(model, image, rows, columns, turn) for turn in turns], axis=0)
            sums[:, rows, columns] += weight * likely
            weights[rows, columns] += weight
    return sums / weights


@every_norm
@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_gaussian_mean_of_overlapping_tiles(name: str, size: tuple[int, int]) -> None:
    model, image = made(name), picture(*size)
    for side, rounded in ((24, 24), (32, 32), (45, 48)):
        found = Predictor(model, tiny.CPU, (side, side)).probabilities(image, "p")
        np.testing.assert_allclose(found, by_hand(model, image, rounded), atol=3e-6)
        np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)


@pytest.mark.parametrize("tta", ["rotations", "d4"])
def test_turned_tiles_are_averaged_before_they_are_blended(tta: str) -> None:
    model, image = made("instance"), picture(61, 50)
    found = Predictor(model, tiny.CPU, (32, 32), Averaging(tta)).probabilities(image, "p")
    np.testing.assert_allclose(found, by_hand(model, image, 32, ORIENTATION_SETS[tta]), atol=3e-6)


@every_norm
def test_a_constant_network_gives_a_constant_picture(name: str) -> None:
    model = made(name)
    nn.init.zeros_(model.network.head.weight)
    model.network.head.bias.data = torch.tensor([0.0, 1.0])
    for size, tile in product(((30, 45), (1, 90), (65, 64)), ((8, 12), (20, 36), (64, 8), (48, 64))):
        likely = Predictor(model, tiny.CPU, tile).probabilities(picture(*size), "p")
        np.testing.assert_allclose(likely[1], 1 / (1 + np.exp(-1)), rtol=2e-6)


def test_blended_tiles_are_nearer_to_the_whole_than_tiles_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = made("instance"), picture(150, 170)
    whole = Predictor(model, tiny.CPU).probabilities(image, "p")
    blended = Predictor(model, tiny.CPU, (64, 64)).probabilities(image, "p")
    monkeypatch.setattr(Structure, "looks_at_everything", False)
    cut = Predictor(model, tiny.CPU, (64, 64)).probabilities(image, "p")
    assert 1e-5 < np.abs(blended - whole).mean() < 0.8 * np.abs(cut - whole).mean()


def found(model: Segmenter, image: np.ndarray, rows: range | None = None, **averaging: object) -> list[TileLogits]:
    return list(Predictor(model, tiny.CPU, (24, 32), Averaging(**averaging)).tiles(image, "p", rows))  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [range(1), range(2, 5), range(4, 9), range(3, 3), range(0, 9, 3), range(8, 9)])
def test_some_rows_are_those_of_all_bit_for_bit(rows: range) -> None:
    model, image = made("group"), picture(117, 70)
    spans = Predictor(model, tiny.CPU, (24, 32)).tile_rows((117, 70))
    assert len(spans) == 9
    wanted = [piece for piece in found(model, image) if piece.rows in [spans[number] for number in rows]]
    some = found(model, image, rows)
    assert [(piece.rows, piece.columns) for piece in some] == [(piece.rows, piece.columns) for piece in wanted]
    assert all(torch.equal(one.logits, other.logits) for one, other in zip(some, wanted, strict=True))


def test_bands_are_the_picture_from_the_top() -> None:
    model, image = made("instance"), picture(90, 70)
    predictor = Predictor(model, tiny.CPU, (32, 32))
    bands = list(predictor.bands(image, "p", keep=PROBABILITIES))
    assert [slice(each.top, each.top + len(each.prediction)) for each in bands] == predictor.tile_rows((90, 70))
    whole = predictor.probabilities(image, "p")
    np.testing.assert_array_equal(np.concatenate([each.probabilities for each in bands], axis=1), whole)


def test_a_row_of_tiles_is_given_out_before_the_next_is_computed() -> None:
    model, runs = made("instance"), []
    model.network.register_forward_hook(lambda *_: runs.append(1))
    given_out = Predictor(model, tiny.CPU, (32, 32)).tiles(picture(200, 64), "p")
    next(given_out)
    assert len(runs) == 3  # the columns of one row of tiles


def test_samples_are_blended_with_their_variance() -> None:
    model, image = made("instance", dropout=0.5, dropout_after=("bottom", "decoder1")), picture(50, 61)
    one, two = (found(model, image, samples=3) for _ in range(2))
    for piece, again in zip(one, two, strict=True):
        assert torch.equal(piece.logits, again.logits)
        assert piece.variance is not None
        assert piece.variance.shape == piece.logits.shape
        assert 0 < piece.variance.max() <= 0.25
    assert all((piece.variance == 0).all() for piece in found(model, image, samples=1))


def test_output_that_is_not_finite_is_refused() -> None:
    model = made("instance")
    nn.init.constant_(model.network.head.bias, float("nan"))
    with pytest.raises(RunError, match=r"scan\.png: the network's output is not finite"):
        Predictor(model, tiny.CPU, (32, 32)).probabilities(picture(40, 40), "scan.png")


def test_only_networks_that_look_at_everything_are_blended_and_only_where_they_are_cut() -> None:
    assert Predictor(made("group"), tiny.CPU, (32, 32)).blends((33, 20))
    assert not Predictor(made("group"), tiny.CPU, (32, 32)).blends((32, 20))
    assert not Predictor(tiny.segmenter(), tiny.CPU, (32, 32)).blends((33, 20))
    assert not Predictor(tiny.segmenter(norm="none", input_norm="lrn"), tiny.CPU, (32, 32)).blends((33, 20))
    assert not FCN_8S.looks_at_everything


@given(st.integers(1, 400), st.integers(1, 150), st.sampled_from([1, 2, 4, 32]))
def test_spans_cover_overlap_and_begin_on_the_grid(length: int, side: int, stride: int) -> None:
    grid = overlapping((length, 1), (side, 1), stride)
    side = -(-side // stride) * stride
    spans = grid.rows
    assert (spans[0].start, spans[-1].stop) == (0, length)
    assert all(span.start % stride == 0 and 0 < span.stop - span.start <= side for span in spans)
    for one, two in pairwise(spans):
        assert 0 < two.start - one.start < max(side / 2, stride) + stride
        assert two.start <= one.stop
    parts = grid.row_parts()
    assert [part.start for part in parts] == [span.start for span in spans]
    assert sum(part.stop - part.start for part in parts) == length
    total = torch.zeros(length)
    for span, share in zip(spans, axis_weights(spans), strict=True):
        assert (share > 0).all()
        total[span] += share
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_rows_need_those_tiles_that_reach_into_them() -> None:
    grid = OverlappingTiles((slice(0, 32), slice(8, 40), slice(16, 48), slice(48, 60)), (slice(0, 9),))
    assert [grid.needed(range(number, number + 1)) for number in range(4)] == [
        range(1), range(2), range(3), range(3, 4),
    ]  # fmt: skip
    assert len(list(grid.regions(range(2, 4)))) == 4

"""Normalisation by hand, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unpool import shapes
from unpool.errors import DataError
from unpool.normalisation import ChannelConstants, ChannelMoments, Normalisation

GREY = Normalisation(1, {"uint8": ChannelConstants((10.0,), (2.0,))})
COLOUR = Normalisation(3, {"uint8": ChannelConstants((10.0, 20.0, 30.0), (1.0, 2.0, 4.0))})
MIXED = Normalisation(
    1, {"uint8": ChannelConstants((10.0,), (2.0,)), "uint16": ChannelConstants((1000.0,), (500.0,))}
)  # fmt: skip


def test_by_hand() -> None:
    normal = COLOUR.apply(np.array([[[10, 10, 10], [12, 24, 38]]], np.uint8), "p")
    assert normal.dtype == np.float32
    assert normal.tolist() == [[[0, -5, -5], [2, 2, 2]]]


def test_a_grey_picture_is_repeated_for_three_channels() -> None:
    assert COLOUR.apply(np.full((1, 1, 1), 14, np.uint8), "p").tolist() == [[[4, -3, -4]]]


def test_an_rgb_picture_of_greys_gives_its_one_channel() -> None:
    assert GREY.apply(np.full((2, 2, 3), 14, np.uint8), "p").tolist() == [[[2], [2]]] * 2


def test_each_pixel_type_has_its_own_constants() -> None:
    assert MIXED.apply(np.full((1, 1, 1), 14, np.uint8), "p").item() == 2
    assert MIXED.apply(np.full((1, 1, 1), 65500, np.uint16), "p").item() == 129


@pytest.mark.parametrize(
    ("constants", "pixels", "message"),
    [
        (GREY, np.array([[[1, 2, 3]]], np.uint8), "p.png: 3 channels\n  expected: 1, as in the training pictures"),
        (COLOUR, np.zeros((1, 1, 4), np.uint8), "p.png: 4 channels\n  expected: 3,"),
        (COLOUR, np.zeros((1, 1, 2), np.uint8), "p.png: 2 channels\n  expected: 3,"),
        (GREY, np.zeros((1, 1, 1), np.uint16), "p.png: pixels of type uint16\n  expected: uint8, as in the training"),
        (MIXED, np.zeros((1, 1, 1), np.float32), "p.png: pixels of type float32\n  expected: uint16 or uint8, as"),
    ],
)
def test_refusals(constants: Normalisation, pixels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        constants.apply(pixels, "p.png")


def test_each_picture_by_its_own_constants_by_hand() -> None:
    own = replace(GREY, by="picture").of_picture(np.array([[[1], [3]], [[5], [7]]], np.uint8), "p")
    assert own == Normalisation(1, {"uint8": ChannelConstants((4.0,), (np.sqrt(5),))})
    assert own.apply(np.array([[[4], [9]]], np.uint8), "p").ravel().tolist() == pytest.approx([0, np.sqrt(5)])
    assert GREY.of_picture(np.zeros((2, 2, 1), np.uint8), "p") is GREY


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [(23, 31), (1, 1), (8, 3)])
def test_own_constants_are_those_of_all_pixels_however_the_picture_is_read(
    kind: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "_AT_ONCE", 49)
    image = np.random.default_rng(0).integers(0, 251, (*size, 3)).astype(kind)
    by_picture = Normalisation(3, {kind: ChannelConstants((5.0,) * 3, (2.0,) * 3)}, "picture")
    (found,) = by_picture.of_picture(image, "p").constants.values()
    assert found.mean == pytest.approx(image.astype(float).mean((0, 1)))
    least = np.maximum(np.abs(found.mean) * 1e-6, 1e-12) if kind == "float32" else 1.0
    assert found.std == pytest.approx(np.maximum(image.astype(float).std((0, 1)), least))


@given(st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=9), min_size=2, max_size=4))
def test_moments_add_up(parts: list[list[int]]) -> None:
    values = [np.array(part, np.uint8)[:, None, None] for part in parts]
    whole, (first, *others) = ChannelMoments.of(np.concatenate(values)), map(ChannelMoments.of, values)
    for other in others:
        first = first + other
    assert first.count == whole.count
    assert first.mean == pytest.approx(whole.mean, abs=1e-9)
    assert first.squares == pytest.approx(whole.squares, abs=1e-6)


def test_a_constant_picture_is_finite_by_its_own_constants_and_other_types_stay_refused() -> None:
    by_picture = replace(GREY, by="picture")
    for image in (np.full((3, 3, 1), 7, np.uint8), np.full((3, 3, 3), 7, np.uint8)):
        assert (by_picture.of_picture(image, "p").apply(image, "p") == 0).all()
    deep = np.zeros((3, 3, 1), np.uint16)
    with pytest.raises(DataError, match="pixels of type uint16\n  expected: uint8, as in the training"):
        by_picture.of_picture(deep, "p").apply(deep, "p")
    with pytest.raises(DataError, match="4 channels\n  expected: 1,"):
        by_picture.of_picture(np.zeros((3, 3, 4), np.uint8), "p")


def test_a_window_is_not_normalised_without_its_picture() -> None:
    with pytest.raises(AssertionError, match="of_picture comes first"):
        replace(GREY, by="picture").apply(np.zeros((3, 3, 1), np.uint8), "p")


@pytest.mark.parametrize("known", [MIXED, replace(MIXED, by="picture")])
def test_the_card_is_json_and_reads_back(known: Normalisation) -> None:
    assert Normalisation.from_card(json.loads(json.dumps(known.to_card()))) == known


def test_a_card_without_by_is_of_the_constants_and_another_word_is_refused() -> None:
    card = MIXED.to_card()
    assert Normalisation.from_card({key: value for key, value in card.items() if key != "by"}) == MIXED
    with pytest.raises(ValueError, match="normalisation by 'batch'"):
        Normalisation.from_card({**card, "by": "batch"})


@pytest.mark.parametrize(
    "card", [{"channels": 3, "constants": GREY.to_card()["constants"]}, {"channels": 1, "constants": {}}]
)
def test_cards_that_do_not_fit_are_refused(card: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="do not fit the channel count"):
        Normalisation.from_card(card)

"""Normalisation by hand, and what is refused."""

import json

import numpy as np
import pytest

from unpool.errors import DataError
from unpool.normalisation import ChannelConstants, Normalisation

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


def test_the_card_is_json_and_reads_back() -> None:
    assert Normalisation.from_card(json.loads(json.dumps(MIXED.to_card()))) == MIXED


@pytest.mark.parametrize(
    "card", [{"channels": 3, "constants": GREY.to_card()["constants"]}, {"channels": 1, "constants": {}}]
)
def test_cards_that_do_not_fit_are_refused(card: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="do not fit the channel count"):
        Normalisation.from_card(card)

"""Whether pictures have an up."""

import numpy as np
import pytest
from numpy.typing import NDArray

import tiny
from unpool.class_table import IGNORE_ID
from unpool.data.samples import Sample
from unpool.data.upright import UPRIGHT_ABOVE, vertical_displacement


def sample(labels: NDArray[np.uint8]) -> Sample:
    return Sample("x", labels[..., None], labels, None)


def test_cells_lie_anywhere() -> None:
    assert vertical_displacement(tiny.samples(12), 2) < UPRIGHT_ABOVE / 2


def test_sky_is_above_the_road_by_hand() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), 50)[:, None] * np.ones((1, 30), np.uint8)
    assert vertical_displacement([sample(labels)], 2) == pytest.approx(0.25)
    assert vertical_displacement([sample(labels), sample(labels[::-1])], 2) == pytest.approx(0.0)


def test_sizes_are_shares_of_the_height_and_ignored_pixels_do_not_count() -> None:
    labels = np.repeat(np.array([0, IGNORE_ID, 1], np.uint8), 20)[:, None] * np.ones((1, 30), np.uint8)
    assert vertical_displacement([sample(labels)], 2) == pytest.approx(1 / 3)
    assert vertical_displacement([sample(np.full((9, 9), IGNORE_ID, np.uint8))], 2) == 0.0
    assert vertical_displacement([], 2) == 0.0

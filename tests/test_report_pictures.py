"""Overlays, error pictures and thumbnails, pixel by pixel."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from unpool.class_table import IGNORE_ID
from unpool.report.pictures import (
    MISSED,
    RIGHT,
    RIGHT_FIRST,
    WRONG,
    colourise,
    displayable,
    error_picture,
    heat_picture,
    jpeg_data_uri,
    overlay,
    png_data_uri,
    shrink,
)

BLACK, RED, GREEN = (0, 0, 0), (250, 0, 0), (0, 250, 0)


def test_bright_8_bit_picture_is_shown_as_it_is():
    image = np.arange(0, 240, 5, dtype=np.uint8).reshape(4, 4, 3)
    assert (displayable(image) == image).all()


def test_grey_is_repeated_two_channels_are_red_and_green_and_a_fourth_is_dropped():
    grey = np.full((2, 3, 1), 180, dtype=np.uint8)
    assert (displayable(grey) == 180).all()
    assert displayable(grey[..., 0]).shape == (2, 3, 3)
    assert displayable(np.full((2, 3, 2), 180, dtype=np.uint8))[0, 0].tolist() == [180, 180, 0]
    assert displayable(np.full((2, 3, 4), 180, dtype=np.uint8)).shape == (2, 3, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_dark_or_deep_picture_is_stretched_from_percentile_to_percentile(dtype):
    # 0..100: the 1st percentile is 1, the 99th is 99; 50 lies half-way: 49 / 98 of 255.
    image = np.linspace(0, 100, 101).astype(dtype).reshape(1, 101, 1)
    shown = displayable(image)[0, :, 0]
    assert (shown[0], shown[1], shown[50], shown[99], shown[100]) == (0, 0, 128, 255, 255)


def test_flat_sparse_and_broken_pictures_have_a_display_too():
    assert displayable(np.full((3, 3, 1), 7, dtype=np.uint16)).max() == 0
    sparse = np.zeros((20, 20, 1), dtype=np.uint16)
    sparse[3, 4] = 900
    assert displayable(sparse)[3, 4].tolist() == [255, 255, 255]
    broken = np.array([[np.nan, 0.0, 1.0, np.inf]], dtype=np.float32)[..., None]
    assert displayable(broken)[0, :, 0].tolist() == [0, 0, 255, 0]
    assert displayable(np.full((2, 2, 1), np.nan, dtype=np.float32)).max() == 0


def test_overlay_by_hand():
    image = np.full((5, 6, 1), 200, dtype=np.uint8)
    labels = np.zeros((5, 6), dtype=np.uint8)
    labels[:, 3:] = 1
    labels[0, 0] = IGNORE_ID
    labels[:, 5] = 2
    seen = overlay(image, labels, (BLACK, RED, GREEN), opacity=0.4)
    assert seen[4, 1].tolist() == [200, 200, 200]  # class 0 is black: untinted
    assert seen[4, 2].tolist() == [200, 200, 200]  # and its side of the border is not drawn
    assert seen[4, 3].tolist() == [250, 0, 0]  # the border of class 1, in full colour
    assert seen[4, 4].tolist() == [250, 0, 0]
    assert seen[4, 5].tolist() == [0, 250, 0]
    assert (seen[0, 0] < 120).all()


def test_overlay_draws_both_sides_of_a_border_between_rows():
    labels = np.repeat(np.array([1, 1, 2, 2], dtype=np.uint8)[:, None], 2, axis=1)
    seen = overlay(np.full((4, 2, 1), 200, dtype=np.uint8), labels, (BLACK, RED, GREEN), opacity=0.4)
    assert seen[:, 0].tolist() == [[220, 120, 120], [250, 0, 0], [0, 250, 0], [120, 220, 120]]


def test_overlay_inside_a_region_blends():
    image = np.full((3, 3, 3), 200, dtype=np.uint8)
    labels = np.ones((3, 3), dtype=np.uint8)
    # 0.6 * 200 + 0.4 * 250 = 220; 0.6 * 200 = 120
    assert (overlay(image, labels, (BLACK, RED), opacity=0.4) == (220, 120, 120)).all()


def test_overlay_tints_class_0_where_its_colour_is_not_black():
    image = np.full((3, 3, 3), 200, dtype=np.uint8)
    labels = np.zeros((3, 3), dtype=np.uint8)
    assert (overlay(image, labels, (GREEN, RED), opacity=0.5) == (100, 225, 100)).all()


def test_overlay_refuses_labels_of_another_size():
    with pytest.raises(ValueError, match=r"image of size \(2, 3\), labels of size \(3, 2\)"):
        overlay(np.zeros((2, 3, 1), np.uint8), np.zeros((3, 2), np.uint8), (BLACK, RED))


def test_colourise_by_hand_with_hatching_three_pixels_wide():
    labels = np.array([[0, 1, 1, *[IGNORE_ID] * 6]], dtype=np.uint8)
    seen = colourise(labels, (BLACK, RED))
    assert seen[0, :3].tolist() == [[0, 0, 0], [250, 0, 0], [250, 0, 0]]
    assert seen[0, 3:, 0].tolist() == [58, 58, 58, 92, 92, 92]


def test_error_picture_by_hand():
    labels = np.array([[0, 1, 0, 1, 2, IGNORE_ID]], dtype=np.uint8)
    prediction = np.array([[0, 1, 1, 0, 1, 1]], dtype=np.uint8)
    seen = error_picture(labels, prediction)
    assert [tuple(map(int, pixel)) for pixel in seen[0, :5]] == [RIGHT_FIRST, RIGHT, WRONG, MISSED, WRONG]
    assert len(set(seen[0, 5].tolist())) == 1
    with pytest.raises(ValueError, match="labels of size"):
        error_picture(labels, prediction[:, :3])


def test_shrink_averages_pictures_and_picks_labels():
    picture = np.zeros((4, 8, 3), dtype=np.uint8)
    picture[:, 0] = 100
    assert shrink(picture, 4)[:, :, 0].tolist() == [[50, 0, 0, 0]] * 2
    labels = np.repeat(np.array([[0, 3], [7, 255]], dtype=np.uint8), 6, axis=1)
    assert set(shrink(labels, 5).ravel().tolist()) <= {0, 3, 7, 255}
    assert shrink(picture, 8) is picture
    assert shrink(np.zeros((1, 1000, 3), np.uint8), 10).shape == (1, 10, 3)


def test_data_uris_hold_the_picture():
    picture = np.zeros((5, 7, 3), dtype=np.uint8)
    picture[2:, 3:] = (10, 200, 30)
    head, body = png_data_uri(picture).split(",")
    assert head == "data:image/png;base64"
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))) == picture).all()
    head, body = jpeg_data_uri(picture).split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (7, 5)


def test_heat_rises_in_lightness_from_black_to_the_top():
    shown = heat_picture(np.linspace(0, 0.6, 61, dtype=np.float32)[None], 0.5)
    assert (shown.shape, shown.dtype) == ((1, 61, 3), np.uint8)
    assert shown[0, 0].max() < 5
    assert (shown[0, 50:] == shown[0, 50]).all()
    assert shown[0, 50].min() > 180
    lightness = shown[0, :51].astype(int) @ (299, 587, 114)
    assert (np.diff(lightness) > 0).all()

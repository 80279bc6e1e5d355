"""The sums of the lessons are those of the package, and what was measured says when, where and how often."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lessons import augmentation, decoders, few_pictures, measured, receptive_field, three_networks, unet_sizes

from unpool.nets.explain.explanation import explain
from unpool.nets.explain.records import Explanation
from unpool.nets.families import network_of
from unpool.nets.fcn import FCNStructure
from unpool.nets.named import UNET, UNET_2015


def facts(structure: object, side: int) -> Explanation:
    with torch.device("meta"):
        network = network_of(structure, 1, 2)  # type: ignore[arg-type]
    return explain(network, (side, side), "x")


def test_the_receptive_field_is_that_of_the_explained_network() -> None:
    encoder = [each.receptive_field for each in facts(UNET, 512).layers if each.side in ("encoder", "bottom")]
    assert [each.field for each in receptive_field.steps()] == encoder
    assert receptive_field.convolutions_for(21) == 10


def test_unets_sizes_and_crops_are_those_of_the_explained_network() -> None:
    explained = facts(UNET_2015, 572)
    walk = [each.size for each in unet_sizes.walk(572) if "skip" not in each.what]
    assert [572, *walk] == [size[0] for size in explained.sizes]
    assert [each.crop[0].before for each in explained.skips] == [88, 40, 16, 4]
    for size in range(180, 640):
        legal = UNET_2015.output_size(size)
        if legal is None:
            with pytest.raises(ValueError, match="would see"):
                unet_sizes.walk(size)
        else:
            assert unet_sizes.output(size) == legal


def test_tiles_equal_one_large_input_on_the_grid_of_the_poolings_only() -> None:
    assert unet_sizes.seam(64) == unet_sizes.seam(80) == "0"
    assert float(unet_sizes.seam(68)) > 1
    assert float(unet_sizes.seam(72)) > 0.5  # 8 pixels: the fourth pooling differs


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_fcns_crops_are_those_of_the_network(stride: int) -> None:
    crops = [each.crop for each in three_networks.places(stride) if each.crop]
    assert [int(text.split(" = ")[1].split(",")[0]) for text in crops] == list(
        FCNStructure(prediction_stride=stride).crops  # type: ignore[arg-type]
    )


def test_the_fields_nine_vectors_are_at_its_nine_points() -> None:
    down, across = augmentation.bend(seed=1)
    random = np.random.default_rng(1)
    random.uniform(size=2)  # rotation and scale are drawn before
    vectors = random.normal(0, 10, (2, 3, 3))
    at = np.ix_([0, 95], [0, 95])  # the outer points lie on the outer pixels
    np.testing.assert_allclose(down[at], vectors[0][::2, ::2], atol=1e-3)
    np.testing.assert_allclose(across[at], vectors[1][::2, ::2], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("decoders", decoders.JOINED),
        ("few_pictures", few_pictures.AUGMENTATIONS),
    ],
)
def test_a_measurement_says_when_where_and_how_often(name: str, rows: dict[str, object]) -> None:
    given = measured.numbers(name)
    assert given["day"]
    assert given["machine"]
    assert given["seconds"] > 0
    assert set(given["rows"]) == set(rows)
    assert all(len(row["trainings"]) == 3 and row["steps"] > 0 for row in given["rows"].values())

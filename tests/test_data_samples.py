from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unpool.class_table import ClassTable, distinct_colours
from unpool.data.samples import Pair, Sample, read_sample
from unpool.data.training_normalisation import training_normalisation
from unpool.data.weight_maps import Emphasis
from unpool.errors import DataError

TABLE = ClassTable("values", ("a", "b"), ((0,), (255,)), (7,), distinct_colours(2))


def pair(root: Path, image: np.ndarray, mask: np.ndarray) -> Pair:
    Image.fromarray(image).save(root / "i.png")
    Image.fromarray(mask).save(root / "m.png")
    return Pair("i", root / "i.png", root / "m.png", None)


def sample(image: np.ndarray) -> Sample:
    return Sample("s", image, np.zeros(image.shape[:2], np.uint8), None)


def test_a_sample_has_labels(tmp_path: Path) -> None:
    found = read_sample(pair(tmp_path, np.zeros((1, 3, 3), np.uint8), np.array([[0, 255, 7]], np.uint8)), TABLE)
    assert found.image.shape == (1, 3, 3)
    assert found.labels.tolist() == [[0, 1, 255]]
    assert found.instances is None


def test_object_numbers_are_kept(tmp_path: Path) -> None:
    table = ClassTable("instances", ("a", "b"), ((0,), (1,)), (), distinct_colours(2))
    found = read_sample(pair(tmp_path, np.zeros((1, 3), np.uint8), np.array([[0, 300, 7]], np.uint16)), table)
    assert found.labels.tolist() == [[0, 1, 1]]
    assert found.instances is not None
    assert found.instances.tolist() == [[0, 300, 7]]


def test_emphasis_is_computed_from_objects_where_there_are_any(tmp_path: Path) -> None:
    values = np.array([[0, 3, 9, 0, 0]], np.uint16)
    table = ClassTable("instances", ("a", "b"), ((0,), (1,)), (), distinct_colours(2))
    found = read_sample(pair(tmp_path, np.zeros((1, 5), np.uint8), values), table, Emphasis("separation", 10.0, 5.0))
    assert found.emphasis is not None
    assert found.emphasis.dtype == np.float16
    assert found.emphasis[0] == pytest.approx([10 * np.exp(-d / 50) if d else 0 for d in (9, 0, 0, 9, 25)], rel=1e-3)
    assert found.nbytes == 5 * (1 + 1 + 4 + 2)
    plain = read_sample(Pair("i", tmp_path / "i.png", tmp_path / "m.png", None), table)
    assert plain.emphasis is None


def test_sizes_must_agree(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"i\.png is 2 x 3 and .*m\.png is 3 x 2"):
        read_sample(pair(tmp_path, np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)), TABLE)


def test_normalisation_by_hand() -> None:
    first = np.array([[[0], [10]]], np.uint8)
    second = np.array([[[20], [30], [40], [80]]], np.uint8)
    found = training_normalisation([sample(first), sample(second)], 1).constants["uint8"]
    assert found.mean == pytest.approx((30.0,))
    assert found.std == pytest.approx((np.sqrt((900 + 400 + 100 + 0 + 100 + 2500) / 6),))


def test_greys_are_repeated_and_types_kept_apart() -> None:
    grey = np.full((2, 2, 1), 100, np.uint16)
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[..., 2] = 50
    found = training_normalisation([sample(grey), sample(rgb)], 3)
    assert set(found.constants) == {"uint8", "uint16"}
    assert found.constants["uint16"].mean == (100.0, 100.0, 100.0)
    assert found.constants["uint8"].mean == (0.0, 0.0, 50.0)


def test_a_constant_picture_stays_finite() -> None:
    for dtype in (np.uint8, np.float32):
        image = np.full((2, 2, 1), 3, dtype)
        found = training_normalisation([sample(image)], 1)
        assert np.isfinite(found.apply(image, "s")).all()


def test_no_samples() -> None:
    with pytest.raises(DataError, match="no training pictures"):
        training_normalisation([], 1)

"""Borders of objects: their pixels by brute force, and a network that learned them and still answers in two classes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from unpool.checkpoint.models import load_model, save_model
from unpool.class_table import IGNORE_ID, ClassTable, distinct_colours
from unpool.commands.check import check
from unpool.commands.ensemble.joining import join_segmenters
from unpool.commands.events import finish
from unpool.commands.train.preparation import prepare
from unpool.commands.train.train import train
from unpool.config.schema import DataSettings
from unpool.config.settings import resolve
from unpool.data.borders import BORDER, with_borders
from unpool.data.synthetic import synthetic_cells
from unpool.errors import UsageError
from unpool.export.graph import ExportModule
from unpool.io.write.images import write_image
from unpool.prediction.averaging import Averaging
from unpool.prediction.predictor import Predictor
from unpool.prediction.result import Kept
from unpool.segmenter import Segmenter

NUMBERED = ClassTable("instances", ("background", "cell"), ((0,), (1,)), (), distinct_colours(2))


def numbered_set(folder: Path, count: int = 6) -> Path:
    """Write a set of touching cells with object numbers."""
    for cells in synthetic_cells(count, 0, ((48, 56), (64, 48))):
        write_image(folder / "images" / f"{cells.name}.png", cells.image)
        write_image(folder / "instances" / f"{cells.name}.png", cells.instances)
    return folder


def bordered(seed: int = 0) -> Segmenter:
    """A small network of random weights that learned borders."""
    made = tiny.segmenter(classes=NUMBERED, seed=seed)
    wide = tiny.segmenter(
        classes=ClassTable("values", ("a", "b", "c"), ((0,), (1,), (2,)), (), distinct_colours(3)), seed=seed
    )
    return replace(made, network=wide.network, borders=2)


def test_objects_have_a_border_along_their_edges() -> None:
    instances = np.tile(np.array([1, 1, 1, 1, 1, 7, 7, 7, 7, 0], np.int32), (9, 1))
    labels = (instances > 0).astype(np.uint8)
    assert with_borders(labels, instances, 2)[4].tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 2, 0]
    assert with_borders(labels, instances, 1)[4].tolist() == [1, 1, 1, 1, 2, 2, 1, 1, 2, 0]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_borders_by_brute_force(width: int) -> None:
    random = np.random.default_rng(width)
    instances = np.zeros((20, 24), np.int32)
    for number in random.permutation(9) + 1:
        top, left = random.integers(0, 16, 2)
        instances[top : top + 6, left : left + 7] = number * 1000
    labels = (instances > 0).astype(np.uint8)
    labels[5:8, 3:6] = IGNORE_ID
    found = with_borders(labels, instances, width)
    expected = labels.copy()
    for row, column in np.argwhere(labels == 1):
        for r, c in np.ndindex(labels.shape):
            near = (row - r) ** 2 + (column - c) ** 2 <= width**2
            if near and (labels[r, c] != 1 or instances[r, c] != instances[row, column]):
                expected[row, column] = BORDER
    np.testing.assert_array_equal(found, expected)


def test_a_border_counts_as_object() -> None:
    logits = torch.tensor([[0.0], [1.0], [2.0]])[..., None]
    segmenter, three = bordered(), logits.softmax(0)
    two = segmenter.class_logits(logits).softmax(0)
    assert two.flatten().tolist() == pytest.approx([float(three[0]), float(three[1] + three[2])])
    parts = segmenter.probabilities(logits).flatten().tolist()
    assert parts == pytest.approx([float(three[0]), float(three[1] + three[2]), float(three[2])])
    assert torch.equal(tiny.segmenter().class_logits(logits[:2]), logits[:2])


@pytest.mark.parametrize("averaging", [Averaging(), Averaging("flips")])
def test_a_prediction_has_the_classes_and_how_sure_it_is_inside(averaging: Averaging) -> None:
    segmenter = bordered()
    image = np.random.default_rng(0).integers(0, 255, (40, 44, 1), dtype=np.uint8)
    predictor = Predictor(segmenter, tiny.CPU, averaging=averaging)
    found = predictor.predict(image, "p", Kept(probabilities=True, inside=True))
    assert found.probabilities is not None
    assert found.inside is not None
    assert found.probabilities.shape == (2, 40, 44)
    np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(found.prediction, found.probabilities.argmax(0))
    border = np.zeros((40, 44), np.float32)
    for tile in predictor.tiles(image, "p"):
        assert tile.border is not None
        border[tile.rows, tile.columns] = tile.border.numpy()
    assert border.max() > 0.1
    expected = np.clip(found.probabilities.max(0) - border, 0, 1) * 255
    assert np.abs(found.inside - expected).max() <= 0.51


def test_the_model_file_keeps_borders(tmp_path: Path) -> None:
    segmenter = bordered()
    save_model(tmp_path / "model.safetensors", segmenter, {"citation": "none"})
    loaded = load_model(tmp_path / "model.safetensors").segmenter
    assert (loaded.borders, loaded.outputs, len(loaded.classes)) == (2, 3, 2)
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 1), dtype=np.uint8)
    one, other = (Predictor(each, tiny.CPU).probabilities(image, "p") for each in (segmenter, loaded))
    np.testing.assert_array_equal(one, other)
    exported = ExportModule(loaded, "uint8", "probabilities")
    with torch.no_grad():
        shown = exported(torch.from_numpy(image).movedim(-1, 0)[None])[0].numpy()
    np.testing.assert_allclose(shown, one, atol=1e-5)


def test_an_ensemble_needs_one_width() -> None:
    joined = join_segmenters({"a": bordered(0), "b": bordered(1)})
    assert joined.borders == 2
    with pytest.raises(UsageError, match="no borders of objects"):
        join_segmenters({"a": bordered(0), "b": tiny.segmenter(classes=NUMBERED)})


def test_borders_need_object_numbers(cells: Path) -> None:
    survey = finish(check(cells, DataSettings()))
    with pytest.raises(UsageError, match=r"borders=2 with masks of values(.|\n)*object numbers"):
        prepare(survey, resolve({**tiny.settings(), "data": {"borders": 2}}))
    assert prepare(survey, resolve(tiny.settings())).config.data.borders == 0


def test_a_training_learns_borders_and_is_scored_without_them(tmp_path: Path) -> None:
    given = {**tiny.settings(epochs=1), "data": {"masks": "instances", "borders": 3}}
    done = finish(train(numbered_set(tmp_path / "set"), given, tmp_path / "run"))
    segmenter, card = load_model(done.model)
    assert (segmenter.borders, segmenter.network.classes, card["borders"]) == (3, 3, 3)
    assert segmenter.classes.names == ("background", "foreground")
    assert done.best_mean_iou is not None

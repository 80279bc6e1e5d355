"""Class contrast: by hand, and what it chooses."""

import numpy as np
import pytest

from unpool.class_table import IGNORE_ID
from unpool.data.class_contrast import ClassContrast, class_contrast
from unpool.data.samples import Sample
from unpool.data.training_normalisation import training_normalisation


def sample(image: list[list[int]], labels: list[list[int]]) -> Sample:
    pixels = np.array(image, np.uint8)
    return Sample("s", pixels[..., None], np.array(labels, np.uint8), None)


def contrast(*samples: Sample) -> ClassContrast:
    return class_contrast(samples, training_normalisation(samples, 1))


def test_by_hand() -> None:
    # Class 1 is 100 darker in one picture and 100 lighter in the other: no value tells them apart, unless it is
    # compared with the other values of its picture.
    dark = sample([[0, 100, 0, 100]], [[1, 0, 1, 0]])
    light = sample([[100, 200, 100, 200]], [[1, 0, 1, 0]])
    found = contrast(dark, light)
    # The values are 0, 100, 100, 200, each twice: variance 5000, and 50**2 of it is between the means 50 and 150.
    assert found.by_set == pytest.approx(0.5)
    assert found.by_picture == pytest.approx(1.0)
    assert found.clearer == "picture"


def test_where_the_values_themselves_tell_the_classes_the_set_is_clearer() -> None:
    # Water is dark and land is light; each picture shows mostly one of them.
    sea = sample([[10, 10, 10, 50]], [[0, 0, 0, 1]])
    land = sample([[50, 50, 50, 10]], [[1, 1, 1, 0]])
    plain = sample([[10, 12, 10, 12]], [[0, 0, 0, 0]])
    found = contrast(sea, land, plain)
    assert found.by_set > found.by_picture
    assert found.clearer == "set"


def test_ignored_pixels_and_pictures_do_not_count() -> None:
    seen = sample([[0, 100, 0, 100]], [[1, 0, 1, 0]])
    noise = sample([[7, 250, 90, 3]], [[IGNORE_ID] * 4])
    normalisation = training_normalisation([seen], 1)
    assert class_contrast([seen, noise], normalisation) == class_contrast([seen], normalisation)
    assert class_contrast([noise], normalisation) == (0.0, 0.0)


def test_many_pictures_are_looked_at_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    dark, light = sample([[0, 50]], [[1, 0]]), sample([[100, 150]], [[1, 0]])
    samples = [dark, dark, light, light] * 5
    whole = contrast(*samples)
    monkeypatch.setattr("unpool.data.class_contrast._PICTURES", 10)
    assert contrast(*samples) == pytest.approx(whole)
    monkeypatch.setattr("unpool.data.class_contrast._PICTURES", 5)
    assert class_contrast(samples, training_normalisation(samples, 1)).by_set > whole.by_set + 0.1  # all are dark


def test_large_pictures_are_looked_at_evenly() -> None:
    labels = np.kron(np.indices((10, 7)).sum(0) % 2, np.ones((64, 64))).astype(np.uint8)
    random = np.random.default_rng(0)
    image = (60 + 40 * labels + random.normal(0, 20, labels.shape)).round().clip(0, 255).astype(np.uint8)
    found = contrast(Sample("s", image[..., None], labels, None))
    assert found.by_set == pytest.approx(0.5, abs=0.02)
    assert found.by_picture == pytest.approx(found.by_set, abs=0.02)
    assert found.clearer == "set"

"""Tests of the lesson on padding: what is measured at borders, and that its pictures are what the code draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lessons import borders, pages

from unpool.nets.families import network_of


def test_the_network_without_zeros_predicts_tiles_as_it_predicts_the_whole_picture() -> None:
    images, labels = borders.pictures(1, seed=3)
    assert images.shape == labels.shape == (1, borders.SIDE, borders.SIDE)
    torch.manual_seed(0)
    same, valid = (network_of(borders.STRUCTURES[name], 1, 2) for name in ("same", "valid"))
    whole = borders.logits(valid, borders.mirrored(images, borders.LOST))
    assert whole.shape == (1, 2, borders.SIDE, borders.SIDE)
    np.testing.assert_allclose(borders.tiled(valid, images, borders.LOST), whole, rtol=0, atol=1e-5)
    difference = np.abs(borders.tiled(same, images, 0) - borders.logits(same, images))[0].max(axis=0)
    where = borders.distances()["tile"]
    assert difference.max() > 1e-3
    assert difference[where == 0].mean() > 2 * difference[where > 15].mean()  # the zeros are felt at tiles' borders


def test_both_networks_are_trained_on_the_same_pixels() -> None:
    for (wide, wide_labels), (narrow, narrow_labels) in zip(
        borders.batches(borders.LOST, seed=5), borders.batches(0, seed=5), strict=True
    ):
        cut = slice(borders.LOST, borders.LOST + borders.CROP)
        assert torch.equal(wide[..., cut, cut], narrow)
        assert torch.equal(wide_labels[..., cut, cut], narrow_labels)


def test_distances_from_the_borders() -> None:
    far = borders.distances()
    assert far["picture"][0, 50] == far["picture"][50, -1] == 0
    assert far["picture"][3, 100] == 3
    assert far["tile"][63, 90] == far["tile"][64, 90] == far["tile"][90, 127] == 0
    assert far["tile"][90, 70] == 6
    assert far["tile"][10, 64] == -1  # too near to the picture's border
    wrong = np.zeros((2, borders.SIDE, borders.SIDE), dtype=bool)
    wrong[0, 1] = True  # the second row of one picture
    shares = borders.by_distance(wrong, far["picture"])
    ring = (far["picture"] <= 1).sum()
    assert shares == [pytest.approx(borders.SIDE / (2 * ring)), 0, 0, 0, 0]


def test_the_pictures_of_the_lesson_are_what_the_code_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = pages.PICTURES
    monkeypatch.setattr(pages, "PICTURES", tmp_path)
    pages.computed((pages.DOCS / "lessons" / "padding.md").read_text(encoding="utf-8"))
    drawn = sorted(tmp_path.iterdir())
    assert len(drawn) > 4
    for path in drawn:
        assert path.read_bytes() == (kept / path.name).read_bytes(), f"run python -m lessons.pages: {path.name}"

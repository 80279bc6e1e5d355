"""Tests of the plain program that reads a folder: it trains by the plain loop, and what it saves predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lessons.plain_data import Folder, learn, write_mask
from lessons.plain_segnet import PlainSegNet
from PIL import Image

from unpool.data.synthetic import synthetic_cells

SIDE = 96


def made_folder(folder: Path) -> Path:
    """Write eight made pictures of cells of two sizes, with masks of 0 and 255."""
    for made in synthetic_cells(8, 1, sizes=((SIDE, SIDE), (112, 120))):
        for kind, pixels in (("images", made.image), ("masks", np.where(made.instances, 255, 0).astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / kind / f"{made.name}.png")
    return folder


def test_batches_are_normalised_pairs_in_another_order_each_time(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = Folder(made_folder(tmp_path))
    first, second = (torch.cat([labels for _, labels in data.batches()]) for _ in range(2))
    assert first.shape == (8, SIDE, SIDE)
    assert not torch.equal(first, second)
    for pictures, labels in data.batches(size=3):
        assert pictures.dtype == torch.float32
        assert labels.dtype == torch.int64
        for picture, label in zip(pictures, labels, strict=True):  # cells are brighter: picture and mask are one pair
            assert picture[0][label == 1].mean() > picture[0][label == 0].mean()
    whole = torch.cat([((picture - data.mean) / data.deviation).flatten() for picture in data.pictures])
    assert abs(float(whole.mean())) < 1e-4
    assert abs(float(whole.std()) - 1) < 1e-4


def test_a_folder_is_learned_saved_and_predicted(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder, weights, mask = made_folder(tmp_path / "cells"), tmp_path / "net.safetensors", tmp_path / "mask.png"
    network = PlainSegNet(channels=1, classes=2, width=4)
    losses = learn(network, folder, weights, epochs=12)
    assert losses[-1] < 0.95 * losses[0]
    write_mask(PlainSegNet(channels=1, classes=2, width=4), weights, folder / "images" / "01.png", mask)
    found = np.array(Image.open(mask))
    assert found.shape == (112, 120)
    assert set(np.unique(found)) <= {0, 255}


def test_a_mask_of_other_values_is_refused(tmp_path: Path) -> None:
    folder = made_folder(tmp_path)
    Image.fromarray(np.full((SIDE, SIDE), 7, np.uint8)).save(folder / "masks" / "00.png")
    with pytest.raises(AssertionError, match="another value"):
        Folder(folder)

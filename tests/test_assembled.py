"""Tests of files that are assembled from others, and of the cache folder that keeps them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from unpool.errors import RunError
from unpool.io.cache import cache_folder
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.io.write.assembled import assembled_file


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "unpool"
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert cache_folder() == Path.home() / ".cache" / "unpool"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("platform.system", lambda: "Windows")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert cache_folder() is None


def test_an_assembled_file_is_made_once_and_again_when_a_source_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "a.txt"
    source.write_text("one")
    made: list[int] = []

    def make() -> np.ndarray:
        made.append(1)
        return np.full((2, 3), 7 + len(made), np.uint8)

    path = assembled_file([source], "page 0", "a/page: 0", make)
    assert path.is_relative_to(tmp_path / "cache" / "unpool")
    assert path.name == "a_page_ 0.tif"
    assert assembled_file([source], "page 0", "a/page: 0", make) == path
    assert len(made) == 1
    assert read_image(path)[0, 0, 0] == 8
    assert assembled_file([source], "page 1", "a", make).parent != path.parent
    source.write_text("three")
    os.utime(source, ns=(1, 1))
    again = assembled_file([source], "page 0", "a/page: 0", make)
    assert again != path
    assert read_image(again)[0, 0, 0] == 10


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint16).reshape(3, 4),
        (70_000 + np.arange(12, dtype=np.int32)).reshape(3, 4),
        np.arange(36, dtype=np.uint8).reshape(3, 4, 3),
    ],
)
def test_an_assembled_mask_keeps_its_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, array: np.ndarray) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = assembled_file([Path(__file__)], "all", "x", lambda: array)
    np.testing.assert_array_equal(read_mask(path), array)


def test_without_a_cache_folder_nothing_is_assembled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unpool.io.write.assembled.cache_folder", lambda: None)
    with pytest.raises(RunError, match="XDG_CACHE_HOME"):
        assembled_file([Path(__file__)], "all", "x", lambda: np.zeros((1, 1), np.uint8))

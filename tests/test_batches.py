"""Batches: reproducible from any step, prepared in a thread that does not hide errors."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from unpool.data import Sample, find_pairs
from unpool.data.batches import Batch, SampleStore, crop_size
from unpool.errors import DataError

DATA = tiny.samples(5)
MODEL = tiny.segmenter()


def equal(one: Batch, other: Batch) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels) and one.names == other.names


def test_shapes_and_types() -> None:
    batches = list(tiny.sampler(DATA, MODEL).epoch(0))
    assert len(batches) == 6
    for batch in batches:
        assert (batch.images.shape, batch.images.dtype) == ((2, 1, 32, 32), torch.float32)
        assert (batch.labels.shape, batch.labels.dtype) == ((2, 32, 32), torch.int64)
        assert set(batch.names) <= {sample.name for sample in DATA}


@pytest.mark.parametrize("first", [1, 3, 5, 6])
def test_an_epoch_entered_late_is_the_tail_of_the_whole(first: int) -> None:
    whole, late = (list(tiny.sampler(DATA, MODEL).epoch(3, first=first)) for first in (0, first))
    assert len(late) == 6 - first
    assert all(map(equal, whole[first:], late))


def test_epochs_and_seeds_differ() -> None:
    one = next(tiny.sampler(DATA, MODEL).epoch(0))
    assert equal(one, next(tiny.sampler(DATA, MODEL).epoch(0)))
    assert not equal(one, next(tiny.sampler(DATA, MODEL).epoch(1)))
    assert not equal(one, next(tiny.sampler(DATA, MODEL, seed=1).epoch(0)))


def test_the_crops_of_one_picture_change_from_epoch_to_epoch() -> None:
    alone = tiny.sampler(DATA[:1], MODEL)
    assert not torch.equal(next(alone.epoch(0)).images, next(alone.epoch(1)).images)


def test_every_picture_is_shown_and_larger_ones_more_often() -> None:
    areas = [32 * 32 * weight for weight in (1, 1, 1, 1, 6)]
    found = tiny.sampler(DATA, MODEL, areas=areas, least_steps=20, most_steps=20)
    names = [name for batch in found.epoch(0) for name in batch.names]
    assert [names.count(sample.name) for sample in DATA] == [4, 4, 4, 4, 24]


def test_steps_cover_the_pixels_within_bounds() -> None:
    def steps(area: int) -> int:
        return tiny.sampler(DATA, MODEL, areas=[area] * 5, least_steps=2, most_steps=50).steps

    assert steps(1) == 2
    assert steps(32 * 32 * 8) == 5 * 8 // 2
    assert steps(32 * 32 * 1000) == 50


def test_an_error_in_the_thread_surfaces_with_the_files_name(tmp_path: Path) -> None:
    folder = tiny.write_set(tmp_path / "set", 3)
    store = SampleStore(find_pairs(folder).pairs, tiny.CELLS, limit=0)
    broken = folder / "images" / "01.png"
    batches = tiny.sampler(store, MODEL, areas=[48 * 56] * 3).epoch(0)  # type: ignore[arg-type]
    next(batches)
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(DataError, match=r"images/01\.png"):
        list(batches)


def test_an_epoch_left_early_ends_its_thread() -> None:
    import threading

    batches = tiny.sampler(DATA, MODEL).epoch(0)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("unpool-batches")]


def test_the_store_keeps_what_fits(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = find_pairs(cells).pairs
    read: list[str] = []

    def counted(pair, table):  # type: ignore[no-untyped-def]
        read.append(pair.name)
        return read_sample(pair, table)

    from unpool.data import batches
    from unpool.data.samples import read_sample

    monkeypatch.setattr(batches, "read_sample", counted)
    sizes = [2 * sample.labels.size for sample in SampleStore(pairs, tiny.CELLS)]
    for limit, kept in ((0, 0), (sizes[0] + sizes[1] + 1, 2), (sum(sizes), len(pairs))):
        read.clear()
        store = SampleStore(pairs, tiny.CELLS, limit)
        assert [sample.name for sample in store] == [sample.name for sample in store]
        assert len(read) == 2 * len(pairs) - kept


def test_the_store_is_a_sequence_of_samples(cells: Path) -> None:
    store = SampleStore(find_pairs(cells).pairs, tiny.CELLS)
    assert len(store) == 8
    assert isinstance(store[7], Sample)
    with pytest.raises(IndexError):
        store[8]


def test_crop_size_by_hand() -> None:
    assert crop_size([(360, 480)], 256, 16) == (256, 256)
    assert crop_size([(100, 200), (90, 210), (500, 220)], 256, 16) == (96, 208)
    assert crop_size([(10, 500)], 250, 16) == (16, 240)
    assert crop_size([(500, 500)], 16, 32) == (32, 32)


@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1), st.integers(16, 512),
       st.sampled_from([16, 32, 64]))  # fmt: skip
def test_crop_sizes_are_legal(sizes: list[tuple[int, int]], largest: int, step: int) -> None:
    for side in crop_size(sizes, largest, step):
        assert side % step == 0
        assert step <= side <= max(largest, step)

"""Batches: reproducible from any step, prepared in a thread that does not hide errors."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from unpool.data import batches
from unpool.data.augmentation import CroppedSample, augmented_crop
from unpool.data.batches import Batch, SampleStore, crop_size
from unpool.data.samples import Pair, Sample, read_sample
from unpool.data.weight_maps import Emphasis, emphasis_map
from unpool.dataset.pairing.layouts import find_pairs
from unpool.errors import DataError, UsageError

DATA = tiny.samples(5)
MODEL = tiny.segmenter()


def joined(parts: Sequence[Batch]) -> Batch:
    """What several processes made, one after the other."""
    names = tuple(name for part in parts for name in part.names)
    return Batch(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]), names)


def equal(one: Batch, other: Batch) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels) and one.names == other.names


def test_crops_of_pictures_by_their_own_constants_are_parts_of_the_normalised_pictures() -> None:
    normalisation = replace(MODEL.normalisation, by="picture")
    sampler = tiny.sampler(DATA, MODEL, normalisation=normalisation, augmentation=tiny.NO_CHANGE)
    normal = {each.name: normalisation.of_picture(each.image, "p").apply(each.image, "p")[..., 0] for each in DATA}
    assert len({round(float(each.std()), 2) for each in normal.values()}) == 1
    for batch in sampler.epoch(0):
        for name, image in zip(batch.names, batch.images, strict=True):
            windows = np.lib.stride_tricks.sliding_window_view(normal[name], (32, 32))
            assert np.isclose(windows, image[0].numpy(), atol=1e-4).all(axis=(2, 3)).any()


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


@pytest.mark.parametrize(("size", "of"), [(2, 2), (5, 2), (5, 3), (4, 4), (3, 1)])
def test_the_shares_of_the_processes_make_up_the_batch_in_order(size: int, of: int) -> None:
    sampler = tiny.sampler(DATA, MODEL, batch_size=size, least_steps=2, most_steps=2)
    whole = list(sampler.epoch(1))
    parts = [list(sampler.epoch(1, part=(rank, of))) for rank in range(of)]
    counts = [len(part[0].names) for part in parts]
    assert max(counts) - min(counts) <= 1
    assert all(map(equal, map(joined, zip(*parts, strict=True)), whole))
    late = list(sampler.epoch(1, first=1, part=(of - 1, of)))
    assert len(late) == 1
    assert equal(late[0], parts[-1][1])


def test_a_process_makes_its_own_places_only(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[str] = []

    def counted(sample: Sample, *given: Any) -> CroppedSample:
        cut.append(sample.name)
        return augmented_crop(sample, *given)

    monkeypatch.setattr(batches, "augmented_crop", counted)
    made = list(tiny.sampler(DATA, MODEL, batch_size=3).epoch(0, part=(1, 2)))
    assert cut == [name for batch in made for name in batch.names]
    assert len(cut) == 6 * 2


def test_more_processes_than_places_are_refused() -> None:
    with pytest.raises(UsageError, match="2 crops per step for 3 processes"):
        next(tiny.sampler(DATA, MODEL).epoch(0, part=(0, 3)))


def test_emphasis_comes_with_the_batch(cells: Path) -> None:
    assert next(tiny.sampler(DATA, MODEL).epoch(0)).emphasis is None
    emphasis = Emphasis("boundary", 10.0, 3.0)
    store = SampleStore(find_pairs(cells).pairs[:3], tiny.CELLS, emphasis=emphasis)
    kept = store[1].emphasis
    assert kept is not None
    assert kept.dtype == np.float16
    np.testing.assert_allclose(kept, emphasis_map(store[1].labels, None, emphasis), rtol=1e-3, atol=1e-3)
    batch = next(tiny.sampler(store, MODEL, areas=[1] * 3, augmentation=tiny.NO_CHANGE).epoch(0))  # type: ignore[arg-type]
    assert batch.emphasis is not None
    assert (batch.emphasis.shape, batch.emphasis.dtype) == ((2, 32, 32), torch.float32)
    first = next(sample for sample in store if sample.name == batch.names[0]).emphasis
    assert first is not None
    windows = np.lib.stride_tricks.sliding_window_view(first.astype(np.float32), (32, 32))
    assert (windows == batch.emphasis[0].numpy()).all(axis=(2, 3)).any()


def test_epochs_and_seeds_differ() -> None:
    one = next(tiny.sampler(DATA, MODEL).epoch(0))
    assert equal(one, next(tiny.sampler(DATA, MODEL).epoch(0)))
    assert not equal(one, next(tiny.sampler(DATA, MODEL).epoch(1)))
    assert not equal(one, next(tiny.sampler(DATA, MODEL, seed=1).epoch(0)))


def test_the_crops_of_one_picture_change_from_epoch_to_epoch() -> None:
    alone = tiny.sampler(DATA[:1], MODEL)
    assert not torch.equal(next(alone.epoch(0)).images, next(alone.epoch(1)).images)


def test_the_crops_of_one_picture_differ_within_an_epoch() -> None:
    images = torch.cat([batch.images for batch in tiny.sampler(DATA[:1], MODEL).epoch(0)])
    assert len(images.flatten(1).unique(dim=0)) == 12


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


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("spoil", [truncate, Path.unlink])
@pytest.mark.parametrize("file", ["images/01.png", "masks/01.png"])
def test_a_picture_spoilt_after_the_survey_is_named(file: str, spoil: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tiny.write_set(tmp_path / "set", 3)
    store = SampleStore(find_pairs(folder).pairs, tiny.CELLS, limit=0)
    made = tiny.sampler(store, MODEL, areas=[48 * 56] * 3).epoch(0)  # type: ignore[arg-type]
    next(made)
    spoil(folder / file)
    with pytest.raises(DataError, match=file.replace(".", r"\.")):
        list(made)


def test_whatever_goes_wrong_with_a_picture_names_its_files(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cause = RuntimeError("the decoder fell over\nand more text")

    def fail(*_: object) -> None:
        raise cause

    store = SampleStore(find_pairs(cells).pairs[:1], tiny.CELLS)
    sampler = tiny.sampler(store, MODEL, areas=[1])  # type: ignore[arg-type]
    monkeypatch.setattr(batches, "augmented_crop", fail)
    with pytest.raises(DataError, match="00: RuntimeError: the decoder fell over\n  expected: ") as caught:
        next(sampler.epoch(0))
    assert caught.value.__cause__ is cause
    monkeypatch.setattr(batches, "read_sample", fail)
    files = (
        r"images/00\.png with .*masks/00\.png: RuntimeError: the decoder fell over\n  expected: (.|\n)*open the files"
    )
    with pytest.raises(DataError, match=files) as caught:
        next(tiny.sampler(SampleStore(store.pairs, tiny.CELLS), MODEL, areas=[1]).epoch(0))  # type: ignore[arg-type]
    assert caught.value.__cause__ is cause


def test_our_own_errors_pass_through_the_thread(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise UsageError("this", "that", "so")

    monkeypatch.setattr(batches, "augmented_crop", refuse)
    with pytest.raises(UsageError, match="this"):
        next(tiny.sampler(DATA, MODEL).epoch(0))


def test_an_epoch_left_early_ends_its_thread() -> None:
    import threading

    batches = tiny.sampler(DATA, MODEL).epoch(0)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("unpool-read-ahead")]


@pytest.mark.parametrize(("emphasis", "bytes_a_pixel"), [(None, 2), (Emphasis("boundary", 1.0, 2.0), 4)])
def test_the_store_keeps_what_fits(
    emphasis: Emphasis | None, bytes_a_pixel: int, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = find_pairs(cells).pairs
    read: list[str] = []

    def counted(pair: Pair, *given: Any) -> Sample:
        read.append(pair.name)
        return read_sample(pair, *given)

    monkeypatch.setattr(batches, "read_sample", counted)
    sizes = [bytes_a_pixel * sample.labels.size for sample in SampleStore(pairs, tiny.CELLS)]
    for limit, kept in ((0, 0), (sizes[0] + sizes[1] + 1, 2), (sum(sizes), len(pairs))):
        read.clear()
        store = SampleStore(pairs, tiny.CELLS, limit, emphasis)
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


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1), st.integers(16, 512),
       st.sampled_from([16, 32, 64]))  # fmt: skip
def test_crop_sizes_are_legal(sizes: list[tuple[int, int]], largest: int, step: int) -> None:
    for side in crop_size(sizes, largest, step):
        assert side % step == 0
        assert step <= side <= max(largest, step)

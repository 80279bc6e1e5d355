"""Augmentation: picture and labels move together, and no class is invented."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

import tiny
from unpool.class_table import IGNORE_ID
from unpool.data import augmentation
from unpool.data.augmentation import Augmentation, Crop, CroppedSample, _smooth, augmented_crop
from unpool.data.samples import Sample
from unpool.normalisation import ChannelConstants, Normalisation

PLAIN = Normalisation(1, {"uint8": ChannelConstants((0.0,), (1.0,))})
SIZES = [(1000, 37), (37, 1000), (20, 25), (1, 40), (40, 1), (1, 1), (64, 64)]


def crop(
    sample: Sample, augmentation: Augmentation, seed: int = 0, size: tuple[int, int] = (32, 48)
) -> tuple[Tensor, Tensor]:
    """Image and labels."""
    return augmented_crop(sample, Crop(*size), augmentation, PLAIN, np.random.default_rng(seed))[:2]


def of(labels: NDArray[np.uint8], factor: int = 1) -> Sample:
    """A sample whose picture is its labels times ``factor``."""
    return Sample("x", (labels * np.uint8(factor))[..., None], labels, None)


def blocks(rows: int, columns: int, classes: int = 4, side: int = 8) -> NDArray[np.uint8]:
    """Squares of random classes, without symmetry."""
    draw = np.random.default_rng(rows + columns).integers(0, classes, (rows // side + 1, columns // side + 1))
    return np.kron(draw, np.ones((side, side), int))[:rows, :columns].astype(np.uint8)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(SIZES), st.integers(0, 10**6), st.booleans())
def test_labels_are_those_of_the_picture_or_ignored(shape: tuple[int, int], seed: int, some_ignored: bool) -> None:
    labels = np.where(blocks(*shape, side=4) == 3, IGNORE_ID if some_ignored else 7, 2).astype(np.uint8)
    image, found = crop(of(labels), Augmentation(scale=1.0), seed)
    assert image.shape == (1, 32, 48)
    assert found.shape == (32, 48)
    assert (image.dtype, found.dtype) == (torch.float32, torch.int64)
    assert torch.isfinite(image).all()
    assert set(found.unique().tolist()) <= {*np.unique(labels).tolist(), IGNORE_ID}
    assert (found != IGNORE_ID).any() or min(shape) < 20 or (labels == IGNORE_ID).any()


@pytest.mark.parametrize("shape", [(40, 48), (33, 35), (1, 7), (200, 256)])
def test_with_everything_off_the_crop_is_the_picture(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    labels = random.integers(0, 3, shape).astype(np.uint8)
    normal = Normalisation(3, {"uint8": ChannelConstants((90.0, 100.0, 110.0), (50.0, 60.0, 70.0))})
    image, found, emphasis = augmented_crop(
        Sample("x", pixels, labels, None), Crop(*shape), tiny.NO_CHANGE, normal, random
    )
    assert emphasis is None
    assert (found.numpy() == labels).all()
    # Coordinates pass through -1..1 in float32, hence not bit for bit.
    np.testing.assert_allclose(image.movedim(0, -1).numpy(), normal.apply(pixels, "x"), atol=5e-4)


def test_with_everything_off_a_small_crop_is_a_window() -> None:
    labels = np.arange(60 * 70).reshape(60, 70) % 251
    sample = of(labels.astype(np.uint8))
    windows = np.lib.stride_tricks.sliding_window_view(sample.labels, (32, 48))
    for seed in range(20):
        image, found = crop(sample, tiny.NO_CHANGE, seed)
        assert (windows == found.numpy()).all(axis=(2, 3)).any()
        np.testing.assert_allclose(image[0].numpy(), found.numpy(), atol=2e-2)


MOVES = {
    "flips": dataclasses.replace(tiny.NO_CHANGE, flip_rows=True, flip_columns=True),
    "quarter turns": dataclasses.replace(tiny.NO_CHANGE, quarter_turns=True),
    "rotation": dataclasses.replace(tiny.NO_CHANGE, rotation=180.0),
    "scale": dataclasses.replace(tiny.NO_CHANGE, scale=1.0),
    "elastic": dataclasses.replace(tiny.NO_CHANGE, elastic=6.0),
    "all": dataclasses.replace(tiny.NO_CHANGE, flip_rows=True, rotation=90.0, scale=0.5, elastic=4.0, rare=0.5),
}


EXTREMES = (ndimage.maximum_filter, ndimage.minimum_filter)


@pytest.mark.parametrize("move", MOVES)
def test_picture_and_labels_move_together(move: str) -> None:
    sample, changed = of(blocks(150, 170, side=24), factor=60), 0
    still = crop(sample, tiny.NO_CHANGE)[1]
    for seed in range(12):
        image, labels = crop(sample, MOVES[move], seed)
        changed += not torch.equal(labels, still)
        around = [extreme(labels.numpy(), 7, mode="constant", cval=-1) for extreme in EXTREMES]
        away = (around[0] == around[1]) & (labels.numpy() != IGNORE_ID)
        assert away.any()
        np.testing.assert_allclose(image[0].numpy()[away], labels.numpy()[away] * 60, atol=0.1)
    assert changed > 6


@pytest.mark.parametrize("across", [False, True])
def test_labels_lie_on_the_picture_to_a_part_of_a_pixel(across: bool) -> None:
    """Along a straight edge the nearest label is the one to which the picture is interpolated by more than half."""
    edge = np.repeat(np.array([0, 1], np.uint8), 40)[:, None] * np.ones((1, 80), np.uint8)
    sample = of(np.ascontiguousarray(edge.T) if across else edge, factor=200)
    moved = dataclasses.replace(tiny.NO_CHANGE, rotation=30.0, scale=0.5)
    for seed in range(10):
        image, labels = crop(sample, moved, seed)
        counted = (labels != IGNORE_ID) & ((image[0] - 100).abs() > 0.1)
        assert torch.equal(image[0][counted] > 100, labels[counted] == 1)


def test_flips_are_exact() -> None:
    labels = blocks(32, 48)
    both = dataclasses.replace(tiny.NO_CHANGE, flip_rows=True, flip_columns=True)
    seen = {crop(of(labels), both, seed)[1].numpy().tobytes() for seed in range(30)}
    expected = (labels, labels[::-1], labels[:, ::-1], labels[::-1, ::-1])
    assert seen == {np.ascontiguousarray(way).astype(np.int64).tobytes() for way in expected}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (24, 33)])
def test_quarter_turns_are_exact_windows_in_every_orientation(mirrored: bool, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 45)).astype(np.uint8)
    sample = Sample("x", pixels[..., None], pixels % 5, None)
    turned = dataclasses.replace(tiny.NO_CHANGE, quarter_turns=True, flip_columns=mirrored)
    sources = {(k, m): np.rot90(pixels[:, ::-1] if m else pixels, k) for k in range(4) for m in (False, True)}
    seen = []
    for seed in range(80):
        image, labels = crop(sample, turned, seed, size)
        found = image[0].numpy()
        assert (found % 5 == labels.numpy()).all()
        for way, source in sources.items():
            windows = np.lib.stride_tricks.sliding_window_view(source, size)
            if (windows == found).all(axis=(2, 3)).any():
                seen.append(way)
    assert len(seen) == 80
    assert set(seen) == {way for way in sources if mirrored or not way[1]}
    assert min(seen.count(way) for way in set(seen)) >= 3


def test_beyond_the_edge_is_ignored_and_mirrored() -> None:
    labels = blocks(20, 30, side=4)
    image, found = crop(of(labels, 60), tiny.NO_CHANGE)
    inside = np.pad(labels.astype(np.int64), ((6, 6), (9, 9)), constant_values=IGNORE_ID)
    assert (found.numpy() == inside).all()
    mirrored = np.pad(labels * 60, ((6, 6), (9, 9)), mode="reflect")
    np.testing.assert_allclose(image[0].numpy(), mirrored, atol=1e-2)


def test_a_rotated_picture_is_ignored_beyond_its_edge_only() -> None:
    found = crop(of(np.zeros((32, 48), np.uint8)), MOVES["rotation"], seed=3)[1]
    assert found[16, 24] == 0
    assert (found == IGNORE_ID).any()


def test_the_same_seed_gives_the_same_crop_and_another_another() -> None:
    sample = of(blocks(90, 110), 60)
    one, other = crop(sample, Augmentation(), 5), crop(sample, Augmentation(), 5)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(crop(sample, Augmentation(), 6)[0], one[0])


def test_crops_reach_every_pixel() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[0, 0], labels[0, -1], labels[-1, 0], labels[-1, -1] = 1, 2, 3, 4
    seen = {int(v) for seed in range(400) for v in crop(of(labels), tiny.NO_CHANGE, seed)[1].unique()}
    assert seen == {0, 1, 2, 3, 4}


def test_rare_classes_are_sought() -> None:
    labels = np.zeros((300, 300), np.uint8)
    labels[150, 150] = 1

    def share(rare: float) -> float:
        chosen = dataclasses.replace(tiny.NO_CHANGE, rare=rare)
        return float(np.mean([(crop(of(labels), chosen, seed)[1] == 1).any() for seed in range(100)]))

    assert share(0.0) < 0.15
    assert 0.35 < share(1.0) < 0.7  # half of the crops look for class 0, half for class 1


def test_ignored_pixels_are_not_sought() -> None:
    labels = np.full((300, 300), IGNORE_ID, np.uint8)
    labels[150, 150] = 1
    sought = dataclasses.replace(tiny.NO_CHANGE, rare=1.0)
    assert all((crop(of(labels), sought, seed)[1] == 1).any() for seed in range(20))


def test_grey_values_change_within_bounds_and_labels_do_not() -> None:
    sample = of(blocks(32, 48), 60)
    bright = dataclasses.replace(tiny.NO_CHANGE, brightness=2.0)
    shifts = [float((crop(sample, bright, s)[0] - crop(sample, tiny.NO_CHANGE)[0]).mean()) for s in range(60)]
    assert max(map(abs, shifts)) <= 2.0
    assert max(shifts) > 0.8
    assert min(shifts) < -0.8
    noisy = dataclasses.replace(tiny.NO_CHANGE, noise=5.0)
    plain = crop(sample, tiny.NO_CHANGE)[0]
    assert 0 < float((crop(sample, noisy)[0] - plain).std()) < 5.5 * float(plain.std())  # as a share of the contrast
    assert torch.equal(crop(sample, noisy)[1], crop(sample, tiny.NO_CHANGE)[1])


def test_a_picture_of_ignored_pixels_gives_ignored_crops() -> None:
    found = crop(of(np.full((40, 50), IGNORE_ID, np.uint8)), Augmentation(rare=1.0))[1]
    assert (found == IGNORE_ID).all()


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("shape", [(150, 170), (20, 25), (1, 40)])
def test_emphasis_moves_with_the_labels(move: str, shape: tuple[int, int]) -> None:
    labels = blocks(*shape, classes=5, side=4)
    sample = dataclasses.replace(of(labels), emphasis=(labels + 0.5).astype(np.float16))
    for seed in range(5):
        _, found, emphasis = augmented_crop(
            sample, Crop(32, 48, margin=7), MOVES[move], PLAIN, np.random.default_rng(seed)
        )
        assert emphasis is not None
        assert (emphasis.shape, emphasis.dtype) == ((32, 48), torch.float32)
        assert torch.equal(emphasis, torch.where(found == IGNORE_ID, 0.0, found + 0.5))


@pytest.mark.parametrize("margin", [0, 5])
def test_the_margin_is_picture_around_the_labels(margin: int) -> None:
    labels = blocks(80, 90)
    for seed in range(4):
        limits, random = MOVES["quarter turns"], np.random.default_rng(seed)
        whole = augmented_crop(of(labels, 60), Crop(40, 50, margin), limits, PLAIN, random)
        assert whole.image.shape == (1, 40 + 2 * margin, 50 + 2 * margin)
        inner = whole.image[0, margin : margin + 40, margin : margin + 50]
        np.testing.assert_allclose(inner.numpy(), whole.labels.numpy() * 60, atol=1e-2)


@pytest.mark.parametrize(
    ("points", "size", "expected"), [(0, (100, 512), (2, 2, 6)), (3, (100, 512), (2, 3, 3)), (1, (32, 48), (2, 1, 1))]
)
def test_points_of_the_elastic_grid(
    points: int, size: tuple[int, int], expected: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    grids = []

    def seen(grid: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        grids.append(grid)
        return _smooth(grid, size)

    monkeypatch.setattr(augmentation, "_smooth", seen)
    bent = dataclasses.replace(tiny.NO_CHANGE, elastic=10.0, elastic_points=points)
    for seed in range(50):
        crop(of(blocks(30, 30)), bent, seed, size)
    assert {grid.shape for grid in grids} == {expected}
    assert np.std(grids) == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize(("points", "size"), [((3, 3), (64, 50)), ((2, 6), (33, 512)), ((1, 4), (20, 1))])
def test_the_elastic_field_is_bicubic(points: tuple[int, int], size: tuple[int, int]) -> None:
    grid = np.random.default_rng(0).normal(0, 10, (2, *points)).astype(np.float32)
    found = _smooth(grid, size)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(grid)[None], size=size, mode="bicubic", align_corners=True
    )
    np.testing.assert_allclose(found, expected[0].numpy(), atol=1e-4)


def test_one_elastic_point_shifts_the_crop() -> None:
    slope = of((np.arange(60)[:, None] + 2 * np.arange(70)).astype(np.uint8))
    shifted = dataclasses.replace(tiny.NO_CHANGE, elastic=1.0, elastic_points=1)
    for seed in range(10):
        change = (crop(slope, shifted, seed)[0] - crop(slope, tiny.NO_CHANGE, seed)[0])[:, 4:-4, 4:-4]
        assert float(change.abs().min()) > 0.01
        assert float(change.std()) < 0.01


def test_the_noise_is_normal() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    normal = Normalisation(3, {"uint8": ChannelConstants((90.0,) * 3, (50.0,) * 3)})
    sample = Sample("x", pixels, np.zeros((256, 256), np.uint8), None)
    still, noisy = (
        augmented_crop(sample, Crop(256, 256), way, normal, np.random.default_rng(1)).image
        for way in (tiny.NO_CHANGE, dataclasses.replace(tiny.NO_CHANGE, noise=1.0))
    )
    grain = (noisy - still).flatten(1) / still.flatten(1).std(dim=1, keepdim=True)
    strength = float(grain.std())
    assert 0 < strength < 1
    assert abs(float(grain.mean())) < 0.02 * strength
    assert float((grain.abs() < strength).float().mean()) == pytest.approx(0.6827, abs=0.01)
    assert (torch.corrcoef(grain) - torch.eye(3)).abs().max() < 0.02  # each channel's own


def test_whole_pixels_are_taken_as_interpolation_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops that are only mirrored and turned by quarters need no interpolation, and give the same values without."""
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (61, 47, 3)).astype(np.uint8)
    sample = Sample("a", image, np.zeros(image.shape[:2], np.uint8), None)
    normalisation = Normalisation(3, {"uint8": ChannelConstants((9.0, 8.0, 7.0), (3.0, 4.0, 5.0))})
    moved = dataclasses.replace(Augmentation().none(), flip_rows=True, flip_columns=True, quarter_turns=True)
    crops = (Crop(32, 16), Crop(16, 32, margin=5), Crop(96, 64))  # the last is larger than the picture

    def cut() -> list[CroppedSample]:
        pairs = [(crop, seed) for crop in crops for seed in range(8)]
        return [augmented_crop(sample, c, moved, normalisation, np.random.default_rng(seed)) for c, seed in pairs]

    taken = cut()
    calls: list[bool] = []
    whole_pixels = augmentation._whole_pixels
    monkeypatch.setattr(augmentation, "_whole_pixels", lambda *given: calls.append(whole_pixels(*given) is not None))
    plain = cut()
    assert all(calls[:16])
    for one, other in zip(taken, plain, strict=True):
        torch.testing.assert_close(one.image, other.image, atol=1e-3, rtol=0)  # of 83 grey levels
        assert torch.equal(one.labels, other.labels)


def test_rotated_and_bent_crops_are_interpolated() -> None:
    random = np.random.default_rng(0)
    for change in ({"rotation": 5.0}, {"scale": 0.2}, {"elastic": 2.0}):
        moved = dataclasses.replace(Augmentation().none(), **change)
        rows, columns = augmentation._field((40.5, 30.5), (32, 32), moved, random)
        assert augmentation._whole_pixels(torch.zeros(1, 90, 90), rows, columns) is None

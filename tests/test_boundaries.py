"""Boundary scores by hand, by literal loops, by properties, and by an independent library where one is there."""

import importlib.util
from math import hypot, inf, isclose

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from skimage.metrics import hausdorff_distance

from unpool.class_table import IGNORE_ID, Labels
from unpool.metrics.boundaries import BoundaryScore, bf_score, boundaries, boundary_iou, boundary_scores, surface_scores
from unpool.metrics.contours import band, boundary, distances, matched_pixels, rim
from unpool.metrics.measures import Evidence, measure_set
from unpool.metrics.segments import BinaryImage

NAMES = ("sky", "road", "car")
RATIOS = ("bf", "boundary_iou", "normalised_surface_distance")

seeds = st.integers(0, 2**32 - 1)


def mask(*rows: str) -> BinaryImage:
    """``#`` is inside."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def square(size: int, top: int, left: int, side: int) -> BinaryImage:
    found = np.zeros((size, size), dtype=bool)
    found[top : top + side, left : left + side] = True
    return found


def everything(like: BinaryImage) -> BinaryImage:
    return np.ones(like.shape, dtype=bool)


def random_picture(seed: int, ignored: bool = True) -> tuple[Labels, Labels]:
    """Blocks of three classes, some of the truth ignored, and a prediction that differs in some pixels."""
    random = np.random.default_rng(seed)
    values = [0, 1, 2, IGNORE_ID] if ignored else [0, 1, 2]
    labels = random.choice(values, (4, 5)).repeat(3, axis=0).repeat(3, axis=1).astype(np.uint8)
    prediction = np.where(labels == IGNORE_ID, 1, labels)
    prediction = np.where(random.random(labels.shape) < 0.1, random.integers(0, 3, labels.shape), prediction)
    return labels, prediction.astype(np.uint8)


def test_a_boundary_lies_at_the_corners_of_pixels() -> None:
    region = mask("....", ".##.", ".##.", "....")
    assert (boundary(region, everything(region)) == mask("###.", "#.#.", "###.", "....")).all()
    assert (boundary(~region, everything(region)) == boundary(region, everything(region))).all()


def test_a_boundary_reaches_the_pictures_edge_and_is_none_itself() -> None:
    region = mask("..##", "..##", "..##")
    assert (boundary(region, everything(region)) == mask(".#..", ".#..", ".#..")).all()
    assert (rim(region, everything(region)) == mask("..#.", "..#.", "..#.")).all()
    assert (band(region, everything(region), 1) == region).all()  # here the edge counts
    wide = mask(*[".......", *[".#####."] * 5, "......."])
    assert band(wide, everything(wide), 1).sum() == 25 - 9
    assert band(wide, everything(wide), 2).sum() == 25 - 1


def test_there_is_no_boundary_against_ignored_pixels() -> None:
    region = mask("......", ".##...", ".##...", "......")
    known = everything(region)
    known[:, 3:] = False
    assert (boundary(region, known) == mask("###...", "#.....", "###...", "......")).all()
    known = everything(region)
    known[:, 0] = known[:, 3:] = known[0] = known[3] = False
    assert not boundary(region, known).any()
    assert not rim(region, known).any()
    assert bf_score(region, region, known) is None
    assert surface_scores(region, region, known) == (None, None)


@given(seeds)
def test_boundaries_are_those_of_literal_loops(seed: int) -> None:
    labels, _ = random_picture(seed)
    region, known = labels == 1, labels != IGNORE_ID
    rows, columns = labels.shape

    def meets(a: tuple[int, int], b: tuple[int, int]) -> bool:
        inside = b[0] < rows and b[1] < columns and min(b) >= 0 and a[0] < rows and a[1] < columns
        return bool(inside and known[a] and known[b] and region[a] != region[b])

    for r in range(rows):
        for c in range(columns):
            here, right, below, across = (r, c), (r, c + 1), (r + 1, c), (r + 1, c + 1)
            corner = meets(here, right) or meets(here, below) or meets(right, across) or meets(below, across)
            assert boundary(region, known)[here] == corner
            around = any(meets(here, place) for place in (right, below, (r, c - 1), (r - 1, c)))
            assert rim(region, known)[here] == (around and region[here])


@given(seeds, st.integers(1, 3))
@settings(max_examples=30)
def test_a_band_is_that_of_literal_loops(seed: int, width: int) -> None:
    labels, _ = random_picture(seed)
    region, known = labels == 1, labels != IGNORE_ID
    found = band(region, known, width)
    padded = np.pad(region | ~known, width)
    for (r, c), value in np.ndenumerate(found):
        near = padded[r : r + 2 * width + 1, c : c + 2 * width + 1]
        assert value == (region[r, c] and known[r, c] and not near.all())


def test_matching_uses_each_pixel_once() -> None:
    one, three = mask("..#.."), mask(".###.")
    assert matched_pixels(one, three, 1) == matched_pixels(three, one, 1) == 1
    assert matched_pixels(three, three, 0) == 3
    assert matched_pixels(three, mask("#...#"), 0.99) == 0
    assert matched_pixels(three, mask("#...#"), 1) == 2
    assert matched_pixels(three, mask("....."), 9) == matched_pixels(mask("....."), three, 9) == 0
    assert matched_pixels(mask("##..."), mask("..##."), 2) == 2  # greedily, the nearest two first, it would be 1


@given(seeds, st.sampled_from([0.0, 1.0, 1.5, 2.3, 4.5]), st.sampled_from([0.1, 0.3, 0.6]))
@settings(max_examples=60)
def test_matching_is_the_best_assignment(seed: int, tolerance: float, share: float) -> None:
    random = np.random.default_rng(seed)
    first, second = random.random((7, 9)) < share, random.random((7, 9)) < share / 2
    pairs = np.array([[hypot(*(a - b)) <= tolerance for b in np.argwhere(second)] for a in np.argwhere(first)])
    best = 0
    if pairs.size:
        rows, columns = linear_sum_assignment(~pairs)
        best = int(pairs[rows, columns].sum())
    assert matched_pixels(first, second, tolerance) == matched_pixels(second, first, tolerance) == best


def test_matching_in_parts_is_matching(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    first, second = random.random((2, 40, 50)) < 0.1
    whole = matched_pixels(first, second, 4.5)
    monkeypatch.setattr("unpool.metrics.contours._LOOKUPS_AT_ONCE", 1)
    assert matched_pixels(first, second, 4.5) == whole


@given(seeds)
@settings(max_examples=30)
def test_distances_are_those_of_loops(seed: int) -> None:
    first, second = np.random.default_rng(seed).random((2, 6, 7)) < 0.3
    first[0, 0] = second[5, 6] = True
    loop = [min(hypot(*(a - b)) for b in np.argwhere(second)) for a in np.argwhere(first)]
    assert distances(first, second) == pytest.approx(loop)


def percentile(values: list[float], share: float) -> float:
    place = share * (len(values) - 1)
    low, high = sorted(values)[int(place)], sorted(values)[min(int(place) + 1, len(values) - 1)]
    return low + (place - int(place)) * (high - low)


@given(seeds)
@settings(max_examples=30)
def test_surface_scores_are_those_of_loops(seed: int) -> None:
    labels, prediction = random_picture(seed)
    known = labels != IGNORE_ID
    for k in range(3):
        rims = [np.argwhere(rim(each == k, known)) for each in (labels, prediction)]
        if not all(map(len, rims)):
            continue
        there, back = ([min(hypot(*(a - b)) for b in other) for a in own] for own, other in (rims, rims[::-1]))
        worst, near = surface_scores(labels == k, prediction == k, known)
        assert worst == pytest.approx(max(percentile(there, 0.95), percentile(back, 0.95)))
        assert near == sum(each <= 0.0075 * hypot(*labels.shape) for each in there + back) / len(there + back)


def test_the_worse_direction_counts() -> None:
    truth = square(100, 10, 10, 3)
    more = truth | square(100, 10, 50, 3)
    known = everything(truth)
    # Each rim is the 8 outer pixels of a 3 x 3 square. Those of the second one are 38 to 40 from the first: three of
    # them 40, so the 95th percentile of the 16 distances, between the 15th and the 16th, is 40. The other way is 0.
    assert surface_scores(truth, more, known) == surface_scores(more, truth, known) == (40.0, 16 / 24)


def test_a_shifted_square_by_hand() -> None:
    truth, moved, known = square(100, 30, 30, 20), square(100, 30, 33, 20), np.ones((100, 100), dtype=bool)
    # The diagonal is 141.4: a tolerance of 1.06 pixels and a band of 3. Each boundary is a frame of 80 corners, upper
    # side from column 29 (moved: 32) to 49 (52). Along it the true columns 31 to 49 and the first corner below column
    # 49 find partners in the moved columns 32 to 50 and the first corner below column 32: 20 pairs, and 20 below.
    assert boundary(truth, known).sum() == boundary(moved, known).sum() == 80
    assert bf_score(truth, moved, known) == (20 + 20) / 80
    inner = 20 * 20 - 14 * 14
    both = 2 * 3 * 17  # the upper and lower strips overlap in 17 columns, the side strips lie next to each other
    assert boundary_iou(truth, moved, known) == pytest.approx(both / (2 * inner - both))
    # Each rim has 76 pixels; near are 18 of the upper side, one below its end, and as many at the lower side.
    assert surface_scores(truth, moved, known) == (3.0, 2 * (18 + 1) / 76)


@pytest.mark.parametrize(("shift", "bf", "near"), [(0, 1.0, 1.0), (2, 1.0, 1.0), (4, 1.0, 1.0), (5, 0.0, 0.0)])
def test_a_straight_boundary_shifted_around_the_tolerance(shift: int, bf: float, near: float) -> None:
    labels, prediction = np.zeros((2, 360, 480), dtype=np.uint8)
    labels[:, 200:] = 1
    prediction[:, 200 + shift :] = 1
    found = boundary_scores(("left", "right"), labels, prediction)  # the tolerance is 4.5 pixels
    for score in (*found.classes, found.mean):
        assert score.bf == bf
        assert score.normalised_surface_distance == near
        assert score.hausdorff_95 == shift
    # A band is 12 pixels wide, at the boundary and all along the picture's edge: of 360 rows, 24 are band throughout.
    for score, columns in zip(found.classes, ((200, 200 + shift), (280, 280 - shift)), strict=True):
        pixels = [24 * width + 336 * 24 for width in columns]
        both = 24 * min(columns) + 336 * (24 - shift)
        assert score.boundary_iou == pytest.approx(both / (sum(pixels) - both))


@given(seeds)
@settings(max_examples=30)
def test_a_perfect_prediction(seed: int) -> None:
    labels, _ = random_picture(seed)
    prediction = np.where(labels == IGNORE_ID, 2, labels).astype(np.uint8)
    for score in boundary_scores(NAMES, labels, prediction).classes:
        assert {getattr(score, name) for name in RATIOS} <= {1.0, None}
        assert score.hausdorff_95 in {0.0, None}


@given(seeds)
@settings(max_examples=30)
def test_truth_and_prediction_may_change_places(seed: int) -> None:
    labels, prediction = random_picture(seed, ignored=False)
    assert boundary_scores(NAMES, labels, prediction) == boundary_scores(NAMES, prediction, labels)


@given(seeds)
@settings(max_examples=30)
def test_mirrored_pictures_have_the_same_distances(seed: int) -> None:
    labels, prediction = random_picture(seed)
    plain, mirrored = (
        boundary_scores(NAMES, a, b) for a, b in ((labels, prediction), (labels[:, ::-1], prediction[:, ::-1]))
    )
    for a, b in zip(plain.classes, mirrored.classes, strict=True):
        assert (a.boundary_iou, a.hausdorff_95) == (b.boundary_iou, b.hausdorff_95)
        assert a.normalised_surface_distance == b.normalised_surface_distance


@given(seeds)
@settings(max_examples=30)
def test_what_is_predicted_on_ignored_pixels_changes_nothing(seed: int) -> None:
    labels, prediction = random_picture(seed)
    noise = np.random.default_rng(seed).integers(0, 3, labels.shape)
    other = np.where(labels == IGNORE_ID, noise, prediction).astype(np.uint8)
    assert boundary_scores(NAMES, labels, prediction) == boundary_scores(NAMES, labels, other)


def test_absent_invented_and_missed_classes() -> None:
    labels = np.zeros((30, 40), dtype=np.uint8)
    labels[:, 20:] = 1
    invented = labels.copy()
    invented[5:10, 5:10] = 2
    nothing = boundary_scores(NAMES, labels, labels).classes[2]
    assert nothing == BoundaryScore("car", None, None, None, None)
    worst = BoundaryScore("car", 0.0, 0.0, 50.0, 0.0)  # 50 is the diagonal
    assert boundary_scores(NAMES, labels, invented).classes[2] == worst
    assert boundary_scores(NAMES, invented, labels).classes[2] == worst
    paper = boundary_scores(NAMES, labels, invented, counted="truth")
    assert paper.classes[2].bf is None
    assert paper.classes[2].hausdorff_95 == 50.0
    assert boundary_scores(NAMES, invented, labels, counted="truth").classes[2].bf == 0.0


def test_constant_predictions() -> None:
    labels = np.zeros((30, 40), dtype=np.uint8)
    labels[:, 20:] = 1
    found = boundary_scores(NAMES, labels, np.zeros_like(labels))
    assert [score.bf for score in found.classes] == [0.0, 0.0, None]
    assert found.mean.bf == 0.0
    assert found.mean.hausdorff_95 == 50.0
    one = boundary_scores(NAMES, np.zeros_like(labels), np.zeros_like(labels))
    assert one.mean == BoundaryScore("mean", None, 1.0, None, None)  # only the band knows the picture's edge
    ignored = boundary_scores(NAMES, np.full_like(labels, IGNORE_ID), labels)
    assert ignored.mean == BoundaryScore("mean", None, None, None, None)


def test_a_set_is_the_mean_of_its_pictures() -> None:
    labels = np.zeros((30, 40), dtype=np.uint8)
    labels[:, 20:] = 1
    invented = labels.copy()
    invented[5:10, 5:10] = 2
    predictions = (labels, invented, np.zeros_like(labels))
    pictures = [boundary_scores(NAMES, labels, each) for each in predictions]
    measure = boundaries(NAMES)
    sure = np.ones(labels.shape, dtype=np.float32)
    numbers = [measure.numbers(Evidence(labels, None, each, sure, None)) for each in predictions]
    found = measure_set(measure, list(zip("abc", numbers, strict=True)), {name: name for name in "abc"})
    assert found.measure.rows == (*NAMES, "mean")
    assert found.value("bf", "road") == pytest.approx((1 + 1 + 0) / 3)
    assert found.value("bf", "car") == 0.0  # it counts in one picture
    assert found.value("bf") == pytest.approx(sum(each.mean.bf or 0 for each in pictures) / 3)
    for k, each in enumerate(pictures):
        table = [[getattr(score, column.key) for column in measure.columns] for score in (*each.classes, each.mean)]
        assert found.of_picture(k) == pytest.approx(np.array(table, dtype=float), nan_ok=True)


def test_sizes_have_to_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        boundary_scores(NAMES, np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


@given(seeds)
@settings(max_examples=20)
def test_the_largest_distance_is_that_of_skimage(seed: int) -> None:
    first, second = np.random.default_rng(seed).random((2, 12, 15)) < 0.1
    both = [distances(a, b).max() if a.any() and b.any() else inf for a, b in ((first, second), (second, first))]
    if first.any() and second.any():
        assert isclose(max(both), hausdorff_distance(first, second))


@pytest.mark.skipif(importlib.util.find_spec("monai") is None, reason="MONAI is not installed")
def test_distances_of_objects_away_from_the_edge_are_those_of_monai() -> None:
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    truth, moved = square(100, 30, 30, 20), square(100, 28, 35, 22)
    worst, near = surface_scores(truth, moved, np.ones((100, 100), dtype=bool))
    pair = [torch.from_numpy(each[None, None]).float() for each in (moved, truth)]
    assert worst == pytest.approx(float(compute_hausdorff_distance(*pair, include_background=True, percentile=95)))
    tolerance = 0.0075 * hypot(100, 100)
    assert near == pytest.approx(float(compute_surface_dice(*pair, [tolerance], include_background=True)))

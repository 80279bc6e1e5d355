"""The ISBI 2012 scores by hand, by literal loops over pixels and pairs of them, and by scikit-image."""

from collections import Counter, deque
from itertools import product
from math import isclose, log, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.metrics import adapted_rand_error, variation_of_information
from skimage.segmentation import watershed

import tiny
from unpool.class_table import IGNORE_ID
from unpool.commands.events import finish
from unpool.commands.test.options import TestOptions
from unpool.commands.test.test import test as score
from unpool.commands.train.train import TrainedRun
from unpool.errors import UsageError
from unpool.metrics.measures import Evidence, Measure, measure_set
from unpool.metrics.membranes import THRESHOLDS, MembraneNumbers, membranes
from unpool.metrics.named import MEASURES
from unpool.metrics.partitions import information_score, overlap, pixel_pairs, rand_score, thinned
from unpool.metrics.segments import BinaryImage, Segments, components
from unpool.metrics.warping import IS_SIMPLE, NEIGHBOURS, splits_and_mergers, topology_errors, unwarpable_pixels

NAMES = ("membrane", "cell")
PERFECT = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
FOUR = ((-1, 0), (0, -1), (0, 1), (1, 0))

seeds = st.integers(0, 2**32 - 1)


def mask(*rows: str) -> BinaryImage:
    """``#`` is inside a cell."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def segments(*rows: str) -> Segments:
    return np.array([[int(letter) for letter in row] for row in rows], dtype=np.int32)


def random_mask(seed: int, density: float | None = None) -> BinaryImage:
    """Noise, blurred or not, in a picture of 1 to 14 rows and columns."""
    random = np.random.default_rng(seed)
    noise = random.random((random.integers(1, 15), random.integers(1, 15)))
    if random.random() < 0.5:
        noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3
    return noise > (random.uniform(0.2, 0.8) if density is None else 1 - density)


def likely(found: BinaryImage, sure: float = 1.0) -> NDArray[np.float32]:
    return np.where(found, sure, 1 - sure).astype(np.float32)


def evidence(labels: NDArray[np.uint8], inside: NDArray[np.float32]) -> Evidence:
    probabilities = np.stack([1 - inside, inside])
    return Evidence(labels, None, probabilities.argmax(0).astype(np.uint8), probabilities.max(0), probabilities)


def numbers_of(truth: BinaryImage, inside: NDArray[np.float32]) -> NDArray[np.float64]:
    return membranes(NAMES).numbers(evidence(truth.astype(np.uint8), inside))


def table_of(*pictures: tuple[BinaryImage, NDArray[np.float32]]) -> dict[str, tuple[float, float]]:
    """Each score at 0.5 and at its best, of a set of pictures."""
    measure = membranes(NAMES)
    table = measure.table(np.stack([numbers_of(*each) for each in pictures]))
    return {column.key: tuple(table[:, k].tolist()) for k, column in enumerate(measure.columns)}


# Thinning


def literal_watershed(cells: BinaryImage) -> Segments:
    """Vincent and Soille's flooding with one queue, as the challenge's program goes about it, pixel by pixel."""
    unseen, waiting, line = -2, -3, 0
    rows, columns = cells.shape
    label = dict.fromkeys(product(range(columns), range(rows)), unseen)
    basins, queue = 0, deque()

    def beside(x: int, y: int) -> list[tuple[int, int]]:
        return [p for p in ((x - 1, y), (x, y - 1), (x + 1, y), (x, y + 1)) if p in label]

    for level in (True, False):
        at_level = [(x, y) for x in range(columns) for y in range(rows) if cells[y, x] == level]
        for p in at_level:
            if any(label[q] >= line for q in beside(*p)):
                label[p] = waiting
                queue.append(p)
        while queue:
            p = queue.popleft()
            own, lines = set(), False
            for q in beside(*p):
                if label[q] > 0:
                    own.add(label[q])
                elif label[q] == line:
                    lines = True
                elif label[q] == unseen and cells[q[1], q[0]] == level:
                    label[q] = waiting
                    queue.append(q)
            assert own or lines
            label[p] = own.pop() if len(own) == 1 else line
        for p in at_level:
            if label[p] == unseen:
                basins += 1
                label[p] = basins
                queue.append(p)
            while queue:
                for q in beside(*queue.popleft()):
                    if label[q] == unseen and cells[q[1], q[0]] == level:
                        label[q] = basins
                        queue.append(q)
    return np.array([[label[x, y] for x in range(columns)] for y in range(rows)], dtype=np.int32)


def same_partition(a: Segments, b: Segments) -> bool:
    """Whether two labellings differ in their numbers alone; 0 is 0 in both."""
    matches = set(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    return len(matches) == len({x for x, _ in matches}) == len({y for _, y in matches}) and all(
        (x == 0) == (y == 0) for x, y in matches
    )


def test_thin_walls_by_hand() -> None:
    assert (thinned(mask("#.#")) == segments("102")).all()
    assert (thinned(mask("#..#")) == segments("1102")).all()  # the left one has its turn first
    assert (thinned(mask("#...#")) == segments("11022")).all()
    assert (thinned(mask("#", ".", ".", "#")) == segments("1", "1", "0", "2")).all()
    assert (thinned(mask("....", ".#..", "....")) == 1).all()
    grown = thinned(mask("##...", "##...", ".....", "...##", "...##"))
    assert (grown == segments("11110", "11102", "11022", "10222", "02222")).all()


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_thinning_is_the_literal_flooding(seed: int) -> None:
    cells = random_mask(seed)
    assert same_partition(thinned(cells), literal_watershed(cells))


def test_thinning_of_thick_walls_is_the_literal_flooding() -> None:
    for seed in range(20):
        cells = np.random.default_rng(seed).random((40, 31)) < 0.02
        assert same_partition(thinned(cells), literal_watershed(cells))


def test_thinning_agrees_with_scikit_image_in_walls_of_odd_width() -> None:
    inside = np.arange(30) % 11 < 8  # walls of 3
    cells, crossings = inside & inside[:, None], ~inside & ~inside[:, None]
    wanted = watershed(~cells, components(cells), watershed_line=True)
    assert same_partition(*(np.where(crossings, 0, found) for found in (thinned(cells), wanted)))
    stripes = np.tile(np.arange(30) % 10 < 5, (12, 1))  # walls of 5
    assert (thinned(stripes) == watershed(~stripes, components(stripes), watershed_line=True)).all()
    assert (thinned(stripes.T) == watershed(~stripes.T, components(stripes.T), watershed_line=True)).all()


@given(seeds)
def test_thinning_keeps_the_cells_apart(seed: int) -> None:
    cells = random_mask(seed)
    thin, old = thinned(cells), components(cells)
    if cells.any():
        assert same_partition(np.where(cells, thin, 0), old)
    for step in FOUR[2:]:
        a, b = (thin[: len(thin) - step[0], : thin.shape[1] - step[1]], thin[step[0] :, step[1] :])
        assert ((a == b) | (a == 0) | (b == 0)).all()


def test_constant_masks_are_one_segment() -> None:
    for value in (True, False):
        assert (thinned(np.full((4, 6), value)) == 1).all()


# Partitions


def literal_pairs(truth: Segments, found: Segments) -> tuple[int, int, int]:
    """Ordered pairs of pixels of true segments that lie together, by looking at each."""
    pixels = [(a, b, k if b == 0 else 0) for k, (a, b) in enumerate(zip(truth.flat, found.flat, strict=True)) if a]
    both = true = other = 0
    for p, q in product(pixels, pixels):
        together = (p[0] == q[0], p[1:] == q[1:])
        both, true, other = both + all(together), true + together[0], other + together[1]
    return both, true, other


def entropy(things: list[object]) -> float:
    return -sum(n / len(things) * log(n / len(things)) for n in Counter(things).values())


def random_partitions(seed: int, lines: bool = True) -> tuple[Segments, Segments]:
    random = np.random.default_rng(seed)
    truth = components(random.random((9, 8)) < 0.6)
    found = random.integers(0 if lines else 1, 5, truth.shape).astype(np.int32)
    return truth, np.where(random.random(truth.shape) < 0.7, truth + (not lines), found).astype(np.int32)


def test_scores_of_partitions_by_hand() -> None:
    pieces = overlap(segments("1122", "1122"), segments("1111", "0111"))
    assert (sorted(pieces.shared), sorted(pieces.true)) == ([3, 4], [4, 4])
    assert (list(pieces.predicted), pieces.single) == ([7], 1)
    assert pixel_pairs(pieces) == (9 + 16 + 1, 32, 49 + 1)
    value, split, merge = rand_score(pieces)
    assert (split, merge) == (26 / 32, 26 / 50)
    assert value == 52 / 82
    value, split, merge = information_score(pieces)
    true, found = log(2), 7 / 8 * log(8 / 7) + log(8) / 8
    shared = true + found - (3 / 8 * log(8 / 3) + log(2) / 2 + log(8) / 8)
    assert (split, merge) == (pytest.approx(shared / found), pytest.approx(shared / true))
    assert value == pytest.approx(2 * split * merge / (split + merge))


def test_what_lies_outside_true_segments_counts_nowhere() -> None:
    truth, found = segments("110220", "110220"), segments("111222", "111000")
    assert overlap(truth, found).single == 2
    other = np.where(truth > 0, found, 7)
    assert pixel_pairs(overlap(truth, found)) == pixel_pairs(overlap(truth, other))
    assert np.isnan([rand_score(overlap(truth * 0, found)), information_score(overlap(truth * 0, found))]).all()


@settings(deadline=None)
@given(seeds)
def test_pairs_and_information_counted_pixel_by_pixel(seed: int) -> None:
    truth, found = random_partitions(seed)
    pieces = overlap(truth, found)
    both, true, other = literal_pairs(truth, found)
    assert pixel_pairs(pieces) == (both, true, other)
    if not true:
        return
    assert rand_score(pieces) == (2 * both / (true + other), both / true, both / other)
    pixels = [(a, (b, k if b == 0 else 0)) for k, (a, b) in enumerate(zip(truth.flat, found.flat, strict=True)) if a]
    first, second = ([pixel[side] for pixel in pixels] for side in (0, 1))
    shared = entropy(first) + entropy(second) - entropy(pixels)
    value, split, merge = information_score(pieces)
    assert isclose(split * entropy(second), shared if entropy(second) else 0, abs_tol=1e-9)
    assert isclose(merge * entropy(first), shared if entropy(first) else 0, abs_tol=1e-9)
    assert isclose(value * (entropy(first) + entropy(second)), 2 * shared, abs_tol=1e-9)


@settings(deadline=None)
@given(seeds)
def test_scores_of_partitions_are_scikit_images_where_they_are_the_same(seed: int) -> None:
    """Without lines; scikit-image counts pairs of different pixels, and information in bits."""
    truth, found = random_partitions(seed, lines=False)
    pieces = overlap(truth, found)
    both, true, other = (count - (truth > 0).sum() for count in pixel_pairs(pieces))
    if not both:
        return
    error, split, merge = adapted_rand_error(truth, found, ignore_labels=(0,))
    assert (1 - 2 * both / (true + other), both / true, both / other) == pytest.approx((error, split, merge))
    if len(pieces.true) > 1 and len(pieces.predicted) > 1:
        of_found, of_true = (bits * log(2) for bits in variation_of_information(truth, found, ignore_labels=(0,)))
        inside = truth > 0
        wanted = 1 - of_found / entropy(found[inside].tolist()), 1 - of_true / entropy(truth[inside].tolist())
        assert information_score(pieces)[1:] == pytest.approx(wanted, abs=1e-9)


@given(seeds)
def test_partitions_do_not_depend_on_the_order_of_segments_or_pixels(seed: int) -> None:
    truth, found = random_partitions(seed)
    renamed = np.random.default_rng(seed).permutation(np.arange(1, 99)).astype(np.int32)
    other = np.concatenate([[0], renamed]).astype(np.int32)
    for score_of in (rand_score, information_score, pixel_pairs):
        wanted = score_of(overlap(truth, found))
        for a, b in ((truth[::-1], found[::-1]), (truth.T, found.T), (other[truth], other[found])):
            assert np.array_equal(score_of(overlap(a, b)), wanted, equal_nan=True)


# Warping


def parts(points: set[tuple[int, int]], corners: bool) -> list[set[tuple[int, int]]]:
    """Connected parts of a set of pixels, by walking through them."""
    left, found = set(points), []
    while left:
        walk = [left.pop()]
        part = set(walk)
        while walk:
            row, column = walk.pop()
            for r, c in NEIGHBOURS:
                near = (row + r, column + c)
                if (corners or 0 in (r, c)) and near in left:
                    left.discard(near)
                    part.add(near)
                    walk.append(near)
        found.append(part)
    return found


def is_simple(inside: set[tuple[int, int]], row: int, column: int) -> bool:
    """One 4-connected part of cells and one 8-connected part of what is between touch the pixel in its patch."""
    around = {(row + r, column + c) for r, c in NEIGHBOURS}
    beside = {(row + r, column + c) for r, c in FOUR}
    cells = [part for part in parts(around & inside, corners=False) if part & beside]
    return len(cells) == len(parts(around - inside, corners=True)) == 1


def literal_warping(
    truth: BinaryImage, inside: NDArray[np.float32], threshold: float, known: BinaryImage
) -> tuple[BinaryImage, BinaryImage]:
    """The warped truth and the pixels left, one by one, by sets."""
    threshold = np.float32(threshold)
    warped = {(r, c) for r, c in np.argwhere(truth).tolist()}
    before = -1
    while True:
        wrong = [
            (-abs(inside[r, c] - threshold), c, r)
            for r, c in product(*map(range, truth.shape))
            if known[r, c] and ((r, c) in warped) != (inside[r, c] > threshold)
        ]
        if len(wrong) == before:
            break
        before = len(wrong)
        for _, c, r in sorted(wrong):
            if is_simple(warped, r, c):
                warped ^= {(r, c)}
    pictures = np.zeros((2, *truth.shape), dtype=bool)
    for k, points in enumerate((warped, [(r, c) for _, c, r in wrong])):
        for r, c in points:
            pictures[k, r, c] = True
    return pictures[0], pictures[1]


def literal_mistakes(warped: BinaryImage, left: BinaryImage) -> tuple[BinaryImage, BinaryImage]:
    """Splits and mergers: the cells of the whole picture that are next to a pixel, when it is in none itself."""
    mistakes = np.zeros((2, *left.shape), dtype=bool)
    inside = {(r, c) for r, c in np.argwhere(warped).tolist()}
    for row, column in np.argwhere(left).tolist():
        around = {(row + r, column + c) for r, c in NEIGHBOURS}
        met = [part for part in parts(inside - {(row, column)}, corners=False) if part & around]
        mistakes[0 if warped[row, column] else 1, row, column] = len(met) > 1
    return mistakes[0], mistakes[1]


def random_warping(seed: int) -> tuple[BinaryImage, NDArray[np.float32], BinaryImage]:
    """Truth, probabilities with many equal ones, known pixels."""
    random = np.random.default_rng(seed)
    truth = random_mask(seed)
    inside = (random.integers(0, 6, truth.shape) / 5 * 0.6 + 0.4 * truth).astype(np.float32)
    return truth, inside, random.random(truth.shape) < 0.95


def test_every_neighbourhood() -> None:
    for code in range(256):
        inside = {step for k, step in enumerate(NEIGHBOURS) if code >> k & 1}
        assert IS_SIMPLE[code] == is_simple(inside, 0, 0), code


def test_a_cell_may_bend_but_not_break() -> None:
    known = np.ones((3, 5), dtype=bool)
    truth, bent = mask("#####", "#####", "....."), mask("....#", ".####", "#####")
    assert topology_errors(truth, likely(bent), 0.5, known) == (0, 0)
    two = mask("##.##", "##.##", "##.##")
    joined = mask("#####", "##.##", "##.##")
    assert topology_errors(two, likely(joined), 0.5, known) == (1, 1)  # one pixel merges
    assert topology_errors(joined, likely(two), 0.5, known) == (1, 1)  # and splits
    whole = np.ones_like(two)
    assert topology_errors(two, likely(whole), 0.5, known) == (3, 1)  # three pixels, one mistake


def test_holes_and_islands_are_left_but_split_nothing() -> None:
    block = np.ones((5, 5), dtype=bool)
    holed = block.copy()
    holed[2, 2] = False
    known = np.ones_like(block)
    for truth, found in ((block, holed), (holed, block), (~block, ~holed), (~holed, ~block)):
        assert unwarpable_pixels(truth, likely(found), 0.5, known).sum() == 1
        assert topology_errors(truth, likely(found), 0.5, known) == (0, 0)


def test_the_most_certain_pixels_are_warped_first() -> None:
    truth, known = mask("#...#"), np.ones((1, 5), dtype=bool)
    for sure, last in (([1, 0.9, 0.8, 0.7, 1], 3), ([1, 0.7, 0.8, 0.9, 1], 1), ([1, 0.9, 0.9, 0.9, 1], 3)):
        inside = np.array([sure], dtype=np.float32)
        assert np.argwhere(unwarpable_pixels(truth, inside, 0.5, known)).tolist() == [[0, last]]


@settings(max_examples=150, deadline=None)
@given(seeds, st.sampled_from(THRESHOLDS[:-1]))
def test_warping_is_the_literal_one(seed: int, threshold: float) -> None:
    truth, inside, known = random_warping(seed)
    warped, wrong = literal_warping(truth, inside, threshold, known)
    left = unwarpable_pixels(truth, inside, threshold, known)
    assert (left == wrong).all()
    mistakes = literal_mistakes(warped, left)
    for found, wanted in zip(splits_and_mergers(warped, left), mistakes, strict=True):
        assert (found == wanted).all()
    splits, mergers = ({(r, c) for r, c in np.argwhere(each).tolist()} for each in mistakes)
    once = len(parts(splits, corners=False)) + len(parts(mergers, corners=True))
    assert topology_errors(truth, inside, threshold, known) == (len(splits) + len(mergers), once)


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_warping_keeps_the_topology(seed: int) -> None:
    truth, inside, known = random_warping(seed)
    left = unwarpable_pixels(truth, inside, 0.5, known)
    warped = np.where(known & ~left, inside > 0.5, truth)
    for change in (lambda picture: picture, np.logical_not):
        counts = [
            len(parts({(r, c) for r, c in np.argwhere(np.pad(change(each), 1, constant_values=bool(change(False))))},
                      corners=bool(change(False))))
            for each in (truth, warped)
        ]  # fmt: skip
        assert counts[0] == counts[1]


def test_cells_that_hang_together_far_away_are_split_here() -> None:
    """A ring of 60 x 60 pixels, cut at one place: within 20 pixels the two ends have nothing to do with each other."""
    truth = np.zeros((64, 64), dtype=bool)
    truth[2:62, 2:62] = True
    truth[5:59, 5:59] = False
    cut = truth.copy()
    cut[2:5, 30] = False
    assert topology_errors(truth, likely(cut), 0.5, np.ones_like(truth)).pixels > 0
    small, small_cut = (picture[np.ix_(*[np.r_[0:6, 26:34, 58:64]] * 2)] for picture in (truth, cut))
    assert topology_errors(small, likely(small_cut), 0.5, np.ones_like(small)).pixels == 0  # a hole ends, no cell


# The measure


def test_a_perfect_prediction() -> None:
    truth = mask("##.##", "##.##", ".....", "#####")
    table = membranes(NAMES).table(numbers_of(truth, likely(truth))[None])
    thin = mask("##.##", "##.##", "##.##", ".....", "#####")
    assert table[1].tolist()[6:] == PERFECT[6:]
    assert membranes(NAMES).table(numbers_of(thin, likely(thin))[None]).tolist() == [PERFECT, PERFECT]


def test_a_constant_prediction() -> None:
    """Two true cells of 6 pixels each, a wall of 3, and a picture of one answer."""
    truth = mask("##.##", "##.##", "##.##")
    for inside in (1.0, 0.0):
        scores = table_of((truth, np.full(truth.shape, inside, dtype=np.float32)))
        assert scores["v_rand"] == (2 / 3, 2 / 3)  # 72 of 72 and of 144 pairs
        assert scores["v_rand_split"] == (1, 1)
        assert scores["v_rand_merge"] == (0.5, 0.5)
        assert [scores[key] for key in ("v_info", "v_info_split", "v_info_merge")] == [(0, 0), (1, 1), (0, 0)]
    full = table_of((truth, np.ones(truth.shape, dtype=np.float32)))
    assert full["rand_error"] == pytest.approx((1 / 3, 1 / 3))
    assert full["pixel_error"] == pytest.approx((1 - 24 / 27, 1 - 24 / 27))
    assert full["pixel_differences"] == (3 / 15, 3 / 15)
    assert full["warping_error"] == (3 / 15, 3 / 15)
    assert full["warping_mistakes"] == (1 / 15, 1 / 15)
    empty = table_of((truth, np.zeros(truth.shape, dtype=np.float32)))
    assert empty["rand_error"] == pytest.approx((1 - 24 / 84, 1 - 24 / 84))  # 12 single pixels: 12 pairs of 72 and 12
    assert empty["pixel_error"] == (1, 1)
    assert empty["pixel_differences"] == (12 / 15, 12 / 15)
    assert empty["warping_error"] == (0, 0)  # the cells shrink to a pixel each, and those are objects deleted


def test_one_picture_by_hand() -> None:
    """A membrane with a gap of probability 0.65: above that threshold it is closed."""
    truth = mask("##.##", "##.##", "##.##")
    inside = likely(truth, 0.95)
    inside[1, 2] = 0.65
    scores = table_of((truth, inside))
    assert scores["v_rand"] == (2 * 72 / (72 + 144), 1)
    assert scores["v_info"] == (0, 1)
    assert scores["rand_error"] == (pytest.approx(1 - 2 * 72 / (72 + 144)), 0)
    assert scores["pixel_error"] == (pytest.approx(1 - 24 / 25), 0)
    assert scores["pixel_differences"] == (1 / 15, 0)
    assert scores["warping_error"] == (1 / 15, 0)


def test_one_threshold_for_all_pictures() -> None:
    """The gap of one closes above 0.65; the cells of the other fall apart there. Each alone would be perfect."""
    truth = mask("##.##", "##.##", "##.##")
    gap, weak = likely(truth, 0.95), likely(truth, 0.95)
    gap[1, 2] = 0.65
    weak[truth] = 0.55
    together, alone = table_of((truth, gap), (truth, weak)), [table_of((truth, each)) for each in (gap, weak)]
    assert [each["v_rand"][1] for each in alone] == [1, 1]
    assert together["v_rand"] == (pytest.approx(5 / 6), pytest.approx(5 / 6))
    assert together["pixel_error"][1] == pytest.approx(1 - 48 / 49)
    assert together["warping_error"][1] == 0  # at 0.7: an object less is neither a split nor a merger


def test_scores_of_a_set_are_means_of_pictures_or_ratios_of_sums() -> None:
    random = np.random.default_rng(3)
    pictures = [(random.random((8, 9)) < share, random.random((8, 9)).astype(np.float32)) for share in (0.4, 0.7)]
    numbers = np.stack([numbers_of(*each) for each in pictures])
    table = membranes(NAMES).table(numbers)
    named = MembraneNumbers(*np.moveaxis(numbers.reshape(2, 11, -1), -1, 0))
    assert table[1, 0] == named.rand.mean(0).max() != named.rand.max(1).mean()
    assert table[1, 3] == named.info.mean(0).max()
    hits, both = ([sum(((p > t) & q).sum() for q, p in pictures) for t in THRESHOLDS] for _ in range(2))
    f = [2 * h / sum(q.sum() + (p > t).sum() for q, p in pictures) for h, t in zip(hits, THRESHOLDS, strict=True)]
    assert table[1, 7] == pytest.approx(1 - max(f))
    both, true, found = (
        np.array([sum(literal_pairs(components(q), components(p > t))[k] for q, p in pictures) for t in THRESHOLDS])
        for k in range(3)
    )
    assert table[:, 6] == pytest.approx([1 - 2 * both[5] / (true + found)[5], 1 - (2 * both / (true + found)).max()])
    assert table[0, 8] == np.mean([((p > 0.5) != q).mean() for q, p in pictures])
    wrong = [sum(topology_errors(q, p, t, np.ones_like(q)).pixels for q, p in pictures) for t in THRESHOLDS[:-1]]
    assert table[:, 9] == pytest.approx([wrong[5] / 144, min(wrong) / 144])


def test_ignored_pixels_count_nowhere() -> None:
    random = np.random.default_rng(0)
    truth = random.random((12, 20)) < 0.6
    inside = (0.6 * random.random(truth.shape) + 0.4 * truth).astype(np.float32)
    labels = truth.astype(np.uint8)
    labels[:, 11:] = IGNORE_ID
    numbers = membranes(NAMES).numbers(evidence(labels, inside)).reshape(11, -1)
    cropped = numbers_of(truth[:, :11], inside[:, :11]).reshape(11, -1)
    column = MembraneNumbers._fields.index
    counts = [column(name) for name in ("hits", "true", "predicted", "pixels", "wrong_pixels", "mistakes")]
    assert np.array_equal(numbers[:, counts], cropped[:, counts], equal_nan=True)
    assert (numbers[:, column("pairs_true")] == cropped[:, column("pairs_true")]).all()
    nothing = membranes(NAMES).numbers(evidence(np.full_like(labels, IGNORE_ID), inside))
    measure = membranes(NAMES)
    assert np.isnan(measure.table(nothing[None])).all()
    both = np.stack([numbers.ravel(), nothing])
    assert np.array_equal(measure.table(both), measure.table(both[:1]), equal_nan=True)


def test_the_order_of_pictures_does_not_matter() -> None:
    random = np.random.default_rng(1)
    measure = membranes(NAMES)
    found = []
    for name in "abcdefg":
        truth = random.random((10, 10)) < 0.6
        found.append((name, numbers_of(truth, (random.random((10, 10)) * 0.6 + 0.4 * truth).astype(np.float32))))
    groups = {name: name for name, _ in found}
    first, second = measure_set(measure, found, groups), measure_set(measure, found[::-1], groups)
    assert second.table == pytest.approx(first.table, rel=1e-12)
    low, high = first.intervals[-1][0]  # type: ignore[misc]
    assert low <= first.value("v_rand") <= high


def test_which_class_is_the_membrane() -> None:
    truth = mask("##.##", "##.##", "##.##")
    labels = truth.astype(np.uint8)
    inside = likely(truth)
    turned = evidence(1 - labels, 1 - inside)
    first, second = MEASURES["membranes"](NAMES), MEASURES["membranes-second"](("cell", "membrane"))
    assert (first.numbers(evidence(labels, inside))[:6] == second.numbers(turned)[:6]).all()
    for measure in (first, second):
        assert measure.rule.startswith("Membrane is the class 'membrane', inside of cells the class 'cell'.")
    with pytest.raises(UsageError, match="3 classes: sky, road, car"):
        MEASURES["membranes"](("sky", "road", "car"))


def diagram_of(measure: Measure, numbers: NDArray[np.float64]) -> dict[str, tuple[float, ...]]:
    assert measure.diagram is not None
    return {curve.label: curve.y for curve in measure.diagram(numbers).curves}


def test_the_diagram_is_the_scan() -> None:
    truth = mask("##.##", "##.##", "##.##")
    inside = likely(truth, 0.95)
    inside[1, 2] = 0.65
    numbers = np.stack([numbers_of(truth, inside)])
    curves = diagram_of(membranes(NAMES), numbers)
    assert curves["V_rand"] == pytest.approx([2 / 3] * 7 + [1] * 3 + [2 / 3])
    assert curves["V_info"] == pytest.approx([0] * 7 + [1] * 3 + [0])
    gone = np.full_like(numbers, nan)
    assert np.isnan(membranes(NAMES).table(gone)).all()


def test_a_model_is_measured(run: TrainedRun, tmp_path: Path) -> None:
    new = tiny.write_set(tmp_path / "new-cells", 2, seed=5)
    options = TestOptions(device="cpu", precision="float32", measures=("membranes",))
    result = finish(score(run.folder, new, options, out=tmp_path / "out"))
    (found,) = result.measured
    assert found.measure.rows == ("at 0.5", "best")
    assert found.value("v_rand") >= found.value("v_rand", "at 0.5")  # type: ignore[operator]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "V_rand and V_info after thinning" in page
    assert "Membrane is the class" in page

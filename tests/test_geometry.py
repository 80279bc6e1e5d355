"""Size arithmetic against torch over all small sizes, against brute force, and against the papers' figures."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations_with_replacement, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from unpool.errors import UsageError
from unpool.geometry import (
    BILINEAR,
    BLOCKS,
    Grid,
    Layer,
    Padding,
    PixelRange,
    Rounding,
    Transposed,
    Window,
    centre_crop,
    crop_offset,
    grid,
    multiply_adds,
    padding_border,
    padding_for,
    padding_of,
    pooled_size,
    reads,
    receptive_field,
    same_padding,
    stored_bytes,
)

KERNELS, STRIDES, PADDINGS, DILATIONS, SIZES = range(1, 6), range(1, 4), range(5), range(1, 4), range(1, 21)
ROUNDINGS: tuple[Rounding, ...] = ("floor", "ceil")
SAME, POOL, CEIL = Window(3, 1, 1, 1), Window(2, 2), Window(2, 2, rounding="ceil")


def windows() -> Iterator[Window]:
    for kernel, stride, padding, dilation in product(KERNELS, STRIDES, PADDINGS, DILATIONS):
        yield Window(kernel, stride, padding, padding, dilation)


def ones(kernel: int) -> Tensor:
    return torch.ones(1, 1, kernel, dtype=torch.float64)


def run(layer: Layer, maps: Tensor) -> Tensor:
    """The layer in torch with all weights 1, on (N, 1, size)."""
    if isinstance(layer, Window):
        maps = F.pad(maps, (layer.before, layer.after))
        return F.conv1d(maps, ones(layer.kernel), stride=layer.stride, dilation=layer.dilation)
    w = layer.window
    grown = F.conv_transpose1d(maps, ones(w.kernel), stride=w.stride, dilation=w.dilation)
    return F.pad(grown, (-w.before, -w.after))


def read_in_torch(layers: Sequence[Layer], size: int) -> Tensor:
    """(input pixels, output pixels): True where the input pixel has a gradient, since all weights are positive."""
    maps = torch.eye(size, dtype=torch.float64)[:, None]
    for layer in layers:
        maps = run(layer, maps)
    return maps[:, 0] > 0


def hull(pixels: Tensor) -> PixelRange:
    found = pixels.nonzero().flatten().tolist()
    return (found[0], found[-1]) if found else (0, -1)


# Sizes against torch


def test_convolution_sizes_are_torchs() -> None:
    for window, size in product(windows(), SIZES):
        maps, weight = torch.zeros(1, 1, size), torch.zeros(1, 1, window.kernel)
        where = (window.stride, window.before, window.dilation)
        expected = window.size(size)
        if expected < 1:
            with pytest.raises(RuntimeError):
                F.conv1d(maps, weight, None, *where)
        else:
            assert F.conv1d(maps, weight, None, *where).shape[-1] == expected, (window, size)


def test_pooling_sizes_are_torchs() -> None:
    for window, size, rounding in product(windows(), SIZES, ROUNDINGS):
        if window.before > window.kernel // 2:
            continue
        maps, layer = torch.zeros(1, 1, size), replace(window, rounding=rounding)
        where = (window.kernel, window.stride, window.before, window.dilation, rounding == "ceil")
        if layer.size(size) < 1:
            with pytest.raises(RuntimeError):
                F.max_pool1d(maps, *where)
        else:
            assert F.max_pool1d(maps, *where).shape[-1] == layer.size(size), (layer, size)


def test_pooling_by_two() -> None:
    for size in range(1, 40):
        assert pooled_size(size, "floor") == size // 2
        assert pooled_size(size, "ceil") == (size + 1) // 2


def test_ceil_drops_a_window_that_would_begin_beyond_the_input() -> None:
    # Caffe: ceil((4 + 2 - 3) / 2) + 1 = 3, whose third window begins at 4 - 1 = 3, the last pixel: kept;
    # ceil((5 + 2 - 2) / 2) + 1 = 4, whose fourth window begins at 6 - 1 = 5, beyond pixel 4: dropped.
    assert Window(3, 2, 1, 1, rounding="ceil").size(4) == 3
    assert Window(2, 2, 1, 1, rounding="ceil").size(5) == 3


def test_transposed_sizes_are_torchs() -> None:
    for window, size in product(windows(), range(1, 9)):
        for extra in range(max(window.stride, window.dilation)):
            expected = Transposed(replace(window, after=window.after - extra)).size(size)
            if expected < 1:
                continue
            out = F.conv_transpose1d(
                torch.zeros(1, 1, size), torch.zeros(1, 1, window.kernel), None, window.stride, window.before,
                extra, 1, window.dilation,
            )  # fmt: skip
            assert out.shape[-1] == expected, (window, size, extra)


# Padding


def test_sides_of_named_paddings() -> None:
    assert [padding_border("valid", 3), padding_border("same", 3), padding_border("full", 3), padding_border(7, 3)] == [
        (0, 0),
        (1, 1),
        (2, 2),
        (7, 7),
    ]
    assert [padding_border("same", 2), padding_border("same", 4), padding_border("full", 2)] == [(0, 1), (1, 2), (1, 1)]
    assert [
        padding_border("same", 3, dilation=2),
        padding_border("full", 3, dilation=2),
        padding_border("same", 2, 2),
    ] == [(2, 2), (4, 4), (1, 1)]
    assert [padding_of("same", k) for k in (1, 3, 7)] == [0, 1, 3]
    with pytest.raises(UsageError, match="padding 'same' with kernel 2, which adds 0 before and 1 after"):
        padding_of("same", 2)


def test_named_paddings_keep_lose_and_grow() -> None:
    for kernel, dilation, size in product(KERNELS, DILATIONS, SIZES):
        lost = dilation * (kernel - 1)
        sizes: dict[Padding, int] = {"valid": size - lost, "same": size, "full": size + lost}
        for padding, expected in sizes.items():
            assert Window(kernel, 1, *padding_border(padding, kernel, dilation), dilation).size(size) == expected


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_is_torchs_at_stride_1() -> None:
    for kernel, dilation, size in product(KERNELS, DILATIONS, SIZES):
        maps, weight = torch.rand(1, 1, size), torch.rand(1, 1, kernel)
        expected = F.conv1d(maps, weight, padding="same", dilation=dilation)
        padded = F.pad(maps, padding_border("same", kernel, dilation))
        assert torch.allclose(F.conv1d(padded, weight, dilation=dilation), expected)
        assert same_padding(size, kernel, 1, dilation) == padding_border("same", kernel, dilation)


def test_same_padding_is_tensorflows() -> None:
    for kernel, stride, dilation, size in product(KERNELS, STRIDES, DILATIONS, SIZES):
        span = dilation * (kernel - 1) + 1
        stated = max(span - (size % stride or stride), 0)  # as TensorFlow's documentation puts it
        before, after = same_padding(size, kernel, stride, dilation)
        assert (before, after) == (stated // 2, stated - stated // 2)
        fewest = next(n for n in range(99) if Window(kernel, stride, 0, n, dilation).size(size) == -(-size // stride))
        assert before + after == fewest
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(225, 3, 2) == (1, 1)


def test_padding_for_a_wanted_size() -> None:
    for kernel, stride, dilation, size, wanted in product(KERNELS, STRIDES, (1, 2), range(1, 9), range(-1, 12)):
        able = [n for n in range(60) if Window(kernel, stride, 0, n, dilation).size(size) == wanted > 0]
        found = padding_for(size, wanted, kernel, stride, dilation)
        assert (sum(found) if found else None) == (able[0] if able else None)
        assert found is None or found[1] - found[0] in (0, 1)
    assert padding_for(5, 5, 3) == (1, 1)
    assert padding_for(5, 4, 3) == (0, 1)
    assert padding_for(5, 2, 3) is None


# What a size came from, and what restores it


def test_sizes_giving_an_output_size() -> None:
    for window, rounding, wanted in product(windows(), ROUNDINGS, range(-1, 5)):
        layer = replace(window, rounding=rounding)
        if rounding == "floor" or window.before < window.kernel:
            assert list(layer.sizes_giving(wanted)) == [i for i in range(1, 40) if layer.size(i) == wanted > 0]
    assert Window(3, 2, 1, 1).sizes_giving(3) == range(5, 7)


def test_the_transposed_convolution_restores_the_size() -> None:
    for window, size in product(windows(), SIZES):
        if window.size(size) > 0:
            restored = window.restoring(size)
            assert restored.size(window.size(size)) == size
            out = F.conv_transpose1d(
                torch.zeros(1, 1, window.size(size)), torch.zeros(1, 1, window.kernel), None, window.stride,
                window.before, window.leftover(size), 1, window.dilation,
            )  # fmt: skip
            assert out.shape[-1] == size


def test_a_transposed_convolution_is_a_direct_one_on_stretched_input() -> None:
    torch.manual_seed(0)
    for window in windows():
        layer, weight, size = Transposed(window), torch.rand(1, 1, window.kernel), 5
        if layer.size(size) < 1:
            continue
        maps = torch.rand(1, 1, size)
        expected = F.conv_transpose1d(
            maps, weight, stride=window.stride, padding=window.before, dilation=window.dilation
        )
        stretched = torch.zeros(1, 1, window.stride * (size - 1) + 1)
        stretched[..., :: window.stride] = maps
        direct = layer.direct()
        padded = F.pad(stretched, (direct.before, direct.after))
        assert torch.allclose(F.conv1d(padded, weight.flip(-1), dilation=direct.dilation), expected, atol=1e-6)


def test_full_restores_what_valid_lost() -> None:
    for kernel, dilation in product(KERNELS, DILATIONS):
        valid = Window(kernel, dilation=dilation)
        full = Window(kernel, 1, *padding_border("full", kernel, dilation), dilation)
        assert valid.restoring(30).direct() == full
        assert Transposed(full).direct() == valid  # and the other way round
        assert full.size(full.size(valid.size(valid.size(30)))) == 30


some_windows = st.builds(
    Window, st.integers(1, 9), st.integers(1, 5), st.integers(0, 12), st.integers(0, 12), st.integers(1, 4)
)


@given(some_windows, st.integers(1, 300))
def test_inverses(window: Window, size: int) -> None:
    out = window.size(size)
    if out < 1:
        return
    assert size in window.sizes_giving(out)
    assert window.sizes_giving(out)[0] + window.leftover(size) == size or window.sizes_giving(out)[0] == 1
    assert window.restoring(size).size(out) == size
    assert grid([window, Transposed(window)]) == Grid() == grid([Transposed(window), window])
    found = padding_for(size, out, window.kernel, window.stride, window.dilation)
    assert found is not None
    assert replace(window, before=found[0], after=found[1]).size(size) == out


# Crops


def test_centre_crop() -> None:
    assert [centre_crop(64, 56), centre_crop(9, 6), centre_crop(5, 5)] == [(4, 4), (1, 2), (0, 0)]
    assert Window(1, 1, -1, -2).size(9) == 6
    assert Window(1, 1, -1, -2).reads((0, 5)) == (1, 6)
    with pytest.raises(UsageError, match="a crop from 56 to 64 pixels"):
        centre_crop(56, 64)


def test_crops_that_align_nothing_are_refused() -> None:
    for cropped, onto in (
        (Grid(), Grid(step=Fraction(2))),
        (Grid(), Grid(Fraction(1, 2))),
        (Grid(Fraction(1)), Grid()),
    ):
        with pytest.raises(UsageError, match="a crop from pixels at"):
            crop_offset(cropped, onto)
    assert crop_offset(Grid(Fraction(1, 2), Fraction(2)), Grid(Fraction(13, 2), Fraction(2))) == 3


# What an output pixel reads


def test_one_layer_reads_what_torch_reads() -> None:
    size = 12
    for window, layer in ((w, kind(w)) for w in windows() for kind in (lambda w: w, Transposed)):
        if layer.size(size) < 1:
            continue
        truth = read_in_torch([layer], size)
        for first, last in combinations_with_replacement(range(min(truth.shape[1], 12)), 2):
            try:
                seen = layer.reads((first, last))
            except UsageError as refusal:
                assert "read no input" in str(refusal)
                assert window.dilation > 1 or window.kernel < window.stride
                assert not truth[:, first : last + 1].any()
                continue
            found = hull(truth[:, first : last + 1].any(1))
            if seen[0] >= 0 and seen[1] < size:
                assert found == seen, (layer, first, last)
            elif found[0] <= found[1]:
                assert seen[0] <= found[0] <= found[1] <= seen[1]


def test_intervals_by_hand() -> None:
    assert SAME.reads((0, 3)) == (-1, 4)
    assert Window(3).reads((0, 3)) == (0, 5)
    assert POOL.reads((2, 3)) == (4, 7)
    assert BLOCKS.reads((-1, 4)) == (-1, 2)
    assert BILINEAR.reads((0, 3)) == (-1, 2)
    assert BILINEAR.reads((1, 2)) == (0, 1)


def test_doubling_reads_what_torch_reads() -> None:
    maps = torch.eye(8)[:, None]
    for layer, mode in ((BLOCKS, "nearest"), (BILINEAR, "linear")):
        truth = F.interpolate(maps, scale_factor=2, mode=mode)[:, 0] > 0
        assert layer.size(8) == truth.shape[1]
        for first, last in combinations_with_replacement(range(16), 2):
            seen = layer.reads((first, last))
            assert hull(truth[:, first : last + 1].any(1)) == (max(seen[0], 0), min(seen[1], 7))


gapless = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3)).map(
    lambda given: Window(max(given[0], given[1]), *given[1:])
)
stacks = st.lists(
    st.one_of(st.builds(replace, gapless, dilation=st.integers(1, 2)), gapless.map(Transposed)), min_size=1, max_size=5
)


@settings(max_examples=150, deadline=None)
@given(stacks)
def test_stacks_read_what_torch_reads(layers: list[Layer]) -> None:
    sizes = [60]
    for layer in layers:
        sizes.append(layer.size(sizes[-1]))
        if not 1 <= sizes[-1] <= 400:
            return
    truth, widths = read_in_torch(layers, sizes[0]), set()
    for pixel in range(sizes[-1]):
        intervals = [reads(layers[start:], (pixel, pixel)) for start in range(len(layers))]
        if all(first >= 0 and last < size for (first, last), size in zip(intervals, sizes, strict=False)):
            found = hull(truth[:, pixel])
            assert found == intervals[0]
            widths.add(found[1] - found[0] + 1)
    assert not widths or max(widths) <= receptive_field(layers)


@pytest.mark.parametrize(
    "layers",
    [
        [Window(3), Window(3), Window(2, 2), Window(3, dilation=2), Window(2, 2)],
        [Window(3, 2, 1, 1), Window(5, 1, 2, 2), BILINEAR, Window(3, 1, 1, 1)],
        [Window(2, 2), Window(3, 1, 1, 1), Window(2, 2), BLOCKS, Window(3, 1, 1, 1), BLOCKS],
        [Window(3, 3), Window(3), BLOCKS],
    ],
)
def test_receptive_field_is_torchs(layers: list[Layer]) -> None:
    truth = read_in_torch(layers, 96)
    inner = [hull(column) for column in truth.T]
    assert max(last - first + 1 for first, last in inner if first > 0 and last < 95) == receptive_field(layers)


def test_grid_says_where_values_come_from() -> None:
    """Averages and linear interpolation keep a ramp a ramp, so each value tells where its pixel lies."""
    ramp = torch.arange(80, dtype=torch.float64)[None, None]
    layers: list[Layer] = [
        Window(3),
        Window(2, 2),
        Window(4, 1, 1, 2),
        Window(3, 2, 0, 2, 2),
        BILINEAR,
        Window(3, 1, 1, 1),
        BILINEAR,
    ]
    for count in range(1, len(layers) + 1):
        maps = ramp
        for layer in layers[:count]:
            linear = F.interpolate(maps, scale_factor=2, mode="linear")
            maps = run(layer, maps) / layer.kernel if isinstance(layer, Window) else linear
        where = grid(layers[:count])
        for pixel in range(maps.shape[-1] // 3, maps.shape[-1] // 2):
            assert float(maps[0, 0, pixel]) == pytest.approx(float(where.first + where.step * pixel))


# The papers' figures


def sizes_through(layers: Sequence[Layer], size: int) -> list[int]:
    sizes = [size]
    for layer in layers:
        sizes.append(layer.size(sizes[-1]))
    return sizes


def test_u_net_sizes_and_crops() -> None:
    down: list[Layer] = [*[Window(3), Window(3), POOL] * 4, Window(3), Window(3)]
    up: list[Layer] = [BLOCKS, Window(3), Window(3)] * 4
    assert sizes_through([*down, *up, Window(1)], 572) == [
        572, 570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28,
        56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388, 388,
    ]  # fmt: skip
    crops = []
    for level in range(4):  # from the deepest skip to the first
        skip, grown = down[: 11 - 3 * level], [*down, *up[: 1 + 3 * level]]
        crops.append(crop_offset(grid(skip), grid(grown)))
        assert centre_crop(sizes_through(skip, 572)[-1], sizes_through(grown, 572)[-1]) == (crops[-1], crops[-1])
    assert crops == [4, 16, 40, 88]
    assert grid([*down, *up]) == Grid(Fraction(92), Fraction(1))  # 92 pixels lost on each side
    assert reads([*down, *up], (0, 387)) == (0, 571)


def test_full_padding_in_the_decoder_restores_u_net() -> None:
    full = Window(3, 1, *padding_border("full", 3))
    down: list[Layer] = [Window(3), Window(3), POOL] * 4
    up: list[Layer] = [BLOCKS, full, full] * 4
    layers: list[Layer] = [*down, Window(3), Window(3), full, full, *up]
    assert sizes_through(layers, 572)[-1] == 572
    assert grid(layers) == Grid()


def test_segnet_sizes() -> None:
    assert sizes_through([CEIL] * 5, 360) == [360, 180, 90, 45, 23, 12]
    assert sizes_through([CEIL] * 5, 480) == [480, 240, 120, 60, 30, 15]
    assert [CEIL.restoring(size).size(CEIL.size(size)) for size in (23, 45, 360)] == [23, 45, 360]


def test_segnet_basic_sees_106_pixels() -> None:
    encoder: list[Layer] = [Window(7, 1, 3, 3), CEIL] * 4
    assert receptive_field(encoder[:-1]) == 98
    assert receptive_field(encoder) == 106
    assert grid(encoder).step == 16


VGG: list[Layer] = [
    Window(3, 1, 100, 100), SAME, CEIL, SAME, SAME, CEIL, *[SAME, SAME, SAME, CEIL] * 3, Window(7),
]  # fmt: skip
POOL3, POOL4 = VGG[:10], VGG[:14]


def deconvolution(factor: int) -> Transposed:
    return Transposed(Window(2 * factor, factor))


def test_fcn_sizes_and_crops() -> None:
    assert sizes_through([*VGG, deconvolution(32)], 500)[-2:] == [16, 544]
    by_32 = grid([deconvolution(32)], grid(VGG))
    twice = grid([deconvolution(2)], grid(VGG))
    four_times = grid([deconvolution(2)], twice)
    assert crop_offset(by_32, Grid()) == 19
    assert [crop_offset(grid(POOL4), twice), crop_offset(grid([deconvolution(16)], twice), Grid())] == [5, 27]
    assert crop_offset(grid(POOL3), four_times) == 9
    assert crop_offset(grid([deconvolution(8)], four_times), Grid()) == 31


def test_fcn_output_covers_the_input_at_any_size() -> None:
    for size in range(1, 1200):
        bottom, pool4, pool3 = (sizes_through(layers, size)[-1] for layers in (VGG, POOL4, POOL3))
        twice = deconvolution(2).size(bottom)
        four_times = deconvolution(2).size(twice)
        assert deconvolution(32).size(bottom) >= 19 + size
        assert pool4 >= 5 + twice
        assert deconvolution(16).size(twice) >= 27 + size
        assert pool3 >= 9 + four_times
        assert deconvolution(8).size(four_times) >= 31 + size


def test_fcn_sees_404_pixels() -> None:
    assert receptive_field(VGG) == 404  # Table 1 of the FCN paper
    assert grid(VGG).step == 32


# Costs


@pytest.mark.parametrize("groups", [1, 2])
def test_multiply_adds_are_half_torchs_flops(groups: int) -> None:
    maps = torch.zeros(1, 4, 9, 11)
    with FlopCounterMode(display=False) as counted:
        out = F.conv2d(maps, torch.zeros(6, 4 // groups, 3, 5), groups=groups)
    assert 2 * multiply_adds(4, 6, (3, 5), (out.shape[2], out.shape[3]), groups) == counted.get_total_flops()
    with FlopCounterMode(display=False) as counted:
        F.conv_transpose2d(maps, torch.zeros(4, 6 // groups, 2, 3), stride=2, groups=groups)
    assert 2 * multiply_adds(4, 6, (2, 3), (9, 11), groups) == counted.get_total_flops()


def test_stored_bytes() -> None:
    assert stored_bytes(4, (9, 11)) == torch.zeros(4, 9, 11).nbytes
    assert stored_bytes(4, (9, 11), bits=16) == torch.zeros(4, 9, 11, dtype=torch.bfloat16).nbytes
    assert stored_bytes(64, (180, 240)) == 11_059_200  # the 11 MB of SegNet's section 3.2
    assert stored_bytes(64, (180, 240), bits=2) == 691_200
    assert stored_bytes(1, (1, 5), bits=2) == 2

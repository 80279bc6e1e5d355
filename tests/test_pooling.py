"""Pooling with 2-bit indices, against torch's pair and against a reference in plain loops."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from unpool.errors import UsageError
from unpool.geometry import Rounding, pooled_size
from unpool.nets import pooling
from unpool.nets.pooling import PoolingIndices, max_pool, max_pool_plain, max_unpool, pack, unpack
from unpool.nets.pooling_operator import max_pool_operator

NAN, INF = math.nan, math.inf
FORMATS = {"nchw": torch.contiguous_format, "channels-last": torch.channels_last}
TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
KINDS = ("distinct", "ties", "special")


def maps_of(kind: str, shape: tuple[int, ...], dtype: torch.dtype, memory_format: torch.memory_format) -> Tensor:
    if kind == "distinct":
        count = math.prod(shape)
        maps = (torch.randperm(count) - count // 2).view(shape).double()
    else:
        maps = torch.randint(-2, 3, shape).double()
    if kind == "special":
        for value in (NAN, INF, -INF, -0.0):
            maps[torch.rand(shape) < 0.15] = value
    return maps.to(dtype).contiguous(memory_format=memory_format)


def same(ours: Tensor, theirs: Tensor) -> bool:
    """Equal bit for bit; one NaN is as good as another."""
    numbers = ~theirs.isnan()
    signs = torch.equal(ours.signbit() & numbers, theirs.signbit() & numbers)
    return ours.dtype == theirs.dtype and torch.equal(ours.nan_to_num(7e4), theirs.nan_to_num(7e4)) and signs


def torch_pool(maps: Tensor, rounding: Rounding) -> tuple[Tensor, Tensor]:
    pooled, indices = F.max_pool2d(maps, 2, ceil_mode=rounding == "ceil", return_indices=True)
    return pooled, indices


def code_of(positions: PoolingIndices) -> Tensor:
    return unpack(positions.code, positions.windows, channels_last=positions.channels_last)


def torch_code(indices: Tensor, width: int) -> Tensor:
    return (2 * (indices // width % 2) + indices % width % 2).to(torch.uint8)


def code_by_loops(window: list[float]) -> int:
    """The first largest wins, and every NaN wins against what came before it."""
    best = 0
    for place, value in enumerate(window):
        if value > window[best] or math.isnan(value):
            best = place
    return best


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_pair_equals_torchs_in_every_small_case(
    rounding: Rounding, dtype: torch.dtype, memory_format: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    sides = range(2 if rounding == "floor" else 1, 7)
    channels = ((1, 1), (2, 3), (3, 8))
    for case, (kind, rows, columns, (images, width)) in enumerate(itertools.product(KINDS, sides, sides, channels)):
        # Blocks of a few windows, so that images and rows are cut apart; every third case is left whole.
        monkeypatch.setattr(pooling, "_BLOCK", (8, 40, 2**17)[case % 3])
        maps = maps_of(kind, (images, width, rows, columns), dtype, memory_format).requires_grad_()
        pooled, positions = max_pool(maps, rounding)
        torch_pooled, indices = torch_pool(maps, rounding)
        assert same(pooled, torch_pooled)
        assert torch.equal(code_of(positions), torch_code(indices, columns))
        assert pooled.is_contiguous(memory_format=memory_format)

        grown = max_unpool(pooled, positions)
        torch_grown = F.max_unpool2d(torch_pooled, indices, 2, output_size=[rows, columns])
        assert same(grown, torch_grown)

        gradient = maps_of(kind, tuple(grown.shape), dtype, memory_format)
        (ours,) = torch.autograd.grad(grown, maps, gradient, retain_graph=True)
        (theirs,) = torch.autograd.grad(torch_grown, maps, gradient)
        assert same(ours, theirs)
        below = maps_of(kind, tuple(pooled.shape), dtype, memory_format)
        (ours,) = torch.autograd.grad(pooled, maps, below, retain_graph=True)
        (theirs,) = torch.autograd.grad(torch_pool(maps, rounding)[0], maps, below)
        assert same(ours, theirs)
        assert ours.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_window_of_seven_values_has_torchs_maximum(
    dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    values = [NAN, -INF, -1.0, -0.0, 0.0, 1.0, INF]
    windows = list(itertools.product(values, repeat=4))
    maps = torch.tensor(windows, dtype=dtype).view(1, -1, 2, 2).contiguous(memory_format=memory_format)
    pooled, positions = max_pool(maps)
    assert same(pooled, F.max_pool2d(maps, 2))
    by_loops = torch.tensor([code_by_loops(list(window)) for window in windows], dtype=torch.uint8)
    assert torch.equal(code_of(positions).flatten(), by_loops)


def test_known_answer_in_ceil_mode() -> None:
    maps = torch.tensor([[[[1.0, 5.0, -INF], [2.0, 5.0, NAN], [0.0, 0.0, -3.0]]]])
    pooled, positions = max_pool(maps, "ceil")
    assert code_of(positions).tolist() == [[[[1, 2], [0, 0]]]]
    assert positions.windows == (1, 1, 2, 2)
    assert positions.size == (3, 3)
    assert positions.bytes == 1
    # Byte 0 holds the codes 1, 2, 0, 0, lowest bits first.
    assert positions.code.tolist() == [1 + 4 * 2]
    assert pooled[0, 0, 0, 0] == 5
    assert pooled[0, 0, 0, 1].isnan()
    grown = max_unpool(torch.tensor([[[[10.0, 20.0], [30.0, 40.0]]]]), positions)
    assert grown.tolist() == [[[[0, 10, 0], [0, 0, 20], [30, 0, 40]]]]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 40), st.integers(1, 40)),
    rounding=st.sampled_from(["floor", "ceil"]),
    channels_last=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_values_and_gradients_appear_only_where_the_maximum_was(
    shape: tuple[int, int, int, int], rounding: Rounding, channels_last: bool, seed: int
) -> None:
    if rounding == "floor" and min(shape[2:]) < 2:
        return
    torch.manual_seed(seed)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    maps = torch.rand(shape).add_(1).contiguous(memory_format=memory_format).requires_grad_()
    pooled, positions = max_pool(maps, rounding)
    assert tuple(pooled.shape[2:]) == (pooled_size(shape[2], rounding), pooled_size(shape[3], rounding))
    grown = max_unpool(pooled, positions)
    largest = grown != 0
    assert int(largest.sum()) == pooled.numel()
    assert torch.equal(grown[largest], maps[largest])
    (gradient,) = torch.autograd.grad(pooled.sum(), maps)
    assert torch.equal(gradient != 0, largest)
    below = pooled.detach().requires_grad_()
    (gradient,) = torch.autograd.grad((max_unpool(below, positions) * maps.detach()).sum(), below)
    assert torch.equal(gradient, below)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    channels_last=st.booleans(),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_packing_is_undone(shape: tuple[int, int, int, int], channels_last: bool, seed: int) -> None:
    torch.manual_seed(seed)
    code = torch.randint(0, 4, shape, dtype=torch.uint8)
    packed = pack(code, channels_last=channels_last)
    assert packed.shape == (math.ceil(code.numel() / 4),)
    assert packed.dtype == torch.uint8
    assert torch.equal(unpack(packed, shape, channels_last=channels_last), code)


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 5, 7, 9), (1, 1, 2, 2)])
@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_two_bits_a_window_are_all_that_is_held(shape: tuple[int, ...], memory_format: torch.memory_format) -> None:
    saved: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    maps = torch.rand(shape).contiguous(memory_format=memory_format).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        pooled, positions = max_pool(maps)
        max_unpool(pooled, positions)
    quarter = math.ceil(pooled.numel() / 4)
    assert positions.bytes == quarter
    assert [tensor.dtype for tensor in saved] == [torch.uint8] * 2
    # One storage: pooling, unpooling and the skip share it.
    assert {tensor.untyped_storage().data_ptr() for tensor in saved} == {positions.code.untyped_storage().data_ptr()}
    assert {tensor.untyped_storage().nbytes() for tensor in saved} == {quarter}


def test_maps_of_one_format_are_unpooled_with_positions_of_the_other() -> None:
    maps = torch.rand(2, 3, 7, 6)
    pooled, positions = max_pool(maps)
    expected = max_unpool(pooled, positions)
    other = pooled.contiguous(memory_format=torch.channels_last).requires_grad_()
    grown = max_unpool(other, positions)
    assert torch.equal(grown, expected)
    assert grown.is_contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(grown, other, maps)
    assert torch.equal(gradient, pooled)


def test_slices_and_expanded_gradients() -> None:
    wide = torch.rand(2, 6, 9, 11)
    for maps in (wide[:, 1:5, 1:, 2:9], wide.contiguous(memory_format=torch.channels_last)[:, 1:4, 2:, 1:]):
        leaf = maps.detach().requires_grad_()
        pooled, positions = max_pool(leaf)
        assert torch.equal(pooled, F.max_pool2d(maps, 2))
        (ours,) = torch.autograd.grad(max_unpool(pooled, positions).sum(), leaf)
        (theirs,) = torch.autograd.grad(F.max_pool2d(leaf, 2).sum(), leaf)
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_plain_pooling_is_torchs(rounding: Rounding) -> None:
    for memory_format in FORMATS.values():
        maps = maps_of("special", (2, 4, 9, 7), torch.float32, memory_format).requires_grad_()
        pooled, expected = max_pool_plain(maps, rounding), torch_pool(maps, rounding)[0]
        assert same(pooled, expected)
        gradient = torch.rand_like(pooled)
        assert same(*(torch.autograd.grad(each, maps, gradient)[0] for each in (pooled, expected)))


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_gradients_by_differences(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    maps = maps_of("distinct", (1, 2, 5, 4), torch.float64, memory_format).requires_grad_()
    below = torch.rand(1, 2, 3, 2, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    positions = max_pool(maps, "ceil")[1]
    assert torch.autograd.gradcheck(lambda each: max_pool(each, "ceil")[0], maps)
    assert torch.autograd.gradcheck(lambda each: max_unpool(each, positions), below)


def test_functional_gradient() -> None:
    maps = torch.rand(1, 2, 4, 4)
    ours = torch.func.grad(lambda each: max_unpool(*max_pool(each)).square().sum())(maps)
    assert torch.equal(ours, 2 * max_unpool(*max_pool(maps)))


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
def test_every_step_stays_on_the_device_of_the_maps(memory_format: torch.memory_format) -> None:
    maps = torch.empty(2, 3, 7, 5, device="meta").contiguous(memory_format=memory_format).requires_grad_()
    grown = max_unpool(*max_pool(maps, "ceil"))
    assert grown.device.type == "meta"
    assert torch.autograd.grad(grown.sum(), maps)[0].shape == maps.shape


def test_second_derivative_is_refused() -> None:
    maps = torch.rand(1, 1, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(max_pool(maps)[0].square().sum(), maps, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_without_gradients_under_autocast_and_in_deterministic_mode() -> None:
    maps = torch.randn(2, 3, 6, 6)
    expected = max_unpool(*max_pool(maps))
    with torch.inference_mode():
        assert torch.equal(max_unpool(*max_pool(maps)), expected)
    with torch.no_grad():
        assert torch.equal(max_unpool(*max_pool(maps)), expected)
    with torch.autocast("cpu", torch.bfloat16):
        half = maps.bfloat16().requires_grad_()
        grown = max_unpool(*max_pool(half))
        assert grown.dtype == torch.bfloat16
        assert torch.autograd.grad(grown.sum(), half)[0].dtype == torch.bfloat16
    torch.use_deterministic_algorithms(True)
    try:
        leaf = maps.clone().requires_grad_()
        max_unpool(*max_pool(leaf)).sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 4), (5, 5), (6, 7)])
def test_plain_operations_equal_the_fast_ones(
    size: tuple[int, int], rounding: Rounding, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rounding == "floor" and size == (1, 1):
        return
    maps = maps_of("special", (2, 3, *size), torch.float32, torch.contiguous_format).requires_grad_()
    pooled, positions = max_pool(maps, rounding)
    grown = max_unpool(pooled, positions)
    (gradient,) = torch.autograd.grad(grown.nan_to_num(0, 0, 0).sum(), maps)
    monkeypatch.setattr(pooling, "_in_graph", lambda: True)
    plain, plain_positions = max_pool(maps, rounding)
    plain_grown = max_unpool(plain, plain_positions)
    assert same(plain, pooled)
    assert same(plain_grown, grown)
    assert torch.equal(plain_positions.code, code_of(positions))
    assert same(torch.autograd.grad(plain_grown.nan_to_num(0, 0, 0).sum(), maps)[0], gradient)


class ThereAndBack(nn.Module):
    """A pooling and an unpooling, with pooling indices as the skip connection."""

    def __init__(self, rounding: Rounding) -> None:
        super().__init__()
        self.rounding: Rounding = rounding

    def forward(self, maps: Tensor) -> Tensor:
        pooled, positions = max_pool(maps, self.rounding)
        return max_unpool(pooled * 2, positions)


EXPORT_SIZES = [(8, 12), (9, 12), (10, 13), (15, 11), (33, 18)]


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_export_with_any_rows_and_columns(rounding: Rounding) -> None:
    model = ThereAndBack(rounding).eval()
    sides = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    exported = torch.export.export(model, (torch.randn(1, 3, 12, 14),), dynamic_shapes=(sides,))
    assert "aten.max_unpool" not in exported.graph_module.code
    for size in EXPORT_SIZES:
        maps = torch.randn(1, 3, *size).relu_()
        assert torch.equal(exported.module()(maps), model(maps))


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_onnx_needs_no_max_unpool(rounding: Rounding, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime: Any = pytest.importorskip("onnxruntime")
    model = ThereAndBack(rounding).eval()
    path = tmp_path / "there_and_back.onnx"
    sides = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    maps = torch.randn(1, 3, 12, 14)
    torch.onnx.export(model, (maps,), path, dynamo=True, dynamic_shapes=(sides,), verbose=False)
    assert "MaxUnpool" not in {node.op_type for node in onnx.load(path).graph.node}
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in EXPORT_SIZES:
        maps = torch.randn(1, 3, *size).relu_()
        (result,) = session.run(None, {session.get_inputs()[0].name: maps.numpy()})
        assert torch.equal(torch.from_numpy(result), model(maps))


def test_refusals() -> None:
    with pytest.raises(UsageError, match=r"shape \(3, 4, 4\).*floating-point \(N, C, rows, columns\)"):
        _one_line(lambda: max_pool(torch.rand(3, 4, 4)))
    with pytest.raises(UsageError, match=r"type torch.uint8"):
        max_pool(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(UsageError, match=r"shape \(1, 3, 1, 4\), pooled with floor.*at least one.*'ceil'"):
        _one_line(lambda: max_pool(torch.rand(1, 3, 1, 4)))
    for shape in ((0, 3, 4, 4), (1, 0, 4, 4), (1, 3, 0, 4)):
        with pytest.raises(UsageError, match="at least one 2x2 window"):
            max_pool(torch.rand(shape), "ceil")
    positions = max_pool(torch.rand(1, 3, 6, 6))[1]
    with pytest.raises(UsageError, match=r"\(1, 3, 4, 4\) to unpool.*\(1, 3, 3, 3\).*its own pooling"):
        _one_line(lambda: max_unpool(torch.rand(1, 3, 4, 4), positions))
    with pytest.raises(UsageError, match="floating-point"):
        max_unpool(torch.rand(3, 3), positions)


def _one_line(call: Any) -> None:
    try:
        call()
    except UsageError as error:
        raise UsageError(" ".join(str(error).split()), "", "") from None


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pooling_that_a_compiler_leaves_alone_is_torchs(ceil: bool, memory_format: torch.memory_format) -> None:
    maps = torch.randn(2, 3, 7, 10).contiguous(memory_format=memory_format).requires_grad_()
    ours, theirs = max_pool_operator(maps, ceil)[0], F.max_pool2d(maps, 2, ceil_mode=ceil)
    assert torch.equal(ours, theirs)
    given = torch.randn_like(theirs)
    assert torch.equal(*(torch.autograd.grad(pooled, maps, given)[0] for pooled in (ours, theirs)))
    # Shapes and strides that the compiler is told are those that come, and the gradient is registered as it should be.
    torch.library.opcheck(max_pool_operator, (maps, ceil), test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1, 2)])
def test_what_is_traced_for_a_compiler_is_what_runs_without(size: tuple[int, int], rounding: Any) -> None:
    if rounding == "floor" and min(size) < 2:
        return
    maps = torch.randn(2, 3, *size, requires_grad=True)
    pooled, positions = max_pool(maps, rounding)
    grown = max_unpool(pooled, positions)
    given = torch.randn_like(grown)
    (gradient,) = torch.autograd.grad(grown, maps, given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooling, "_in_graph", lambda: True)
        traced, places = max_pool(maps, rounding)
        again = max_unpool(traced, places)
    assert torch.equal(traced, pooled)
    assert torch.equal(again, grown)
    torch.testing.assert_close(torch.autograd.grad(again, maps, given)[0], gradient, rtol=0, atol=0)

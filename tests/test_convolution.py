"""Convolutions: every way gives the same numbers, and the fastest is chosen once and kept."""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from unpool.convolution import choices, operation, ways, winograd
from unpool.convolution.choices import Measured, WayChoices, fastest, key_of
from unpool.convolution.choices_file import ChoicesFile
from unpool.convolution.operation import convolve, torch_alone, up_convolve
from unpool.convolution.ways import DIRECT, WAYS, ConvolutionCase, Task, compute, possible_ways
from unpool.convolution.winograd import Tiling
from unpool.nets.blocks import Convolution

CASES = (
    ConvolutionCase(torch.float32, 2, 5, 7, 9, 11, (3, 3), (1, 1)),
    ConvolutionCase(torch.float32, 1, 3, 4, 13, 6, (3, 3), (0, 1)),
    ConvolutionCase(torch.float32, 1, 40, 33, 8, 8, (3, 3), (2, 2)),
    ConvolutionCase(torch.float32, 1, 1, 2, 3, 3, (3, 3), (0, 0)),
    ConvolutionCase(torch.float32, 2, 6, 3, 7, 5, (1, 1)),
    ConvolutionCase(torch.float32, 1, 4, 6, 12, 15, (7, 7), (3, 3)),
    ConvolutionCase(torch.float32, 1, 4, 6, 12, 15, (5, 3), (2, 0)),
    ConvolutionCase(torch.float32, 2, 6, 5, 4, 7, (2, 2), up=True),
    ConvolutionCase(torch.bfloat16, 2, 6, 8, 9, 10, (3, 3), (1, 1)),
    ConvolutionCase(torch.bfloat16, 1, 6, 8, 5, 4, (2, 2), up=True),
)
"""Sizes that are no multiples of 4, one channel, more channels than a vector, kernels of several sizes."""

EXACT = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
"""Largest difference allowed, as a share of the largest value."""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> WayChoices:
    """Choices in memory, for convolutions of any size."""
    held = WayChoices()
    monkeypatch.setattr(operation, "CHOICES", held)
    for module in (operation, choices):
        monkeypatch.setattr(module, "LEAST_WORK", 1)
    return held


def tensors_of(case: ConvolutionCase) -> dict[Task, tuple[Tensor | None, ...]]:
    torch.manual_seed(0)
    maps = torch.randn(case.images, case.inputs, case.rows, case.columns).to(case.dtype)
    weight, bias = torch.randn(case.weight_shape).to(case.dtype), torch.randn(case.outputs).to(case.dtype)
    gradient = torch.randn(case.images, case.outputs, *case.size).to(case.dtype)
    return {
        "output": (maps, weight, bias),
        "gradient of maps": (gradient, weight),
        "gradient of weight": (gradient, maps),
    }


def in_float64(case: ConvolutionCase, task: Task, tensors: tuple[Tensor | None, ...]) -> Tensor:
    """Return the result by torch's float64 convolution and autograd."""
    one, two, *bias = (None if each is None else each.double() for each in tensors)
    assert one is not None
    assert two is not None

    def output(maps: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
        if case.up:
            return F.conv_transpose2d(maps, weight, added, case.kernel)
        return F.conv2d(maps, weight, added, 1, case.padding)

    if task == "output":
        return output(one, two, *bias)
    shape = (case.images, case.inputs, case.rows, case.columns) if task == "gradient of maps" else case.weight_shape
    wanted = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    made = output(wanted, two) if task == "gradient of maps" else output(two, wanted)
    return torch.autograd.grad(made, wanted, one)[0]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_way_gives_the_numbers_of_float64(case: ConvolutionCase, monkeypatch: pytest.MonkeyPatch) -> None:
    for task, tensors in tensors_of(case).items():
        expected = in_float64(case, task, tensors)
        names = possible_ways(task, case)
        assert names[0] == DIRECT
        with monkeypatch.context() as missing:
            missing.setattr(winograd, "is_available", lambda: False)
            names = list(dict.fromkeys([*names, *possible_ways(task, case)]))
        for name in names:
            for memory_format in (torch.contiguous_format, torch.channels_last):
                given = [each.contiguous(memory_format=memory_format) if each is not None and each.ndim == 4 else each
                         for each in tensors]  # fmt: skip
                result = compute(name, task, case, *given)
                assert result.shape == expected.shape
                assert result.is_contiguous(memory_format=torch.channels_last), (task, name)
                assert result.dtype == case.dtype
                difference = (result.double() - expected).abs().max() / expected.abs().max()
                assert difference < EXACT[case.dtype], (task, name, float(difference))


def test_the_ways_that_there_are() -> None:
    small = CASES[0]
    assert possible_ways("output", small) == ["channels-last", "NCHW", "Winograd", "products"]
    assert possible_ways("gradient of maps", small) == ["channels-last", "NCHW", "Winograd"]
    assert possible_ways("gradient of weight", small) == ["channels-last", "NCHW", "Winograd", "products"]
    assert "Winograd" not in possible_ways("output", small._replace(dtype=torch.bfloat16))
    assert possible_ways("output", CASES[5]) == ["channels-last", "NCHW", "NNPACK", "products"]
    assert possible_ways("output", CASES[7]) == ["channels-last", "NCHW", "one product"]


def test_a_missing_private_function_of_torch_leaves_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "is_available", lambda: False)
    assert possible_ways("output", CASES[0]) == ["channels-last", "NCHW", "NNPACK", "products"]
    monkeypatch.delattr(torch, "_nnpack_spatial_convolution")
    assert possible_ways("output", CASES[0]) == ["channels-last", "NCHW", "products"]


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 70)),
    st.integers(1, 1100), st.integers(1, 4),
)  # fmt: skip
def test_strips_cover_every_tile_once(size: tuple[int, int, int], channels: int, threads: int) -> None:
    images, rows, columns = size
    tiling = Tiling.of((images, channels, rows, columns), channels, threads)
    parts = tiling.parts()
    assert [part[0] for part in parts] == [0, *(part[1] for part in parts[:-1])]
    assert parts[-1][1] == tiling.strips
    assert sum(part[3] for part in parts) == images * -(-rows // 4) * -(-columns // 4)
    assert [part[2] for part in parts] == [sum(part[3] for part in parts[:number]) for number in range(len(parts))]
    assert max(part[3] for part in parts) <= tiling.most_tiles


@pytest.mark.parametrize("least", [1, 16 * 36])
def test_winograd_in_parts(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few tiles at a time, and few outputs: the sums over parts, and channels beside others, are right."""
    monkeypatch.setattr(winograd, "FEWEST_TILES", 1)
    monkeypatch.setattr(winograd, "nearest_cache", lambda: 8 * 36 * 24 * 8)
    monkeypatch.setattr(winograd, "MOST_WEIGHTS", least)
    case = ConvolutionCase(torch.float32, 2, 24, 40, 30, 27, (3, 3), (1, 1))
    assert len(Tiling.of((2, 40, 30, 27), 40, torch.get_num_threads()).parts()) > 2
    for task, tensors in tensors_of(case).items():
        expected = in_float64(case, task, tensors)
        result = compute("Winograd", task, case, *tensors).double()
        assert float((result - expected).abs().max() / expected.abs().max()) < 2e-5


def test_winograd_in_and_out_of_inference_mode() -> None:
    """Its memory, which a prediction makes, serves the training after it."""
    maps, weight = torch.randn(1, 3, 300, 40), torch.randn(4, 3, 3, 3)
    winograd._kept.numbers = winograd._NOTHING
    with torch.inference_mode():
        inside = winograd.output(maps, weight, None, (1, 1))
    assert torch.equal(inside, winograd.output(maps, weight, None, (1, 1)))


def test_winograd_by_loops() -> None:
    """A second opinion without torch's convolution: the definition, in loops."""
    torch.manual_seed(1)
    maps, weight = torch.randn(1, 2, 5, 6), torch.randn(3, 2, 3, 3)
    expected = torch.zeros(1, 3, 5, 6)
    for out in range(3):
        for row in range(5):
            for column in range(6):
                for channel in range(2):
                    for down in range(3):
                        for across in range(3):
                            y, x = row + down - 1, column + across - 1
                            if 0 <= y < 5 and 0 <= x < 6:
                                expected[0, out, row, column] += (
                                    maps[0, channel, y, x] * weight[out, channel, down, across]
                                )
    torch.testing.assert_close(winograd.output(maps, weight, None, (1, 1)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(WAYS))
def test_a_network_learns_alike_in_every_way(name: str, fresh: WayChoices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs and gradients through autograd, with bias, changes in place, and no gradient of the picture."""

    def way(task: Task, case: ConvolutionCase, *_: Tensor | None) -> str:
        return name if name in possible_ways(task, case) else DIRECT

    monkeypatch.setattr(fresh, "way", way)
    torch.manual_seed(0)
    maps, weight, bias = torch.randn(2, 3, 9, 8), torch.randn(6, 3, 3, 3, requires_grad=True), torch.randn(6)
    bias.requires_grad_()
    second, up = torch.randn(4, 6, 3, 3, requires_grad=True), torch.randn(4, 5, 2, 2, requires_grad=True)

    def run() -> list[Tensor]:
        inner = convolve(maps, weight, bias, padding=(1, 1)).relu_()
        outer = up_convolve(convolve(inner, second, None, padding=(0, 1)), up, None, stride=(2, 2)).add_(1)
        return [outer, *torch.autograd.grad(outer.square().sum(), [weight, bias, second, up])]

    with torch_alone():
        expected = run()
    for ours, theirs in zip(run(), expected, strict=True):
        assert float((ours - theirs).detach().abs().max() / theirs.detach().abs().max()) < 2e-5


def test_autocast_computes_in_bfloat16(fresh: WayChoices) -> None:
    maps, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 4, 3, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = convolve(maps, weight, None, padding=(1, 1))
    assert made.dtype == torch.bfloat16
    made.sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    assert all("bfloat16" in key for key in fresh.used)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [((2, 2), (1, 1), (1, 1), 1), ((1, 1), (1, 1), (2, 2), 1), ((1, 1), (1, 1), (1, 1), 4)],
)
def test_other_convolutions_are_torchs_own(
    stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int], groups: int, fresh: WayChoices
) -> None:
    maps, weight = torch.randn(1, 4, 9, 9), torch.randn(8, 4 // groups, 3, 3)
    made = convolve(maps, weight, None, stride, padding, dilation, groups)
    assert torch.equal(made, F.conv2d(maps, weight, None, stride, padding, dilation, groups))
    assert not fresh.used


def test_small_convolutions_are_not_measured() -> None:
    held = WayChoices()
    tensors = tensors_of(CASES[0])["output"]
    assert held.way("output", CASES[0], *tensors) == DIRECT
    assert not held.used


def test_the_fastest_is_taken_and_a_failure_passed_over() -> None:
    def takes(seconds: float) -> Callable[[], None]:
        return lambda: sleep(seconds)

    def fails() -> None:
        raise RuntimeError("no memory")

    assert fastest({"slow": takes(0.03), "broken": fails, "fast": takes(0.001), "hopeless": takes(0.05)}) == "fast"
    assert fastest({"only": takes(0.001)}) == "only"
    with pytest.raises(RuntimeError, match="no memory"):
        fastest({"broken": fails})
    assert fastest({"broken": fails, "fast": takes(0.001)}) == "fast"


def test_a_case_is_measured_once(fresh: WayChoices, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[list[str]] = []

    def first(runs: dict[str, Callable[[], object]]) -> str:
        tried.append(list(runs))
        return "NCHW"

    monkeypatch.setattr(choices, "fastest", first)
    tensors = tensors_of(CASES[0])["output"]
    assert [fresh.way("output", CASES[0], *tensors) for _ in range(3)] == ["NCHW"] * 3
    nearly = CASES[0]._replace(rows=CASES[0].rows + 1)  # the same power of two
    assert fresh.way("output", nearly, *tensors) == "NCHW"
    assert len(tried) == 1
    assert fresh.measured.cases == 1
    compiled = Measured(compiling=fresh.measured.compiling)  # by the first process of an installation
    assert fresh.measured.text_since(compiled).startswith(
        "measured the fastest way to compute 1 case of convolutions in"
    )
    assert not fresh.measured.text_since(fresh.measured)


@pytest.mark.parametrize("case", [CASES[0]._replace(images=1, rows=90), CASES[7]._replace(images=1, rows=50)], ids=str)
def test_large_maps_are_measured_on_their_upper_part(
    case: ConvolutionCase, fresh: WayChoices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "ENOUGH_WORK", 1)
    for task, tensors in tensors_of(case).items():
        part, given = choices._upper_part(task, case, tensors)
        assert part.rows == choices.ENOUGH_ROWS
        expected = in_float64(part, task, given)
        assert torch.allclose(compute(DIRECT, task, part, *given).double(), expected, rtol=1e-3, atol=1e-3)
        fresh.way(task, case, *tensors)
    several = case._replace(images=2)
    assert choices._upper_part("output", several, tensors_of(several)["output"])[0] == several


def test_the_choice_of_a_training_comes_first(fresh: WayChoices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "fastest", lambda runs: "Winograd")
    tensors, key = tensors_of(CASES[0])["output"], key_of("output", CASES[0])
    assert fresh.way("output", CASES[0], *tensors) == "Winograd"
    fresh.begin({key: "products", "another": "NCHW"})
    assert fresh.way("output", CASES[0], *tensors) == "products"
    assert fresh.used == {key: "products", "another": "NCHW"}
    fresh.begin({key: "a way of a later version"})
    assert fresh.way("output", CASES[0], *tensors) == "Winograd"


def test_choices_are_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "LEAST_WORK", 1)
    monkeypatch.setattr(choices, "fastest", lambda runs: "products")
    file = ChoicesFile(tmp_path / "deep" / "choices.json", "a machine")
    tensors = tensors_of(CASES[0])["output"]
    assert WayChoices(file).way("output", CASES[0], *tensors) == "products"
    monkeypatch.setattr(choices, "fastest", lambda runs: pytest.fail("measured again"))
    assert WayChoices(file).way("output", CASES[0], *tensors) == "products"
    assert file.read() == {key_of("output", CASES[0]): "products"}


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"machine": "another", "choices": {"a": "b"}}', '{"machine": "a machine", "choices": 3}']
)
def test_a_damaged_file_is_replaced(content: str, tmp_path: Path) -> None:
    file = ChoicesFile(tmp_path / "choices.json", "a machine")
    file.path.write_text(content, encoding="utf-8")
    assert file.read() == {}
    file.add("key", "way")
    assert json.loads(file.path.read_text(encoding="utf-8")) == {"machine": "a machine", "choices": {"key": "way"}}


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    file = ChoicesFile(tmp_path / "file" / "choices.json", "a machine")
    with file.locked():
        file.add("key", "way")
    assert file.read() == {}


def _measure(
    path: str, own: str, ready: "multiprocessing.synchronize.Barrier", found: "multiprocessing.Queue[str]"
) -> None:
    choices.LEAST_WORK = 1

    def slow(_: object) -> str:
        sleep(0.5)
        return own

    choices.fastest = slow  # type: ignore[assignment]
    held = WayChoices(ChoicesFile(Path(path), "a machine"))
    ready.wait()
    found.put(held.way("output", CASES[0], *tensors_of(CASES[0])["output"]))


def test_processes_agree(tmp_path: Path) -> None:
    """Two processes meet a case at the same time and would choose differently: the second takes the first's choice."""
    context = multiprocessing.get_context("spawn")
    ready, found = context.Barrier(2), context.Queue()
    workers = [
        context.Process(target=_measure, args=(str(tmp_path / "choices.json"), own, ready, found))
        for own in ("NCHW", "products")
    ]
    for worker in workers:
        worker.start()
    names = [found.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert len(set(names)) == 1


def test_a_compiled_network_takes_torchs_own(fresh: WayChoices) -> None:
    layer = nn.Conv2d(3, 4, 3, padding=1)
    exported = torch.export.export(_Convolved(layer.weight), (torch.randn(1, 3, 8, 8),))
    assert any("conv2d" in str(node.target) for node in exported.graph.nodes)
    assert not fresh.used


class _Convolved(nn.Module):
    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, maps: Tensor) -> Tensor:
        return convolve(maps, self.weight, None, padding=(1, 1))


def test_tensors_that_do_not_belong_together_are_torchs_to_refuse(fresh: WayChoices) -> None:
    maps, weight = torch.randn(1, 8, 9, 9), torch.randn(4, 8, 3, 3)
    for wrong in ((maps[:, :7], weight, None), (maps, weight, torch.zeros(3)), (maps, weight.double(), None)):
        with pytest.raises(RuntimeError):
            convolve(*wrong)
    with pytest.raises(RuntimeError):
        up_convolve(maps, torch.randn(7, 4, 2, 2), None, (2, 2))
    assert convolve(maps[0], weight).shape == (4, 7, 7)
    assert convolve(maps[:0], weight).shape == (0, 4, 7, 7)
    assert not fresh.used


def test_only_a_bias_that_learns(fresh: WayChoices) -> None:
    bias = torch.zeros(4, requires_grad=True)
    convolve(torch.randn(1, 8, 9, 9), torch.randn(4, 8, 3, 3), bias).sum().backward()
    assert bias.grad is not None
    assert torch.equal(bias.grad, torch.full((4,), 49.0))


def test_other_borders_are_torchs_own(fresh: WayChoices) -> None:
    for options in ({"padding": 1, "padding_mode": "reflect"}, {"padding": "same"}):
        ours, theirs = (kind(3, 4, 3, **options) for kind in (Convolution, nn.Conv2d))
        theirs.load_state_dict(ours.state_dict())
        maps = torch.randn(1, 3, 8, 8)
        assert torch.equal(ours(maps), theirs(maps))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_transformations_of_torch_are_torchs_own(fresh: WayChoices) -> None:
    weight = torch.randn(4, 3, 3, 3)

    def total(maps: Tensor) -> Tensor:
        return convolve(maps, weight).square().sum()

    maps = torch.randn(1, 3, 8, 8)
    gradient = torch.func.grad(total)(maps)
    _, tangent = torch.func.jvp(total, (maps,), (maps,))
    assert torch.allclose(tangent, (gradient * maps).sum(), rtol=1e-4)
    assert not fresh.used


def test_the_persons_default_number_type_does_not_matter() -> None:
    tensors = {case: tensors_of(case) for case in (CASES[0], CASES[7])}
    torch.set_default_dtype(torch.float64)
    try:
        for case, tasks in tensors.items():
            for task, given in tasks.items():
                for name in possible_ways(task, case):
                    assert compute(name, task, case, *given).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_products_copy_the_columns_of_some_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "PRODUCT_MEMORY", 1)
    case = ConvolutionCase(torch.float32, 3, 4, 5, 20, 16, (3, 3), (1, 1))
    parts = list(ways._columns(case, tensors_of(case)["output"][0]))  # type: ignore[arg-type]
    assert [(first, last) for first, last, _ in parts] == [(16 * k, 16 * k + 16) for k in range(60)]
    assert all(read.shape == (16, 36) for _, _, read in parts)


def _convolve_in_child(found: "multiprocessing.Queue[list[str]]") -> None:
    torch.set_num_threads(1)
    case = ConvolutionCase(torch.float32, 1, 4, 4, 9, 9, (3, 3), (1, 1))
    for task, tensors in tensors_of(case).items():
        for name in possible_ways(task, case):
            compute(name, task, case, *tensors)
    found.put(possible_ways("output", case))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_takes_torchs_own() -> None:
    """OpenMP ends a forked process that uses its threads: those of numba as soon as one loop has run."""
    assert "Winograd" in possible_ways("output", CASES[0])
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    child = context.Process(target=_convolve_in_child, args=(found,))
    child.start()
    names = found.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    assert "Winograd" not in names


@pytest.mark.slow
def test_damaged_machine_code_is_made_again(tmp_path: Path) -> None:
    """Also where only its index is damaged; the next process finds it whole."""
    words = [sys.executable, "-c", "from unpool.convolution import winograd; print(winograd.is_available())"]
    home = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    for suffix in ("", "nbi", "nbc"):
        for file in tmp_path.rglob(f"*.{suffix}") if suffix else ():
            file.write_bytes(file.read_bytes()[:50])
        done = subprocess.run(words, capture_output=True, text=True, env=home, check=True)
        assert done.stdout == "True\n", suffix
    assert list(tmp_path.rglob("*.nbi"))


def test_every_way_has_a_direct_one_first() -> None:
    assert next(iter(WAYS)) == DIRECT
    assert set(WAYS[DIRECT]) == {"output", "gradient of maps", "gradient of weight"}

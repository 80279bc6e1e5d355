"""Batch normalisation: the same numbers as torch's, whichever kernels compute them."""

import pytest
import torch
from torch import Tensor, nn

from unpool.convolution.operation import torch_alone
from unpool.nets import batch_norm
from unpool.nets.batch_norm import BatchNorm

EXACT = {torch.float32: 1e-4, torch.bfloat16: 1e-2}


@pytest.fixture(autouse=True)
def _any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_norm, "LEAST_NUMBERS", 1)


def awake(channels: int, momentum: float | None = 0.1) -> BatchNorm:
    torch.manual_seed(channels)
    norm = BatchNorm(channels, momentum=momentum)
    for values in (norm.weight, norm.bias, norm.running_mean):
        assert values is not None
        nn.init.normal_(values)
    assert norm.running_var is not None
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return norm


def everything(norm: BatchNorm, maps: Tensor) -> list[Tensor]:
    """Return the result, all gradients and the statistics afterwards."""
    values = maps.clone().requires_grad_()
    made = norm(values)
    torch.manual_seed(1)
    gradients = torch.autograd.grad(made, [values, norm.weight, norm.bias], torch.randn(made.shape).to(made.dtype))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return [made.detach(), *gradients, norm.running_mean, norm.running_var]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", list(EXACT))
@pytest.mark.parametrize("shape", [(2, 8, 12, 16), (1, 3, 5, 7), (3, 24, 4, 4), (2, 1, 6, 6), (1, 65, 9, 3)], ids=str)
def test_the_same_as_torchs(shape: tuple[int, int, int, int], dtype: torch.dtype, training: bool) -> None:
    torch.manual_seed(0)
    maps = (3 * torch.randn(shape) + 5).to(dtype)
    results = []
    for memory_format in (torch.channels_last, torch.contiguous_format):
        ours, theirs = awake(shape[1]).train(training), awake(shape[1]).train(training)
        found = everything(ours, maps.contiguous(memory_format=memory_format))
        with torch_alone():
            expected = everything(theirs, maps)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            assert float((one - other).abs().max() / other.abs().max()) < EXACT[dtype]
        assert ours.num_batches_tracked == theirs.num_batches_tracked == training
        results.append(found)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_by_hand() -> None:
    """Two channels of two pixels: mean 2 and deviation 1, mean 10 and deviation 4."""
    norm = BatchNorm(2, eps=0.0)
    maps = torch.tensor([[[[1.0, 3.0]], [[6.0, 14.0]]]])
    assert torch.allclose(norm(maps), torch.tensor([[[[-1.0, 1.0]], [[-1.0, 1.0]]]]))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert torch.allclose(norm.running_mean, torch.tensor([0.2, 1.0]))
    assert torch.allclose(norm.running_var, torch.tensor([0.9 + 0.1 * 2, 0.9 + 0.1 * 32]))  # of 2 pixels: unbiased


def test_a_cumulative_average() -> None:
    ours, theirs = awake(4, momentum=None), awake(4, momentum=None)
    for _ in range(3):
        maps = torch.randn(2, 4, 8, 8)
        found = everything(ours, maps)
        with torch_alone():
            expected = everything(theirs, maps)
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))


def test_values_that_are_not_finite_stay_so() -> None:
    for dtype in EXACT:
        maps = torch.ones(1, 2, 4, 4, dtype=dtype)
        maps[0, 1, 2, 2] = torch.nan
        made = awake(2)(maps.requires_grad_()).detach()
        assert made[0, 0].isfinite().all()
        assert made[0, 1].isnan().all()


def test_a_large_mean_keeps_the_variance() -> None:
    """The sums are float64: the difference of two sums of squares in float32 would be noise here."""
    maps = torch.randn(1, 2, 64, 64) + 3000
    made = BatchNorm(2)(maps.requires_grad_()).detach()
    assert torch.allclose(made.std(dim=(0, 2, 3)), torch.ones(2), atol=1e-2)


def test_norms_of_other_kinds_are_torchs_own() -> None:
    maps = torch.randn(2, 4, 8, 8, requires_grad=True)
    for options in ({"affine": False}, {"track_running_stats": False}):
        assert torch.equal(BatchNorm(4, **options)(maps), nn.BatchNorm2d(4, **options)(maps))
    with pytest.raises(RuntimeError):
        BatchNorm(8).eval()(maps)
    assert BatchNorm(4).bfloat16()(maps.bfloat16()).dtype == torch.bfloat16


def test_the_statistics_may_change_before_the_backward_pass() -> None:
    norm, maps = awake(4), torch.randn(2, 4, 8, 8, requires_grad=True)
    made = norm.eval()(maps)
    norm.train()(maps)
    made.sum().backward()


def test_which_maps_the_kernels_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    shapes = {(4, 8, 256, 256): True, (4, 8, 16, 16): False, (1, 64, 256, 256): False, (1, 70, 256, 256): True}
    assert {shape: batch_norm._fits(torch.empty(shape)) for shape in shapes} == shapes
    assert not batch_norm._fits(torch.empty(4, 8, 256, 256, dtype=torch.float64))

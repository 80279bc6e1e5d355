"""Size arithmetic against torch and by hand."""

import pytest
import torch
from torch.nn import functional as F

from unpool.geometry import (
    before_convolution,
    before_pooling,
    before_upsampling,
    convolved_size,
    padding_of,
    pooled_size,
)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("padding", [0, 1, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_convolved_size_is_torchs(kernel: int, padding: int, stride: int, dilation: int) -> None:
    weight = torch.zeros(1, 1, kernel)
    for size in range(1, 30):
        expected = convolved_size(size, kernel, padding, stride, dilation)
        if expected < 1:
            with pytest.raises(RuntimeError):
                F.conv1d(torch.zeros(1, 1, size), weight, stride=stride, padding=padding, dilation=dilation)
        else:
            out = F.conv1d(torch.zeros(1, 1, size), weight, stride=stride, padding=padding, dilation=dilation)
            assert out.shape[-1] == expected


def test_pooled_size_is_torchs() -> None:
    for size in range(2, 40):
        for rounding in ("floor", "ceil"):
            out = F.max_pool1d(torch.zeros(1, 1, size), 2, ceil_mode=rounding == "ceil")
            assert out.shape[-1] == pooled_size(size, rounding)  # type: ignore[arg-type]


def test_same_padding_keeps_and_valid_loses() -> None:
    assert [padding_of("same", k) for k in (1, 3, 7)] == [0, 1, 3]
    assert convolved_size(10, 7, padding_of("same", 7)) == 10
    assert convolved_size(572, 3, padding_of("valid", 3)) == 570


def test_intervals_by_hand() -> None:
    assert before_convolution((0, 3), 3, 1) == (-1, 4)
    assert before_convolution((0, 3), 3) == (0, 5)
    assert before_pooling((2, 3)) == (4, 7)
    assert before_upsampling((-1, 4)) == (-1, 2)
    assert before_upsampling((0, 3), reach=1) == (-1, 2)

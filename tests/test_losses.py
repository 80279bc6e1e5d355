"""Losses by hand, and where they must not break."""

import math

import pytest
import torch

from unpool.classes import IGNORE_ID
from unpool.losses import DICE_SMOOTHING, CrossEntropyDice, balanced_weights, cross_entropy, dice_loss


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[[[math.log(3.0), 0.0, 9.0]], [[0.0, 0.0, 0.0]]]])  # p(class 0) = 3/4, 1/2, –
    labels = torch.tensor([[[0, 1, IGNORE_ID]]])
    by_hand = (-math.log(3 / 4) - math.log(1 / 2)) / 2
    assert cross_entropy(logits, labels).item() == pytest.approx(by_hand)
    weighted = (-2 * math.log(3 / 4) - 5 * math.log(1 / 2)) / 7
    assert cross_entropy(logits, labels, torch.tensor([2.0, 5.0])).item() == pytest.approx(weighted)


def test_cross_entropy_is_torchs_weighted_mean() -> None:
    torch.manual_seed(0)
    logits, weights = torch.randn(2, 3, 5, 7), torch.tensor([0.5, 1.0, 3.0])
    labels = torch.randint(0, 3, (2, 5, 7))
    labels[0, :2] = IGNORE_ID
    expected = torch.nn.functional.cross_entropy(logits, labels, weights, ignore_index=IGNORE_ID)
    assert torch.allclose(cross_entropy(logits, labels, weights), expected)


def test_dice_by_hand() -> None:
    logits = torch.tensor([[[[math.log(3.0), 0.0]], [[0.0, 0.0]]]])  # p0 = 3/4, 1/2; p1 = 1/4, 1/2
    labels = torch.tensor([[[0, 1]]])
    s = DICE_SMOOTHING * 2
    zero = (2 * 0.75 + s) / (0.75 + 0.5 + 1 + s)
    one = (2 * 0.5 + s) / (0.25 + 0.5 + 1 + s)
    assert dice_loss(logits, labels).item() == pytest.approx(1 - (zero + one) / 2, rel=1e-6)


def test_perfect_prediction_costs_nothing() -> None:
    labels = torch.tensor([[[0, 1], [2, IGNORE_ID]]])
    logits = 100.0 * torch.nn.functional.one_hot(labels.clamp(max=2), 3).movedim(-1, 1).float()
    value = CrossEntropyDice()(logits, labels)
    assert value.total.item() == pytest.approx(0.0, abs=1e-6)


def test_predicting_an_absent_class_costs() -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    right = torch.zeros(1, 3, 4, 4)
    right[:, 0] = 8.0
    wrong = right.clone()
    wrong[:, 2, :2] = 16.0
    assert dice_loss(wrong, labels) > dice_loss(right, labels) + 0.3


def test_ignored_pixels_have_no_gradient() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    labels = torch.randint(0, 3, (1, 4, 4))
    labels[0, 1] = IGNORE_ID
    CrossEntropyDice((1.0, 2.0, 3.0))(logits, labels).total.backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, 1] == 0).all()
    assert (logits.grad[0, :, 0] != 0).all()


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0)])
def test_all_ignored_is_zero_with_zero_gradient(weights: tuple[float, ...] | None) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    labels = torch.full((2, 4, 4), IGNORE_ID)
    value = CrossEntropyDice(weights)(logits, labels)
    value.total.backward()
    assert value.cross_entropy.item() == 0.0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(kind: torch.dtype) -> None:
    logits = torch.zeros(1, 2, 600, 600, dtype=kind)  # 360,000 pixels overflow float16 and stall bfloat16
    labels = torch.zeros(1, 600, 600, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        value = CrossEntropyDice()(logits, labels)
    assert value.total.dtype == torch.float32
    assert value.cross_entropy.item() == pytest.approx(math.log(2), rel=1e-5)


def test_balanced_weights_by_hand() -> None:
    # shares 0.64, 0.16, 0.04: median 0.16
    assert balanced_weights([0.64, 0.16, 0.04], cap=10) == pytest.approx((0.5, 1.0, 2.0))
    assert balanced_weights([0.64, 0.16, 0.0001], cap=3) == pytest.approx((0.5, 1.0, 3.0))
    assert balanced_weights([0.5, 0.5, 0.0], cap=3) == pytest.approx((1.0, 1.0, 1.0))
    assert balanced_weights([0.9, 0.1], cap=1) == (1.0, 1.0)

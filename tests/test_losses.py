"""Losses by hand and by their definitions, in parts, and where they must not break."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unpool.class_table import IGNORE_ID
from unpool.errors import UsageError
from unpool.losses.class_weights import balanced_weights, median_frequency_weights
from unpool.losses.dice import DICE_SMOOTHING
from unpool.losses.loss import Loss

EVERY_TERM = Loss((0.5, 1.0, 3.0), focal=1.5, lovasz=0.7)
VARIANTS = {
    "default": Loss(),
    "weighted": Loss((1.0, 2.0, 3.0)),
    "pixels": Loss((1.0, 2.0, 3.0), "pixels"),
    "focal": Loss(focal=0.5, dice=0.0),
    "lovasz": Loss(cross_entropy=0.0, dice=0.0, lovasz=1.0),
    "every term": EVERY_TERM,
}
every_variant = pytest.mark.parametrize("loss", VARIANTS.values(), ids=VARIANTS)


def drawn(
    seed: int, shape: tuple[int, int, int, int] = (2, 3, 4, 5), ignored: float = 0.3
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels with ignored pixels among them, emphasis."""
    random = torch.Generator().manual_seed(seed)
    images, classes, *size = shape
    logits = 2 * torch.randn(shape, generator=random)
    labels = torch.randint(0, classes, (images, *size), generator=random)
    labels[torch.rand(labels.shape, generator=random) < ignored] = IGNORE_ID
    return logits, labels, 5 * torch.rand(labels.shape, generator=random)


def term(name: str, logits: Tensor, labels: Tensor, **settings: Any) -> float:
    """One term alone, by its field's name."""
    others = {"cross_entropy": 0.0, "dice": 0.0, "lovasz": 0.0}
    value = Loss(**{**others, name: 1.0, **settings})(logits, labels)
    assert list(value.terms) == [name]
    assert torch.equal(value.total, value.terms[name])
    return value.total.item()


# p(class 0) = 3/4, 1/2, –
LOGITS = torch.tensor([[[[math.log(3.0), 0.0, 9.0]], [[0.0, 0.0, 0.0]]]])
LABELS = torch.tensor([[[0, 1, IGNORE_ID]]])


@pytest.mark.parametrize(
    ("division", "expected"),
    [("weights", (-2 * math.log(3 / 4) - 5 * math.log(1 / 2)) / 7),
     ("pixels", (-2 * math.log(3 / 4) - 5 * math.log(1 / 2)) / 2),
     ("sum", -2 * math.log(3 / 4) - 5 * math.log(1 / 2))],
)  # fmt: skip
def test_cross_entropy_by_hand(division: str, expected: float) -> None:
    assert term("cross_entropy", LOGITS, LABELS, weights=(2.0, 5.0), division=division) == pytest.approx(expected)


def test_equal_weights_by_hand() -> None:
    by_hand = -math.log(3 / 4) - math.log(1 / 2)
    for division, expected in (("weights", by_hand / 2), ("pixels", by_hand / 2), ("sum", by_hand)):
        assert term("cross_entropy", LOGITS, LABELS, division=division) == pytest.approx(expected)


def test_cross_entropy_is_torchs_weighted_mean() -> None:
    logits, labels, _ = drawn(0)
    expected = torch.nn.functional.cross_entropy(
        logits, labels, torch.tensor([0.5, 1.0, 3.0]), ignore_index=IGNORE_ID, reduction="mean"
    )
    assert term("cross_entropy", logits, labels, weights=(0.5, 1.0, 3.0)) == pytest.approx(expected.item())


def test_emphasis_is_added_to_the_class_weight() -> None:
    emphasis = torch.tensor([[[0.5, 10.0, 1000.0]]])  # the last pixel is ignored
    terms = -2.5 * math.log(3 / 4) - 15 * math.log(1 / 2)
    for division, divisor in (("weights", 17.5), ("pixels", 2), ("sum", 1)):
        found = Loss((2.0, 5.0), division, dice=0.0)(LOGITS, LABELS, emphasis).total  # type: ignore[arg-type]
        assert found.item() == pytest.approx(terms / divisor)
    unweighted = Loss(dice=0.0)(LOGITS, LABELS, emphasis).total.item()
    assert unweighted == pytest.approx((-1.5 * math.log(3 / 4) - 11 * math.log(1 / 2)) / 12.5)


def test_focal_by_hand() -> None:
    by_hand = -(1 / 16) * math.log(3 / 4) - (1 / 4) * math.log(1 / 2)
    assert term("cross_entropy", LOGITS, LABELS, focal=2.0) == pytest.approx(by_hand / 2)


@pytest.mark.parametrize("focal", [0.01, 0.5, 1.0, 2.0])
def test_focal_is_flat_where_the_class_is_certain(focal: float) -> None:
    """Its slope (1 - p)^(g - 1) is infinite at p = 1, where the cost is 0."""
    logits = torch.tensor([[[[1e4, 0.0]], [[-1e4, 0.0]]]], requires_grad=True)
    Loss(focal=focal, dice=0.0)(logits, torch.zeros(1, 1, 2, dtype=torch.long)).total.backward()
    assert logits.grad is not None
    assert logits.grad[..., 0].tolist() == [[[0.0], [0.0]]]
    assert logits.grad[0, 0, 0, 1] < 0


def test_dice_by_hand() -> None:
    s = DICE_SMOOTHING * 2
    zero = (2 * 0.75 + s) / (0.75 + 0.5 + 1 + s)
    one = (2 * 0.5 + s) / (0.25 + 0.5 + 1 + s)
    assert term("dice", LOGITS, LABELS) == pytest.approx(1 - (zero + one) / 2, rel=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([(1, 2, 1, 1), (2, 3, 4, 5), (3, 5, 7, 2)]), st.floats(0, 1))
def test_dice_is_its_definition(seed: int, shape: tuple[int, int, int, int], ignored: float) -> None:
    logits, labels, _ = drawn(seed, shape, ignored)
    ratios, counted = (
        [],
        [place for place in itertools.product(*map(range, labels.shape)) if labels[place] != IGNORE_ID],
    )
    smoothing = DICE_SMOOTHING * max(len(counted), 1)
    for k in range(shape[1]):
        p = {place: logits.softmax(1)[place[0], k, place[1], place[2]].item() for place in counted}
        g = {place: float(labels[place] == k) for place in counted}
        both = sum(p[place] * g[place] for place in counted)
        ratios.append((2 * both + smoothing) / (sum(p.values()) + sum(g.values()) + smoothing))
    assert term("dice", logits, labels) == pytest.approx(1 - sum(ratios) / len(ratios), abs=1e-5)


def test_predicting_an_absent_class_costs() -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    right = torch.zeros(1, 3, 4, 4)
    right[:, 0] = 8.0
    wrong = right.clone()
    wrong[:, 2, :2] = 16.0
    assert term("dice", wrong, labels) > term("dice", right, labels) + 0.3


def test_lovasz_by_hand() -> None:
    """Errors of class 0: 1/4 on its pixel, 1/2 on the other. The larger makes Jaccard 1 - 1/2, both make it 0."""
    zero = 1 / 2 * 1 / 2 + 1 / 4 * 1 / 2
    one = 1 / 2 * 1 + 1 / 4 * 0  # its only pixel is the most wrong, so nothing is left to lose
    assert term("lovasz", LOGITS, LABELS) == pytest.approx((zero + one) / 2)


def lovasz_extension(errors: list[float], truth: list[bool]) -> float:
    """Berman et al. 2018, definition 1 and equation 8, with sets of pixels."""
    own = {i for i, true in enumerate(truth) if true}

    def jaccard_loss(wrong: set[int]) -> float:
        return len(wrong) / len(own | wrong) if wrong else 0.0

    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    return sum(
        errors[pixel] * (jaccard_loss(set(order[: rank + 1])) - jaccard_loss(set(order[:rank])))
        for rank, pixel in enumerate(order)
    )


def lovasz_softmax(logits: Tensor, labels: Tensor) -> float:
    """The mean over pictures with counted pixels of the mean over their classes."""
    pictures = []
    for scores, truth in zip(logits.softmax(1), labels, strict=True):
        counted = truth != IGNORE_ID
        classes = []
        for k in truth[counted].unique().tolist():
            own = (truth[counted] == k).tolist()
            errors = [1 - p if g else p for p, g in zip(scores[k][counted].tolist(), own, strict=True)]
            classes.append(lovasz_extension(errors, own))
        if classes:
            pictures.append(sum(classes) / len(classes))
    return sum(pictures) / max(len(pictures), 1)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([(1, 2, 1, 1), (2, 3, 4, 5), (3, 5, 7, 2)]), st.floats(0, 1))
def test_lovasz_is_its_definition(seed: int, shape: tuple[int, int, int, int], ignored: float) -> None:
    logits, labels, _ = drawn(seed, shape, ignored)
    assert term("lovasz", logits, labels) == pytest.approx(lovasz_softmax(logits, labels), abs=1e-5)


def test_lovasz_of_hard_predictions_is_one_minus_the_jaccard_index() -> None:
    labels = torch.tensor([[[0, 0, 0, 1], [1, 1, 2, IGNORE_ID]]])
    predicted = torch.tensor([[[0, 0, 1, 1], [1, 2, 2, 0]]])
    logits = 100 * torch.nn.functional.one_hot(predicted, 4).movedim(-1, 1).float()
    assert term("lovasz", logits, labels) == pytest.approx(1 - (2 / 3 + 2 / 4 + 1 / 2) / 3)


def test_a_picture_without_counted_pixels_is_no_picture() -> None:
    logits, labels, _ = drawn(3)
    labels[1] = IGNORE_ID
    assert term("lovasz", logits, labels) == pytest.approx(term("lovasz", logits[:1], labels[:1]))


def test_the_loss_is_the_sum_of_its_terms() -> None:
    logits, labels, _ = drawn(1)
    value = Loss(cross_entropy=0.5, dice=2.0, lovasz=3.0)(logits, labels)
    parts = {"cross_entropy": 0.5, "dice": 2.0, "lovasz": 3.0}
    assert list(value.terms) == list(parts)
    assert value.total.item() == pytest.approx(sum(f * value.terms[name].item() for name, f in parts.items()))
    for name in parts:
        assert value.terms[name].item() == pytest.approx(term(name, logits, labels))
        assert value.terms[name].shape == ()
    assert list(Loss()(logits, labels).terms) == ["cross_entropy", "dice"]


@pytest.mark.parametrize(
    "factors", [{"cross_entropy": 0.0, "dice": 0.0}, {"dice": -1.0}, {"focal": -0.5}, {"lovasz": -1.0}]
)
def test_a_loss_needs_a_term_and_no_number_below_0(factors: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="no number below 0, and a term above 0"):
        Loss(**factors)


def in_parts(
    loss: Loss, cuts: list[int], logits: Tensor, labels: Tensor, emphasis: Tensor
) -> list[tuple[float, Tensor]]:
    """Return value and gradient in each of the processes that share a batch and add up their sums."""
    parts = [slice(first, last) for first, last in itertools.pairwise([0, *cuts, len(logits)])]
    handed: list[Tensor] = []

    def hand_over(sums: Tensor) -> Tensor:
        assert sums.dtype == torch.float32
        handed.append(sums.detach())
        return sums

    for part in parts:
        loss(logits[part], labels[part], emphasis[part], hand_over)
    assert len(handed) == len(parts)  # one call each
    found = []
    for number, part in enumerate(parts):
        others = sum(handed[:number] + handed[number + 1 :], torch.zeros(()))
        mine = logits[part].clone().requires_grad_()
        value = loss(mine, labels[part], emphasis[part], lambda sums, others=others: sums + others)  # type: ignore[misc]
        value.total.backward()  # type: ignore[no-untyped-call]
        assert mine.grad is not None
        found.append((value.total.item(), mine.grad))
    return found


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6), st.sampled_from([[1], [3], [1, 2], [2, 3]]), st.sampled_from(["weights", "pixels", "sum"])
)
def test_processes_with_parts_of_a_batch_compute_its_loss(seed: int, cuts: list[int], division: Any) -> None:
    logits, labels, emphasis = drawn(seed, (4, 3, 4, 5))
    labels[seed % 4] = IGNORE_ID  # a part may have nothing that counts
    loss = Loss((0.5, 1.0, 3.0), division, focal=1.5, dice=2.0, lovasz=0.7)
    whole = logits.clone().requires_grad_()
    value = loss(whole, labels, emphasis).total
    value.backward()
    parts = in_parts(loss, cuts, logits, labels, emphasis)
    assert whole.grad is not None
    torch.testing.assert_close(torch.cat([slope for _, slope in parts]), whole.grad, rtol=1e-4, atol=1e-7)
    assert [part for part, _ in parts] == pytest.approx([value.item()] * len(parts), rel=1e-5)


@every_variant
def test_gradients_are_differences(loss: Loss) -> None:
    logits, labels, emphasis = drawn(5, (2, 3, 3, 3))
    logits.requires_grad_()
    loss(logits, labels, emphasis).total.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    slopes = []
    for place in itertools.product(*map(range, logits.shape)):
        step = torch.zeros_like(logits)
        step[place] = 1e-2
        with torch.no_grad():
            up, down = (loss(logits + way * step, labels, emphasis).total.item() for way in (1, -1))
        slopes.append((up - down) / 2e-2)
    torch.testing.assert_close(torch.tensor(slopes).view_as(logits), logits.grad, rtol=0.02, atol=1e-4)


@every_variant
def test_ignored_pixels_change_nothing(loss: Loss) -> None:
    logits, labels, emphasis = drawn(2)
    ignored = labels == IGNORE_ID
    other = torch.where(ignored[:, None], 50 * torch.randn(logits.shape), logits).requires_grad_()
    value = loss(other, labels, torch.where(ignored, 7.0, emphasis))
    value.total.backward()  # type: ignore[no-untyped-call]
    assert value.total.item() == pytest.approx(loss(logits, labels, emphasis).total.item())
    assert other.grad is not None
    slopes = other.grad.movedim(1, -1)
    assert (slopes[ignored] == 0).all()
    assert (slopes[~ignored] != 0).any(dim=-1).sum() > 0.9 * (~ignored).sum()


@every_variant
def test_all_ignored_is_zero_with_zero_gradient(loss: Loss) -> None:
    logits, labels, emphasis = drawn(0, ignored=1.1)
    logits.requires_grad_()
    value = loss(logits, labels, emphasis)
    value.total.backward()  # type: ignore[no-untyped-call]
    assert value.total.item() == 0
    assert all(part == 0 for part in value.terms.values())
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@every_variant
def test_a_perfect_prediction_costs_nothing(loss: Loss) -> None:
    labels = torch.tensor([[[0, 1], [2, IGNORE_ID]]])
    logits = 100.0 * torch.nn.functional.one_hot(labels.clamp(max=2), 3).movedim(-1, 1).float()
    assert loss(logits, labels).total.item() == pytest.approx(0.0, abs=1e-6)


@every_variant
def test_extreme_logits_stay_finite(loss: Loss) -> None:
    signs, labels, emphasis = drawn(7)
    logits = (1e4 * signs.sign()).requires_grad_()
    value = loss(logits, labels, emphasis)
    value.total.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(value.total)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_hopeless_pixel_still_pulls() -> None:
    logits = torch.tensor([[[[-1e4]], [[1e4]]]], requires_grad=True)
    value = Loss(dice=0.0)(logits, torch.zeros(1, 1, 1, dtype=torch.long))
    value.total.backward()  # type: ignore[no-untyped-call]
    assert value.total.item() == pytest.approx(2e4)
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(kind: torch.dtype) -> None:
    logits = torch.zeros(1, 2, 600, 600, dtype=kind)  # 360,000 pixels overflow float16 and stall bfloat16
    labels = torch.zeros(1, 600, 600, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        value = Loss(lovasz=1.0)(logits, labels)
    assert {value.total.dtype, *(part.dtype for part in value.terms.values())} == {torch.float32}
    assert value.terms["cross_entropy"].item() == pytest.approx(math.log(2), rel=1e-5)
    expected = 1 - ((1 + DICE_SMOOTHING) / (1.5 + DICE_SMOOTHING) + DICE_SMOOTHING / (0.5 + DICE_SMOOTHING)) / 2
    assert value.terms["dice"].item() == pytest.approx(expected, rel=1e-5)
    assert value.terms["lovasz"].item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_of_the_logits_does_not_matter(layout: torch.memory_format) -> None:
    logits, labels, emphasis = drawn(4)
    crop = torch.nn.functional.pad(logits, (2, 1, 1, 2)).contiguous(memory_format=layout)[:, :, 1:-2, 2:-1]
    assert torch.allclose(EVERY_TERM(crop, labels, emphasis).total, EVERY_TERM(logits, labels, emphasis).total)


@pytest.mark.filterwarnings("ignore")  # of the compiler itself
def test_it_can_be_compiled_whole() -> None:
    logits, labels, emphasis = drawn(6)
    compiled: Callable[..., Tensor] = torch.compile(
        lambda *given: EVERY_TERM(*given).total, fullgraph=True, backend="aot_eager"
    )
    assert torch.allclose(compiled(logits, labels, emphasis), EVERY_TERM(logits, labels, emphasis).total)


def test_balanced_weights_by_hand() -> None:
    # shares 0.64, 0.16, 0.04: median 0.16
    assert balanced_weights([0.64, 0.16, 0.04], cap=10) == pytest.approx((0.5, 1.0, 2.0))
    assert balanced_weights([0.64, 0.16, 0.0001], cap=3) == pytest.approx((0.5, 1.0, 3.0))
    assert balanced_weights([0.5, 0.5, 0.0], cap=3) == pytest.approx((1.0, 1.0, 1.0))
    assert balanced_weights([0.9, 0.1], cap=1) == (1.0, 1.0)
    assert balanced_weights([0.36, 0.64], cap=9) == pytest.approx(((0.5 / 0.36) ** 0.5, (0.5 / 0.64) ** 0.5))
    assert balanced_weights([0.0, 0.0], cap=3) == (1.0, 1.0)


def test_median_frequency_weights_by_hand() -> None:
    # Two pictures of 100 pixels: 60 + 80 of class 0, 40 + 0 of class 1, 0 + 20 of class 2, none of class 3.
    # Frequencies 140/200 = 0.7, 40/100 = 0.4, 20/100 = 0.2: median 0.4.
    found = median_frequency_weights([140, 40, 20, 0], [200, 100, 100, 0])
    assert found == pytest.approx((4 / 7, 1.0, 2.0, 1.0))
    assert median_frequency_weights([30, 10], [100, 100]) == pytest.approx((0.2 / 0.3, 2.0))  # of two: their middle
    assert median_frequency_weights([0, 0], [0, 0]) == (1.0, 1.0)

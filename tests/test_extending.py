"""New parts, added by the steps of docs/extending.md."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import tiny
from unpool.config.schema import LossSettings
from unpool.losses.loss import TERMS, Factor, Loss, LossFactors
from unpool.losses.terms import BatchPixels, quotient
from unpool.training.loop import training
from unpool.training.records import StepRecord, TrainingState


class AbsoluteError:
    """The mean over counted pixels of one minus the probability of the true class."""

    title = "absolute error"
    citation = ""

    def sums(self, pixels: BatchPixels) -> Tensor:
        errors = (1 - pixels.log_truth.exp()) * pixels.counted
        return torch.stack((errors.sum(), pixels.counted.float().sum()))

    def value(self, sums: Tensor) -> Tensor:
        return quotient(sums)


def test_a_tiny_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with the term, a factor among the fields, and a line in the table."""
    monkeypatch.setitem(TERMS, "absolute_error", lambda loss: AbsoluteError())
    monkeypatch.setattr(Loss, "absolute_error", 0.0, raising=False)  # the default of the new field

    @dataclass(frozen=True)
    class ExtendedLoss(Loss):
        absolute_error: Factor = 0.0

    loss = ExtendedLoss(cross_entropy=0.0, dice=0.0, absolute_error=2.0)
    data = tiny.samples(3)
    model = tiny.segmenter()
    before = {name: weight.clone() for name, weight in model.network.named_parameters()}
    steps = training(model, tiny.setup(model, data, data[:1], loss=loss), state := TrainingState())
    for record in (next(steps), next(steps)):
        assert isinstance(record, StepRecord)
        assert 0 < record.loss < 2
    assert set(state.sums.terms) == {"absolute_error"}
    assert state.sums.loss == pytest.approx(2 * state.sums.terms["absolute_error"])
    assert any(not torch.equal(weight, before[name]) for name, weight in model.network.named_parameters())
    logits = torch.tensor([[[[0.0, 9.0]], [[0.0, 0.0]]]])
    assert loss(logits, torch.tensor([[[1, 255]]])).total.item() == pytest.approx(2 * 0.5)


def test_the_factor_of_every_term_is_a_setting() -> None:
    factors = dict.fromkeys(TERMS, 0.5)
    settings = LossSettings(**factors)  # type: ignore[arg-type]
    assert {name: getattr(settings, name) for name in TERMS} == factors
    assert set(TERMS) <= set(LossFactors.__dataclass_fields__)
